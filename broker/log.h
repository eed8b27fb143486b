/*
 * log.h - the durable log: what was appended is there after a crash, in
 * order and unharmed, or the log refuses to open and names the place.
 *
 * Records go into segments, files of one size that were filled with zeros
 * ahead. One turn's records are a batch: written by one bao_log_write() at
 * the end of the turn, closed by a trailer, recovered whole or not at all.
 * Another thread only syncs; while one sync runs, the next batches gather.
 * Two marks tell how far it is (they are lsns, the numbers of records):
 *
 *   written   handed to the operating system: survives the broker's death
 *   synced    on the disk: survives a power cut
 *
 * Byte layout: JOURNAL.md. The log knows nothing of facts, items or queues;
 * whoever owns it encodes them, tells which bytes are still live, and moves
 * live payloads out of segments that are mostly dead.
 *
 * All functions are for one thread, the loop's. Syncing, preparing segments
 * and reading are jobs (log_jobs.h) that an executor runs: threads in the
 * broker (log_threads.h), virtual time in the simulator. What they did is
 * taken in by bao_log_turn().
 *
 * Any failed write, sync or other disk call of the log ends it: from then on
 * bao_log_failed() is true, everything answers STORAGE_FAILED, the marks
 * stand still, and no file is synced again. Only want of room while a segment
 * is prepared or a checkpoint written is not a failure.
 *
 * The way of a start:
 *
 *     bao_log_open()              manifest, checkpoints, tail: judged
 *     bao_log_checkpoint_load()   the newest good image, piece by piece
 *     bao_log_replay()            the records after it, in order; the tail is
 *                                 rewritten on the way
 *     bao_log_live()              for every payload that is still needed
 *     bao_log_serve()             from now on appends are taken
 */
#ifndef BAO_BROKER_LOG_H
#define BAO_BROKER_LOG_H

#include "broker/log_jobs.h"
#include "broker/storage.h"
#include "common/complain.h"
#include "common/disk_record.h"

/*
 * Space on the disk stays below
 *
 *     BAO_LOG_LIVE_X100 / 100 * live + BAO_LOG_SPARE_X100 / 100 * segment
 *         + BAO_LOG_CHECKPOINT_FACTOR * the last checkpoint
 *
 * where live is what bao_log_live() was told: k = 2.5, and with 64 MiB
 * segments c = 432 MiB. Tests hold it with small ones.
 */
#define BAO_LOG_LIVE_X100         250u /* k, times 100 */
#define BAO_LOG_SPARE_X100        675u /* c in segments, times 100 */
#define BAO_LOG_CHECKPOINT_FACTOR 8u

#define BAO_LOG_SEGMENT_BYTES     (64u * 1024u * 1024u)
#define BAO_LOG_SEGMENT_BYTES_MIN (16u * 1024u)
#define BAO_LOG_SEGMENTS_MAX      65536u
#define BAO_LOG_BUFFER_BYTES      (1024u * 1024u)
#define BAO_LOG_MARK_IDLE_US      10000u /* idle so long: a MARK */
#define BAO_LOG_LAZY_US           50000u /* `os`: synced at least so often */
#define BAO_LOG_LAZY_BYTES        (8u * 1024u * 1024u)
#define BAO_LOG_ROOM_RETRY_US     1000000u
#define BAO_LOG_LOOK_US           10000u /* between looks at the disk */
#define BAO_LOG_PRESS_US          10000000u
#define BAO_LOG_PIECE_BYTES_MAX   (60u * 1024u) /* of a checkpoint */

struct bao_log;

struct bao_log_config {
    const struct bao_storage *storage; /* lent */
    const char *folder;                /* lent; for texts only */
    struct bao_log_executor executor;  /* copied */
    uint64_t segment_bytes;            /* of a new folder; 0: 64 MiB */
    uint32_t segments_max;             /* 0: BAO_LOG_SEGMENTS_MAX */
    uint32_t buffer_bytes;             /* of one turn; 0: 1 MiB */
    uint64_t checkpoint_bytes;         /* logged since the last one before the
                                          next is due; 0: half a segment */
    uint64_t seed;                     /* of salts: must differ each start */
};

