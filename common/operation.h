/*
 * operation.h - the words client and broker speak: one struct, three tables.
 *
 * An operation is one request, one answer or one notice. The same struct is
 * what `wire` encodes and decodes, what the broker's core takes as a command,
 * what it answers with, and what the client's dialogue feeds on. Which key an
 * operation may or must carry stands in BAO_VERB_TABLE; how a key is named,
 * typed and bounded stands in the key tables. PROTOCOL.md says it in prose.
 *
 * Pure: no memory of its own. Spans of a decoded operation are lent by the
 * message it was decoded from.
 */
#ifndef BAO_OPERATION_H
#define BAO_OPERATION_H

#include "common/limits.h"
#include "common/span.h"

/*
 * Keys of an operation: X(number, NAME, field, type, max).
 * number  the msgpack map key and the bit in `present`, for ever
 * type    NUMBER u64 | SIGNED i64 | TEXT UTF-8 | BYTES | COLUMN32 | COLUMN64
 *         (packed little-endian in a msgpack bin) | TEXTS (array of str)
 * max     largest number, or most bytes of the value
 */
/* clang-format off */
#define BAO_KEY_TABLE(X) \
    X(0,  VERB,          verb,          NUMBER,   255) \
    X(1,  RID,           rid,           NUMBER,   UINT64_MAX) \
    X(2,  STATUS,        status,        NUMBER,   255) \
    X(3,  QUEUE,         queue,         TEXT,     BAO_QUEUE_NAME_BYTES_MAX) \
    X(4,  COUNT,         count,         NUMBER,   UINT64_MAX) \
    X(5,  ID,            id,            NUMBER,   UINT64_MAX) \
    X(6,  TOKEN,         token,         NUMBER,   UINT64_MAX) \
    X(7,  IDS,           ids,           COLUMN64, 8 * BAO_OPERATION_ITEMS_MAX) \
    X(8,  TOKENS,        tokens,        COLUMN64, 8 * BAO_OPERATION_ITEMS_MAX) \
    X(9,  LENGTHS,       lengths,       COLUMN32, 4 * BAO_OPERATION_ITEMS_MAX) \
    X(10, HEADER_LENGTHS, header_lengths, COLUMN32, 4 * BAO_OPERATION_ITEMS_MAX) \
    X(11, PRIORITIES,    priorities,    COLUMN32, 4 * BAO_OPERATION_ITEMS_MAX) \
    X(12, DELIVERIES,    deliveries,    COLUMN32, 4 * BAO_OPERATION_ITEMS_MAX) \
    X(13, WAIT_MS,       wait_ms,       NUMBER,   UINT64_MAX) \
    X(14, LEASE_MS,      lease_ms,      NUMBER,   UINT32_MAX) \
    X(15, LIMIT,         limit,         NUMBER,   UINT32_MAX) \
    X(16, BYTES,         bytes,         NUMBER,   UINT64_MAX) \
    X(17, FLAGS,         flags,         NUMBER,   UINT32_MAX) \
    X(18, PRIORITY,      priority,      SIGNED,   INT32_MAX) \
    X(19, DELAY_MS,      delay_ms,      NUMBER,   UINT64_MAX) \
    X(20, NOT_BEFORE_MS, not_before_ms, NUMBER,   UINT64_MAX) \
    X(21, TTL_MS,        ttl_ms,        NUMBER,   UINT64_MAX) \
    X(22, GROUP,         group,         TEXT,     BAO_GROUP_NAME_BYTES_MAX) \
    X(23, DEDUP_KEY,     dedup_key,     BYTES,    BAO_KEY_BYTES_MAX) \
    X(24, DEDUP_WINDOW_MS, dedup_window_ms, NUMBER, UINT64_MAX) \
    X(25, FAIRNESS_KEY,  fairness_key,  BYTES,    BAO_KEY_BYTES_MAX) \
    X(26, ERROR,         error,         TEXT,     BAO_ERROR_BYTES_MAX) \
    X(27, ERRORS,        errors,        TEXTS,    BAO_JOIN_ERRORS_MAX * BAO_ERROR_BYTES_MAX) \
    X(28, GROUPS,        groups,        TEXTS,    BAO_HEADER_BYTES_MAX) \
    X(29, CURSOR,        cursor,        TEXT,     BAO_TEXT_BYTES_MAX) \
    X(30, STATE,         state,         NUMBER,   255) \
    X(31, SCOPE,         scope,         NUMBER,   255) \
    X(32, MARK,          mark,          NUMBER,   UINT64_MAX) \
    X(33, TARGET,        target,        NUMBER,   UINT64_MAX) \
    X(34, SEQUENCE,      sequence,      NUMBER,   UINT64_MAX) \
    X(35, RANGES,        ranges,        COLUMN64, 16 * BAO_RANGES_MAX) \
    X(36, CLIENT,        client,        BYTES,    BAO_CLIENT_ID_BYTES) \
    X(37, SECRET,        secret,        BYTES,    BAO_CLIENT_ID_BYTES) \
    X(38, SESSION,       session,       NUMBER,   UINT64_MAX) \
    X(39, EPOCH,         epoch,         NUMBER,   UINT64_MAX) \
    X(40, BOOT,          boot,          NUMBER,   UINT64_MAX) \
    X(41, HEARTBEAT_MS,  heartbeat_ms,  NUMBER,   UINT32_MAX) \
    X(42, PROTOCOL,      protocol,      NUMBER,   UINT32_MAX) \
    X(43, PROTOCOL_MIN,  protocol_min,  NUMBER,   UINT32_MAX) \
    X(44, HOST,          host,          TEXT,     BAO_TEXT_BYTES_MAX) \
    X(45, PID,           pid,           NUMBER,   UINT32_MAX) \
    X(46, PROGRAM,       program,       TEXT,     BAO_TEXT_BYTES_MAX) \
    X(47, RATE,          rate,          NUMBER,   UINT32_MAX) \
    X(48, MATCH,         match,         TEXT,     BAO_TEXT_BYTES_MAX) \
    X(49, LEVEL,         level,         NUMBER,   255) \
    X(50, DONE,          done,          NUMBER,   UINT64_MAX) \
    X(51, DEAD,          dead,          NUMBER,   UINT64_MAX) \
    X(52, EXPIRED,       expired,       NUMBER,   UINT64_MAX) \
    X(53, CANCELLED,     cancelled,     NUMBER,   UINT64_MAX) \
    X(54, DROPPED,       dropped,       NUMBER,   UINT64_MAX) \
    X(55, PURGED,        purged,        NUMBER,   UINT64_MAX) \
    X(56, UNFINISHED,    unfinished,    NUMBER,   UINT64_MAX) \
    X(57, TIME_MS,       time_ms,       NUMBER,   UINT64_MAX) \
    X(58, CREDIT_BYTES,  credit_bytes,  NUMBER,   UINT64_MAX) \
    X(59, ITEM_BYTES_MAX, item_bytes_max, NUMBER, UINT32_MAX) \
    X(60, ORIGIN,        origin,        NUMBER,   UINT64_MAX) \
    X(61, VERSION,       version,       TEXT,     BAO_TEXT_BYTES_MAX) \
    X(62, RETRY_AFTER_MS, retry_after_ms, NUMBER, UINT64_MAX)

