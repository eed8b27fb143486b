/*
 * fact_code.c - the codec of fact_code.h, driven by one table.
 *
 * Invariant: decode(encode(fact)) is the fact, but for what a log does not
 * keep: where bodies lay in the received message.
 */
#include "broker/fact_code.h"

#include "common/check.h"
#include "common/packed.h"

/*
 * Members by bit: X(bit, NAME, how, member, most). The order is by how often
 * they are there, so that the bits of a put, a lease and a settle take few
 * bytes.
 *   NUMBER   at most `most`
 *   TIME     relative to time_us
 *   ID       with the queue's incarnation in its upper bits taken out
 *   SPAN     at most `most` bytes
 *   and those with a code of their own: IDS, ITEMS, RESULT, OPTIONS
 */
#define ERRORS_MAX \
    ((size_t)BAO_JOIN_ERRORS_MAX * (BAO_ERROR_BYTES_MAX + 3u) + 3u)
/* clang-format off */
#define MEMBERS(X) \
    X(0,  COUNT,     NUMBER,  count,          UINT32_MAX) \
    X(1,  SESSION,   NUMBER,  session,        UINT64_MAX) \
    X(2,  RID,       NUMBER,  rid,            UINT64_MAX) \
    X(3,  QUEUE,     NUMBER,  queue,          UINT64_MAX) \
    X(4,  FIRST_ID,  ID,      first_id,       UINT64_MAX) \
    X(5,  VERB,      NUMBER,  verb,           UINT8_MAX) \
    X(6,  ITEMS,     ITEMS,   items,          BAO_OPERATION_ITEMS_MAX) \
    X(7,  IDS,       IDS,     ids,            2 * BAO_RANGES_MAX) \
    X(8,  TOKEN,     NUMBER,  token,          UINT64_MAX) \
    X(9,  UNTIL,     TIME,    until_us,       UINT64_MAX) \
    X(10, STATE,     NUMBER,  state,          BAO_STATE_PURGED) \
    X(11, FLAGS,     NUMBER,  flags,          UINT32_MAX) \
    X(12, DUE,       TIME,    due_us,         UINT64_MAX) \
    X(13, CAUSE,     NUMBER,  cause,          BAO_CAUSE_SHUTDOWN) \
    X(14, ERROR,     SPAN,    error,          ERRORS_MAX) \
    X(15, STATUS,    NUMBER,  status,         UINT8_MAX) \
    X(16, TTL,       TIME,    ttl_us,         UINT64_MAX) \
    X(17, GROUP,     SPAN,    group,          BAO_GROUP_NAME_BYTES_MAX) \
    X(18, DEDUP_KEY, SPAN,    dedup_key,      BAO_KEY_BYTES_MAX) \
    X(19, DEDUP,     TIME,    dedup_until_us, UINT64_MAX) \
    X(20, RESULT,    RESULT,  result,         BAO_ITEM_BYTES_MAX) \
    X(21, ORIGIN,    ID,      origin,         UINT64_MAX) \
    X(22, NAME,      SPAN,    name,           BAO_KEY_BYTES_MAX) \
    X(23, OPTIONS,   OPTIONS, options,        0) \
    X(24, EPOCH,     NUMBER,  epoch,          UINT64_MAX) \
    X(25, PID,       NUMBER,  pid,            UINT32_MAX) \
    X(26, HOST,      SPAN,    host,           BAO_TEXT_BYTES_MAX) \
    X(27, CLIENT,    SPAN,    client,         BAO_CLIENT_ID_BYTES) \
    X(28, SECRET,    SPAN,    secret,         BAO_CLIENT_ID_BYTES) \
    X(29, FAIRNESS,  SPAN,    fairness_key,   BAO_KEY_BYTES_MAX)
/* clang-format on */

enum member_bit {
#define X(bit, NAME, how, member, most) BIT_##NAME = (bit),
    MEMBERS(X)
#undef X
};

#define KNOWN_BITS ((UINT64_C(1) << 30) - 1)

/* Bits of the byte before a column of items. */
#define ITEMS_HEADERS    1u /* header lengths follow */
#define ITEMS_PRIORITIES 2u
#define ITEMS_EQUAL      4u /* all lengths are the first one */

#define TIME_NEVER    0u
#define TIME_ABSOLUTE 1u
#define TIME_RELATIVE 2u /* and more */
#define TIME_FAR      (UINT64_C(1) << 62)

