/*
 * image_row.h - the rows of an image: numbers and texts, as differences.
 *
 * A piece is [version][row][row]... and needs no other piece to be read. A
 * row is [kind][bits][members]: bit i says that number i differs from what
 * was expected, and the difference follows (zigzag); a text that differs
 * follows whole, and its bit comes after those of the numbers. Expected is
 * what the last row of that kind in this piece had; an item's id, token and
 * order are expected to go on as they did. Lists of errors stand behind the
 * members.
 *
 * So a plain item behind others like it is 2 to 5 bytes. A member keeps its
 * place for ever; new ones are added at the end of the numbers of a new
 * version.
 */
#ifndef BAO_CORE_IMAGE_ROW_H
#define BAO_CORE_IMAGE_ROW_H

#include "common/operation.h"
#include "common/packed.h"

#define BAO_IMAGE_VERSION 2u /* 2: BAO_IMAGE_PROGRESS */

enum bao_image_kind {
    BAO_IMAGE_CORE = 1,
    BAO_IMAGE_SESSION,
    BAO_IMAGE_ANSWER,
    BAO_IMAGE_QUEUE,
    BAO_IMAGE_GROUP,
    BAO_IMAGE_DEDUP,
    BAO_IMAGE_TALLY,
    BAO_IMAGE_OUTCOME,
    BAO_IMAGE_ITEM,
    BAO_IMAGE_END,
    BAO_IMAGE_PROGRESS,
    BAO_IMAGE_KINDS
};

/* The numbers of each kind. LEDGER: accepted, then the six endings. */
#define BAO_LEDGER_NUMBERS 7u
#define BAO_OPTION_NUMBERS (BAO_OPTION_PAUSED - BAO_OPTION_MAXSIZE + 1u)

enum {
    BAO_CORE_EPOCH,
    BAO_CORE_TOKEN,
    BAO_CORE_FIRST_N,
    BAO_CORE_ORDER,
    BAO_CORE_INCARNATION,
    BAO_CORE_SESSION,
    BAO_CORE_NOW,
    BAO_CORE_NUMBERS
};

enum {
    BAO_SESSION_NUMBER,
    BAO_SESSION_PID,
    BAO_SESSION_STATE,
    BAO_SESSION_ENDED,
    BAO_SESSION_NUMBERS,
    BAO_SESSION_CLIENT = 0, /* texts */
    BAO_SESSION_SECRET,
    BAO_SESSION_HOST,
    BAO_SESSION_PROGRAM,
    BAO_SESSION_TEXTS
};

enum {
    BAO_ANSWER_SESSION,
    BAO_ANSWER_FIRST,
    BAO_ANSWER_COUNT,
    BAO_ANSWER_QUEUE,
    BAO_ANSWER_FIRST_ID,
    BAO_ANSWER_NUMBER,
    BAO_ANSWER_FLAGS, /* and BAO_ANSWER_LAST */
    BAO_ANSWER_VERB,
    BAO_ANSWER_STATUS,
    BAO_ANSWER_NUMBERS
};
#define BAO_ANSWER_LAST 0x80000000u /* the next one may go on it */

enum {
    BAO_QUEUE_INCARNATION,
    BAO_QUEUE_MADE,
    BAO_QUEUE_LAST,
    BAO_QUEUE_STATE, /* shut, and BAO_QUEUE_LOGGED */
    BAO_QUEUE_PREPAID,
    BAO_QUEUE_RETRIED,
    BAO_QUEUE_REDELIVERED,
    BAO_QUEUE_RECENT,
    BAO_QUEUE_LEDGER,
    BAO_QUEUE_OPTIONS = BAO_QUEUE_LEDGER + (int)BAO_LEDGER_NUMBERS,
    BAO_QUEUE_NUMBERS = BAO_QUEUE_OPTIONS + (int)BAO_OPTION_NUMBERS
};
#define BAO_QUEUE_LOGGED 4u

enum {
    BAO_GROUP_QUEUE,
    BAO_GROUP_FINISHED,
    BAO_GROUP_LEDGER,
    BAO_GROUP_NUMBERS = BAO_GROUP_LEDGER + (int)BAO_LEDGER_NUMBERS
};

enum {
    BAO_DEDUP_QUEUE,
    BAO_DEDUP_FIRST_ID,
    BAO_DEDUP_UNTIL,
    BAO_DEDUP_NUMBERS
};