/* What bao_log_open() and bao_log_replay() found. */
struct bao_log_report {
    bool fresh;                /* the folder was empty */
    bool has_checkpoint;       /* the rest of it: */
    uint64_t checkpoint_index; /* image of all entries up to this one */
    uint64_t checkpoint_lsn;   /* replay begins here */
    uint32_t checkpoints_bad;  /* skipped because they were damaged */
    uint32_t manifests_bad;    /* copies; one is enough */
    uint64_t last_lsn;         /* end of the log */
    uint64_t torn_bytes;       /* cut: written, never synced, incomplete */
    uint64_t torn_records;     /* of these, good ones behind a hole */
    uint32_t strays;           /* files left alone: a manifest copy is bad */
    uint64_t rewritten_bytes;  /* of the tail, before serving */
    uint64_t epoch_floor;      /* a repair may have cut off this epoch and
                                  those before: the owner's next is greater */

    /* If refused: */
    const char *folder; /* as it was given; lent */
    bool corrupt;       /* `file`, `offset`, `lsn` name the place */
    char file[64];      /* name in the folder */
    uint64_t offset;    /* in it */
    uint64_t lsn;       /* first one that is not there unharmed */
    uint64_t durable;   /* how far the log states to have been synced */
    uint64_t queue;     /* of the damaged record if its head is readable */
    struct bao_problem problem; /* what, why, what to do; exit code */
};

/* --- open and close --- */

/*
 * Opens the log in the folder of `storage`, which must be locked. The tail
 * that the manifest does not call sealed is checked; what was never synced
 * and is incomplete will be cut and is counted. Nothing is changed on the
 * disk. Blocks. OK, else `report->problem` says it all:
 *
 * STORAGE_FAILED  damaged (`report->corrupt`), or the disk failed
 * STORAGE_FULL    more segments than this one can hold
 * BAD_VERSION     a newer baozi wrote it
 * NO_MEMORY
 */
BAOZI_MUST_USE enum baozi_status
bao_log_open(const struct bao_log_config *config,
             struct bao_log **log,
             struct bao_log_report *report);

/* A record as the owner sees it; `data` is lent for the call. */
struct bao_log_record {
    enum bao_record_kind kind; /* ENTRY, COPY, TRUNC */
    uint64_t lsn;
    uint32_t group;
    uint64_t index; /* COPY: the item's id */
    uint64_t term;  /* COPY: 0 its body, 1 its result */
    uint64_t queue;
    struct bao_span data;
    uint64_t address; /* of data's first byte */
};
typedef enum baozi_status bao_log_take(void *context,
                                       const struct bao_log_record *record);

/* Hands out the pieces of the checkpoint in the order they were written;
 * `take` may end it with another status than OK, which is returned. Nothing
 * is handed out if there is none. */
BAOZI_MUST_USE enum baozi_status bao_log_checkpoint_load(
    struct bao_log *log,
    enum baozi_status (*take)(void *context, struct bao_span piece),
    void *context,
    struct bao_log_report *report);

/*
 * Hands out the records behind the checkpoint, in order of their lsn. A COPY
 * gives a payload its new address; order of facts is the index, and of two
 * entries with one index the later one counts.
 *
 * When all that was sealed has come, whole, the tail is written into a fresh
 * segment and synced; then it comes too. Until then nothing was changed on
 * the disk, so a start that is refused can be tried again, or repaired.
 *
 * OK              bao_log_serve() may follow
 * STORAGE_FAILED  damaged or failed (report)
 * STORAGE_FULL    no room for a segment (report)
 * NO_MEMORY, or what `take` returned
 */
BAOZI_MUST_USE enum baozi_status bao_log_replay(struct bao_log *log,
                                                bao_log_take *take,
                                                void *context,
                                                struct bao_log_report *report);

/* What the log calls from bao_log_turn(). */
struct bao_log_owner {
    void *context;
    /* A record of a segment that is to be emptied: append a COPY for every
     * payload in it whose current address lies in this record, and report the
     * live bytes of the old and the new place. */
    void (*move)(void *context, const struct bao_log_record *record);
    /* A damage that scrubbing found; the log goes on. */
    void (*damaged)(void *context, const struct bao_log_report *report);
};

/* Replay is over: appends are taken from now on. `owner` is copied. */
void bao_log_serve(struct bao_log *log,
                   const struct bao_log_owner *owner,
                   uint64_t now_us);

