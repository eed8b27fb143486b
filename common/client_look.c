/*
 * client_look.c - stat, list, peek, browse, redrive, sessions, broker.
 *
 * Rows are copied as they come and shown to the caller after the answer, with
 * no lock held. Rows of an attempt that a reconnect cut short are dropped.
 */
#include <stdlib.h>

#include "common/client_inside.h"
#include "common/texts.h"
#include "common/utf8.h"

#define PAGE 256u

struct row {
    struct bao_link link;
    struct baozi_queue_stat stat;
    struct baozi_view view;
    struct baozi_session_info info;
    char bytes[];
};

struct rows {
    struct bao_list list;
    uint32_t attempt;
    bool no_memory;
};

static void rows_clear(struct rows *rows)
{
    struct bao_link *link;
    while ((link = bao_list_pop(&rows->list)) != NULL) {
        free(BAO_OF(link, struct row, link));
    }
}

static struct row *
row_add(struct rows *rows, const struct bao_request *request, size_t bytes)
{
    if (rows->attempt != request->attempts) {
        rows_clear(rows);
        rows->attempt = request->attempts;
    }
    struct row *row = malloc(sizeof *row + bytes);
    if (row == NULL) {
        rows->no_memory = true;
        return NULL;
    }
    memset(row, 0, sizeof *row);
    bao_list_push(&rows->list, &row->link);
    return row;
}

static struct rows *rows_of(struct bao_request *request)
{
    const struct bao_call *call = BAO_OF(request, struct bao_call, request);
    return call->result;
}

/* Runs a call whose rows go to `rows`, which the caller clears. */
static enum baozi_status
run_rows(struct baozi *client, struct bao_call *call, struct rows *rows)
{
    *rows = (struct rows){0};
    bao_list_init(&rows->list);
    call->result = rows;
    enum baozi_status status = bao_call_run(client, call, BAOZI_FOREVER);
    if (status == BAOZI_OK && rows->attempt != call->request.attempts) {
        rows_clear(rows); /* the last attempt had none */
    }
    if (status == BAOZI_OK && rows->no_memory) {
        status = bao_note(client, BAOZI_NO_MEMORY, call->verb, call->queue, "");
    }
    return status;
}

/* --- queues ------------------------------------------------------------- */

static void fill_stat(struct baozi_queue_stat *stat,
                      const struct bao_operation *from)
{
    *stat = (struct baozi_queue_stat){.size = sizeof *stat,
                                      .incarnation = from->id};
    bao_copy_text(stat->name, sizeof stat->name, from->queue);
    baozi_queue_options_init(&stat->options);
    if (from->options != NULL) {
        stat->options.set = from->options->present;
#define X(number, NAME, field, fallback, max) \
    stat->options.values[(number)-64] = from->options->field;
        BAO_OPTION_TABLE(X)
#undef X
    }
    if (from->readings != NULL) {
#define X(number, NAME, field) stat->field = from->readings->field;
        BAO_READING_TABLE(X)
#undef X
    }
}

static void take_stat(struct bao_engine *e,
                      struct bao_call *call,
                      const struct bao_operation *answer,
                      const struct bao_message *message)
{
    (void)e;
    (void)message;
    struct baozi_queue_stat *stat = call->result;
    if (call->status == BAOZI_OK) {
        fill_stat(stat, answer);
        if (stat->name[0] == '\0') {
            bao_copy_text(stat->name, sizeof stat->name, call->queue);
        }
    }
}

enum baozi_status baozi_stat(struct baozi *client,
                             const char *queue,
                             struct baozi_queue_stat *stat)
{
    struct bao_call call;
    const char *why = bao_check_queue(queue);
    bao_call_init(&call, BAO_VERB_STAT, "stat", why == NULL ? queue : NULL);
    if (why != NULL) {
        return bao_client_refuse(client, &call, why);
    }
    call.take = take_stat;
    call.result = stat;
    return bao_call_run(client, &call, BAOZI_FOREVER);
}

static void on_stat_row(struct bao_engine *e,
                        struct bao_request *request,
                        const struct bao_operation *op,
                        const struct bao_message *message)
{
    (void)e;
    (void)message;
    struct row *row = row_add(rows_of(request), request, 0);
    if (row != NULL) {
        fill_stat(&row->stat, op);
    }
}

/* The answer's cursor says where the next page begins. */
struct page {
    struct rows rows; /* first: rows_of() sees it */
    char cursor[BAO_TEXT_BYTES_MAX + 1];
    uint64_t id;
};

static void take_page(struct bao_engine *e,
                      struct bao_call *call,
                      const struct bao_operation *answer,
                      const struct bao_message *message)
{
    (void)e;
    (void)message;
    struct page *page = (struct page *)call->result;
    bao_copy_text(page->cursor, sizeof page->cursor, answer->cursor);
    page->id = answer->id;
}