/* Options of a queue (SPEC S6), keys 64 and up; a bit each in
 * bao_queue_options.present: X(number, NAME, field, default, max). */
#define BAO_OPTION_TABLE(X) \
    X(64, MAXSIZE,          maxsize,          0,                UINT32_MAX) \
    X(65, MAX_BYTES,        max_bytes,        0,                UINT64_MAX) \
    X(66, BOUND,            bound,            BAO_BOUND_READY,  BAO_BOUND_TOTAL) \
    X(67, OVERFLOW,         overflow,         BAO_OVERFLOW_BLOCK, BAO_OVERFLOW_DROP_OLDEST) \
    X(68, KIND,             kind,             BAO_KIND_FIFO,    BAO_KIND_PRIORITY) \
    X(69, DURABILITY,       durability,       BAO_LEVEL_DEFAULT, BAO_LEVEL_QUORUM) \
    X(70, ACCOUNTING,       accounting,       BAO_ACCOUNTING_LEASE, BAO_ACCOUNTING_COUNT) \
    X(71, LEASE,            lease_ms,         30000,            UINT32_MAX) \
    X(72, MAX_RUN,          max_run_ms,       3600000,          UINT64_MAX) \
    X(73, MAX_DELIVERIES,   max_deliveries,   16,               UINT32_MAX) \
    X(74, BACKOFF_BASE,     backoff_base_ms,  100,              UINT32_MAX) \
    X(75, BACKOFF_CAP,      backoff_cap_ms,   60000,            UINT32_MAX) \
    X(76, TTL,              ttl_ms,           0,                UINT64_MAX) \
    X(77, RESULT_TTL,       result_ttl_ms,    300000,           UINT64_MAX) \
    X(78, DEAD_MAX,         dead_max,         100000,           UINT32_MAX) \
    X(79, DEAD_TTL,         dead_ttl_ms,      0,                UINT64_MAX) \
    X(80, DEDUP_WINDOW,     dedup_window_ms,  0,                UINT64_MAX) \
    X(81, DEDUP_MAX,        dedup_max,        1000000,          UINT32_MAX) \
    X(82, GROUP_TTL,        group_ttl_ms,     3600000,          UINT64_MAX) \
    X(83, GROUP_MAX,        group_max,        100000,           UINT32_MAX) \
    X(84, PAUSED,           paused,           0,                3)

