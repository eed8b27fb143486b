/*
 * client_put.c - put, put_many, put_async.
 */
#include <msgpack.h>
#include <stdlib.h>

#include "common/client_inside.h"
#include "common/time.h"
#include "common/utf8.h"
#include "common/wire.h"

#define HEADERS_MAX 64u

static const struct baozi_put_options no_options;

/* Options of an older, shorter struct are filled up with zeros. */
static struct baozi_put_options settle(const struct baozi_put_options *given)
{
    struct baozi_put_options options = no_options;
    if (given != NULL) {
        size_t bytes = given->size;
        if (bytes == 0 || bytes > sizeof options) {
            bytes = sizeof options;
        }
        memcpy(&options, given, bytes);
    }
    return options;
}

/* --- item headers ------------------------------------------------------- */

struct packed {
    uint8_t data[BAO_ITEM_HEADER_BYTES_MAX];
    size_t bytes;
    bool full;
};

static int pack_write(void *context, const char *data, size_t bytes)
{
    struct packed *packed = context;
    if (bytes > sizeof packed->data - packed->bytes) {
        packed->full = true;
        return -1;
    }
    memcpy(packed->data + packed->bytes, data, bytes);
    packed->bytes += bytes;
    return 0;
}

static bool pack_text(msgpack_packer *packer, const char *text)
{
    if (text == NULL || !bao_text_valid(bao_span_text(text))) {
        return false;
    }
    size_t bytes = strlen(text);
    return msgpack_pack_str(packer, bytes) == 0 &&
           msgpack_pack_str_body(packer, text, bytes) == 0;
}

/* NULL, or why not. */
static const char *pack_headers(const struct baozi_put_options *options,
                                struct packed *packed)
{
    if (options->header_count == 0) {
        return NULL;
    }
    if (options->header_count > HEADERS_MAX || options->headers == NULL) {
        return "an item has at most 64 headers";
    }
    msgpack_packer packer;
    msgpack_packer_init(&packer, packed, pack_write);
    bool packs = msgpack_pack_map(&packer, options->header_count) == 0;
    for (size_t i = 0; packs && i < options->header_count; i++) {
        packs = pack_text(&packer, options->headers[i].key) &&
                pack_text(&packer, options->headers[i].value);
    }
    if (packed->full) {
        return "the headers of an item have at most 4 KiB in all";
    }
    if (!packs ||
        !bao_item_header_valid(bao_span_of(packed->data, packed->bytes))) {
        return "headers are UTF-8, and their keys not empty and each once";
    }
    return NULL;
}

/* --- options ------------------------------------------------------------ */

static const char *check_options(const struct baozi_put_options *options)
{
    if (options->group != NULL && !bao_name_valid(bao_span_text(options->group),
                                                  BAO_GROUP_NAME_BYTES_MAX)) {
        return "a group's name has 1 to 200 bytes of UTF-8 and no control "
               "characters";
    }
    if (options->dedup_key_bytes > BAO_KEY_BYTES_MAX ||
        (options->dedup_key == NULL && options->dedup_key_bytes > 0)) {
        return "a dedup key has at most 256 bytes";
    }
    if (options->unique != 0 && options->dedup_key_bytes == 0) {
        return "unique needs a dedup key";
    }
    if (options->delay_ms != 0 && options->not_before_ms != 0) {
        return "an item has a delay or a not-before, not both";
    }
    return NULL;
}

static void set_options(struct bao_operation *op,
                        const struct baozi_put_options *options,
                        uint64_t flags)
{
    flags |= options->unique != 0 ? BAO_FLAG_UNIQUE : 0;
    flags |= options->want_result != 0 ? BAO_FLAG_WANT_RESULT : 0;
    if (flags != 0) {
        BAO_SET(op, FLAGS, flags, flags);
    }
    if (options->priority != 0) {
        BAO_SET(op, PRIORITY, priority, options->priority);
    }
    if (options->delay_ms != 0) {
        BAO_SET(op, DELAY_MS, delay_ms, options->delay_ms);
    }
    if (options->not_before_ms != 0) {
        BAO_SET(op, NOT_BEFORE_MS, not_before_ms, options->not_before_ms);
    }
    if (options->ttl_ms != 0) {
        BAO_SET(op, TTL_MS, ttl_ms, options->ttl_ms);
    }
    if (options->group != NULL) {
        BAO_SET(op, GROUP, group, bao_span_text(options->group));
    }
    if (options->dedup_key_bytes != 0) {
        BAO_SET(op,
                DEDUP_KEY,
                dedup_key,
                bao_span_of(options->dedup_key, options->dedup_key_bytes));
        if (options->dedup_window_ms != 0) {
            BAO_SET(
                op, DEDUP_WINDOW_MS, dedup_window_ms, options->dedup_window_ms);
        }
    }
}

/* --- put ---------------------------------------------------------------- */