enum baozi_status baozi_list(struct baozi *client,
                             int (*row)(void *context,
                                        const struct baozi_queue_stat *stat),
                             void *context)
{
    struct bao_engine *e = bao_pin(client);
    struct page page = {0};
    char cursor[BAO_TEXT_BYTES_MAX + 1] = "";
    enum baozi_status status;
    int stop = 0;
    do {
        struct bao_call call;
        bao_call_init(&call, BAO_VERB_LIST, "list", NULL);
        call.owner.row = on_stat_row;
        call.take = take_page;
        if (cursor[0] != '\0') {
            BAO_SET(
                &call.request.operation, CURSOR, cursor, bao_span_text(cursor));
        }
        status = run_rows(client, &call, &page.rows);
        struct bao_link *link = bao_list_first(&page.rows.list);
        for (; status == BAOZI_OK && link != NULL && stop == 0;
             link = bao_list_next(&page.rows.list, link)) {
            stop = row(context, &BAO_OF(link, struct row, link)->stat);
        }
        rows_clear(&page.rows);
        memcpy(cursor, page.cursor, sizeof cursor);
    } while (status == BAOZI_OK && cursor[0] != '\0' && stop == 0);
    bao_unpin(e);
    return status;
}

/* --- items -------------------------------------------------------------- */

static const char *keep_text(char **at, struct bao_span text)
{
    if (text.bytes == 0) {
        return NULL;
    }
    char *copy = *at;
    memcpy(copy, text.data, text.bytes);
    copy[text.bytes] = '\0';
    *at += text.bytes + 1;
    return copy;
}

static const char *keep_texts(char **at, struct bao_span texts)
{
    struct bao_span text;
    size_t offset = 0;
    char *copy = *at;
    while (texts.bytes > 0 && bao_texts_next(texts, &offset, &text)) {
        if (*at != copy) {
            *(*at)++ = '\n';
        }
        memcpy(*at, text.data, text.bytes);
        *at += text.bytes;
    }
    if (*at == copy) {
        return NULL;
    }
    *(*at)++ = '\0';
    return copy;
}

static void on_view_row(struct bao_engine *e,
                        struct bao_request *request,
                        const struct bao_operation *op,
                        const struct bao_message *message)
{
    (void)e;
    struct bao_letter letter;
    if (!bao_message_letter(message, op, &letter)) {
        return;
    }
    /* A list's text is never longer than the list. */
    size_t bytes = letter.payload.bytes + op->group.bytes + op->error.bytes +
                   op->errors.bytes + 4;
    struct row *row = row_add(rows_of(request), request, bytes);
    if (row == NULL) {
        return;
    }
    char *at = row->bytes;
    row->view = (struct baozi_view){.id = op->id,
                                    .state = (enum baozi_state)op->state,
                                    .priority = (int32_t)op->priority,
                                    .deliveries = (uint32_t)op->count,
                                    .accepted_ms = op->time_ms,
                                    .due_ms = op->delay_ms,
                                    .origin = op->origin,
                                    .session = op->session,
                                    .payload = at,
                                    .bytes = letter.payload.bytes};
    if (letter.payload.bytes > 0) {
        memcpy(at, letter.payload.data, letter.payload.bytes);
        at += letter.payload.bytes;
    }
    row->view.group = keep_text(&at, op->group);
    row->view.error = keep_text(&at, op->error);
    row->view.history = keep_texts(&at, op->errors);
}

typedef int show_view(void *context, const struct baozi_view *view);

/* Shows rows until `show` has enough; how many it saw, and the last id. */
static int show_views(const struct rows *rows,
                      show_view *show,
                      void *context,
                      uint64_t *seen,
                      uint64_t *last_id)
{
    int stop = 0;
    struct bao_link *link = bao_list_first(&rows->list);
    for (; link != NULL && stop == 0; link = bao_list_next(&rows->list, link)) {
        const struct baozi_view *view = &BAO_OF(link, struct row, link)->view;
        *last_id = view->id;
        (*seen)++;
        stop = show(context, view);
    }
    return stop;
}

enum baozi_status baozi_peek(struct baozi *client,
                             const char *queue,
                             uint64_t id,
                             int (*row)(void *context,
                                        const struct baozi_view *view),
                             void *context)
{
    struct bao_call call;
    struct rows rows;
    const char *why = bao_check_queue(queue);
    bao_call_init(&call, BAO_VERB_PEEK, "peek", why == NULL ? queue : NULL);
    if (why != NULL) {
        return bao_client_refuse(client, &call, why);
    }
    if (id != 0) {
        BAO_SET(&call.request.operation, ID, id, id);
    }
    call.owner.row = on_view_row;
    enum baozi_status status = run_rows(client, &call, &rows);
    uint64_t seen = 0;
    uint64_t last_id = 0;
    if (status == BAOZI_OK) {
        (void)show_views(&rows, row, context, &seen, &last_id);
    }
    rows_clear(&rows);
    return status;
}