/* Readings of a queue (STAT, LIST), keys 96 and up: X(number, NAME, field). */
#define BAO_READING_TABLE(X) \
    X(96,  READY,           ready) \
    X(97,  LEASED,          leased) \
    X(98,  DELAYED,         delayed) \
    X(99,  DEAD,            dead) \
    X(100, UNFINISHED,      unfinished) \
    X(101, ACCEPTED,        accepted) \
    X(102, DONE,            done) \
    X(103, DIED,            died) \
    X(104, EXPIRED,         expired) \
    X(105, CANCELLED,       cancelled) \
    X(106, DROPPED,         dropped) \
    X(107, PURGED,          purged) \
    X(108, TAKEN,           taken) \
    X(109, PREPAID,         prepaid) \
    X(110, BYTES,           bytes) \
    X(111, DEAD_BYTES,      dead_bytes) \
    X(112, PARKED_PUTS,     parked_puts) \
    X(113, PARKED_GETS,     parked_gets) \
    X(114, PARKED_BYTES,    parked_bytes) \
    X(115, JOINERS,         joiners) \
    X(116, CONSUMERS,       consumers) \
    X(117, OLDEST_READY_MS, oldest_ready_ms) \
    X(118, GROUPS,          groups) \
    X(119, DEDUP_KEYS,      dedup_keys) \
    X(120, RETRIED,         retried) \
    X(121, REDELIVERED,     redelivered) \
    X(122, SHUT,            shut) \
    X(123, DEAD_FULL,       dead_full) \
    X(124, LAST_ID,         last_id) \
    X(125, MADE_MS,         made_ms)
/* clang-format on */

