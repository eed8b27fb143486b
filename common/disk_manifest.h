/*
 * disk_manifest.h - what a folder holds and how far it is known to be synced.
 *
 * Two copies, `manifest.0` and `manifest.1`, are written in turn, the one
 * with the even generation first; the valid one with the greater generation
 * counts. Nothing that either copy names is removed before both no longer do.
 *
 * The first 24 bytes (magic, format, checksum, length) stay the same in every
 * format, so that an old program knows a newer folder when it sees one.
 */
#ifndef BAO_DISK_MANIFEST_H
#define BAO_DISK_MANIFEST_H

#include "common/disk_record.h"

#define BAO_MANIFEST_HEAD_BYTES    160u
#define BAO_MANIFEST_SEGMENT_BYTES 56u
#define BAO_MANIFEST_CHECKPOINTS   2u

#define BAO_CHECKPOINT_NAME_BYTES 28u /* "checkpoint-%016llx" and the end */

/* Of a segment, what is sealed: written, and its sync had returned. */
struct bao_manifest_segment {
    uint64_t number;
    uint64_t first_lsn;
    uint64_t last_lsn;   /* first_lsn - 1: nothing yet */
    uint64_t bytes;      /* of the file up to there; what follows in it may
                            be part of the tail if the segment is open */
    uint64_t file_bytes; /* its size when it was prepared */
    uint32_t salt;
    bool closed; /* nothing follows in it */
};

struct bao_manifest_checkpoint {
    uint64_t number;
    uint64_t index;      /* the last entry that it holds */
    uint64_t replay_lsn; /* the first record that it does not */
    uint64_t bytes;      /* of the file */
};

struct bao_manifest {
    uint32_t format;
    bool clean; /* closed in order: nothing follows the sealed part */
    uint64_t directory;
    uint64_t generation;
    uint64_t stride_bytes;
    uint64_t tail_first;  /* segments from here on that are not listed may
                             hold the log's tail, smaller ones are unused */
    uint64_t next_number; /* of the next segment that is prepared */
    uint64_t durable_lsn; /* the log was synced up to here */
    uint64_t epoch_floor; /* a start has a greater epoch: what a repair cut off
                             may have had this one */
    uint32_t checkpoint_count;
    uint32_t segment_count;
    /* Newest first. */
    struct bao_manifest_checkpoint checkpoints[BAO_MANIFEST_CHECKPOINTS];
    struct bao_manifest_segment *segments; /* by number */
};

/* Bytes of the copy with so many segments. */
size_t bao_manifest_bytes(uint32_t segment_count);

/* Writes bao_manifest_bytes(). */
void bao_manifest_encode(const struct bao_manifest *manifest, uint8_t *to);

/* The same with another generation. */
void bao_manifest_set_generation(uint8_t *manifest, uint64_t generation);

enum bao_manifest_verdict {
    BAO_MANIFEST_GOOD,
    BAO_MANIFEST_DAMAGED,
    BAO_MANIFEST_NEWER, /* whole, but of a newer format */
    BAO_MANIFEST_MANY   /* more segments than there is room for */
};

/* Reads a copy into `manifest`, whose `segments` has room for `room`. */
enum bao_manifest_verdict bao_manifest_decode(struct bao_span from,
                                              struct bao_manifest *manifest,
                                              uint32_t room);

void bao_checkpoint_name(uint64_t number, char name[BAO_CHECKPOINT_NAME_BYTES]);
bool bao_checkpoint_number(const char *name, uint64_t *number);

/* --- blocks of a checkpoint --- */

/*
 * A checkpoint is blocks of at most 64 KiB: [crc u32][bytes u32][sequence
 * u32][pieces u32] and pieces, each [bytes u32][data], padded to 4. The last
 * block has no pieces but 32 bytes: [index u64][replay lsn u64][blocks u64]
 * [crc of all blocks' crcs u32][magic u32]; its sequence has the top bit set.
 */
#define BAO_BLOCK_BYTES         (64u * 1024u)
#define BAO_BLOCK_HEAD_BYTES    16u
#define BAO_BLOCK_TRAILER_BYTES 32u
#define BAO_BLOCK_LAST          0x80000000u

struct bao_block_trailer {
    uint64_t index;
    uint64_t replay_lsn;
    uint64_t blocks;
    uint32_t crc;
};

/* Bytes that a piece takes in a block. */
static inline size_t bao_piece_bytes(size_t data_bytes)
{
    return 4 + (data_bytes + 3) / 4 * 4;
}
/* Completes a block whose `pieces_bytes` of pieces lie behind its head;
 * returns its crc. */
uint32_t bao_block_seal(uint8_t *block,
                        size_t pieces_bytes,
                        uint32_t sequence,
                        uint32_t pieces);
/* Writes the last block; returns its bytes. */
size_t bao_block_trailer_encode(const struct bao_block_trailer *trailer,
                                uint8_t *to);

/* A block at the beginning of `from`: its pieces, and its bytes in all. False
 * if it is damaged or not the `sequence`-th. */
struct bao_block {
    uint32_t crc;
    uint32_t pieces;
    size_t bytes;
    struct bao_span body;
    bool last;
};
bool bao_block_decode(struct bao_span from,
                      uint32_t sequence,
                      struct bao_block *block);
bool bao_block_trailer_decode(const struct bao_block *block,
                              struct bao_block_trailer *trailer);
/* Takes the next piece off `body`; false if there is none. */
bool bao_block_next(struct bao_span *body, struct bao_span *piece);

#endif
