/*
 * log_inner.h - what the files of the log share. See log.h for what it does.
 *
 *   log_open.c        open, close, the pieces of memory
 *   log_recover.c     what the folder holds; the tail is judged
 *   log_rewrite.c     the tail into a fresh segment; replay
 *   log_append.c      records, batches, the end of a segment
 *   log_room.c        how much more certainly fits
 *   log_sync.c        marks; what the SYNC lane does
 *   log_segment.c     the table of segments; what is live; who goes
 *   log_prepare.c     segments ahead; segments used again
 *   log_manifest.c    the two copies
 *   log_checkpoint.c  images; log_load.c reads them
 *   log_move.c        compaction
 *   log_scrub.c       slow reading of everything
 *
 * Invariants: lsns in the table grow with the numbers of the segments;
 * synced <= written <= last; a segment is in exactly one state.
 */
#ifndef BAO_LOG_INNER_H
#define BAO_LOG_INNER_H

#include <stdatomic.h>

#include "broker/log.h"
#include "common/disk_manifest.h"
#include "common/disk_scan.h"

#define BAO_LOG_PREPARED_RESERVE 2u /* no put may use them on a full disk */
#define BAO_LOG_PREPARED_WANTED  3u /* the next one, and the reserve */
#define BAO_LOG_PREPARED_MAX     5u
#define BAO_LOG_STATE_US         1000000u /* idle so long: a manifest */
#define BAO_LOG_SEAL_BYTES       (16u * 1024u * 1024u) /* manifest so often */
#define BAO_LOG_ZERO_BYTES       (4u * 1024u * 1024u)  /* synced at a time */
#define BAO_LOG_FILES_MAX        64u /* of closed segments, open at a time */
/* What stays free behind every record: a trailer and a seal. */
#define BAO_LOG_END_BYTES (2u * BAO_RECORD_HEAD_BYTES)

/*
 *  -> PREPARED -> OPEN -> CLOSED -> DROPPED -> (used again, or removed)
 */
enum bao_log_segment_state {
    BAO_LOG_SEGMENT_PREPARED,
    BAO_LOG_SEGMENT_OPEN,
    BAO_LOG_SEGMENT_CLOSED,
    BAO_LOG_SEGMENT_DROPPED /* no manifest names it, or soon none will */
};

struct bao_log_segment {
    uint64_t number;
    uint64_t file_bytes;
    uint64_t first_lsn;
    uint64_t last_lsn; /* of the last batch that ended in it; first - 1 */
    uint64_t bytes;    /* written up to here, whole batches */
    uint64_t synced_lsn;
    uint64_t synced_bytes;
    uint64_t dead_lsn;        /* last record when live became 0 */
    uint64_t drop_generation; /* DROPPED: the first manifest without it */
    int64_t live_bytes;
    uint32_t salt;
    uint32_t pins; /* reads under way */
    int file;      /* -1: not open */
    enum bao_log_segment_state state;
    bool listed;   /* a manifest names it, or will */
    bool moved;    /* its payloads were copied forward once */
    bool whole;    /* a start ended it early, and left its file as it was */
    uint64_t used; /* clock of the files: when it was used last */
    struct bao_log_segment *next_free;
};

/* One sync: of `segment`, after which everything up to `lsn` is safe. */
struct bao_log_sync {
    struct bao_log_job job;
    struct bao_log *log;
    struct bao_log_segment *segment;
    uint64_t lsn;
    uint64_t bytes;
    int file;
    struct bao_log_sync *next_free;
    struct bao_log_sync *next_made;
};

/* The one preparation under way. */
struct bao_log_prepare {
    struct bao_log_job job;
    struct bao_log *log;
    struct bao_log_segment *segment; /* what it will be */
    struct bao_log_segment *old;     /* made of this one, or NULL */
    char old_name[BAO_SEGMENT_NAME_BYTES];
    _Atomic uint64_t filled; /* bytes of the file that is being made */
    bool busy;
};

