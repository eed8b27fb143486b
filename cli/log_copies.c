/*
 * log_copies.c - see log_copies.h.
 */
#include "cli/log_copies.h"

#include <stdlib.h>
#include <string.h>

bool log_copies_add(struct log_copies *copies,
                    struct bao_record_head *head,
                    struct bao_span data)
{
    size_t bytes = (size_t)bao_record_bytes(data.bytes);
    if (copies->bytes + bytes > copies->room) {
        size_t room = (copies->bytes + bytes) * 2 + BAO_SEGMENT_HEAD_BYTES;
        uint8_t *grown = realloc(copies->data, room);
        if (grown == NULL)
            return false;
        copies->data = grown;
        copies->room = room;
    }
    if (copies->bytes == 0)
        copies->bytes = BAO_SEGMENT_HEAD_BYTES;
    uint8_t *at = copies->data + copies->bytes;
    memset(at, 0, bytes);
    head->lsn = copies->lsn++;
    head->salt = copies->salt;
    bao_record_encode(head, at);
    if (data.bytes > 0)
        memcpy(at + BAO_RECORD_HEAD_BYTES, data.data, data.bytes);
    copies->bytes += bytes;
    if (copies->batch_count++ == 0)
        copies->batch_lsn = head->lsn;
    copies->batch_crc = bao_batch_crc(copies->batch_crc, head);
    return true;
}

bool log_copies_mark(struct log_copies *copies)
{
    struct bao_record_head head = {.kind = BAO_RECORD_MARK,
                                   .term = copies->lsn - 1};
    const bool good = log_copies_add(copies, &head, bao_span_of(NULL, 0));
    copies->batch_count = 0; /* it stands alone */
    copies->batch_crc = 0;
    return good;
}

bool log_copies_end(struct log_copies *copies)
{
    struct bao_record_head head = {
        .kind = BAO_RECORD_BATCH_END,
        .group = copies->batch_count,
        .index = copies->batch_lsn,
        .term = copies->batch_lsn - 1,
        .data_crc = copies->batch_crc,
    };
    return copies->batch_count == 0 ||
           log_copies_add(copies, &head, bao_span_of(NULL, 0));
}
