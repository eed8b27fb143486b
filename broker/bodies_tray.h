/*
 * bodies_tray.h - up to 64 payloads of one queue, side by side.
 *
 * A tray holds the payloads of 64 numbers in a row. Each of them that came is
 * an entry, in the order of the numbers; columns behind the tray say where its
 * bytes end, and in the log, at which address they lie and what their checksum
 * is. The bytes lie back to back in one chunk:
 *
 *   placed  ..1 1 1.1 1    numbers that have an entry (rank = bits below)
 *   live    ..1 . 1.1 1    of these, those that are still there
 *   ends      100 180 250 390 470
 *   chunk            [  ][     ][    ]    cold entries come first and have no
 *                                         bytes here, only an address
 *
 * Entries are added at the end. What dies leaves a hole; a repack takes holes
 * out. Whoever keeps a payload counts in its chunk, which stays where it is
 * for him: a tray that needs another one leaves it to him.
 *
 * Addresses are differences of 32 bits as long as all of them lie within
 * 4 GiB, else 64 bits.
 *
 * Functions that answer a tray may have moved it. No other file than the
 * bodies' includes this.
 */
#ifndef BAO_BODIES_TRAY_H
#define BAO_BODIES_TRAY_H

#include "broker/bodies.h"
#include "common/check.h"

#define BAO_TRAY_BITS      6u
#define BAO_TRAY_SLOTS     (1u << BAO_TRAY_BITS)
#define BAO_TRAY_BYTES_MAX 4096u /* one of so many lies alone */

struct bao_chunk {
    struct bao_frame *frame; /* its bytes, or NULL: they follow */
    uint32_t references;
    uint32_t capacity; /* bytes that follow */
};

struct bao_tray {
    struct bao_chunk *chunk; /* NULL = all entries are cold */
    uint64_t placed;
    uint64_t live;
    uint64_t base;         /* of the addresses, if they are 32 bits */
    uint32_t before_bytes; /* of the cold entries */
    uint32_t hole_bytes;   /* in the chunk */
    uint8_t capacity;      /* of the columns */
    uint8_t entries;       /* bits of `placed` */
    uint8_t alive;         /* bits of `live` */
    uint8_t cold;          /* entries: the first so many */
    uint8_t address_bytes; /* 4 or 8; 0 = no log: neither addresses nor
                              checksums */
    /* Columns follow: ends, addresses, checksums. */
};

/* An entry that died. */
struct bao_death {
    uint64_t address;
    uint32_t bytes;
    bool hot; /* its bytes were in memory */
};

/* A chunk with one reference and room for `bytes`. */
struct bao_chunk *bao_chunk_new(struct bao_bodies *bodies, uint32_t bytes);
void bao_chunk_drop(struct bao_bodies *bodies, struct bao_chunk *chunk);
static inline uint8_t *bao_chunk_bytes(struct bao_chunk *chunk)
{
    return (uint8_t *)(chunk + 1);
}

/*
 * Makes room for `count` more entries, the first of them of number `slot`.
 * `tray` may be NULL: then it is a new one. `addressed`: they have addresses.
 */
struct bao_tray *bao_tray_reserve(struct bao_bodies *bodies,
                                  struct bao_tray *tray,
                                  unsigned slot,
                                  unsigned count,
                                  bool addressed);
/* Gives it back, and its count of its chunk. */
void bao_tray_free(struct bao_bodies *bodies, struct bao_tray *tray);

/* Where the bytes of the next entries go: `bytes` of them, of which the last
 * is of number `slot`. */
uint8_t *bao_tray_room(struct bao_bodies *bodies,
                       struct bao_tray *tray,
                       uint32_t bytes,
                       unsigned slot);
/* Where the bytes of each entry end. */
static inline uint32_t *bao_tray_ends(const struct bao_tray *tray)
{
    return (uint32_t *)(uintptr_t)(tray + 1);
}

/* Adds an entry behind all others, in room that was made; answers its rank. If
 * it has an address and a checksum, they are to be set. */
static inline unsigned
bao_tray_add(struct bao_tray *tray, unsigned slot, uint32_t bytes)
{
    const unsigned rank = tray->entries;
    uint32_t *ends = bao_tray_ends(tray);
    BAO_ASSERT(rank < tray->capacity);
    BAO_ASSERT(tray->placed >> slot == 0);
    ends[rank] = rank == 0 ? bytes : ends[rank - 1] + bytes;
    tray->placed |= UINT64_C(1) << slot;
    tray->live |= UINT64_C(1) << slot;
    tray->entries++;
    tray->alive++;
    return rank;
}

/* Adds an entry anywhere (or one that died there, again) to a tray whose
 * entries are all cold. Room was made. */
unsigned bao_tray_add_cold(struct bao_bodies *bodies,
                           struct bao_tray *tray,
                           unsigned slot,
                           uint32_t bytes);

/* The entry of a number: how many numbers below it are placed. Mostly all are,
 * from the first one on. */
static inline unsigned bao_tray_rank(const struct bao_tray *tray, unsigned slot)
{
    const uint64_t below = tray->placed & ((UINT64_C(1) << slot) - 1);
    const unsigned first = below == 0 ? slot : (unsigned)__builtin_ctzll(below);
    if (below >> first == (UINT64_C(1) << (slot - first)) - 1)
        return slot - first;
    return (unsigned)__builtin_popcountll(below);
}

void bao_tray_find(const struct bao_tray *tray,
                   unsigned rank,
                   struct bao_payload *payload);

/* It has addresses: this entry lies there. */
struct bao_tray *bao_tray_place(struct bao_bodies *bodies,
                                struct bao_tray *tray,
                                unsigned rank,
                                uint64_t address);
void bao_tray_set_crc(struct bao_tray *tray, unsigned rank, uint32_t crc);

/* An entry that lives dies. NULL: it was the last one, and the tray is gone. */
struct bao_tray *bao_tray_kill(struct bao_bodies *bodies,
                               struct bao_tray *tray,
                               unsigned slot,
                               struct bao_death *death);

/* Makes it cold, if the log has all of it; answers how many bytes of payloads
 * left memory. */
uint32_t bao_tray_cool(struct bao_bodies *bodies, struct bao_tray *tray);

/* Nothing will be added for long: gives spare room back. */
struct bao_tray *bao_tray_trim(struct bao_bodies *bodies,
                               struct bao_tray *tray);

/* Bytes that its dead entries still take: holes, and their share of the
 * columns. */
size_t bao_tray_waste(const struct bao_tray *tray);

/* Asserts the invariants, for tests. */
void bao_tray_check(const struct bao_tray *tray);

#endif