struct bao_log_removal {
    struct bao_log_job job;
    struct bao_log *log;
    struct bao_log_segment *segment;
    bool busy;
};

struct bao_log_manifest {
    struct bao_log_job job;
    struct bao_log *log;
    uint8_t *data; /* the copy under way */
    size_t bytes;
    struct bao_manifest_segment *segments; /* while it is made */
    uint64_t generation;    /* of the last copy written or under way */
    uint64_t saved;         /* both copies have at least this one */
    uint64_t sealed_number; /* the last one lists up to this segment */
    uint64_t sealed_bytes;  /* of it, then */
    uint64_t tail_number; /* the same of the last one that was saved: a start */
    uint64_t tail_bytes;  /* after a crash would write again what follows */
    uint64_t stated_lsn;  /* synced, as the last one says */
    uint64_t state_us;    /* when to say more, if nothing happens */
    uint64_t retry_us;    /* there was no room for a longer one */
    uint64_t file_bytes;  /* of the copies */
    int files[2];
    bool busy;
    bool wanted;
    bool clean;
};

/* A block of a checkpoint on its way. */
#define BAO_LOG_BLOCKS 8u
struct bao_log_block {
    struct bao_log_job job;
    struct bao_log *log;
    uint8_t *data;
    size_t bytes;
    uint64_t offset;
    bool busy;
};

struct bao_log_checkpoint {
    enum bao_log_checkpoint_state state;
    struct bao_manifest_checkpoint now; /* being written */
    struct bao_manifest_checkpoint kept[BAO_MANIFEST_CHECKPOINTS];
    uint32_t kept_count;
    uint64_t last_number;     /* greatest of any file */
    uint64_t kept_generation; /* of the first manifest that names kept[0] */
    uint64_t begun_bytes;     /* stats.bytes when the last one began */
    uint64_t before_bytes;    /* of records before this start, since then */
    uint64_t retry_us;        /* given up: not before */
    uint32_t sequence;        /* of the block being filled */
    uint32_t crc;             /* over those before it */
    uint32_t fill;            /* of its pieces */
    uint32_t pieces;          /* in it */
    uint32_t filling;         /* which block it is */
    struct bao_log_block blocks[BAO_LOG_BLOCKS];
    struct bao_log_job job; /* open, end, give up */
    struct bao_log *log;
    char reuse[BAO_CHECKPOINT_NAME_BYTES]; /* becomes ballast, or "" */
    char gone[BAO_CHECKPOINT_NAME_BYTES];  /* not kept any more, or "" */
    uint64_t gone_generation;
    uint64_t end_lsn; /* the last one when the image was complete */
    struct bao_log_job ballast_job;
    char ballast_reuse[BAO_CHECKPOINT_NAME_BYTES];
    bool ballast_busy;
    uint64_t ballast_bytes; /* there for the next image */
    uint64_t ballast_taken; /* by an image whose end sets as much free */
    uint64_t ballast_asked; /* of the job under way */
    uint64_t ballast_us;    /* there was no room for it: not before */
    bool ballast_full;      /* so it was the last time */
    uint64_t file_bytes;    /* when it was opened */
    int file;
    bool job_busy;
    bool trailed; /* the last block is on its way */
    bool ending;  /* the end job was submitted */
    bool given_up;
    bool sync_failed; /* of the file that is being written */
};

/* What the file system said. */
struct bao_log_space {
    uint64_t segments; /* that can yet be made */
    uint64_t again;    /* dropped ones that can be used again */
    uint64_t ask_us;   /* when to ask again */
    bool known;
};

struct bao_log_mover; /* log_move.c */
struct bao_log_scrub; /* log_scrub.c */

struct bao_log {
    const struct bao_storage *storage;
    struct bao_log_jobs jobs;
    struct bao_log_owner owner;
    uint64_t random;
    uint64_t directory;
    uint64_t stride_bytes;
    uint64_t next_number;
    uint64_t tail_first;
    uint64_t epoch_floor;
    uint64_t now_us;
    uint64_t checkpoint_bytes;
    bool serving;
    bool jobs_open;
    struct bao_log_start *start; /* until replay has settled it */