enum bao_kind {
    BAO_KIND_FIFO,
    BAO_KIND_LIFO,
    BAO_KIND_PRIORITY,
};
enum bao_bound {
    BAO_BOUND_READY, /* ready + delayed count */
    BAO_BOUND_TOTAL, /* leased too */
};
enum bao_overflow {
    BAO_OVERFLOW_BLOCK,
    BAO_OVERFLOW_REJECT,
    BAO_OVERFLOW_DROP_OLDEST,
};
enum bao_accounting {
    BAO_ACCOUNTING_LEASE,
    BAO_ACCOUNTING_COUNT,
};
enum bao_level {
    BAO_LEVEL_DEFAULT, /* the best this broker has; never in an answer */
    BAO_LEVEL_MEMORY,
    BAO_LEVEL_OS,
    BAO_LEVEL_DISK,
    BAO_LEVEL_QUORUM,
};
/* Bits of `paused`, of PAUSE and of RESUME (as `state`). */
enum bao_direction {
    BAO_DIRECTION_IN = 1,
    BAO_DIRECTION_OUT = 2,
};
/* Where an item is, or how it ended (`state`). */
enum bao_state {
    BAO_STATE_NONE,
    BAO_STATE_READY,
    BAO_STATE_DELAYED,
    BAO_STATE_LEASED,
    BAO_STATE_DEAD,
    BAO_STATE_TAKEN, /* accounting `count`: consumed, not yet task_done */
    BAO_STATE_DONE,
    BAO_STATE_EXPIRED,
    BAO_STATE_CANCELLED,
    BAO_STATE_DROPPED,
    BAO_STATE_PURGED,
};
enum bao_scope {
    BAO_SCOPE_QUEUE,
    BAO_SCOPE_GROUP,
    BAO_SCOPE_MINE,  /* what this session put */
    BAO_SCOPE_UP_TO, /* what was accepted before the call, or up to `mark` */
};

/* Bits of `flags`. Requests: */
#define BAO_FLAG_ATOMIC      0x0001u /* PUT: put_many, all or nothing */
#define BAO_FLAG_UNIQUE      0x0002u /* PUT: dedup_key while not settled */
#define BAO_FLAG_WANT_RESULT 0x0004u /* PUT: keep the outcome for WAIT */
#define BAO_FLAG_AUTO        0x0008u /* GET: settled by the receipt */
#define BAO_FLAG_FORCE       0x0010u /* DELETE */
#define BAO_FLAG_IMMEDIATE   0x0020u /* SHUTDOWN */
#define BAO_FLAG_DEAD        0x0040u /* PURGE: the dead too */
#define BAO_FLAG_RESUME      0x0080u /* HELLO: take up my session again */
#define BAO_FLAG_NO_BODY     0x0100u /* PUT: lengths only; send when asked */
/* Answers: */
#define BAO_FLAG_MORE      0x1000u  /* a row; others and the end follow */
#define BAO_FLAG_DUPLICATE 0x2000u  /* PUT: `id` is the first one's */
#define BAO_FLAG_ASKED     0x4000u  /* CANCEL_ITEM: leased, holder is asked */
#define BAO_FLAG_RESUMED   0x8000u  /* HELLO */
#define BAO_FLAG_CREATED   0x10000u /* DECLARE */
#define BAO_FLAG_LASTING   0x20000u /* HELLO: another start remembers */

#define BAO_BIT(KEY) (UINT64_C(1) << BAO_KEY_##KEY)

/*
 * Verbs: X(number, NAME, required keys, optional keys, answer keys).
 * VERB is always there. A request with RID is answered exactly once, by an
 * operation of the same verb with STATUS and the same RID; `count` above 1 in
 * an answer stands for that many requests rid, rid+1, ... with one outcome.
 * Rows (BAO_FLAG_MORE) may come before the answer.
 *
 * Vectors: PUT without ATOMIC, DONE, RETRY, RELEASE and REJECT are n requests
 * in one operation (n = entries of LENGTHS or IDS), with ids rid, rid+1, ...
 * OPTIONS_OK in `required` says that option keys (64..95) may be there.
 */
