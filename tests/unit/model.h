/*
 * model.h - what the model-based tests of the containers share.
 *
 * A model test does random things to a container and to a naive model of it,
 * and compares the two after every step. The seed is printed with the test;
 * BAO_SEED=n runs that seed alone.
 */
#ifndef BAO_TESTS_MODEL_H
#define BAO_TESTS_MODEL_H

#include "common/arena.h"
#include "tests/lib/unit.h"

#define MODEL_SEEDS 8u

/* xorshift64*: good enough for tests, the same everywhere. */
static uint64_t model_state;

static inline void model_seed(uint64_t seed)
{
    model_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

/* After model_seed() only: without a seed all would be 0. */
static inline uint64_t model_random(uint64_t below)
{
    assert_true(model_state != 0);
    model_state ^= model_state >> 12;
    model_state ^= model_state << 25;
    model_state ^= model_state >> 27;
    return (model_state * UINT64_C(0x2545f4914f6cdd1d) >> 11) % below;
}

/* Calls `run` for each seed; a failure lies behind the last seed printed. */
static inline void model_each_seed(const char *name, void (*run)(uint64_t seed))
{
    const char *only = getenv("BAO_SEED");
    uint64_t first = only == NULL ? 1 : strtoull(only, NULL, 10);
    uint64_t count = only == NULL ? MODEL_SEEDS : 1;
    for (uint64_t seed = first; seed < first + count; seed++) {
        printf("# %s: seed %llu\n", name, (unsigned long long)seed);
        (void)fflush(stdout);
        model_seed(seed);
        run(seed);
    }
}

/* Memory for an arena; exits if there is none. */
static inline struct bao_arena *model_arena(void **memory, size_t bytes)
{
    *memory = aligned_alloc(4096, bytes);
    if (*memory == NULL)
        exit(1);
    return bao_arena_init(*memory, bytes);
}

/* The arena must be whole and empty again; then its memory goes. */
static inline void model_arena_end(struct bao_arena *arena, void *memory)
{
    bao_arena_check(arena);
    assert_int_equal(bao_arena_used(arena), 0);
    free(memory);
}

/* Takes everything an arena has, so that the next take fails; gives it back
 * (a list threaded through the blocks). */
static inline void *model_exhaust(struct bao_arena *arena)
{
    void **head = NULL;
    for (size_t bytes = 65536; bytes >= 16; bytes /= 2) {
        void **block;
        while ((block = bao_arena_take(arena, bytes)) != NULL) {
            *block = head;
            head = block;
        }
    }
    return head;
}

static inline void model_relieve(struct bao_arena *arena, void *head)
{
    while (head != NULL) {
        void *next = *(void **)head;
        bao_arena_give(arena, head);
        head = next;
    }
}

#endif