#define OPTION_COUNT (BAO_OPTION_PAUSED - BAO_OPTION_MAXSIZE + 1u)

_Static_assert(BAO_KEY_BYTES_MAX >= BAO_QUEUE_NAME_BYTES_MAX, "names fit");
_Static_assert(BAO_KEY_BYTES_MAX >= BAO_TEXT_BYTES_MAX, "programs fit");
_Static_assert(2 * BAO_RANGES_MAX * BAO_PACKED_NUMBER_MAX +
                       BAO_OPERATION_ITEMS_MAX * 15u + ERRORS_MAX +
                       8u * BAO_KEY_BYTES_MAX +
                       (32u + OPTION_COUNT) * BAO_PACKED_NUMBER_MAX <
                   BAO_FACT_CODE_MAX,
               "the longest code fits");

bool bao_fact_has_body(const struct bao_fact *fact, uint32_t i)
{
    return fact->kind == BAO_FACT_ITEM_PUT && fact->origin == 0 &&
           fact->items[i].body.bytes > 0;
}

bool bao_fact_has_result(const struct bao_fact *fact)
{
    return fact->kind == BAO_FACT_ITEM_SETTLED && fact->result.hold != 0 &&
           fact->result.bytes > 0 && (fact->flags & BAO_FLAG_WANT_RESULT) != 0;
}

/* --- encode --------------------------------------------------------------- */

static void pack_time(struct bao_packer *packer, uint64_t time, uint64_t at)
{
    const uint64_t near = bao_zigzag(time - at);
    if (time == UINT64_MAX) {
        bao_pack_number(packer, TIME_NEVER);
    } else if (near >= TIME_FAR) {
        bao_pack_number(packer, TIME_ABSOLUTE);
        bao_pack_number(packer, time);
    } else {
        bao_pack_number(packer, near + TIME_RELATIVE);
    }
}

static void pack_ids(struct bao_packer *packer, const struct bao_fact *fact)
{
    uint64_t before = fact->queue << BAO_ID_SHIFT;
    for (uint32_t i = 0; i < fact->count; i++) {
        bao_pack_number(packer, bao_zigzag(fact->ids[i] - before));
        before = fact->ids[i];
    }
}

static unsigned shape_of(const struct bao_fact *fact)
{
    unsigned shape = ITEMS_EQUAL;
    for (uint32_t i = 0; i < fact->count; i++) {
        const struct bao_put_item *item = &fact->items[i];
        if (item->body.header_bytes > 0)
            shape |= ITEMS_HEADERS;
        if (item->priority != 0)
            shape |= ITEMS_PRIORITIES;
        if (item->body.bytes != fact->items[0].body.bytes)
            shape &= ~ITEMS_EQUAL;
    }
    return shape;
}

static void pack_items(struct bao_packer *packer, const struct bao_fact *fact)
{
    const unsigned shape = shape_of(fact);
    bao_pack_number(packer, shape);
    for (uint32_t i = 0; i < fact->count; i++) {
        const struct bao_put_item *item = &fact->items[i];
        if (i == 0 || (shape & ITEMS_EQUAL) == 0)
            bao_pack_number(packer, item->body.bytes);
        if ((shape & ITEMS_HEADERS) != 0)
            bao_pack_number(packer, item->body.header_bytes);
        if ((shape & ITEMS_PRIORITIES) != 0)
            bao_pack_number(packer,
                            bao_zigzag((uint64_t)(int64_t)item->priority));
    }
}

static void pack_options(struct bao_packer *packer,
                         const struct bao_queue_options *options)
{
    bao_pack_number(packer, OPTION_COUNT);
#define X(number, NAME, field, fallback, max) \
    bao_pack_number(packer, options->field);
    BAO_OPTION_TABLE(X)
#undef X
}

#define THERE_NUMBER(fact, member)  ((fact)->member != 0)
#define THERE_TIME(fact, member)    ((fact)->member != 0)
#define THERE_ID(fact, member)      ((fact)->member != 0)
#define THERE_SPAN(fact, member)    ((fact)->member.bytes > 0)
#define THERE_IDS(fact, ids)        ((fact)->ids != NULL && (fact)->count > 0)
#define THERE_ITEMS(fact, member)   ((fact)->member != NULL)
#define THERE_RESULT(fact, member)  ((fact)->member.hold != 0)
#define THERE_OPTIONS(fact, member) ((fact)->member != NULL)

