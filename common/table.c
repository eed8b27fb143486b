/*
 * table.c - the linear hash table of table.h.
 *
 * Buckets 0..buckets-1 exist; a hash belongs to bucket hash mod 2^(level+1)
 * if that one exists, else to hash mod 2^level. About one element a bucket;
 * an insert splits and a removal merges a bounded number of buckets.
 * Invariant: 2^level <= buckets < 2^(level + 1); all buckets below `low` are
 * empty, so that emptying a table by bao_table_any() is not a scan each time.
 */
#include "common/table.h"

#include "common/check.h"

#define SEGMENT_BUCKETS 512u
#define SEGMENT_BITS    9u
#define FIRST_LEVEL     3u /* a small table has 8 buckets */
#define SPLITS_MAX      2u /* by one insert */
#define MERGES_MAX      8u /* by one removal */
#define BUCKETS_MAX     (1u << 31)

_Static_assert(SEGMENT_BUCKETS == 1u << SEGMENT_BITS, "segments of 2^9");

static struct bao_table_node **bucket_at(const struct bao_table *table,
                                         uint32_t index)
{
    return &table->segments[index >> SEGMENT_BITS]
                           [index & (SEGMENT_BUCKETS - 1)];
}

static uint32_t bucket_of(const struct bao_table *table, uint64_t hash)
{
    uint64_t round = UINT64_C(1) << table->level;
    uint64_t index = hash & (2 * round - 1);
    if (index >= table->buckets)
        index = hash & (round - 1);
    return (uint32_t)index;
}

/* The first segment of `buckets` empty buckets, or NULL. */
static struct bao_table_node **segment_take(struct bao_table *table,
                                            uint32_t buckets)
{
    struct bao_table_node **segment =
        bao_arena_take(table->arena, buckets * sizeof(*segment));
    if (segment != NULL)
        memset(segment, 0, buckets * sizeof(*segment));
    return segment;
}

bool bao_table_init(struct bao_table *table, struct bao_arena *arena)
{
    *table = (struct bao_table){.arena = arena,
                                .segment_capacity = 1,
                                .segment_count = 1,
                                .buckets = 1u << FIRST_LEVEL,
                                .first_buckets = 1u << FIRST_LEVEL,
                                .level = FIRST_LEVEL};
    table->segments = bao_arena_take(arena, sizeof(*table->segments));
    if (table->segments == NULL)
        return false;
    table->segments[0] = segment_take(table, table->buckets);
    if (table->segments[0] == NULL) {
        bao_arena_give(arena, table->segments);
        table->segments = NULL;
        return false;
    }
    return true;
}

void bao_table_fini(struct bao_table *table)
{
    if (table->segments != NULL) {
        for (uint32_t i = 0; i < table->segment_count; i++)
            bao_arena_give(table->arena, table->segments[i]);
    }
    bao_arena_give(table->arena, table->segments);
    *table = (struct bao_table){.arena = table->arena};
}

/* Makes the first segment twice as long. */
static bool grow_first(struct bao_table *table)
{
    uint32_t buckets = table->first_buckets;
    struct bao_table_node **segment = segment_take(table, buckets * 2);
    if (segment == NULL)
        return false;
    memcpy(segment, table->segments[0], buckets * sizeof(*segment));
    bao_arena_give(table->arena, table->segments[0]);
    table->segments[0] = segment;
    table->first_buckets = buckets * 2;
    return true;
}

static bool grow_directory(struct bao_table *table)
{
    uint32_t capacity = table->segment_capacity * 2;
    struct bao_table_node ***segments =
        bao_arena_take(table->arena, capacity * sizeof(*segments));
    if (segments == NULL)
        return false;
    memcpy(segments, table->segments, table->segment_count * sizeof(*segments));
    bao_arena_give(table->arena, table->segments);
    table->segments = segments;
    table->segment_capacity = capacity;
    return true;
}

/* Makes room for bucket number `buckets`. */
static bool reserve(struct bao_table *table)
{
    if (table->buckets < table->first_buckets)
        return true;
    if (table->first_buckets < SEGMENT_BUCKETS)
        return grow_first(table);
    if (table->buckets < table->segment_count * SEGMENT_BUCKETS)
        return true;
    if (table->buckets >= BUCKETS_MAX)
        return false;
    if (table->segment_count == table->segment_capacity &&
        !grow_directory(table))
        return false;

    struct bao_table_node **segment = segment_take(table, SEGMENT_BUCKETS);
    if (segment == NULL)
        return false;
    table->segments[table->segment_count++] = segment;
    return true;
}