/* clang-format off */
#define BAO_PUT_KEYS (BAO_BIT(HEADER_LENGTHS) | BAO_BIT(WAIT_MS) | \
    BAO_BIT(PRIORITY) | BAO_BIT(PRIORITIES) | BAO_BIT(DELAY_MS) | \
    BAO_BIT(NOT_BEFORE_MS) | BAO_BIT(TTL_MS) | BAO_BIT(GROUP) | \
    BAO_BIT(DEDUP_KEY) | BAO_BIT(DEDUP_WINDOW_MS) | BAO_BIT(FAIRNESS_KEY) | \
    BAO_BIT(FLAGS))
#define BAO_ITEMS_KEYS (BAO_BIT(IDS) | BAO_BIT(TOKEN) | BAO_BIT(LENGTHS) | \
    BAO_BIT(HEADER_LENGTHS) | BAO_BIT(DELIVERIES) | BAO_BIT(PRIORITIES) | \
    BAO_BIT(GROUPS) | BAO_BIT(LEASE_MS))
#define BAO_COUNTS_KEYS (BAO_BIT(DONE) | BAO_BIT(DEAD) | BAO_BIT(EXPIRED) | \
    BAO_BIT(CANCELLED) | BAO_BIT(DROPPED) | BAO_BIT(PURGED))