#define PACK_NUMBER(packer, fact, member) \
    bao_pack_number(packer, (fact)->member)
#define PACK_TIME(packer, fact, member) \
    pack_time(packer, (fact)->member, (fact)->time_us)
#define PACK_ID(packer, fact, member) \
    bao_pack_number(packer, (fact)->member ^ (fact)->queue << BAO_ID_SHIFT)
#define PACK_SPAN(packer, fact, member)  bao_pack_span(packer, (fact)->member)
#define PACK_IDS(packer, fact, member)   pack_ids(packer, fact)
#define PACK_ITEMS(packer, fact, member) pack_items(packer, fact)
#define PACK_RESULT(packer, fact, member)           \
    (bao_pack_number(packer, (fact)->member.bytes), \
     bao_pack_number(packer, (fact)->member.header_bytes))
#define PACK_OPTIONS(packer, fact, member) pack_options(packer, (fact)->member)

static uint64_t bits_of(const struct bao_fact *fact)
{
    uint64_t bits = 0;
#define X(bit, NAME, how, member, most) \
    bits |= THERE_##how(fact, member) ? UINT64_C(1) << (bit) : 0;
    MEMBERS(X)
#undef X
    return bits;
}

size_t bao_fact_encode(const struct bao_fact *fact, uint8_t *at)
{
    struct bao_packer packer = {.at = at, .end = at + BAO_FACT_CODE_MAX};
    const uint64_t bits = bits_of(fact);
    bao_pack_number(&packer, (uint64_t)fact->kind);
    bao_pack_number(&packer, bits);
    bao_pack_number(&packer, fact->time_us);
#define X(bit, NAME, how, member, most) \
    if ((bits >> (bit)&1) != 0)         \
        PACK_##how(&packer, fact, member);
    MEMBERS(X)
#undef X
    BAO_ASSERT(!packer.full);
    return (size_t)(packer.at - at);
}

/* --- decode --------------------------------------------------------------- */

struct decoder {
    struct bao_unpacker in;
    struct bao_fact_room *room;
    struct bao_fact *fact;
};

static uint64_t unpack_time(struct decoder *decoder)
{
    const uint64_t code = bao_unpack_number(&decoder->in);
    if (code == TIME_NEVER)
        return UINT64_MAX;
    if (code == TIME_ABSOLUTE)
        return bao_unpack_number(&decoder->in);
    return bao_unzigzag(code - TIME_RELATIVE) + decoder->fact->time_us;
}

static const uint64_t *unpack_ids(struct decoder *decoder)
{
    const uint32_t count = decoder->fact->count;
    uint64_t before = decoder->fact->queue << BAO_ID_SHIFT;
    if (count == 0 || count > 2 * BAO_RANGES_MAX) {
        decoder->in.bad = true;
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        before += bao_unzigzag(bao_unpack_number(&decoder->in));
        decoder->room->ids[i] = before;
    }
    return decoder->room->ids;
}

static int32_t unpack_priority(struct decoder *decoder)
{
    const uint64_t value = bao_unpack_most(&decoder->in, UINT32_MAX);
    return (int32_t)(uint32_t)bao_unzigzag(value);
}

static const struct bao_put_item *unpack_items(struct decoder *decoder)
{
    const uint32_t count = decoder->fact->count;
    struct bao_put_item *items = decoder->room->items;
    const uint64_t shape = bao_unpack_most(
        &decoder->in, ITEMS_EQUAL | ITEMS_HEADERS | ITEMS_PRIORITIES);
    if (count == 0 || count > BAO_OPERATION_ITEMS_MAX) {
        decoder->in.bad = true;
        return NULL;
    }
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        items[i] = (struct bao_put_item){.priority = 0};
        if (i == 0 || (shape & ITEMS_EQUAL) == 0)
            bytes = (uint32_t)bao_unpack_most(&decoder->in, BAO_ITEM_BYTES_MAX);
        items[i].body.bytes = bytes;
        if ((shape & ITEMS_HEADERS) != 0)
            items[i].body.header_bytes =
                (uint32_t)bao_unpack_most(&decoder->in, bytes);
        if ((shape & ITEMS_PRIORITIES) != 0)
            items[i].priority = unpack_priority(decoder);
    }
    return items;
}

