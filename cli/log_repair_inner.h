/*
 * log_repair_inner.h - what a repair has found and will do; for the files
 * log_repair*.c alone.
 */
#ifndef BAO_CLI_LOG_REPAIR_INNER_H
#define BAO_CLI_LOG_REPAIR_INNER_H

#include "cli/log_gaps.h"
#include "cli/log_payloads.h"
#include "cli/log_write.h"

#define LOG_REPAIR_QUEUES_MAX 16u

/* What the walk saw of a segment. */
struct log_walked {
    uint64_t first_lsn; /* 0: nothing */
    uint64_t last_lsn;
    uint64_t end; /* behind the last */
    bool useless; /* the file is not the segment that it should be */
};

/* Segments that no start reads and that are gone or cut. */
#define LOG_REPAIR_FILES_MAX 16u

struct log_repair {
    const struct cli *cli;
    struct log_folder *folder;
    struct log_walk walk;
    struct log_walked *walked; /* of each segment of the folder */
    struct log_damage damage;  /* the first that matters */
    bool found;
    size_t heads; /* of segments, that are made anew */
    struct log_damage files[LOG_REPAIR_FILES_MAX]; /* the first ones */
    size_t file_count;
    struct log_gaps gaps;         /* in front of replay_lsn, that are filled */
    struct log_payloads payloads; /* damaged, and not behind the cut */
    bool rebuilt;                 /* there was no manifest */
    bool unordered;               /* records are missing before its end */
    uint64_t replay_lsn;          /* of the checkpoint that will be used */
    uint64_t kept_lsn;            /* everything up to it */
    struct bao_manifest next;
    char aside[LOG_ASIDE_BYTES]; /* name of the quarantine */
    /* What is lost. */
    uint64_t lost_entries;
    uint64_t lost_first;
    uint64_t lost_last;
    uint64_t queues[LOG_REPAIR_QUEUES_MAX];
    size_t queue_count;
    uint64_t kept_copies;
};

/* True if the log ends earlier than before, or its end was only found. */
static inline bool log_repair_is_cut(const struct log_repair *repair)
{
    return repair->found || repair->rebuilt;
}

/* True if records are missing between those that are kept and the end of the
 * checkpoint, which has all that they say. */
static inline bool log_repair_is_apart(const struct log_repair *repair)
{
    return log_repair_is_cut(repair) &&
           repair->walk.whole_lsn + 1 < repair->replay_lsn;
}

/* Says what was lost and kept. Returns an exit code. */
int log_repair_tell(const struct log_repair *repair);

#endif