#define BAO_VERB_TABLE(X) \
    /* the session */ \
    X(1,  HELLO,       BAO_BIT(RID) | BAO_BIT(PROTOCOL) | BAO_BIT(CLIENT), \
          BAO_BIT(PROTOCOL_MIN) | BAO_BIT(FLAGS) | BAO_BIT(SECRET) | BAO_BIT(HOST) | BAO_BIT(PID) | BAO_BIT(PROGRAM), \
          BAO_BIT(PROTOCOL) | BAO_BIT(PROTOCOL_MIN) | BAO_BIT(SESSION) | BAO_BIT(SECRET) | BAO_BIT(EPOCH) | BAO_BIT(BOOT) | BAO_BIT(HEARTBEAT_MS) | \
          BAO_BIT(LIMIT) | BAO_BIT(CREDIT_BYTES) | BAO_BIT(ITEM_BYTES_MAX) | BAO_BIT(VERSION) | BAO_BIT(FLAGS)) \
    X(2,  BYE,         BAO_BIT(RID), 0, 0) \
    X(3,  HEARTBEAT,   0, BAO_BIT(HEARTBEAT_MS), 0) \
    X(4,  ACK,         BAO_BIT(RANGES), 0, 0) \
    X(5,  CANCEL,      BAO_BIT(TARGET), 0, 0) \
    X(6,  BODY,        BAO_BIT(TARGET) | BAO_BIT(LENGTHS), 0, 0) \
    X(7,  HELD,        0, BAO_BIT(IDS) | BAO_BIT(TOKENS) | BAO_BIT(FLAGS), 0) \
    X(8,  STARTED,     BAO_BIT(IDS) | BAO_BIT(TOKENS), 0, 0) \
    /* queues */ \
    X(10, DECLARE,     BAO_BIT(RID) | BAO_BIT(QUEUE) | BAO_OPTIONS_OK, 0, BAO_BIT(ID) | BAO_BIT(FLAGS) | BAO_BIT(LEVEL)) \
    X(11, CONFIGURE,   BAO_BIT(RID) | BAO_BIT(QUEUE) | BAO_OPTIONS_OK, 0, 0) \
    X(12, DELETE,      BAO_BIT(RID) | BAO_BIT(QUEUE), BAO_BIT(FLAGS), BAO_BIT(PURGED)) \
    X(13, PURGE,       BAO_BIT(RID) | BAO_BIT(QUEUE), BAO_BIT(FLAGS), BAO_BIT(PURGED)) \
    X(14, PAUSE,       BAO_BIT(RID) | BAO_BIT(QUEUE) | BAO_BIT(STATE), 0, 0) \
    X(15, RESUME,      BAO_BIT(RID) | BAO_BIT(QUEUE) | BAO_BIT(STATE), 0, 0) \
    X(16, SHUTDOWN,    BAO_BIT(RID) | BAO_BIT(QUEUE), BAO_BIT(FLAGS), BAO_BIT(PURGED)) \
    X(17, REOPEN,      BAO_BIT(RID) | BAO_BIT(QUEUE), 0, 0) \
    X(18, LIST,        BAO_BIT(RID), BAO_BIT(CURSOR) | BAO_BIT(LIMIT), BAO_BIT(QUEUE) | BAO_BIT(CURSOR) | BAO_READINGS_OK) \
    X(19, STAT,        BAO_BIT(RID) | BAO_BIT(QUEUE), 0, BAO_BIT(QUEUE) | BAO_BIT(ID) | BAO_READINGS_OK) \
    /* items */ \
    X(20, PUT,         BAO_BIT(RID) | BAO_BIT(QUEUE) | BAO_BIT(LENGTHS), BAO_PUT_KEYS, \
          BAO_BIT(COUNT) | BAO_BIT(ID) | BAO_BIT(FLAGS) | BAO_BIT(LEVEL)) \
    X(21, GET,         BAO_BIT(RID) | BAO_BIT(QUEUE), BAO_BIT(LIMIT) | BAO_BIT(WAIT_MS) | BAO_BIT(LEASE_MS) | BAO_BIT(BYTES) | BAO_BIT(FLAGS), \
          BAO_ITEMS_KEYS | BAO_BIT(RETRY_AFTER_MS)) \
    X(22, SUBSCRIBE,   BAO_BIT(RID) | BAO_BIT(QUEUE) | BAO_BIT(LIMIT), BAO_BIT(BYTES) | BAO_BIT(LEASE_MS) | BAO_BIT(SEQUENCE), 0) \
    X(23, CREDIT,      BAO_BIT(TARGET) | BAO_BIT(LIMIT), BAO_BIT(BYTES), 0) \
    X(24, DONE,        BAO_BIT(RID) | BAO_BIT(IDS) | BAO_BIT(TOKENS), BAO_BIT(LENGTHS), BAO_BIT(COUNT)) \
    X(25, RETRY,       BAO_BIT(RID) | BAO_BIT(IDS) | BAO_BIT(TOKENS), BAO_BIT(DELAY_MS) | BAO_BIT(ERROR), BAO_BIT(COUNT)) \
    X(26, RELEASE,     BAO_BIT(RID) | BAO_BIT(IDS) | BAO_BIT(TOKENS), BAO_BIT(DELAY_MS), BAO_BIT(COUNT)) \
    X(27, REJECT,      BAO_BIT(RID) | BAO_BIT(IDS) | BAO_BIT(TOKENS), BAO_BIT(ERROR), BAO_BIT(COUNT)) \
    X(28, TOUCH,       BAO_BIT(RID) | BAO_BIT(IDS) | BAO_BIT(TOKENS), BAO_BIT(LEASE_MS), BAO_BIT(IDS) | BAO_BIT(LEASE_MS)) \
    X(29, DONE_NEXT,   BAO_BIT(RID) | BAO_BIT(QUEUE), 0, BAO_BIT(ID)) \
    X(30, RECEIPT,     BAO_BIT(IDS) | BAO_BIT(TOKENS), 0, 0) \
    X(31, CANCEL_ITEM, BAO_BIT(RID) | BAO_BIT(ID), 0, BAO_BIT(FLAGS)) \
    X(32, WAIT,        BAO_BIT(RID) | BAO_BIT(ID), BAO_BIT(WAIT_MS) | BAO_BIT(BOOT), BAO_BIT(ID) | BAO_BIT(STATE) | BAO_BIT(ERROR) | BAO_BIT(LENGTHS)) \
    X(33, PEEK,        BAO_BIT(RID) | BAO_BIT(QUEUE), BAO_BIT(ID), BAO_ROW_KEYS) \
    X(34, BROWSE,      BAO_BIT(RID) | BAO_BIT(QUEUE) | BAO_BIT(STATE), BAO_BIT(ID) | BAO_BIT(LIMIT) | BAO_BIT(MATCH), BAO_ROW_KEYS) \
    X(35, REDRIVE,     BAO_BIT(RID) | BAO_BIT(QUEUE), BAO_BIT(IDS) | BAO_BIT(LIMIT) | BAO_BIT(MATCH) | BAO_BIT(RATE), BAO_BIT(COUNT)) \
    X(36, JOIN,        BAO_BIT(RID) | BAO_BIT(QUEUE), \
          BAO_BIT(SCOPE) | BAO_BIT(GROUP) | BAO_BIT(MARK) | BAO_BIT(WAIT_MS) | BAO_BIT(BOOT) | BAO_COUNTS_KEYS, \
          BAO_BIT(UNFINISHED) | BAO_COUNTS_KEYS | BAO_BIT(ERRORS)) \
    /* the broker itself */ \
    X(40, SESSIONS,    BAO_BIT(RID), BAO_BIT(SESSION) | BAO_BIT(LIMIT), \
          BAO_BIT(SESSION) | BAO_BIT(HOST) | BAO_BIT(PID) | BAO_BIT(PROGRAM) | BAO_BIT(COUNT) | BAO_BIT(TIME_MS) | BAO_BIT(STATE)) \
    X(41, BROKER,      BAO_BIT(RID), 0, \
          BAO_BIT(VERSION) | BAO_BIT(TIME_MS) | BAO_BIT(EPOCH) | BAO_BIT(BOOT) | BAO_BIT(COUNT) | BAO_BIT(SESSION) | BAO_BIT(BYTES) | BAO_BIT(LIMIT) | BAO_BIT(LEVEL) | BAO_BIT(STATE) | BAO_BIT(ERRORS)) \
    /* notices from the broker: no answer */ \
    X(50, DELIVER,     BAO_BIT(TARGET) | BAO_BIT(SEQUENCE) | BAO_BIT(IDS) | BAO_BIT(TOKEN) | BAO_BIT(LENGTHS), BAO_ITEMS_KEYS, 0) \
    X(51, SEND_BODY,   BAO_BIT(TARGET) | BAO_BIT(COUNT), 0, 0) \
    X(52, AT,          BAO_BIT(TARGET) | BAO_BIT(MARK), BAO_COUNTS_KEYS, 0) \
    X(53, GONE,        BAO_BIT(STATUS), BAO_BIT(ERROR), 0) \
    X(54, PLEASE_CANCEL, BAO_BIT(ID) | BAO_BIT(TOKEN), 0, 0)