static void take_receipt(struct bao_engine *e,
                         struct bao_call *call,
                         const struct bao_operation *answer,
                         const struct bao_message *message)
{
    (void)e;
    (void)message;
    struct baozi_receipt *receipt = call->result;
    if (receipt == NULL || call->status != BAOZI_OK) {
        return;
    }
    receipt->id = answer->id;
    receipt->level = (enum baozi_durability)answer->level;
    receipt->duplicate = bao_has(answer, BAO_BIT(FLAGS)) &&
                         (answer->flags & BAO_FLAG_DUPLICATE) != 0;
}

static const char *check_put(const char *queue,
                             const struct baozi_put_options *options,
                             int64_t wait_ms,
                             struct packed *packed)
{
    packed->bytes = 0;
    packed->full = false;
    const char *why = bao_check_queue(queue);
    why = why != NULL ? why : bao_check_wait(wait_ms);
    if (why != NULL || options == &no_options) {
        return why;
    }
    why = check_options(options);
    return why != NULL ? why : pack_headers(options, packed);
}

static enum baozi_status
too_big(struct baozi *client, const struct bao_call *call, const char *why)
{
    return bao_note(client, BAOZI_TOO_BIG, call->verb, call->queue, why);
}

/* NOLINTNEXTLINE(readability-function-size): the public call */
enum baozi_status baozi_put(struct baozi *client,
                            const char *queue,
                            const void *payload,
                            size_t bytes,
                            const struct baozi_put_options *options,
                            int64_t wait_ms,
                            struct baozi_receipt *receipt)
{
    struct packed packed;
    struct baozi_put_options settled = settle(options);
    struct bao_call call;
    const char *why = check_put(queue, &settled, wait_ms, &packed);
    bao_call_init(&call, BAO_VERB_PUT, "put", why == NULL ? queue : NULL);
    if (why != NULL || (payload == NULL && bytes > 0)) {
        return bao_client_refuse(
            client, &call, why != NULL ? why : "no payload");
    }
    if (bytes > BAO_ITEM_BYTES_MAX - packed.bytes) {
        return too_big(client, &call, "an item has at most 32 MiB");
    }
    struct bao_letter letter = {.header =
                                    bao_span_of(packed.data, packed.bytes),
                                .payload = bao_span_of(payload, bytes)};
    call.request.letters = &letter;
    call.request.letter_count = 1;
    call.late = BAOZI_FULL;
    call.take = take_receipt;
    call.result = receipt;
    set_options(&call.request.operation, &settled, 0);
    return bao_call_run(client, &call, wait_ms);
}

/* --- put_many ----------------------------------------------------------- */

static void take_first_id(struct bao_engine *e,
                          struct bao_call *call,
                          const struct bao_operation *answer,
                          const struct bao_message *message)
{
    (void)e;
    (void)message;
    uint64_t *first_id = call->result;
    if (first_id != NULL && call->status == BAOZI_OK) {
        *first_id = answer->id;
    }
}

/* All of it must fit in one message. */
static const char *check_letters(const struct bao_letter *letters, size_t count)
{
    size_t small_bytes = 0;
    size_t big_count = 0;
    for (size_t i = 0; i < count; i++) {
        size_t bytes = letters[i].header.bytes + letters[i].payload.bytes;
        if (bytes > BAO_ITEM_BYTES_MAX) {
            return "an item has at most 32 MiB";
        }
        big_count += bytes >= BAO_BIG_BYTES ? 1 : 0;
        small_bytes += bytes < BAO_BIG_BYTES ? bytes : 0;
    }
    if (small_bytes > BAO_BODIES_BYTES_MAX || big_count > BAO_PARTS_MAX - 2) {
        return "one put_many carries at most 4 MiB of items below 64 KiB, and "
               "15 larger ones";
    }
    return NULL;
}

/* NOLINTNEXTLINE(readability-function-size): the public call */
enum baozi_status baozi_put_many(struct baozi *client,
                                 const char *queue,
                                 const struct baozi_payload *payloads,
                                 size_t count,
                                 const struct baozi_put_options *options,
                                 int64_t wait_ms,
                                 uint64_t *first_id)
{
    struct packed packed;
    struct baozi_put_options settled = settle(options);
    struct bao_call call;
    const char *why = check_put(queue, &settled, wait_ms, &packed);
    bao_call_init(&call, BAO_VERB_PUT, "put_many", why == NULL ? queue : NULL);
    if (why == NULL && (count == 0 || payloads == NULL)) {
        why = "there is nothing to put";
    }
    if (why != NULL) {
        return bao_client_refuse(client, &call, why);
    }
    if (count > BAO_OPERATION_ITEMS_MAX) {
        return too_big(client, &call, "one put_many has at most 1,024 items");
    }
    struct bao_letter *letters = calloc(count, sizeof *letters);
    if (letters == NULL) {
        return bao_note(client, BAOZI_NO_MEMORY, call.verb, call.queue, "");
    }
    for (size_t i = 0; i < count; i++) {
        letters[i].header = bao_span_of(packed.data, packed.bytes);
        letters[i].payload = bao_span_of(payloads[i].data, payloads[i].bytes);
    }
    why = check_letters(letters, count);
    if (why != NULL) {
        free(letters);
        return too_big(client, &call, why);
    }
    call.request.letters = letters;
    call.request.letter_count = (uint32_t)count;
    call.late = BAOZI_FULL;
    call.take = take_first_id;
    call.result = first_id;
    set_options(&call.request.operation, &settled, BAO_FLAG_ATOMIC);
    enum baozi_status status = bao_call_run(client, &call, wait_ms);
    free(letters);
    return status;
}

