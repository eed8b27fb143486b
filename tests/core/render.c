/*
 * render.c - one function a kind of answer.
 */
#include "tests/core/render.h"

#include "common/texts.h"
#include "tests/lib/unit.h"

#define SHOWN_BYTES 40u

static unsigned long long ull(uint64_t number)
{
    return number;
}

void render_item(struct text *text, const struct world *world, uint64_t id)
{
    const struct judge *judge = &world->judge;
    uint64_t incarnation = id >> BAO_ID_SHIFT;
    uint64_t number = id & ((UINT64_C(1) << BAO_ID_SHIFT) - 1);
    const struct judge_queue *queue = NULL;
    unsigned again = 0;
    for (unsigned i = 0; i < judge->queue_count; i++) {
        if (judge->queues[i].queue == incarnation) {
            queue = &judge->queues[i];
        }
    }
    if (queue == NULL) {
        text_add(text, "%llu/", ull(incarnation));
        text_add(text, "%llu", ull(number));
        return;
    }
    for (unsigned i = 0; i < judge->queue_count; i++) {
        again += &judge->queues[i] < queue &&
                         strcmp(judge->queues[i].name, queue->name) == 0
                     ? 1
                     : 0;
    }
    if (strcmp(queue->name, judge->queues[0].name) != 0) {
        text_add(text, "%s/", queue->name);
    }
    text_add(text, "%llu%.*s", ull(number), (int)again, "''''''''");
}

static void add_token(struct text *text, uint64_t token)
{
    uint64_t epoch = token >> BAO_ID_SHIFT;
    if (epoch != 1) {
        text_add(text, "%llu:", ull(epoch));
    }
    text_add(text, "%llu", ull(token & ((UINT64_C(1) << BAO_ID_SHIFT) - 1)));
}

static void add_span(struct text *text, struct bao_span span)
{
    for (size_t i = 0; i < span.bytes; i++) {
        if (span.data[i] < ' ' || span.data[i] > '~') {
            text_add(text, "\\x%02x", span.data[i]);
        } else {
            text_add(text, "%c", span.data[i]);
        }
    }
}

static void add_bytes(struct text *text, const uint8_t *data, size_t bytes)
{
    if (bytes > SHOWN_BYTES) {
        text_add(text, "<%zu bytes>", bytes);
        return;
    }
    text_add(text, "'");
    add_span(text, bao_span_of(data, bytes));
    text_add(text, "'");
}

/* Payload, and the header {k=v} if there is one. */
static void add_body(struct text *text, const struct world *world, uint64_t id)
{
    const struct judge_item *item = judge_item(&world->judge, id);
    struct bao_span body = world_body(world, id, false);
    add_bytes(
        text, body.data + item->header_bytes, body.bytes - item->header_bytes);
    if (item->header_bytes > 3) {
        size_t key = body.data[1] & 31u;
        size_t value = body.data[2 + key] & 31u;
        text_add(text, "{");
        add_span(text, bao_span_of(body.data + 2, key));
        text_add(text, "=");
        add_span(text, bao_span_of(body.data + 3 + key, value));
        text_add(text, "}");
    }
}

/* --- items ---------------------------------------------------------------- */

static void add_extra(struct text *text, unsigned *extras)
{
    text_add(text, "%s", (*extras)++ == 0 ? " (" : ", ");
}

/* (delivery 2, priority -1, group g) */
static void add_item_extras(struct text *text,
                            const struct bao_operation *operation,
                            size_t i,
                            struct bao_span group)
{
    unsigned extras = 0;
    if (bao_has(operation, BAO_BIT(DELIVERIES)) &&
        bao_column32(operation->deliveries, i) != 1) {
        add_extra(text, &extras);
        text_add(text, "delivery %u", bao_column32(operation->deliveries, i));
    }
    if (bao_has(operation, BAO_BIT(PRIORITIES)) &&
        bao_column32(operation->priorities, i) != 0) {
        add_extra(text, &extras);
        text_add(text,
                 "priority %d",
                 (int)(int32_t)bao_column32(operation->priorities, i));
    }
    if (group.bytes > 0) {
        add_extra(text, &extras);
        text_add(text, "group ");
        add_span(text, group);
    }
    text_add(text, "%s", extras > 0 ? ")" : "");
}