#define BAO_ROW_KEYS (BAO_BIT(ID) | BAO_BIT(STATE) | BAO_BIT(PRIORITY) | \
    BAO_BIT(COUNT) | BAO_BIT(TIME_MS) | BAO_BIT(DELAY_MS) | BAO_BIT(TTL_MS) | \
    BAO_BIT(GROUP) | BAO_BIT(ERROR) | BAO_BIT(ERRORS) | BAO_BIT(ORIGIN) | \
    BAO_BIT(LENGTHS) | BAO_BIT(HEADER_LENGTHS) | BAO_BIT(SESSION) | \
    BAO_BIT(LEASE_MS) | BAO_BIT(DEDUP_KEY))
#define BAO_OPTIONS_OK  (UINT64_C(1) << 63) /* option keys may be there */
#define BAO_READINGS_OK (UINT64_C(1) << 63) /* in an answer: both kinds */
/* clang-format on */

enum bao_key {
#define X(number, NAME, field, type, max) BAO_KEY_##NAME = (number),
    BAO_KEY_TABLE(X)
#undef X
};

enum bao_verb {
#define X(number, NAME, required, optional, answer) BAO_VERB_##NAME = (number),
    BAO_VERB_TABLE(X)
#undef X
};

/* `present`: bit (number - 64) of each option that is set. */
struct bao_queue_options {
    uint64_t present;
#define X(number, NAME, field, fallback, max) uint64_t field;
    BAO_OPTION_TABLE(X)
#undef X
};