    /* Segments, by number. */
    struct bao_log_segment **segments;
    struct bao_log_segment *pool;
    struct bao_log_segment *free;
    uint32_t segment_count;
    uint32_t segments_max;
    uint32_t hint; /* index of the one that was looked up last */
    uint32_t prepared;
    uint32_t files_open; /* of closed segments */
    uint64_t files_clock;
    struct bao_log_segment *open;

    /* The batch. */
    uint8_t *buffer;
    uint32_t buffer_bytes;
    uint32_t fill;
    uint64_t offset; /* in the open segment, of buffer[0] */
    uint64_t last_lsn;
    uint64_t batch_lsn;
    uint32_t batch_count;
    uint32_t batch_crc;
    struct bao_log_marks marks;
    uint64_t mark_lsn; /* of the last MARK */

    /* Syncing. */
    struct bao_log_sync *syncs; /* all that were made */
    struct bao_log_sync *free_syncs;
    struct bao_log_sync *last_sync; /* submitted; may have been taken */
    atomic_bool sync_failed;        /* no other sync may be tried */
    uint64_t asked_lsn;             /* a sync up to here was submitted */
    uint64_t asked_bytes;           /* log bytes then */
    uint64_t lazy_us;               /* when the lazy rest is due */
    uint64_t idle_us;               /* when everything was synced */

    struct bao_log_prepare prepare;
    struct bao_log_removal removal;
    struct bao_log_manifest manifest;
    struct bao_log_checkpoint checkpoint;
    struct bao_log_mover *mover;
    struct bao_log_scrub *scrub;
    struct bao_log_space space;
    uint64_t room_retry_us; /* full: when to try again */
    uint64_t press_us;      /* room is wanted until then */
    bool full;

    bool failed;
    char failure[256];
    struct bao_log_stats stats;
};

/* --- log_open.c --- */
/* Ends the log: `what` failed on `file` with -errno. */
void bao_log_fail(struct bao_log *log,
                  const char *what,
                  const char *file,
                  int error);
/* Fills `report->problem` for a disk call that failed; its status. */
enum baozi_status bao_log_complain(struct bao_log_report *report,
                                   const char *what,
                                   const char *file,
                                   int error);
bool bao_log_is_want_of_room(int error); /* ENOSPC, EDQUOT, as -errno */
/* Puts are to be refused unless there is room for certain. */
static inline bool bao_log_is_full(const struct bao_log *log)
{
    return log->full || log->checkpoint.ballast_full;
}
uint64_t bao_log_random(struct bao_log *log);

/* --- disk calls that finish; 0 or -errno --- */
int bao_log_write_all(const struct bao_storage *storage,
                      int file,
                      const void *data,
                      size_t bytes,
                      uint64_t offset);
/* -EIO if the file ends before. */
int bao_log_read_all(const struct bao_storage *storage,
                     int file,
                     void *data,
                     size_t bytes,
                     uint64_t offset);
/* Opens, reads and closes a whole file: allocates *data. */
int bao_log_read_file(const struct bao_storage *storage,
                      const char *name,
                      uint8_t **data,
                      size_t *bytes);

/* --- log_segment.c --- */
struct bao_log_segment *bao_log_segment_new(struct bao_log *log,
                                            uint64_t number);
void bao_log_segment_free(struct bao_log *log, struct bao_log_segment *segment);
/* Puts it into the table; takes it out. */
void bao_log_segment_list(struct bao_log *log, struct bao_log_segment *segment);
void bao_log_segment_unlist(struct bao_log *log,
                            struct bao_log_segment *segment);
/* The one that holds the address, or NULL. */
struct bao_log_segment *bao_log_segment_at(const struct bao_log *log,
                                           uint64_t address);