/* Writes what is left, syncs, leaves a MARK, and frees everything. Jobs that
 * run are waited for. Ends with the status that the last sync had. */
enum baozi_status bao_log_close(struct bao_log *log);
/* As if the process died: frees everything and writes nothing. */
void bao_log_abandon(struct bao_log *log);

/* --- append and write --- */

struct bao_log_entry {
    enum bao_record_kind kind; /* ENTRY, COPY, TRUNC */
    uint32_t group;
    uint64_t index; /* COPY: the item's id */
    uint64_t term;  /* COPY: 0 its body, 1 its result */
    uint64_t queue; /* of the (first) fact: named if it is found damaged */
    const struct bao_span *spans; /* the data, in pieces */
    size_t span_count;
};

struct bao_log_place {
    uint64_t lsn;
    uint64_t address; /* of the first byte of data: bytes follow each other,
                         so address + n is the n-th of them; a multiple of 8;
                         never 0 */
};

/*
 * Adds a record to the turn's batch; it is copied, or written if it is large.
 * One record: 56 bytes besides its data, which is padded to 8.
 *
 * OK              `place` says where
 * TOO_BIG         over bao_log_record_bytes_max()
 * STORAGE_FULL    no segment has room; nothing was appended. Ask
 *                 bao_log_room() first.
 * STORAGE_FAILED
 */
BAOZI_MUST_USE enum baozi_status
bao_log_append(struct bao_log *log,
               const struct bao_log_entry *entry,
               struct bao_log_place *place);

/* The turn is over: writes the batch and has it synced; with `lazy` within
 * BAO_LOG_LAZY_US, or as soon as somebody needs it or LAZY_BYTES are there.
 * Without appends nothing is written; not lazy, what was written lazily before
 * is synced now all the same. Errors show in bao_log_failed(). */
void bao_log_write(struct bao_log *log, uint64_t now_us, bool lazy);

struct bao_log_marks {
    uint64_t written;
    uint64_t synced;
};
struct bao_log_marks bao_log_marks(const struct bao_log *log);

/* The lsn of the last record appended. */
uint64_t bao_log_last(const struct bao_log *log);

/* Data that one record can hold. */
uint64_t bao_log_record_bytes_max(const struct bao_log *log);

/* Who asks for room, the humblest first. */
enum bao_log_use {
    BAO_LOG_FOR_PUTS,   /* leaves the reserve alone: two prepared segments */
    BAO_LOG_FOR_LEASES, /* may use it, but for the last quarter of a segment:
                           what nobody needs in order to free room */
    BAO_LOG_FOR_SETTLES /* may use it all: settles, returns, ends */
};

/*
 * Bytes (records' heads included, of any records in any order) that certainly
 * fit until the end of this turn, whatever they leave empty at the ends of
 * segments. It counts what is prepared and what the file system says that
 * there is room for; UINT64_MAX if that cannot tell. For puts it also leaves so
 * much that a start after a crash can write them once more. Who else writes
 * on that disk can make it wrong by what he takes before the next look. What is
 * no payload is dead as soon as two checkpoints are younger; so the reserve,
 * two segments that no put may enter, is filled in turns for ever. Only what
 * stays alive, or checkpoints that cannot be written, use it up.
 */
uint64_t bao_log_room(const struct bao_log *log, enum bao_log_use use);

/* Begins a turn: asks the file system how much room there is, unless it was
 * asked within BAO_LOG_LOOK_US. True if it was asked. */
bool bao_log_look(struct bao_log *log, uint64_t now_us);

/* Something was refused for want of room: for a while images are made as soon
 * as they set segments free. */
void bao_log_press(struct bao_log *log, uint64_t now_us);

bool bao_log_failed(const struct bao_log *log);
/* What failed; "" if nothing did. */
const char *bao_log_failure(const struct bao_log *log);

/* --- turns --- */

/* Takes in what jobs did, begins new ones, writes a MARK when idle, copies a
 * slice of a victim. Call it each turn before bao_log_write(), and when the
 * executor says that a job is done. */
void bao_log_turn(struct bao_log *log, uint64_t now_us);

/* When it must be called although nothing happens; UINT64_MAX: never. */
uint64_t bao_log_deadline(const struct bao_log *log);