#define BAO_OPTION_BIT(NAME) (UINT64_C(1) << (BAO_OPTION_##NAME - 64))
enum bao_option {
#define X(number, NAME, field, fallback, max) BAO_OPTION_##NAME = (number),
    BAO_OPTION_TABLE(X)
#undef X
};

struct bao_readings {
#define X(number, NAME, field) uint64_t field;
    BAO_READING_TABLE(X)
#undef X
};

enum bao_reading {
#define X(number, NAME, field) BAO_READING_##NAME = (number),
    BAO_READING_TABLE(X)
#undef X
};

/*
 * Where the next body of a decoded operation lies in its message: `offset`
 * into the bodies frame, `big` = how many big frames came before. A message's
 * bodies follow each other in the order of its operations and LENGTHS.
 */
struct bao_body_cursor {
    uint32_t offset;
    uint32_t big;
};

/* NUMBER -> uint64_t, SIGNED -> int64_t, all others -> struct bao_span.
 * A TEXTS span holds the msgpack array itself; see bao_texts_next(). */
#define BAO_FIELD_NUMBER   uint64_t
#define BAO_FIELD_SIGNED   int64_t
#define BAO_FIELD_TEXT     struct bao_span
#define BAO_FIELD_BYTES    struct bao_span
#define BAO_FIELD_COLUMN32 struct bao_span
#define BAO_FIELD_COLUMN64 struct bao_span
#define BAO_FIELD_TEXTS    struct bao_span

struct bao_operation {
    uint64_t present; /* BAO_BIT() of each key that is set, VERB included */
#define X(number, NAME, field, type, max) BAO_FIELD_##type field;
    BAO_KEY_TABLE(X)
#undef X
    const struct bao_queue_options *options; /* lent; NULL if no option key */
    const struct bao_readings *readings;     /* lent; NULL if none */
    struct bao_body_cursor bodies;           /* of a decoded operation */
};

/* Sets key `KEY` of `operation`, e.g. BAO_SET(&op, RID, rid, 7). */
#define BAO_SET(operation, KEY, member, value) \
    ((operation)->present |= BAO_BIT(KEY), (operation)->member = (value))

static inline bool bao_has(const struct bao_operation *operation, uint64_t bits)
{
    return (operation->present & bits) == bits;
}

static inline bool bao_is_answer(const struct bao_operation *operation)
{
    return bao_has(operation, BAO_BIT(STATUS)) &&
           operation->verb != BAO_VERB_GONE;
}

/* How many requests (rids) this request operation stands for. */
uint64_t bao_operation_requests(const struct bao_operation *operation);

/* Names for logs, texts and vectors; never NULL ("?" if unknown). */
const char *bao_verb_name(uint64_t verb);
const char *bao_state_name(uint64_t state);
const char *bao_key_name(unsigned key); /* any of the three tables */

/* Required, optional and answer masks; false if there is no such verb. */
bool bao_verb_keys(uint64_t verb,
                   uint64_t *required,
                   uint64_t *optional,
                   uint64_t *answer);

/* The options with every default of BAO_OPTION_TABLE, present = 0. */
struct bao_queue_options bao_queue_options_default(void);

/* The protocol versions that one side speaks; `least` 0 = only `most`. */
struct bao_versions {
    uint64_t least;
    uint64_t most;
};

/* The highest version that both speak; 0 if there is none (BAD_VERSION). */
uint32_t bao_version_choose(struct bao_versions ours,
                            struct bao_versions theirs);

#endif
