/*
 * log_payloads.h - payloads that an item still needs, in segments that a start
 * does not read.
 *
 * The checkpoint says where they lie and what their checksums are. One that is
 * damaged harms nobody until its item is handed out; then the broker ends,
 * for it serves no other bytes. (If the item ended since the checkpoint,
 * nobody needs it any more; that cannot be seen here, for facts are not read.)
 */
#ifndef BAO_CLI_LOG_PAYLOADS_H
#define BAO_CLI_LOG_PAYLOADS_H

#include "cli/log_folder.h"
#include "common/disk_payload.h"

struct log_payloads {
    const struct log_folder *folder;
    struct bao_disk_payload *list; /* the damaged ones, by id */
    size_t count;
    size_t room;
    uint64_t replay_lsn; /* of the checkpoint */
    size_t hint;         /* the segment where the last one was */
    bool no_memory;
};

/* Reads all payloads that the newest whole checkpoint has. False if memory
 * ran out, or if that checkpoint cannot be understood. */
bool log_payloads_find(const struct log_folder *folder,
                       struct log_payloads *found);
void log_payloads_free(struct log_payloads *found);

/* Where one lies, and what is wrong. */
struct log_damage log_payload_damage(const struct log_payloads *found,
                                     const struct bao_disk_payload *payload);

/* Writes their bytes, and a list of them, into the folder `aside`. */
bool log_payloads_set_aside(const struct log_payloads *found,
                            const char *aside);

/* Writes `checkpoint` without them, as number `number`, and makes it that. */
bool log_payloads_forget(struct log_payloads *found,
                         struct bao_manifest_checkpoint *checkpoint,
                         uint64_t number);

#endif