enum {
    BAO_TALLY_SESSION,
    BAO_TALLY_QUEUE,
    BAO_TALLY_ENDED,
    BAO_TALLY_FORGOTTEN, /* 1: its session is */
    BAO_TALLY_LEDGER,
    BAO_TALLY_NUMBERS = BAO_TALLY_LEDGER + (int)BAO_LEDGER_NUMBERS
};

enum {
    BAO_OUTCOME_ID,
    BAO_OUTCOME_OWNER, /* session; 0 = none */
    BAO_OUTCOME_STATE,
    BAO_OUTCOME_RESULT, /* 1: there is one */
    BAO_OUTCOME_BYTES,
    BAO_OUTCOME_NUMBERS
};

/* In the order of how often they differ. */
enum {
    BAO_ITEM_ID,
    BAO_ITEM_ACCEPTED,
    BAO_ITEM_BYTES,
    BAO_ITEM_OWNER, /* session; 0 = none */
    BAO_ITEM_STATE,
    BAO_ITEM_HEADER_BYTES,
    BAO_ITEM_FLAGS, /* and BAO_ITEM_HOLDS_KEY */
    BAO_ITEM_DELIVERIES,
    BAO_ITEM_PRIORITY,
    BAO_ITEM_DUE,
    BAO_ITEM_EXPIRES,
    BAO_ITEM_HISTORY,
    BAO_ITEM_ORIGIN,
    BAO_ITEM_WALL,
    BAO_ITEM_TOKEN, /* the lease's; as expected if there is none */
    BAO_ITEM_ORDER,
    BAO_ITEM_HOLDER,
    BAO_ITEM_SINCE,
    BAO_ITEM_LENGTH,
    BAO_ITEM_RUN,
    BAO_ITEM_RID,
    BAO_ITEM_SEQUENCE,
    BAO_ITEM_LEASE_FLAGS, /* and the two below */
    BAO_ITEM_NUMBERS,
    BAO_ITEM_GROUP = 0, /* texts */
    BAO_ITEM_KEY,
    BAO_ITEM_FAIRNESS,
    BAO_ITEM_GROUP_NAME,
    BAO_ITEM_ERROR,
    BAO_ITEM_TEXTS
};
#define BAO_ITEM_HOLDS_KEY 0x100u
#define BAO_LEASE_ENDS     0x100u /* it has a deadline */
#define BAO_LEASE_ANSWERED 0x200u /* its get's answer is kept */

enum {
    BAO_PROGRESS_SESSION,
    BAO_PROGRESS_RID,
    BAO_PROGRESS_QUEUE,
    BAO_PROGRESS_MARK,
    BAO_PROGRESS_MOVED,
    BAO_PROGRESS_NUMBERS
};

enum { BAO_END_DIGEST, BAO_END_ROWS, BAO_END_NUMBERS };

#define BAO_IMAGE_NUMBERS_MAX ((size_t)BAO_QUEUE_NUMBERS)
#define BAO_IMAGE_TEXTS_MAX   ((size_t)BAO_ITEM_TEXTS)
#define BAO_IMAGE_TEXT_BYTES_MAX \
    ((size_t)BAO_JOIN_ERRORS_MAX * (BAO_ERROR_BYTES_MAX + 3u) + 64u)

_Static_assert((int)BAO_ITEM_NUMBERS + (int)BAO_ITEM_TEXTS < 64,
               "a bit for each member of an item");
_Static_assert((int)BAO_QUEUE_NUMBERS + 1 < 64, "and of a queue");

struct bao_image_row {
    uint64_t numbers[BAO_IMAGE_NUMBERS_MAX];
    struct bao_span texts[BAO_IMAGE_TEXTS_MAX];
};

/* What the next row of each kind is expected to be. The texts lie in the
 * piece. */
struct bao_image_past {
    struct bao_image_row rows[BAO_IMAGE_KINDS];
};

/* A piece begins. */
void bao_image_past_init(struct bao_image_past *past);

/* Appends a row. If the packer is full afterwards, the row belongs into the
 * next piece. */
void bao_image_pack(struct bao_packer *packer,
                    struct bao_image_past *past,
                    enum bao_image_kind kind,
                    const struct bao_image_row *row);

/* Reads the members of a row whose kind was read. They are in past->rows
 * until bao_image_expect(); the unpacker is bad if they are damaged. Texts
 * lie in the piece. */
void bao_image_unpack(struct bao_unpacker *unpacker,
                      struct bao_image_past *past,
                      enum bao_image_kind kind);

/* A row was read and used: what comes next. (bao_image_pack does it too.) */
void bao_image_expect(struct bao_image_past *past, enum bao_image_kind kind);

#endif