static const char *
check_browse(const char *queue, enum baozi_state state, const char *match)
{
    const char *why = bao_check_queue(queue);
    if (why == NULL &&
        (state < BAOZI_STATE_READY || state > BAOZI_STATE_DEAD)) {
        why = "one can browse items that are ready, delayed, leased or dead";
    }
    if (why == NULL && match != NULL && strlen(match) > BAO_TEXT_BYTES_MAX) {
        why = "a text to match has at most 256 bytes";
    }
    return why;
}

/* NOLINTNEXTLINE(readability-function-size): the public call */
enum baozi_status baozi_browse(struct baozi *client,
                               const char *queue,
                               enum baozi_state state,
                               const char *match,
                               uint64_t *cursor,
                               uint64_t most,
                               int (*row)(void *context,
                                          const struct baozi_view *view),
                               void *context)
{
    struct bao_engine *e = bao_pin(client);
    uint64_t seen = 0;
    uint64_t from = cursor == NULL ? 0 : *cursor;
    const char *why = check_browse(queue, state, match);
    enum baozi_status status = BAOZI_OK;
    for (bool more = true; more && status == BAOZI_OK;) {
        struct bao_call call;
        struct page page = {0};
        bao_call_init(
            &call, BAO_VERB_BROWSE, "browse", why == NULL ? queue : NULL);
        if (why != NULL) {
            bao_unpin(e);
            return bao_client_refuse(client, &call, why);
        }
        struct bao_operation *op = &call.request.operation;
        uint64_t page_size =
            most != 0 && most - seen < PAGE ? most - seen : PAGE;
        BAO_SET(op, STATE, state, (uint64_t)state);
        BAO_SET(op, LIMIT, limit, page_size);
        if (from != 0) {
            BAO_SET(op, ID, id, from);
        }
        if (match != NULL && match[0] != '\0') {
            BAO_SET(op, MATCH, match, bao_span_text(match));
        }
        call.owner.row = on_view_row;
        call.take = take_page;
        status = run_rows(client, &call, &page.rows);
        if (status == BAOZI_OK) {
            int stop = show_views(&page.rows, row, context, &seen, &from);
            /* The answer's id: there is more behind it, though this page may
             * have had no match. */
            more = stop == 0 && page.id != 0 && (most == 0 || seen < most);
            from = more ? page.id : from;
        }
        rows_clear(&page.rows);
    }
    if (cursor != NULL) {
        *cursor = from;
    }
    bao_unpin(e);
    return status;
}

/* --- redrive ------------------------------------------------------------ */

static void take_count(struct bao_engine *e,
                       struct bao_call *call,
                       const struct bao_operation *answer,
                       const struct bao_message *message)
{
    (void)e;
    (void)message;
    uint64_t *moved = call->result;
    if (call->status == BAOZI_OK) {
        *moved += answer->count;
    }
}

static enum baozi_status redrive_some(struct baozi *client,
                                      struct bao_call *call,
                                      struct bao_span ids,
                                      uint64_t *moved)
{
    if (ids.bytes > 0) {
        BAO_SET(&call->request.operation, IDS, ids, ids);
    }
    call->take = take_count;
    call->result = moved;
    return bao_call_run(client, call, BAOZI_FOREVER);
}

/* NOLINTNEXTLINE(readability-function-size): the public call */
enum baozi_status baozi_redrive(struct baozi *client,
                                const char *queue,
                                const uint64_t *ids,
                                size_t id_count,
                                const char *match,
                                uint32_t most,
                                uint32_t rate,
                                uint64_t *moved)
{
    uint8_t column[8 * BAO_OPERATION_ITEMS_MAX];
    struct bao_engine *e = bao_pin(client);
    uint64_t total = 0;
    const char *why = check_browse(queue, BAOZI_STATE_DEAD, match);
    enum baozi_status status = BAOZI_OK;
    size_t done = 0;
    do {
        struct bao_call call;
        bao_call_init(
            &call, BAO_VERB_REDRIVE, "redrive", why == NULL ? queue : NULL);
        if (why != NULL) {
            bao_unpin(e);
            return bao_client_refuse(client, &call, why);
        }
        struct bao_operation *op = &call.request.operation;
        size_t count = id_count - done < BAO_OPERATION_ITEMS_MAX
                           ? id_count - done
                           : BAO_OPERATION_ITEMS_MAX;
        for (size_t i = 0; i < count; i++) {
            bao_store64(column + 8 * i, ids[done + i]);
        }
        if (match != NULL && match[0] != '\0') {
            BAO_SET(op, MATCH, match, bao_span_text(match));
        }
        if (most != 0) {
            BAO_SET(op, LIMIT, limit, most);
        }
        if (rate != 0) {
            BAO_SET(op, RATE, rate, rate);
        }
        status =
            redrive_some(client, &call, bao_span_of(column, 8 * count), &total);
        done += count;
    } while (status == BAOZI_OK && done < id_count);
    if (moved != NULL) {
        *moved = total;
    }
    bao_unpin(e);
    return status;
}

