/*
 * random_fact.c - see random_fact.h.
 */
#include "tests/lib/random_fact.h"

#include "tests/lib/unit.h"

/* Numbers of every length: often small, sometimes at an edge. */
static uint64_t number(random_source *source, uint64_t most)
{
    uint64_t value = source(UINT64_MAX) >> source(64);
    if (source(8) == 0)
        value = most;
    return value > most ? value % most : value;
}

static struct bao_span
text(random_source *source, struct random_fact_memory *memory, size_t most)
{
    uint8_t *bytes = memory->texts[memory->texts_used++];
    size_t count = (size_t)source(most + 1);
    assert_true(memory->texts_used <= 8);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)source(256);
    return bao_span_of(bytes, count);
}

static uint64_t when(random_source *source, uint64_t now_us)
{
    switch (source(5)) {
    case 0: return 0;
    case 1: return UINT64_MAX;
    case 2: return now_us + source(UINT64_C(1) << 40);
    case 3: return now_us - source(1000);
    default: return source(UINT64_MAX);
    }
}

static void items(random_source *source,
                  struct random_fact_memory *memory,
                  struct bao_fact *fact)
{
    struct bao_put_item *all = memory->room.items;
    uint64_t shape = source(8);
    for (uint32_t i = 0; i < fact->count; i++) {
        uint32_t bytes = (uint32_t)source(source(20) == 0 ? 200000 : 300);
        if ((shape & 4) != 0 && i > 0)
            bytes = all[0].body.bytes;
        all[i] = (struct bao_put_item){
            .body = {.bytes = bytes, .hold = bytes > 0 ? 7 : 0}};
        if ((shape & 1) != 0)
            all[i].body.header_bytes = (uint32_t)source(bytes + 1u);
        if ((shape & 2) != 0)
            all[i].priority = (int32_t)(uint32_t)source(UINT32_MAX);
        if (fact->origin != 0)
            all[i].body.hold = 0;
    }
    fact->items = all;
}

static void numbers(random_source *source, struct bao_fact *fact)
{
    fact->session = number(source, UINT64_MAX);
    fact->rid = number(source, UINT64_MAX);
    fact->queue = source(1u << 24);
    fact->first_id = source(2) == 0 ? number(source, UINT64_MAX)
                                    : fact->queue << 40 | source(1000);
    fact->token = number(source, UINT64_MAX);
    fact->until_us = when(source, fact->time_us);
    fact->due_us = when(source, fact->time_us);
    fact->ttl_us = when(source, fact->time_us);
    fact->dedup_until_us = when(source, fact->time_us);
    fact->epoch = number(source, UINT64_MAX);
    fact->flags = (uint32_t)number(source, UINT32_MAX);
    fact->verb = (uint16_t)source(256);
    fact->status = (uint16_t)source(256);
    fact->state = (uint16_t)source(BAO_STATE_PURGED + 1);
    fact->cause = (uint16_t)source(BAO_CAUSE_SHUTDOWN + 1);
    fact->pid = (uint32_t)number(source, UINT32_MAX);
}

static void texts(random_source *source,
                  struct random_fact_memory *memory,
                  struct bao_fact *fact)
{
    fact->name = text(source, memory, 200);
    fact->group = text(source, memory, 200);
    fact->dedup_key = text(source, memory, 256);
    fact->fairness_key = text(source, memory, 256);
    fact->error = text(source, memory, 256);
    fact->host = text(source, memory, 256);
    fact->client = text(source, memory, 16);
    fact->secret = text(source, memory, 16);
}

