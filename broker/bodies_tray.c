/*
 * bodies_tray.c - the trays of bodies_tray.h.
 *
 * Invariant: bodies->waste_bytes is the sum of what dead entries of all trays
 * still take, holes and columns; ends never fall, and the bytes of an entry
 * are what lies between the end before and its own.
 */
#include "broker/bodies_tray.h"

#include "broker/bodies_inner.h"
#include "common/check.h"
#include "common/poison.h"

#define CAPACITY_FIRST 4u
#define SPARE_ENTRIES  4u   /* fewer are not worth another block */
#define SPARE_LEAST    512u /* bytes of a chunk that may still grow */
#define WASTE_LEAST    (UINT64_C(1) << 20)
#define WASTE_SHARE    8u /* of all that is used: that much may be waste */

_Static_assert(sizeof(struct bao_tray) == 48 && sizeof(struct bao_chunk) == 16,
               "a tray's share of an item of a full one is 1 byte");
_Static_assert(sizeof(struct bao_tray) % sizeof(uint64_t) == 0,
               "columns lie behind it");
_Static_assert((uint64_t)BAO_TRAY_SLOTS *BAO_ITEM_BYTES_MAX < UINT32_MAX,
               "all ends of a tray fit into 32 bits");

/* --- columns --- */

static size_t entry_bytes(unsigned address_bytes)
{
    const size_t crc_bytes = address_bytes > 0 ? sizeof(uint32_t) : 0;
    return sizeof(uint32_t) + address_bytes + crc_bytes;
}

/* Of 4 or 8 bytes each; the capacity is even, so they are aligned. */
static void *addresses(const struct bao_tray *tray)
{
    return bao_tray_ends(tray) + tray->capacity;
}

static uint32_t *crcs(const struct bao_tray *tray)
{
    return (uint32_t *)(void *)((uint8_t *)addresses(tray) +
                                (size_t)tray->capacity * tray->address_bytes);
}

static uint32_t last_end(const struct bao_tray *tray)
{
    return tray->entries == 0 ? 0 : bao_tray_ends(tray)[tray->entries - 1];
}

static uint32_t begin_of(const struct bao_tray *tray, unsigned rank)
{
    return rank == 0 ? 0 : bao_tray_ends(tray)[rank - 1];
}

/* Bytes of the chunk that entries have or had. */
static uint32_t used_bytes(const struct bao_tray *tray)
{
    return last_end(tray) - tray->before_bytes;
}

size_t bao_tray_waste(const struct bao_tray *tray)
{
    const size_t dead = (size_t)tray->entries - tray->alive;
    return tray->hole_bytes + dead * entry_bytes(tray->address_bytes);
}

/* True if the first number of those that are `left` lives. */
static bool first_lives(const struct bao_tray *tray, uint64_t left)
{
    return (tray->live & left & (~left + 1)) != 0;
}

/* --- addresses --- */

static uint64_t address_at(const struct bao_tray *tray, unsigned rank)
{
    if (tray->address_bytes == 0)
        return 0;
    if (tray->address_bytes == sizeof(uint64_t))
        return ((const uint64_t *)addresses(tray))[rank];
    const uint32_t near = ((const uint32_t *)addresses(tray))[rank];
    return near == 0 ? 0 : tray->base + near - 1;
}

static bool is_near(uint64_t base, uint64_t address)
{
    return address >= base && address - base < UINT32_MAX;
}

/* It fits. */
static void set_address(struct bao_tray *tray, unsigned rank, uint64_t address)
{
    if (tray->address_bytes == sizeof(uint64_t)) {
        ((uint64_t *)addresses(tray))[rank] = address;
        return;
    }
    BAO_ASSERT(address == 0 || is_near(tray->base, address));
    ((uint32_t *)addresses(tray))[rank] =
        address == 0 ? 0 : (uint32_t)(address - tray->base + 1);
}

/* The least of `address` and those of all that live, but for `rank`; false if
 * they are too far apart for 32 bits. */
static bool is_narrow(const struct bao_tray *tray,
                      unsigned rank,
                      uint64_t address,
                      uint64_t *least)
{
    uint64_t most = address;
    uint64_t left = tray->placed;
    *least = address;
    for (unsigned i = 0; left != 0; i++, left &= left - 1) {
        const bool lives = first_lives(tray, left);
        const uint64_t at = lives && i != rank ? address_at(tray, i) : 0;
        if (at == 0)
            continue;
        *least = at < *least ? at : *least;
        most = at > most ? at : most;
    }
    return is_near(*least, most);
}