/* Its file, opened if it is not; -errno. */
int bao_log_segment_file(struct bao_log *log, struct bao_log_segment *segment);
void bao_log_segment_close_file(struct bao_log *log,
                                struct bao_log_segment *segment);
/* What is won when a closed one is emptied, to be compared with the cost. */
static inline uint64_t
bao_log_segment_worth(const struct bao_log_segment *segment)
{
    return segment->whole ? segment->file_bytes : segment->bytes;
}
/* The oldest prepared one, or NULL. */
struct bao_log_segment *bao_log_segment_prepared(const struct bao_log *log);
/* Drops what nobody needs any more. */
void bao_log_segments_turn(struct bao_log *log);
/* Records before this lsn are in both checkpoints. */
uint64_t bao_log_keep_lsn(const struct bao_log *log);

/* --- log_append.c --- */
void bao_log_flush(struct bao_log *log);
/* One record made of a head (kind, group, index, term, queue) and data. */
enum baozi_status bao_log_put(struct bao_log *log,
                              struct bao_record_head *head,
                              const struct bao_span *spans,
                              size_t span_count,
                              uint64_t *address);
/* A MARK, if there is room for one. */
void bao_log_put_mark(struct bao_log *log);
/* A trailer: only a head. */
void bao_log_put_trailer(struct bao_log *log, struct bao_record_head *head);
void bao_log_end_batch(struct bao_log *log);
/* Makes a prepared segment the open one. */
void bao_log_open_segment(struct bao_log *log,
                          struct bao_log_segment *segment,
                          uint64_t first_lsn);

/* --- log_room.c --- */
static inline uint64_t bao_log_left_in_open(const struct bao_log *log)
{
    return log->open->file_bytes - log->offset - log->fill;
}
void bao_log_space_ask(struct bao_log *log);
/* At a start: true if the reserve cannot be had. */
bool bao_log_is_short(const struct bao_log *log);

/* --- log_sync.c --- */
void bao_log_sync_push(struct bao_log *log,
                       struct bao_log_segment *segment,
                       uint64_t lsn);
void bao_log_sync_turn(struct bao_log *log);
void bao_log_sync_fini(struct bao_log *log);

/* --- log_prepare.c --- */
void bao_log_prepare_turn(struct bao_log *log);
/* Prepares one here and now; `bytes` 0: of the usual size, of a dropped one
 * if there is any. 0 or -errno. */
int bao_log_prepare_now(struct bao_log *log,
                        uint64_t bytes,
                        struct bao_log_segment **segment);
/* Prepared ones, and dropped ones that can be used again. */
uint32_t bao_log_spare_count(const struct bao_log *log);
/* Dropped ones that become prepared ones without any room of the disk. */
uint32_t bao_log_again_count(const struct bao_log *log);
/* At a start: gives the room of one of these back; false if there is none. */
bool bao_log_remove_spare(struct bao_log *log);
/* Waits until one is prepared; false if there is no room. */
bool bao_log_prepare_wait(struct bao_log *log);
extern const char bao_log_prepare_name[];
extern const char bao_log_again_name[];

/* --- log_manifest.c --- */
bool bao_log_manifest_allocate(struct bao_log *log);
void bao_log_manifest_fini(struct bao_log *log);
int bao_log_manifest_open(struct bao_log *log);
void bao_log_manifest_turn(struct bao_log *log);
/* Writes both copies here and now. */
int bao_log_manifest_now(struct bao_log *log);
/* The state that the next manifest states has changed. */
void bao_log_manifest_want(struct bao_log *log);
extern const char *const bao_log_manifest_names[2];

/* --- log_checkpoint.c --- */
enum baozi_status bao_log_checkpoint_open(struct bao_log *log);
void bao_log_checkpoint_turn(struct bao_log *log);
void bao_log_checkpoint_fini(struct bao_log *log);
/* Bytes that images are likely to grow by. */
uint64_t bao_log_checkpoint_growth(const struct bao_log *log);
extern const char bao_log_checkpoint_temporary[];

/* --- log_load.c --- */
typedef enum baozi_status bao_log_take_piece(void *context,
                                             struct bao_span piece);