static void add_lease(struct text *text,
                      const struct world *world,
                      const struct bao_operation *operation,
                      size_t count)
{
    if (operation->token == 0) {
        text_add(text, ", prepaid");
        return;
    }
    text_add(text, ", lease%s ", count == 1 ? "" : "s");
    add_token(text, operation->token);
    if (count > 1) {
        text_add(text, "-");
        add_token(text, operation->token + count - 1);
    }
    if (operation->lease_ms == 0) {
        text_add(text, " for life");
    } else {
        text_add(text, " until %llu", ull(world->now_ms + operation->lease_ms));
    }
}

/* GET and DELIVER. */
static void add_items(struct text *text,
                      const struct world *world,
                      const struct bao_operation *operation)
{
    size_t count = bao_column64_count(operation->ids);
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t id = bao_column64(operation->ids, i);
        struct bao_span group = {NULL, 0};
        if (bao_has(operation, BAO_BIT(GROUPS))) {
            assert_true(bao_texts_next(operation->groups, &offset, &group));
        }
        text_add(text, "%sitem ", i == 0 ? "" : ", ");
        render_item(text, world, id);
        /* A prepaid one is settled: only the message still has its body. */
        if (operation->token != 0) {
            text_add(text, " ");
            add_body(text, world, id);
        }
        add_item_extras(text, operation, i, group);
    }
    add_lease(text, world, operation, count);
}

/* --- counts and rows -------------------------------------------------------
 */

static void add_counts(struct text *text,
                       const struct bao_operation *operation,
                       bool unfinished)
{
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"unfinished", unfinished ? operation->unfinished : 0},
        {"done", operation->done},
        {"dead", operation->dead},
        {"expired", operation->expired},
        {"cancelled", operation->cancelled},
        {"dropped", operation->dropped},
        {"purged", operation->purged},
    };
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        if (counts[i].value > 0) {
            text_add(text, ", %s %llu", counts[i].name, ull(counts[i].value));
        }
    }
}

static void add_errors(struct text *text, struct bao_span errors)
{
    size_t offset = 0;
    struct bao_span error;
    while (bao_texts_next(errors, &offset, &error)) {
        text_add(text, ", '");
        add_span(text, error);
        text_add(text, "'");
    }
}

static void
add_number(struct text *text, bool there, const char *name, uint64_t value)
{
    if (there) {
        text_add(text, ", %s %llu", name, ull(value));
    }
}

/* PEEK and BROWSE. */
static void add_row(struct text *text,
                    const struct world *world,
                    const struct bao_operation *row)
{
    text_add(text, "item ");
    render_item(text, world, row->id);
    text_add(text, " %s", bao_state_name(row->state));
    if (bao_has(row, BAO_BIT(LENGTHS))) {
        text_add(text, " ");
        add_body(text, world, row->id);
    }
    if (row->priority != 0) {
        text_add(text, ", priority %lld", (long long)row->priority);
    }
    add_number(text, row->count > 0, "deliveries", row->count);
    add_number(text, bao_has(row, BAO_BIT(DELAY_MS)), "due in", row->delay_ms);
    add_number(text, bao_has(row, BAO_BIT(TTL_MS)), "expires in", row->ttl_ms);
    add_number(
        text, bao_has(row, BAO_BIT(LEASE_MS)), "lease left", row->lease_ms);
    if (bao_has(row, BAO_BIT(GROUP))) {
        text_add(text, ", group ");
        add_span(text, row->group);
    }
    if (bao_has(row, BAO_BIT(DEDUP_KEY))) {
        text_add(text, ", key ");
        add_span(text, row->dedup_key);
    }
    if (bao_has(row, BAO_BIT(ORIGIN))) {
        text_add(text, ", origin ");
        render_item(text, world, row->origin);
    }
    if (bao_has(row, BAO_BIT(ERROR))) {
        text_add(text, ", error '");
        add_span(text, row->error);
        text_add(text, "'");
    }
    if (bao_has(row, BAO_BIT(ERRORS))) {
        text_add(text, ", history");
        add_errors(text, row->errors);
    }
}