/* --- blocks --- */

static void copy_columns(struct bao_tray *to, const struct bao_tray *from)
{
    const size_t bytes = from->entries * sizeof(uint32_t);
    uint64_t left = from->placed;
    memcpy(bao_tray_ends(to), bao_tray_ends(from), bytes);
    if (from->address_bytes > 0)
        memcpy(crcs(to), crcs(from), bytes);
    else if (to->address_bytes > 0)
        memset(crcs(to), 0, bytes);
    if (to->address_bytes == from->address_bytes && to->base == from->base) {
        memcpy(addresses(to),
               addresses(from),
               (size_t)from->entries * from->address_bytes);
        return;
    }
    for (unsigned i = 0; left != 0; i++, left &= left - 1)
        set_address(to, i, first_lives(from, left) ? address_at(from, i) : 0);
}

/* The same in a block of another size, its addresses in another form. Those of
 * the dead are forgotten. */
static struct bao_tray *resize(struct bao_bodies *bodies,
                               struct bao_tray *from,
                               unsigned capacity,
                               unsigned address_bytes,
                               uint64_t base)
{
    BAO_ASSERT(capacity >= from->entries && capacity % 2 == 0);
    struct bao_tray *to = bao_bodies_room(
        bodies, sizeof *to + capacity * entry_bytes(address_bytes));
    *to = *from;
    to->capacity = (uint8_t)capacity;
    to->address_bytes = (uint8_t)address_bytes;
    to->base = base;
    copy_columns(to, from);
    bodies->waste_bytes -= bao_tray_waste(from);
    bodies->waste_bytes += bao_tray_waste(to);
    bao_arena_give(bodies->arena, from);
    return to;
}

/* Room for `needed` entries, of at most `most` that can still come. */
static unsigned capacity_for(unsigned needed, unsigned most)
{
    unsigned capacity = CAPACITY_FIRST;
    BAO_ASSERT(needed <= most);
    while (capacity < needed)
        capacity *= 2;
    capacity = capacity < most ? capacity : most;
    return capacity + capacity % 2;
}

struct bao_tray *bao_tray_reserve(struct bao_bodies *bodies,
                                  struct bao_tray *tray,
                                  unsigned slot,
                                  unsigned count,
                                  bool addressed)
{
    const unsigned entries = tray == NULL ? 0 : tray->entries;
    unsigned address_bytes = tray == NULL ? 0 : tray->address_bytes;
    unsigned capacity = tray == NULL ? 0 : tray->capacity;
    unsigned most = entries + BAO_TRAY_SLOTS - slot;
    if (addressed && address_bytes == 0)
        address_bytes = sizeof(uint32_t);
    most = most < BAO_TRAY_SLOTS ? most : BAO_TRAY_SLOTS;
    if (entries + count > capacity)
        capacity = capacity_for(entries + count, most);
    if (tray == NULL) {
        tray = bao_bodies_room(
            bodies, sizeof *tray + capacity * entry_bytes(address_bytes));
        *tray = (struct bao_tray){.capacity = (uint8_t)capacity,
                                  .address_bytes = (uint8_t)address_bytes};
        return tray;
    }
    if (capacity == tray->capacity && address_bytes == tray->address_bytes)
        return tray;
    return resize(bodies, tray, capacity, address_bytes, tray->base);
}

void bao_tray_free(struct bao_bodies *bodies, struct bao_tray *tray)
{
    bodies->waste_bytes -= bao_tray_waste(tray);
    if (tray->chunk != NULL)
        bao_chunk_drop(bodies, tray->chunk);
    bao_arena_give(bodies->arena, tray);
}

/* --- chunks --- */

struct bao_chunk *bao_chunk_new(struct bao_bodies *bodies, uint32_t bytes)
{
    struct bao_chunk *chunk = bao_bodies_room(bodies, sizeof *chunk + bytes);
    *chunk = (struct bao_chunk){.references = 1, .capacity = bytes};
    return chunk;
}

/* Holes are poisoned; who copies a chunk as a whole copies them too. */
static void clean(struct bao_chunk *chunk)
{
    BAO_UNPOISON(bao_chunk_bytes(chunk), chunk->capacity);
}