/* Walks all blocks of an image; with `take` NULL it only checks. OK | LOST
 * (damaged or not there) | NO_MEMORY | what `take` returned */
enum baozi_status
bao_log_checkpoint_walk(const struct bao_storage *storage,
                        const struct bao_manifest_checkpoint *which,
                        bao_log_take_piece *take,
                        void *context);

/* --- log_folder.c: what a folder holds --- */
struct bao_log_numbers {
    uint64_t *numbers;
    uint32_t count;
    uint32_t room;
};
struct bao_log_folder {
    struct bao_manifest manifest;       /* the one that counts */
    struct bao_log_numbers segments;    /* of the files, ascending */
    struct bao_log_numbers checkpoints; /* of the files */
    bool has_manifest[2];
    bool no_memory;
};
/* Lists the names and reads the manifests. OK (report->fresh: there is
 * nothing) or why not. */
enum baozi_status bao_log_folder_read(struct bao_log *log,
                                      struct bao_log_folder *folder,
                                      struct bao_log_report *report);
void bao_log_folder_fini(struct bao_log_folder *folder);

/* --- log_recover.c --- */
enum baozi_status bao_log_recover(struct bao_log *log,
                                  const struct bao_log_config *config,
                                  struct bao_log_report *report);
/* Fills the report of a damage; STORAGE_FAILED. */
enum baozi_status bao_log_corrupt(struct bao_log_report *report,
                                  const char *file,
                                  uint64_t offset,
                                  uint64_t lsn,
                                  const char *why);
/* When it is known what is live: gives the rest of a file that was left whole
 * back, unless emptying the segment is worth more. */
void bao_log_cut_ended(struct bao_log *log);

/* --- log_tail.c --- */
/* A piece of the tail: whole batches are between `from` and `to`. */
struct bao_log_part {
    uint64_t number;
    uint8_t *data;  /* of file_bytes; read: the head, and from on */
    uint64_t bytes; /* read up to here */
    uint64_t file_bytes;
    uint64_t from;
    uint64_t to;
    uint32_t salt;
    bool has_head;
    bool is_cut; /* the file is shorter than it was made */
};
struct bao_log_tail {
    struct bao_log_part *parts;
    uint32_t part_count;
    uint32_t used; /* of the parts, whole or torn; the rest was prepared */
    uint64_t first_lsn;
    uint64_t last_lsn; /* of the last whole batch; first - 1: nothing */
};
/* Walks it, cuts what is torn, refuses what is damaged. */
enum baozi_status bao_log_tail_read(struct bao_log *log,
                                    const struct bao_log_folder *folder,
                                    struct bao_log_tail *tail,
                                    struct bao_log_report *report);
void bao_log_tail_fini(struct bao_log_tail *tail);

/* What a start found, until bao_log_settle(). */
struct bao_log_start {
    struct bao_log_folder folder;
    struct bao_log_tail tail;
};
/* The tail into a fresh segment, and manifests that say so. */
enum baozi_status bao_log_settle(struct bao_log *log,
                                 struct bao_log_report *report);
void bao_log_start_fini(struct bao_log *log);

/* --- log_rewrite.c --- */
/* Opens a fresh segment that begins with the tail; synced. */
enum baozi_status bao_log_rewrite(struct bao_log *log,
                                  const struct bao_log_tail *tail,
                                  struct bao_log_report *report);

/* --- log_move.c, log_scrub.c --- */
enum baozi_status bao_log_move_open(struct bao_log *log);
void bao_log_move_turn(struct bao_log *log);
void bao_log_move_fini(struct bao_log *log);
uint64_t bao_log_move_deadline(const struct bao_log *log);
enum baozi_status bao_log_scrub_open(struct bao_log *log);
void bao_log_scrub_turn(struct bao_log *log);
uint64_t bao_log_scrub_deadline(const struct bao_log *log);
void bao_log_scrub_fini(struct bao_log *log);

#endif