static struct bao_body unpack_result(struct decoder *decoder)
{
    struct bao_body body = {.hold = BAO_HOLD_LOGGED};
    body.bytes = (uint32_t)bao_unpack_most(&decoder->in, BAO_ITEM_BYTES_MAX);
    body.header_bytes = (uint32_t)bao_unpack_most(&decoder->in, body.bytes);
    return body;
}

/* Options that were not known when this was written have their defaults. */
static const struct bao_queue_options *unpack_options(struct decoder *decoder)
{
    struct bao_queue_options *options = &decoder->room->options;
    uint64_t left = bao_unpack_most(&decoder->in, OPTION_COUNT);
    *options = bao_queue_options_default();
#define X(number, NAME, field, fallback, max)                  \
    if (left > 0) {                                            \
        options->field = bao_unpack_most(&decoder->in, (max)); \
        options->present |= UINT64_C(1) << ((number)-64);      \
        left--;                                                \
    }
    BAO_OPTION_TABLE(X)
#undef X
    return options;
}

#define UNPACK_NUMBER(decoder, member, most) \
    (__typeof__((decoder)->fact->member))bao_unpack_most(&(decoder)->in, most)
#define UNPACK_TIME(decoder, member, most) unpack_time(decoder)
#define UNPACK_ID(decoder, member, most) \
    (bao_unpack_number(&(decoder)->in) ^ (decoder)->fact->queue << BAO_ID_SHIFT)
#define UNPACK_SPAN(code, member, most)       bao_unpack_span(&(code)->in, most)
#define UNPACK_IDS(decoder, member, most)     unpack_ids(decoder)
#define UNPACK_ITEMS(decoder, member, most)   unpack_items(decoder)
#define UNPACK_RESULT(decoder, member, most)  unpack_result(decoder)
#define UNPACK_OPTIONS(decoder, member, most) unpack_options(decoder)

/* Says where the bodies lie behind the code; false if they are not there. */
static bool place_bodies(struct bao_fact *fact,
                         struct bao_put_item *items,
                         size_t offset,
                         size_t end)
{
    uint32_t count = fact->items == NULL ? 0 : fact->count;
    for (uint32_t i = 0; i < count && offset <= end; i++) {
        if (!bao_fact_has_body(fact, i))
            continue;
        struct bao_body *body = &items[i].body;
        body->hold = BAO_HOLD_LOGGED;
        if (bao_fact_body_is_apart(body))
            continue;
        body->offset = (uint32_t)offset;
        offset += body->bytes;
    }
    if (bao_fact_has_result(fact) && !bao_fact_body_is_apart(&fact->result)) {
        fact->result.offset = (uint32_t)offset;
        offset += fact->result.bytes;
    }
    return offset == end;
}

enum baozi_status bao_fact_decode(struct bao_span record,
                                  struct bao_fact_room *room,
                                  struct bao_fact *fact,
                                  const char **why)
{
    struct decoder decoder = {
        .in = {.at = record.data, .end = record.data + record.bytes},
        .room = room,
        .fact = fact};
    *fact = (struct bao_fact){.count = 0};
    const uint64_t kind = bao_unpack_number(&decoder.in);
    const uint64_t bits = bao_unpack_number(&decoder.in);
    if (kind == 0 || kind > BAO_FACT_ANSWERED || (bits & ~KNOWN_BITS) != 0) {
        *why = "a kind of fact that this version does not know";
        return BAOZI_BAD_REQUEST;
    }
    fact->kind = (enum bao_fact_kind)kind;
    fact->time_us = bao_unpack_number(&decoder.in);
#define X(bit, NAME, how, member, most) \
    if ((bits >> (bit)&1) != 0)         \
        fact->member = UNPACK_##how(&decoder, member, most);
    MEMBERS(X)
#undef X
    if (decoder.in.bad) {
        *why = "a fact that ends too early or has a number out of range";
        return BAOZI_BAD_REQUEST;
    }
    if (fact->kind == BAO_FACT_ITEM_PUT && fact->items == NULL) {
        *why = "a put without items";
        return BAOZI_BAD_REQUEST;
    }
    const size_t code_bytes = (size_t)(decoder.in.at - record.data);
    if (!place_bodies(fact, room->items, code_bytes, record.bytes)) {
        *why = "a fact whose payloads are not as long as it says";
        return BAOZI_BAD_REQUEST;
    }
    return BAOZI_OK;
}