/* --- reading payloads --- */

/* A read under way; the caller's memory, untouched until `done`. */
struct bao_log_read {
    uint64_t address;
    uint32_t bytes; /* of one record's data, or of several in a row */
    void *data;
    void (*done)(struct bao_log_read *read, void *context);
    void *context;
    enum baozi_status status; /* OK | LOST (no such segment) |
                                 STORAGE_FAILED (this read) */
    /* The log's own: */
    struct bao_log_job job;
    struct bao_log *log;
    struct bao_log_segment *segment;
    int file;
};

/* Begins it; `done` is called by a later bao_log_turn(), or at once when
 * there is nothing to read. Nothing is checked: payloads carry a checksum of
 * their own (bao_cell_check in common/disk_record.h). */
void bao_log_read(struct bao_log *log, struct bao_log_read *read);

/* The same, but waits. OK | LOST | STORAGE_FAILED */
BAOZI_MUST_USE enum baozi_status bao_log_read_now(struct bao_log *log,
                                                  uint64_t address,
                                                  void *data,
                                                  size_t bytes);

/* --- what is live --- */

/* `bytes` at `address` became live (+) or dead (-). Count a payload as dead
 * when the fact that ends it is synced. */
void bao_log_live(struct bao_log *log, uint64_t address, int64_t bytes);

/* True if `bytes` at `address` lie within what a segment of the log has. */
bool bao_log_has(const struct bao_log *log, uint64_t address, uint64_t bytes);

/* The file with that address and the offset in it, for messages; "" if no
 * segment has it. */
void bao_log_name_place(const struct bao_log *log,
                        uint64_t address,
                        char file[BAO_SEGMENT_NAME_BYTES],
                        uint64_t *offset);

/* --- checkpoints --- */

enum bao_log_checkpoint_state {
    BAO_LOG_CHECKPOINT_NONE,    /* none under way; the last one succeeded */
    BAO_LOG_CHECKPOINT_WRITING, /* between begin and end */
    BAO_LOG_CHECKPOINT_ENDING,  /* being made durable */
    BAO_LOG_CHECKPOINT_GIVEN_UP /* for want of room, or it could not be read
                                   back; pieces are not taken any more. Begin
                                   again when it is due */
};

/* Enough was logged since the last one. */
bool bao_log_checkpoint_due(const struct bao_log *log, uint64_t now_us);

/* Begins the image of everything appended so far, `index` being the last
 * entry in it. OK | STORAGE_FAILED | QUOTA (one is under way)
 */
BAOZI_MUST_USE enum baozi_status bao_log_checkpoint_begin(struct bao_log *log,
                                                          uint64_t index);
/* Bytes that it takes now without waiting (0: later). */
size_t bao_log_checkpoint_room(const struct bao_log *log);
/* One piece of at most BAO_LOG_PIECE_BYTES_MAX and of what has room; it is
 * copied, and handed out whole when loaded. */
void bao_log_checkpoint_write(struct bao_log *log, struct bao_span piece);
/* All pieces were written: makes it durable once everything appended so far is
 * synced (a piece may speak of a record behind the image), then the records
 * and segments before the *previous* checkpoint may go. */
void bao_log_checkpoint_end(struct bao_log *log);
/* What was written is no image after all: it is given up. */
void bao_log_checkpoint_drop(struct bao_log *log);
enum bao_log_checkpoint_state
bao_log_checkpoint_state(const struct bao_log *log);

/* --- seeing --- */

struct bao_log_stats {
    uint64_t records;
    uint64_t batches;
    uint64_t bytes; /* appended, heads included */
    uint64_t syncs;
    uint64_t disk_bytes; /* of all files */
    uint64_t live_bytes;
    uint32_t segments; /* in use */
    uint32_t prepared;
    uint32_t waits; /* for a segment that was not ready in time */
    bool full;      /* no room for another segment */
    uint64_t checkpoints;
    uint64_t checkpoint_bytes; /* of the last one */
    uint64_t moved_bytes;      /* copied forward */
    uint64_t recycled;         /* segments */
    uint64_t scrubbed_bytes;
    uint64_t scrub_rounds;
    uint64_t damaged; /* records that scrubbing found */
};
void bao_log_stats(const struct bao_log *log, struct bao_log_stats *stats);

#endif
