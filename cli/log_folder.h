/*
 * log_folder.h - a broker's data folder, read without a broker: for the verbs
 * `baozi log ...`.
 *
 * It is locked as the broker locks it: shared to look at it, alone to change
 * it. With a running broker in it, what is sealed can be trusted and the tail
 * is in motion. The layout is in broker/JOURNAL.md.
 */
#ifndef BAO_CLI_LOG_FOLDER_H
#define BAO_CLI_LOG_FOLDER_H

#include "cli/cli.h"
#include "common/disk_manifest.h"
#include "common/disk_scan.h"

#define LOG_QUARANTINE "quarantine-" /* a folder of what a repair cut off */

struct log_segment {
    uint64_t number;
    struct bao_span bytes; /* the whole file */
    struct bao_segment_head head;
    bool has_head;
    bool new_head;                    /* that a repair will write */
    bool edited;                      /* so are the bytes */
    bool listed;                      /* the rest: */
    struct bao_manifest_segment seal; /* what the manifest says of it */
};

struct log_folder {
    const char *path;
    int folder;
    int lock;
    bool busy;                    /* a broker runs in it */
    struct log_segment *segments; /* by number */
    size_t count;
    bool has_manifest;
    struct bao_manifest manifest;
    enum bao_manifest_verdict copies[2];
    bool has_copy[2];
    uint64_t checkpoint_last; /* greatest number of any */
    uint64_t aside_last;      /* of a segment that a repair set aside */
};

/* Opens and reads it all. False: a message was printed, *exit_code is set. */
bool log_folder_open(const struct cli *cli,
                     const char *path,
                     bool alone,
                     struct log_folder *folder,
                     int *exit_code);
void log_folder_close(struct log_folder *folder);

/* Makes the manifest anew from the segments (log_rebuild.c). Returns an exit
 * code; but for 0 a message was printed. */
int log_manifest_rebuild(const struct cli *cli, struct log_folder *folder);

/* True if the file of a listed segment is the one that was listed, and is not
 * cut. */
bool log_segment_is_there(const struct log_segment *segment);

/* Its bytes, to be changed in memory alone; NULL if that cannot be. */
uint8_t *log_segment_edit(struct log_segment *segment);

/* False for one that was prepared and never used. */
bool log_segment_is_used(const struct log_segment *segment);

/* What is wrong at a place. */
struct log_damage {
    char file[BAO_CHECKPOINT_NAME_BYTES];
    uint64_t offset;
    uint64_t lsn;
    uint64_t queue; /* of the record, 0: not known */
    uint64_t item;  /* whose payload it is, 0: a record is damaged */
    const char *why;
    bool harmless;       /* a broker starts all the same */
    uint64_t sealed_lsn; /* of a record in a sealed segment: the last one there
                            (a start that needs none of it does not read it) */
    uint64_t file_lsn;   /* a listed segment is gone, cut or another one: the
                            last record that it should have */
};

/* True if a start from a checkpoint with that replay_lsn does not read it. */
bool log_damage_is_unread(const struct log_damage *damage, uint64_t replay_lsn);

/* "FILE, offset N, ...: why", without a newline, on stdout; and as JSON. */
void log_damage_print(const struct log_damage *damage);
json_t *log_damage_json(const struct log_damage *damage);

/* A file of the folder, whole: mapped, or absent. */
struct bao_span log_folder_map(const struct log_folder *folder,
                               const char *name);
void log_folder_unmap(struct bao_span bytes);

/* Reads a checkpoint through; false with what is wrong. */
bool log_checkpoint_check(const struct log_folder *folder,
                          const struct bao_manifest_checkpoint *checkpoint,
                          struct log_damage *damage);

/* The newest one that is whole, which a start takes; NULL if none is. */
const struct bao_manifest_checkpoint *
log_checkpoint_newest(const struct log_folder *folder);

/* Where a start begins to read. */
uint64_t log_replay_lsn(const struct log_folder *folder);
/* True if the listed segments have all records from there on; a start refuses
 * else. */
bool log_order_is_whole(const struct log_folder *folder,
                        struct log_damage *damage);

/* What a walk sees and finds. */
struct log_walk {
    void *context;
    void (*record)(void *context,
                   const struct log_segment *segment,
                   uint64_t offset,
                   const struct bao_record_head *head,
                   struct bao_span data);
    void (*damage)(void *context, const struct log_damage *damage);
    bool stop;
    /* Filled: */
    uint64_t records;
    uint64_t entries;
    uint64_t batches;
    uint64_t whole_lsn; /* the last one of the last whole batch */
    const struct log_segment *whole_segment; /* where it ended, or NULL */
    uint64_t whole_offset;
    uint64_t durable_lsn;  /* the greatest that anything states */
    uint64_t torn_records; /* behind the end, never synced */
};

/* Goes through all records in order, sealed ones and the tail. Behind a damage
 * it goes on with the next segment, unless `damage` sets `stop`. */
void log_folder_walk(const struct log_folder *folder, struct log_walk *walk);

#endif