void bao_chunk_drop(struct bao_bodies *bodies, struct bao_chunk *chunk)
{
    BAO_ASSERT(chunk->references > 0);
    if (--chunk->references > 0)
        return;
    bao_frame_release(chunk->frame);
    clean(chunk);
    bao_arena_give(bodies->arena, chunk);
}

static void
chunk_trim(struct bao_bodies *bodies, struct bao_chunk *chunk, uint32_t bytes)
{
    clean(chunk);
    bao_arena_trim(bodies->arena, chunk, sizeof *chunk + bytes);
    chunk->capacity = bytes;
}

/* Its entries have nothing in memory any more. */
static void forget_chunk(struct bao_bodies *bodies, struct bao_tray *tray)
{
    bodies->waste_bytes -= tray->hole_bytes;
    if (tray->chunk != NULL)
        bao_chunk_drop(bodies, tray->chunk);
    tray->chunk = NULL;
    tray->hole_bytes = 0;
    tray->cold = tray->entries;
    tray->before_bytes = last_end(tray);
}

uint8_t *bao_tray_room(struct bao_bodies *bodies,
                       struct bao_tray *tray,
                       uint32_t bytes,
                       unsigned slot)
{
    struct bao_chunk *old = tray->chunk;
    const uint32_t used = used_bytes(tray);
    uint32_t needed = used + bytes;
    if (old != NULL && old->capacity >= needed)
        return bao_chunk_bytes(old) + used;
    if (slot + 1 < BAO_TRAY_SLOTS)
        needed += needed / 4 > SPARE_LEAST ? needed / 4 : SPARE_LEAST;
    if (old != NULL &&
        bao_arena_extend(bodies->arena, old, sizeof *old + needed)) {
        old->capacity = needed;
        bao_bodies_note_peak(bodies);
        return bao_chunk_bytes(old) + used;
    }
    tray->chunk = bao_chunk_new(bodies, needed);
    if (old != NULL) {
        clean(old);
        memcpy(bao_chunk_bytes(tray->chunk), bao_chunk_bytes(old), used);
        bao_chunk_drop(bodies, old);
    }
    return bao_chunk_bytes(tray->chunk) + used;
}

struct bao_frame *bao_chunk_frame(const struct bao_chunk *chunk)
{
    BAO_ASSERT(chunk->references > 0);
    return chunk->frame;
}

/* --- entries --- */

/* A gap in the columns. */
static void open_gap(struct bao_tray *tray, unsigned rank)
{
    const size_t behind = (size_t)tray->entries - rank;
    const size_t width = tray->address_bytes;
    uint8_t *address = (uint8_t *)addresses(tray) + rank * width;
    BAO_ASSERT(tray->entries < tray->capacity);
    memmove(bao_tray_ends(tray) + rank + 1,
            bao_tray_ends(tray) + rank,
            behind * sizeof(uint32_t));
    if (width > 0) {
        memmove(address + width, address, behind * width);
        memmove(crcs(tray) + rank + 1,
                crcs(tray) + rank,
                behind * sizeof(uint32_t));
    }
    bao_tray_ends(tray)[rank] = begin_of(tray, rank);
    tray->entries++;
}

unsigned bao_tray_add_cold(struct bao_bodies *bodies,
                           struct bao_tray *tray,
                           unsigned slot,
                           uint32_t bytes)
{
    const uint64_t bit = UINT64_C(1) << slot;
    const unsigned rank = bao_tray_rank(tray, slot);
    BAO_ASSERT(tray->chunk == NULL);
    BAO_ASSERT((tray->live & bit) == 0);
    bodies->waste_bytes -= bao_tray_waste(tray);
    if ((tray->placed & bit) == 0)
        open_gap(tray, rank);
    const uint32_t before = bao_tray_ends(tray)[rank] - begin_of(tray, rank);
    for (unsigned i = rank; i < tray->entries; i++)
        bao_tray_ends(tray)[i] += bytes - before;
    tray->placed |= bit;
    tray->live |= bit;
    tray->alive++;
    tray->cold = tray->entries;
    tray->before_bytes = last_end(tray);
    if (tray->address_bytes > 0)
        set_address(tray, rank, 0);
    bodies->waste_bytes += bao_tray_waste(tray);
    return rank;
}

