/*
 * log_copies.h - a segment of nothing but COPY records, made in memory: the
 * payloads that a repair keeps of what it cuts off.
 */
#ifndef BAO_CLI_LOG_COPIES_H
#define BAO_CLI_LOG_COPIES_H

#include "common/disk_scan.h"

struct log_copies {
    uint8_t *data; /* whose owner frees it; its head is written last */
    size_t bytes;  /* 0: nothing was added */
    size_t room;
    uint64_t lsn; /* of the next record */
    uint32_t salt;
    uint64_t batch_lsn;
    uint32_t batch_count;
    uint32_t batch_crc;
};

/* Adds a record with the next lsn. False if memory ran out. */
bool log_copies_add(struct log_copies *copies,
                    struct bao_record_head *head,
                    struct bao_span data);
/* Adds a record that says nothing, behind a whole batch. False as above. */
bool log_copies_mark(struct log_copies *copies);
/* Ends the batch, if there is any. False as above. */
bool log_copies_end(struct log_copies *copies);

#endif