/* --- the broker --------------------------------------------------------- */

static void on_session_row(struct bao_engine *e,
                           struct bao_request *request,
                           const struct bao_operation *op,
                           const struct bao_message *message)
{
    (void)e;
    (void)message;
    struct row *row = row_add(rows_of(request), request, 0);
    if (row == NULL) {
        return;
    }
    row->info = (struct baozi_session_info){.session = op->session,
                                            .pid = (uint32_t)op->pid,
                                            .leases = op->count,
                                            .silent_ms = op->time_ms,
                                            .connected = op->state != 0};
    bao_copy_text(row->info.host, sizeof row->info.host, op->host);
    bao_copy_text(row->info.program, sizeof row->info.program, op->program);
}

/* The answer's session: there are more behind it. */
static void take_sessions_page(struct bao_engine *e,
                               struct bao_call *call,
                               const struct bao_operation *answer,
                               const struct bao_message *message)
{
    (void)e;
    (void)message;
    struct page *page = (struct page *)call->result;
    page->id = bao_has(answer, BAO_BIT(SESSION)) ? answer->session : 0;
}

enum baozi_status
baozi_sessions(struct baozi *client,
               int (*row)(void *context, const struct baozi_session_info *info),
               void *context)
{
    struct bao_engine *e = bao_pin(client);
    enum baozi_status status;
    uint64_t from = 0;
    int stop = 0;
    do {
        struct bao_call call;
        struct page page = {0};
        bao_call_init(&call, BAO_VERB_SESSIONS, "sessions", NULL);
        if (from != 0) {
            BAO_SET(&call.request.operation, SESSION, session, from);
        }
        call.owner.row = on_session_row;
        call.take = take_sessions_page;
        status = run_rows(client, &call, &page.rows);
        struct bao_link *link = bao_list_first(&page.rows.list);
        for (; status == BAOZI_OK && link != NULL && stop == 0;
             link = bao_list_next(&page.rows.list, link)) {
            stop = row(context, &BAO_OF(link, struct row, link)->info);
        }
        rows_clear(&page.rows);
        from = page.id;
    } while (status == BAOZI_OK && from != 0 && stop == 0);
    bao_unpin(e);
    return status;
}

static void take_broker(struct bao_engine *e,
                        struct bao_call *call,
                        const struct bao_operation *answer,
                        const struct bao_message *message)
{
    (void)e;
    (void)message;
    struct baozi_broker_info *info = call->result;
    if (call->status != BAOZI_OK) {
        return;
    }
    *info = (struct baozi_broker_info){.size = sizeof *info,
                                       .uptime_ms = answer->time_ms,
                                       .epoch = answer->epoch,
                                       .boot = answer->boot,
                                       .queues = answer->count,
                                       .sessions = answer->session,
                                       .memory_bytes = answer->bytes,
                                       .memory_bytes_max = answer->limit << 20,
                                       .level =
                                           (enum baozi_durability)answer->level,
                                       .draining = answer->state == 1 ? 1 : 0};
    bao_copy_text(info->version, sizeof info->version, answer->version);
    size_t offset = 0;
    struct bao_span text;
    while (bao_has(answer, BAO_BIT(ERRORS)) &&
           info->damage_count < BAO_DAMAGES_MAX &&
           bao_texts_next(answer->errors, &offset, &text)) {
        char *place = info->damages[info->damage_count++];
        bao_copy_text(place, sizeof info->damages[0], bao_text_cut(text, 95));
    }
}

enum baozi_status baozi_broker(struct baozi *client,
                               int64_t wait_ms,
                               struct baozi_broker_info *info)
{
    struct bao_call call;
    const char *why = bao_check_wait(wait_ms);
    bao_call_init(&call, BAO_VERB_BROKER, "broker", NULL);
    if (why != NULL) {
        return bao_client_refuse(client, &call, why);
    }
    call.take = take_broker;
    call.result = info;
    return bao_call_run(client, &call, wait_ms);
}
