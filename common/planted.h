/*
 * planted.h - bugs that are wanted: one at a time, in one build of the
 * simulator alone, to see that it finds them.
 *
 *     if (BAO_PLANTED(EARLY_JOIN) || ledger->unfinished == 0)
 *
 * Only the flavour `planted` is compiled with BAO_PLANT; everywhere else
 * BAO_PLANTED() is the constant false, and nothing of it is in the program.
 */
#ifndef BAO_PLANTED_H
#define BAO_PLANTED_H

#include <stdbool.h>

/* X(NAME, what is wrong) */
#define BAO_PLANTED_TABLE(X)                                            \
    /* core */                                                          \
    X(REPEAT_IS_NEW, "a repeated request is carried out again")         \
    X(TOKEN_REUSED, "two leases get one token")                         \
    X(STALE_ACCEPTED, "a settle with an old token counts")              \
    X(EARLY_JOIN, "a join is answered while one item is left")          \
    X(PUT_LINE_LIFO, "who waits last to put is served first")           \
    X(ORDER_BROKEN, "a fifo hands out its newest item")                 \
    X(BOUND_PLUS_ONE, "one item more than maxsize is accepted")         \
    X(DEATH_SETTLES, "what a dead worker held counts as done")          \
    X(DEATH_KEEPS, "what a dead worker held never comes back")          \
    X(LEASE_SHORT, "a lease ends after a quarter of its time")          \
    X(TOUCH_IGNORED, "a touch prolongs nothing")                        \
    X(TIMEOUT_EARLY, "a wait is over after three quarters of its time") \
    X(CANCEL_LIES, "a cancelled put is stored all the same")            \
    X(EMPTY_LIES, "a get that does not wait leaves a lone item")        \
    X(KEY_FORGOTTEN, "a dedup key is not looked up")                    \
    X(CREDIT_EXCEEDED, "a subscription is given one item too many")     \
    X(RESULT_SHIFTED, "a result goes to the next item")                 \
    X(TWICE_DONE, "an item that is done counts twice")                  \
    X(NOT_REPLAYED, "who is connected decides what a fact does")        \
    /* gateway, outbox, bodies */                                       \
    X(BODY_MIXED, "two items of a reply swap their bodies")             \
    X(REPLY_LOST, "what is left for a slow reader is forgotten")        \
    /* dialogue */                                                      \
    X(RESUME_AS_NEW, "after a resume requests get new numbers")         \
    X(CANCEL_FIRST, "after a resume CANCEL goes before its request")    \
    X(AUTO_HANDED, "what a CANCEL takes back is handed over")

/* Bugs that only a durable broker can have: found by the durable simulator. */
#define BAO_PLANTED_DISK_TABLE(X)                                        \
    X(EARLY_REPLY, "an answer does not wait for its facts")              \
    X(LEASE_UNSYNCED, "an item is handed out before its put is synced")  \
    X(DUPLICATE_EARLY, "a duplicate is told before the first is synced") \
    X(EPOCH_KEPT, "a start goes on with the tokens of the last one")     \
    X(WINDOW_LOST, "after a start a repeated request is a new one")      \
    X(REDRIVE_ANEW, "after a start a redrive begins anew")               \
    X(KEYS_LOST, "after a start dedup keys are not looked up")           \
    X(REPLAY_COUNTS, "what is replayed as done counts twice")            \
    X(GRACE_LOST, "after a start leases end at once")                    \
    X(ANEW_KEPT, "after a start a memory queue counts from 1 again")     \
    X(BATCH_SKIPPED, "the end of a full segment is not synced")

/* Bugs of the durable log: its own tests must find them
 * (tests/sim/test_planted_log.py). */
#define BAO_PLANTED_LOG_TABLE(X)                                  \
    X(SYNC_SKIPPED, "a sync is not done")                         \
    X(SYNC_AGAIN, "a file is synced once more after it failed")   \
    X(SYNCED_EARLY, "what is written counts as synced")           \
    X(NAMES_UNSYNCED, "the name of a new segment is not synced")  \
    X(REWRITE_UNSYNCED, "the rewritten tail is not synced")       \
    X(CRC_UNCHECKED, "the checksum of data is not looked at")     \
    X(TAIL_KEPT, "the torn rest of a batch counts")               \
    X(DAMAGE_CUT, "damage is taken for a torn tail")              \
    X(SEGMENT_EARLY, "a segment goes while payloads live in it")  \
    X(KEEP_NOTHING, "segments go without an image that has them") \
    X(IMAGE_EARLY, "an image counts before the log that it speaks of")

#ifdef BAO_PLANT
enum bao_planted {
    BAO_PLANTED_NONE,
#define X(NAME, text) BAO_PLANTED_##NAME,
    BAO_PLANTED_TABLE(X) BAO_PLANTED_DISK_TABLE(X)
#undef X
        BAO_PLANTED_COUNT,
#define X(NAME, text) BAO_PLANTED_##NAME,
    BAO_PLANTED_LOG_TABLE(X)
#undef X
};
/* The one that is there: tests/sim/planted.c, tests/lib/planted_log.c. */
extern unsigned bao_planted;
#define BAO_PLANTED(NAME) (bao_planted == BAO_PLANTED_##NAME)
#else
#define BAO_PLANTED(NAME) false
#endif

#endif