/* Adds one bucket and moves what belongs there out of its elder. */
static bool split(struct bao_table *table)
{
    if (!reserve(table))
        return false;

    uint32_t made = table->buckets++;
    uint32_t elder = made - (1u << table->level);
    if (table->buckets == 2u << table->level)
        table->level++;

    struct bao_table_node **keep = bucket_at(table, elder);
    struct bao_table_node **move = bucket_at(table, made);
    struct bao_table_node *node = *keep;
    *move = NULL;
    while (node != NULL) {
        struct bao_table_node *next = node->next;
        if (bucket_of(table, node->hash) == made) {
            *move = node;
            move = &node->next;
        } else {
            *keep = node;
            keep = &node->next;
        }
        node = next;
    }
    *keep = NULL;
    *move = NULL;
    return true;
}

/* Takes the last bucket away and hangs its elements on its elder's. */
static void merge(struct bao_table *table)
{
    uint32_t last = --table->buckets;
    if (table->buckets < 1u << table->level)
        table->level--;

    struct bao_table_node **from = bucket_at(table, last);
    uint32_t elder = last - (1u << table->level);
    struct bao_table_node **to = bucket_at(table, elder);
    if (*from != NULL) {
        struct bao_table_node *tail = *from;
        while (tail->next != NULL)
            tail = tail->next;
        tail->next = *to;
        *to = *from;
        *from = NULL;
        if (elder < table->low)
            table->low = elder;
    }
    if (table->low >= table->buckets)
        table->low = 0;

    /* One spare segment stays, for a table that grows again. */
    if (table->segment_count > 1 &&
        table->buckets + SEGMENT_BUCKETS <=
            (table->segment_count - 1) * SEGMENT_BUCKETS)
        bao_arena_give(table->arena, table->segments[--table->segment_count]);
}

void bao_table_put(struct bao_table *table,
                   struct bao_table_node *node,
                   uint64_t hash)
{
    uint32_t index = bucket_of(table, hash);
    struct bao_table_node **bucket = bucket_at(table, index);
    node->hash = hash;
    node->next = *bucket;
    *bucket = node;
    table->count++;
    if (index < table->low)
        table->low = index;

    for (unsigned i = 0; i < SPLITS_MAX && table->count > table->buckets; i++) {
        if (!split(table))
            break;
    }
}

void bao_table_remove(struct bao_table *table, struct bao_table_node *node)
{
    uint32_t index = bucket_of(table, node->hash);
    struct bao_table_node **place = bucket_at(table, index);
    while (*place != NULL && *place != node)
        place = &(*place)->next;
    BAO_ASSERT(*place == node);
    *place = node->next;
    node->next = NULL;
    BAO_ASSERT(table->count > 0);
    table->count--;

    if (index == table->low) {
        while (table->count > 0 && *bucket_at(table, table->low) == NULL)
            table->low++;
    }
    for (unsigned i = 0; i < MERGES_MAX; i++) {
        if (table->buckets == 1u << FIRST_LEVEL ||
            table->count >= table->buckets / 4)
            break;
        merge(table);
    }
}

/* `node` or the first one behind it with this hash. */
static struct bao_table_node *same_hash(struct bao_table_node *node,
                                        uint64_t hash)
{
    while (node != NULL && node->hash != hash)
        node = node->next;
    return node;
}

struct bao_table_node *bao_table_first(const struct bao_table *table,
                                       uint64_t hash)
{
    return same_hash(*bucket_at(table, bucket_of(table, hash)), hash);
}

struct bao_table_node *bao_table_next(const struct bao_table_node *node)
{
    return same_hash(node->next, node->hash);
}

struct bao_table_node *bao_table_any(const struct bao_table *table)
{
    if (table->count == 0)
        return NULL;
    uint32_t index = table->low;
    while (*bucket_at(table, index) == NULL)
        index++;
    return *bucket_at(table, index);
}

/* wyhash's mixing step: the two halves of a 128-bit product. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

#define SECRET_0 UINT64_C(0xa0761d6478bd642f)
#define SECRET_1 UINT64_C(0xe7037ed1a0b428db)
#define SECRET_2 UINT64_C(0x8ebc6af09c88c6e3)

uint64_t bao_hash_bytes(struct bao_span bytes, uint64_t seed)
{
    uint64_t state = mix(seed ^ SECRET_0, SECRET_1);
    const uint8_t *at = bytes.data;
    size_t left = bytes.bytes;
    for (; left >= 16; left -= 16, at += 16)
        state = mix(bao_load64(at) ^ SECRET_1, bao_load64(at + 8) ^ state);

    uint8_t tail[16] = {0};
    if (left > 0)
        memcpy(tail, at, left);
    state = mix(bao_load64(tail) ^ SECRET_2, bao_load64(tail + 8) ^ state);
    return mix(SECRET_1 ^ bytes.bytes, state ^ SECRET_0);
}

uint64_t bao_hash_number(uint64_t number, uint64_t seed)
{
    return mix(mix(number ^ SECRET_0, seed ^ SECRET_1) ^ SECRET_2, SECRET_1);
}