void bao_tray_find(const struct bao_tray *tray,
                   unsigned rank,
                   struct bao_payload *payload)
{
    const uint32_t begin = begin_of(tray, rank);
    *payload = (struct bao_payload){
        .bytes = bao_tray_ends(tray)[rank] - begin,
        .address = address_at(tray, rank),
        .crc = tray->address_bytes > 0 ? crcs(tray)[rank] : 0,
    };
    if (rank < tray->cold)
        return;
    payload->chunk = tray->chunk;
    payload->data = bao_chunk_bytes(tray->chunk) + (begin - tray->before_bytes);
}

void bao_tray_set_crc(struct bao_tray *tray, unsigned rank, uint32_t crc)
{
    BAO_ASSERT(tray->address_bytes > 0);
    crcs(tray)[rank] = crc;
}

/* Counts its addresses from another base. */
static void rebase(struct bao_tray *tray, uint64_t base)
{
    uint32_t *near = addresses(tray);
    uint64_t left = tray->placed;
    for (unsigned i = 0; left != 0; i++, left &= left - 1) {
        const bool lives = first_lives(tray, left);
        const uint64_t at = lives ? address_at(tray, i) : 0;
        near[i] = at == 0 ? 0 : (uint32_t)(at - base + 1);
    }
    tray->base = base;
}

struct bao_tray *bao_tray_place(struct bao_bodies *bodies,
                                struct bao_tray *tray,
                                unsigned rank,
                                uint64_t address)
{
    const bool wide = tray->address_bytes == sizeof(uint64_t);
    uint64_t least;
    BAO_ASSERT(tray->address_bytes > 0);
    if (!wide && tray->base == 0)
        tray->base = address;
    if (address == 0 || (!wide && is_near(tray->base, address))) {
        set_address(tray, rank, address);
        return tray;
    }
    const bool narrow = is_narrow(tray, rank, address, &least);
    set_address(tray, rank, wide ? address : 0);
    if (narrow && !wide)
        rebase(tray, least);
    else if (narrow)
        tray = resize(bodies, tray, tray->capacity, sizeof(uint32_t), least);
    else if (!wide)
        tray = resize(bodies, tray, tray->capacity, sizeof(uint64_t), 0);
    set_address(tray, rank, address);
    return tray;
}

/* --- holes --- */

struct bao_tray *bao_tray_trim(struct bao_bodies *bodies, struct bao_tray *tray)
{
    const unsigned capacity = tray->entries + tray->entries % 2u;
    if (tray->chunk != NULL && tray->chunk->capacity > used_bytes(tray))
        chunk_trim(bodies, tray->chunk, used_bytes(tray));
    if (capacity + SPARE_ENTRIES > tray->capacity)
        return tray;
    return resize(bodies, tray, capacity, tray->address_bytes, tray->base);
}

/* Keeps the entries that live, and their bytes at `to`. */
static void close_gaps(struct bao_tray *tray, uint8_t *to)
{
    const uint8_t *from =
        tray->chunk == NULL ? NULL : bao_chunk_bytes(tray->chunk);
    uint64_t left = tray->placed;
    uint32_t begin = 0;
    uint32_t end = 0;
    unsigned kept = 0;
    unsigned cold = 0;
    uint32_t before_bytes = 0;
    for (unsigned i = 0; left != 0; i++) {
        const bool lives = first_lives(tray, left);
        const uint32_t bytes = bao_tray_ends(tray)[i] - begin;
        left &= left - 1;
        if (lives) {
            end += bytes;
            bao_tray_ends(tray)[kept] = end;
            if (tray->address_bytes > 0) {
                set_address(tray, kept, address_at(tray, i));
                crcs(tray)[kept] = crcs(tray)[i];
            }
            kept++;
        }
        if (lives && i < tray->cold) {
            cold++;
            before_bytes = end;
        } else if (lives) {
            BAO_ASSERT(from != NULL);
            BAO_ASSERT(to != NULL);
            memmove(to, from + (begin - tray->before_bytes), bytes);
            to += bytes;
        }
        begin += bytes;
    }
    tray->placed = tray->live;
    tray->entries = tray->alive;
    tray->cold = (uint8_t)cold;
    tray->before_bytes = before_bytes;
    tray->hole_bytes = 0;
}

/* Takes the holes out. Whoever keeps something of its chunk keeps that one. */
static struct bao_tray *repack(struct bao_bodies *bodies, struct bao_tray *tray)
{
    struct bao_chunk *chunk = tray->chunk;
    struct bao_chunk *other = NULL;
    bodies->waste_bytes -= bao_tray_waste(tray);
    if (chunk != NULL && chunk->references > 1)
        other = bao_chunk_new(bodies, used_bytes(tray) - tray->hole_bytes);
    if (chunk != NULL)
        clean(chunk);
    struct bao_chunk *to = other == NULL ? chunk : other;
    close_gaps(tray, to == NULL ? NULL : bao_chunk_bytes(to));
    if (other != NULL) {
        bao_chunk_drop(bodies, chunk);
        tray->chunk = other;
    }
    return bao_tray_trim(bodies, tray);
}