void random_fact(random_source *source,
                 enum bao_fact_kind kind,
                 struct random_fact_memory *memory,
                 struct bao_fact *fact)
{
    memory->texts_used = 0;
    *fact = (struct bao_fact){
        .kind = kind,
        .time_us = source(UINT64_C(1) << 52),
        .count = (uint32_t)(1 + source(source(9) == 0 ? 1024 : 5))};
    if (source(4) > 0)
        numbers(source, fact);
    if (source(4) > 0)
        texts(source, memory, fact);
    if (kind == BAO_FACT_ITEM_PUT) {
        fact->origin = source(8) == 0 ? fact->queue << 40 | 5 : 0;
        items(source, memory, fact);
    } else if (source(2) == 0) {
        uint64_t id = fact->queue << 40;
        for (uint32_t i = 0; i < fact->count; i++) {
            id += source(10) == 0 ? source(UINT64_MAX) : 1;
            memory->room.ids[i] = id;
        }
        fact->ids = memory->room.ids;
    }
    if (kind == BAO_FACT_ITEM_SETTLED && source(2) == 0) {
        fact->result.hold = 9;
        fact->result.bytes = (uint32_t)source(source(9) == 0 ? 100000 : 100);
    }
    if (kind == BAO_FACT_QUEUE_MADE || kind == BAO_FACT_QUEUE_SET) {
        memory->room.options = bao_queue_options_default();
#define X(n, NAME, field, fallback, max)                  \
    if (source(4) == 0)                                   \
        memory->room.options.field = number(source, max); \
    memory->room.options.present |= UINT64_C(1) << ((n)-64);
        BAO_OPTION_TABLE(X)
#undef X
        fact->options = &memory->room.options;
    }
}

static bool bodies_differ(const struct bao_body *a, const struct bao_body *b)
{
    return a->bytes != b->bytes || a->header_bytes != b->header_bytes ||
           (a->hold != 0) != (b->hold != 0);
}

static bool vectors_differ(const struct bao_fact *a, const struct bao_fact *b)
{
    if ((a->ids == NULL) != (b->ids == NULL) ||
        (a->items == NULL) != (b->items == NULL))
        return true;
    for (uint32_t i = 0; a->ids != NULL && i < a->count; i++)
        if (a->ids[i] != b->ids[i])
            return true;
    for (uint32_t i = 0; a->items != NULL && i < a->count; i++)
        if (bodies_differ(&a->items[i].body, &b->items[i].body) ||
            a->items[i].priority != b->items[i].priority)
            return true;
    return false;
}

static bool options_differ(const struct bao_queue_options *a,
                           const struct bao_queue_options *b)
{
    bool differs = (a == NULL) != (b == NULL);
    if (a == NULL || b == NULL)
        return differs;
#define X(number, NAME, field, fallback, max) differs |= a->field != b->field;
    BAO_OPTION_TABLE(X)
#undef X
    return differs;
}

const char *fact_differs(const struct bao_fact *a, const struct bao_fact *b)
{
#define NUMBER(member)          \
    if (a->member != b->member) \
        return #member;
#define TEXT(member)                           \
    if (!bao_span_equal(a->member, b->member)) \
        return #member;
    NUMBER(kind)
    NUMBER(count)
    NUMBER(time_us)
    NUMBER(session)
    NUMBER(rid)
    NUMBER(queue)
    NUMBER(first_id)
    NUMBER(token)
    NUMBER(until_us)
    NUMBER(due_us)
    NUMBER(ttl_us)
    NUMBER(origin)
    NUMBER(dedup_until_us)
    NUMBER(epoch)
    NUMBER(flags)
    NUMBER(verb)
    NUMBER(status)
    NUMBER(state)
    NUMBER(cause)
    NUMBER(pid)
    TEXT(name)
    TEXT(group)
    TEXT(dedup_key)
    TEXT(fairness_key)
    TEXT(error)
    TEXT(host)
    TEXT(client)
    TEXT(secret)
#undef NUMBER
#undef TEXT
    if (vectors_differ(a, b))
        return "ids or items";
    if (bodies_differ(&a->result, &b->result))
        return "result";
    return options_differ(a->options, b->options) ? "options" : NULL;
}

size_t fact_payload_bytes(const struct bao_fact *fact)
{
    size_t bytes = 0;
    for (uint32_t i = 0; fact->items != NULL && i < fact->count; i++)
        if (bao_fact_has_body(fact, i) &&
            !bao_fact_body_is_apart(&fact->items[i].body))
            bytes += fact->items[i].body.bytes;
    if (bao_fact_has_result(fact) && !bao_fact_body_is_apart(&fact->result))
        bytes += fact->result.bytes;
    return bytes;
}