/* --- put_async ---------------------------------------------------------- */

static struct bao_span keep(uint8_t **at, struct bao_span bytes)
{
    struct bao_span kept = bao_span_of(*at, bytes.bytes);
    if (bytes.bytes > 0) {
        memcpy(*at, bytes.data, bytes.bytes);
        *at += bytes.bytes;
    }
    return kept;
}

/* A put that is checked; all of it is lent. */
struct parcel {
    struct bao_span queue;
    const struct baozi_put_options *options;
    struct bao_letter letter;
};

/* Copies a put with everything that it points at. */
static struct bao_async *copy_put(struct bao_engine *e,
                                  const struct parcel *parcel)
{
    const struct baozi_put_options *options = parcel->options;
    const struct bao_letter *letter = &parcel->letter;
    size_t group_bytes = options->group == NULL ? 0 : strlen(options->group);
    size_t bytes = parcel->queue.bytes + group_bytes +
                   options->dedup_key_bytes + letter->header.bytes +
                   letter->payload.bytes;
    struct bao_async *async = bao_async_make(e, BAO_VERB_PUT, bytes);
    if (async == NULL) {
        return NULL;
    }
    uint8_t *at = async->bytes;
    struct bao_operation *op = &async->request.operation;
    BAO_SET(op, QUEUE, queue, keep(&at, parcel->queue));
    if (options != &no_options) {
        set_options(op, options, 0);
        op->group = keep(&at, op->group);
        op->dedup_key = keep(&at, op->dedup_key);
    }
    async->letter.header = keep(&at, letter->header);
    async->letter.payload = keep(&at, letter->payload);
    async->request.letters = &async->letter;
    async->request.letter_count = 1;
    return async;
}

static bool has_window(struct bao_engine *e, void *thing)
{
    (void)thing;
    return e->puts_count < e->settings->window;
}

/* Whom an asynchronous put tells. */
struct listener {
    baozi_answered *answered;
    void *context;
};

/* Gives a copy of the put to the engine, once the window has a place. */
static enum baozi_status submit_put(struct baozi *client,
                                    const struct parcel *parcel,
                                    struct listener listener,
                                    int64_t wait_ms)
{
    enum baozi_status status;
    const char *detail = "";
    struct bao_engine *e = bao_enter(client, &status);
    if (e != NULL) {
        if (!has_window(e, NULL)) {
            status = bao_wait_for(e, has_window, NULL, wait_ms);
            /* Who fills the window goes on to fill it. */
            bao_gather(e, e->settings->window / 2, bao_time_monotonic_us());
        }
        struct bao_async *async =
            status == BAOZI_OK ? copy_put(e, parcel) : NULL;
        if (async != NULL) {
            async->answered = listener.answered;
            async->context = listener.context;
            bao_async_submit(e, async);
        } else if (status == BAOZI_OK) {
            status = BAOZI_NO_MEMORY;
        }
    }
    if (status == BAOZI_OK) {
        bao_leave(e);
        return status;
    }
    bao_unlock(e);
    if (status == BAOZI_TIMEOUT) {
        status = BAOZI_FULL;
        detail = "the window of unconfirmed puts";
    }
    (void)bao_note(client, status, "put", parcel->queue, detail);
    bao_unpin(e);
    return status;
}

/* NOLINTNEXTLINE(readability-function-size): the public call */
enum baozi_status baozi_put_async(struct baozi *client,
                                  const char *queue,
                                  const void *payload,
                                  size_t bytes,
                                  const struct baozi_put_options *options,
                                  int64_t wait_ms,
                                  baozi_answered *answered,
                                  void *context)
{
    struct packed packed;
    struct baozi_put_options settled;
    struct parcel parcel = {.options = &no_options};
    if (options != NULL) {
        settled = settle(options);
        parcel.options = &settled;
    }
    const char *why = check_put(queue, parcel.options, wait_ms, &packed);
    if (why == NULL) {
        parcel.queue = bao_span_text(queue);
    }
    if (why != NULL || (payload == NULL && bytes > 0)) {
        return bao_note(client,
                        BAOZI_BAD_REQUEST,
                        "put",
                        parcel.queue,
                        why != NULL ? why : "no payload");
    }
    if (bytes > BAO_ITEM_BYTES_MAX - packed.bytes) {
        return bao_note(client,
                        BAOZI_TOO_BIG,
                        "put",
                        parcel.queue,
                        "an item has at most 32 MiB");
    }
    parcel.letter.header = bao_span_of(packed.data, packed.bytes);
    parcel.letter.payload = bao_span_of(payload, bytes);
    struct listener listener = {.answered = answered, .context = context};
    return submit_put(client, &parcel, listener, wait_ms);
}