static bool is_wasteful(const struct bao_bodies *bodies,
                        const struct bao_tray *tray)
{
    const size_t all =
        used_bytes(tray) + tray->entries * entry_bytes(tray->address_bytes);
    return 2 * bao_tray_waste(tray) > all &&
           bodies->waste_bytes >
               WASTE_LEAST + bao_arena_used(bodies->arena) / WASTE_SHARE;
}

/* The bytes of an entry that died, at `begin`, are a hole. */
static void make_hole(struct bao_bodies *bodies,
                      struct bao_tray *tray,
                      uint32_t begin,
                      uint32_t bytes)
{
    struct bao_chunk *chunk = tray->chunk;
    tray->hole_bytes += bytes;
    bodies->waste_bytes += bytes;
    if (chunk->references == 1)
        BAO_POISON(bao_chunk_bytes(chunk) + (begin - tray->before_bytes),
                   bytes);
    if (tray->hole_bytes == used_bytes(tray))
        forget_chunk(bodies, tray);
}

struct bao_tray *bao_tray_kill(struct bao_bodies *bodies,
                               struct bao_tray *tray,
                               unsigned slot,
                               struct bao_death *death)
{
    const uint64_t bit = UINT64_C(1) << slot;
    const unsigned rank = bao_tray_rank(tray, slot);
    const uint32_t begin = begin_of(tray, rank);
    const uint32_t bytes = bao_tray_ends(tray)[rank] - begin;
    BAO_ASSERT((tray->live & bit) != 0);
    *death = (struct bao_death){.address = address_at(tray, rank),
                                .bytes = bytes,
                                .hot = rank >= tray->cold};
    if (tray->alive == 1) {
        bao_tray_free(bodies, tray);
        return NULL;
    }
    tray->live &= ~bit;
    tray->alive--;
    bodies->waste_bytes += entry_bytes(tray->address_bytes);
    if (death->hot)
        make_hole(bodies, tray, begin, bytes);
    if (bodies->waste_bytes > WASTE_LEAST && is_wasteful(bodies, tray))
        return repack(bodies, tray);
    return tray;
}

/* --- cold --- */

uint32_t bao_tray_cool(struct bao_bodies *bodies, struct bao_tray *tray)
{
    uint64_t left = tray->placed;
    if (tray->chunk == NULL)
        return 0;
    for (unsigned i = tray->entries; i > tray->cold; i--) {
        const uint64_t bit = UINT64_C(1) << (63 - __builtin_clzll(left));
        if ((tray->live & bit) != 0 && address_at(tray, i - 1) == 0)
            return 0;
        left ^= bit;
    }
    const uint32_t bytes = used_bytes(tray) - tray->hole_bytes;
    forget_chunk(bodies, tray);
    return bytes;
}

void bao_tray_check(const struct bao_tray *tray)
{
    uint64_t left = tray->placed;
    uint32_t begin = 0;
    uint32_t holes = 0;
    unsigned count = 0;
    for (; left != 0; count++, left &= left - 1) {
        const bool lives = first_lives(tray, left);
        BAO_ASSERT(bao_tray_ends(tray)[count] >= begin);
        if (!lives && count >= tray->cold)
            holes += bao_tray_ends(tray)[count] - begin;
        begin = bao_tray_ends(tray)[count];
        if (count + 1 == tray->cold)
            BAO_ASSERT(begin == tray->before_bytes);
    }
    BAO_ASSERT(count == tray->entries && count <= tray->capacity);
    BAO_ASSERT(tray->alive == __builtin_popcountll(tray->live));
    BAO_ASSERT((tray->live & ~tray->placed) == 0 && tray->live != 0);
    BAO_ASSERT(holes == tray->hole_bytes);
    BAO_ASSERT(tray->chunk != NULL || tray->cold == tray->entries);
    BAO_ASSERT(tray->chunk == NULL ||
               used_bytes(tray) <= tray->chunk->capacity);
    BAO_ASSERT(tray->cold > 0 || tray->before_bytes == 0);
}