static uint64_t reading_of(const struct bao_operation *operation,
                           const char *name)
{
    const struct {
        const char *name;
        uint64_t value;
    } readings[] = {
#define X(number, NAME, field) {#field, operation->readings->field},
        BAO_READING_TABLE(X)
#undef X
#define X(number, NAME, field, fallback, max) \
    {#field, operation->options == NULL ? 0 : operation->options->field},
            BAO_OPTION_TABLE(X)
#undef X
    };
    for (size_t i = 0; i < sizeof(readings) / sizeof(readings[0]); i++) {
        if (strcmp(readings[i].name, name) == 0) {
            return readings[i].value;
        }
    }
    fail_msg("'%s' is no reading", name);
    return 0;
}

/* The readings that the request named: "stat buns ready leased". */
static void add_readings(struct text *text,
                         const struct bao_operation *operation,
                         const char *words)
{
    assert_non_null(operation->readings);
    const char *at = strchr(words, ' ');
    at = at == NULL ? NULL : strchr(at + 1, ' ');
    while (at != NULL) {
        char name[40] = {0};
        size_t bytes = strcspn(at + 1, " ");
        assert_true(bytes < sizeof(name));
        memcpy(name, at + 1, bytes);
        text_add(text, ", %s %llu", name, ull(reading_of(operation, name)));
        at = strchr(at + 1, ' ');
    }
}

static void add_session(struct text *text, const struct bao_operation *row)
{
    text_add(text, "session %llu ", ull(row->session));
    add_span(text, row->program);
    text_add(text, "@");
    add_span(text, row->host);
    text_add(text,
             " pid %llu, leases %llu, silent %llu, state %llu",
             ull(row->pid),
             ull(row->count),
             ull(row->time_ms),
             ull(row->state));
}

/* --- answers ----------------------------------------------------------------
 */

static void add_ok_put(struct text *text,
                       const struct world *world,
                       const struct bao_operation *operation)
{
    uint64_t count = bao_has(operation, BAO_BIT(COUNT)) ? operation->count : 1;
    if ((operation->flags & BAO_FLAG_DUPLICATE) != 0) {
        text_add(text, ", duplicate of item ");
        render_item(text, world, operation->id);
        return;
    }
    text_add(text, ", item%s ", count == 1 ? "" : "s");
    render_item(text, world, operation->id);
    if (count > 1) {
        text_add(text, "-");
        render_item(text, world, operation->id + count - 1);
    }
}

static void add_ok_wait(struct text *text,
                        const struct world *world,
                        const struct world_heard *heard)
{
    const struct bao_operation *operation = heard->operation;
    text_add(text, ", %s", bao_state_name(operation->state));
    if (bao_has(operation, BAO_BIT(LENGTHS)) &&
        bao_column32(operation->lengths, 0) > 0) {
        struct bao_span result =
            world_body(world, operation->id, heard->effect->result);
        text_add(text, " ");
        add_bytes(text, result.data, result.bytes);
    }
    if (bao_has(operation, BAO_BIT(ERROR))) {
        text_add(text, ", error '");
        add_span(text, operation->error);
        text_add(text, "'");
    }
}

static void add_times(struct text *text, const struct bao_operation *operation)
{
    if (bao_has(operation, BAO_BIT(COUNT)) && operation->count > 1) {
        text_add(text, " x%llu", ull(operation->count));
    }
}

static void add_ok_others(struct text *text,
                          const struct world *world,
                          const struct bao_operation *operation,
                          const char *words)
{
    switch (operation->verb) {
    case BAO_VERB_HELLO:
        text_add(text, ", session %llu", ull(operation->session));
        if ((operation->flags & BAO_FLAG_RESUMED) != 0) {
            text_add(text, ", resumed");
        }
        break;
    case BAO_VERB_DECLARE:
        if ((operation->flags & BAO_FLAG_CREATED) != 0) {
            text_add(text, ", created");
        }
        break;
    case BAO_VERB_DELETE:
    case BAO_VERB_PURGE:
    case BAO_VERB_SHUTDOWN:
        add_number(text, operation->purged > 0, "purged", operation->purged);
        break;
    case BAO_VERB_STAT: add_readings(text, operation, words); break;
    case BAO_VERB_DONE_NEXT:
        if (bao_has(operation, BAO_BIT(ID))) {
            text_add(text, ", item ");
            render_item(text, world, operation->id);
        }
        break;
    case BAO_VERB_CANCEL_ITEM:
        if ((operation->flags & BAO_FLAG_ASKED) != 0) {
            text_add(text, ", asked");
        }
        break;
    case BAO_VERB_TOUCH:
        text_add(text, " until %llu", ull(world->now_ms + operation->lease_ms));
        break;
    case BAO_VERB_REDRIVE:
        text_add(text, ", moved %llu", ull(operation->count));
        break;
    case BAO_VERB_JOIN:
        add_counts(text, operation, true);
        add_errors(text, operation->errors);
        break;
    case BAO_VERB_BROKER:
        text_add(text,
                 ", queues %llu, sessions %llu, draining %llu",
                 ull(operation->count),
                 ull(operation->session),
                 ull(operation->state));
        add_errors(text, operation->errors);
        break;
    case BAO_VERB_BROWSE:
    case BAO_VERB_LIST:
        if (bao_has(operation, BAO_BIT(CURSOR)) ||
            bao_has(operation, BAO_BIT(ID))) {
            text_add(text, ", more");
        }
        break;
    default: add_times(text, operation); break;
    }
}

static void render_ok(struct text *text,
                      const struct world *world,
                      const struct world_heard *heard,
                      const char *words)
{
    const struct bao_operation *operation = heard->operation;
    text_add(text, "ok");
    switch (operation->verb) {
    case BAO_VERB_PUT: add_ok_put(text, world, operation); break;
    case BAO_VERB_WAIT: add_ok_wait(text, world, heard); break;
    case BAO_VERB_GET:
        text_add(text, ", ");
        add_items(text, world, operation);
        break;
    default: add_ok_others(text, world, operation, words); break;
    }
}

static void render_more(struct text *text,
                        const struct world *world,
                        const struct bao_operation *row,
                        const char *words)
{
    switch (row->verb) {
    case BAO_VERB_LIST:
        add_span(text, row->queue);
        (void)words;
        break;
    case BAO_VERB_SESSIONS: add_session(text, row); break;
    default: add_row(text, world, row); break;
    }
}

static void render_refusal(struct text *text,
                           const struct world *world,
                           const struct bao_operation *operation)
{
    text_add(
        text, "%s", baozi_status_name((enum baozi_status)operation->status));
    if (operation->verb == BAO_VERB_TOUCH) {
        for (size_t i = 0; bao_has(operation, BAO_BIT(IDS)) &&
                           i < bao_column64_count(operation->ids);
             i++) {
            text_add(text, ", item ");
            render_item(text, world, bao_column64(operation->ids, i));
        }
    } else {
        add_times(text, operation);
    }
    if (operation->verb == BAO_VERB_JOIN) {
        add_counts(text, operation, true);
        add_errors(text, operation->errors);
    }
    add_number(text,
               bao_has(operation, BAO_BIT(RETRY_AFTER_MS)),
               "retry after",
               operation->retry_after_ms);
    add_number(text,
               operation->verb == BAO_VERB_DELETE && operation->purged > 0,
               "purged",
               operation->purged);
}

static void render_notice(struct text *text,
                          const struct world *world,
                          const struct bao_operation *operation)
{
    switch (operation->verb) {
    case BAO_VERB_DELIVER:
        text_add(text, "push %llu: ", ull(operation->sequence));
        add_items(text, world, operation);
        break;
    case BAO_VERB_SEND_BODY:
        text_add(text, "send %llu bodies", ull(operation->count));
        break;
    case BAO_VERB_AT:
        text_add(text, "at ");
        render_item(text, world, operation->mark);
        add_counts(text, operation, false);
        break;
    case BAO_VERB_GONE:
        text_add(text,
                 "gone, %s",
                 baozi_status_name((enum baozi_status)operation->status));
        break;
    case BAO_VERB_PLEASE_CANCEL:
        text_add(text, "please cancel item ");
        render_item(text, world, operation->id);
        text_add(text, ", lease ");
        add_token(text, operation->token);
        break;
    case BAO_VERB_HEARTBEAT:
        text_add(text, "heartbeat %llu", ull(operation->heartbeat_ms));
        break;
    default: fail_msg("a notice %s?", bao_verb_name(operation->verb));
    }
}

void render_heard(struct text *text,
                  const struct world *world,
                  const struct world_heard *heard,
                  const char *words)
{
    const struct bao_operation *operation = heard->operation;
    if (operation == NULL) {
        text_add(text, "cut: %s", heard->effect->reason);
    } else if (!bao_is_answer(operation)) {
        render_notice(text, world, operation);
    } else if (operation->status != BAOZI_OK) {
        render_refusal(text, world, operation);
    } else if ((operation->flags & BAO_FLAG_MORE) != 0) {
        render_more(text, world, operation, words);
    } else {
        render_ok(text, world, heard, words);
    }
}
