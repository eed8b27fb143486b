/*
 * test_unsynced.c - what is in flight, against a list of everything.
 */
#include "broker/unsynced.h"
#include "common/limits.h"
#include "tests/unit/model.h"

#define QUEUES 5u
#define FACTS  400u

struct noted {
    uint64_t queue;
    uint64_t position;
    uint64_t first_id; /* 0 = no put */
    uint64_t last_id;
};

static struct noted noted[FACTS];
static size_t noted_count;

/* The last position of the queue's facts, or of the turn that put `id`. */
static uint64_t last_of(uint64_t queue, uint64_t synced)
{
    uint64_t last = 0;
    for (size_t i = 0; i < noted_count; i++)
        if (noted[i].queue == queue && noted[i].position > synced)
            last = noted[i].position;
    return last;
}

static uint64_t put_of(uint64_t id, uint64_t synced, const uint64_t *turns)
{
    for (size_t i = 0; i < noted_count; i++) {
        if (noted[i].first_id == 0 || noted[i].first_id > id ||
            noted[i].last_id < id)
            continue;
        /* One entry for all puts of the queue in that turn. */
        uint64_t position = noted[i].position;
        for (size_t j = i; j < noted_count; j++)
            if (noted[j].queue == noted[i].queue && noted[j].first_id != 0 &&
                turns[j] == turns[i])
                position = noted[j].position;
        return position > synced ? position : 0;
    }
    return 0;
}

static void tell(struct bao_unsynced *unsynced,
                 const struct noted *noted_fact,
                 uint64_t written)
{
    const bool put = noted_fact->first_id != 0;
    const struct bao_fact fact = {
        .kind = put ? BAO_FACT_ITEM_PUT : BAO_FACT_ITEM_LEASED,
        .queue = noted_fact->queue,
        .first_id = noted_fact->first_id,
        .count =
            put ? (uint32_t)(noted_fact->last_id - noted_fact->first_id) + 1
                : 1};
    bao_unsynced_note(unsynced, noted_fact->position, &fact, written);
}

static void run_seed(uint64_t seed)
{
    static uint64_t turns[FACTS];
    const size_t bytes = 1u << 20;
    void *memory = aligned_alloc(4096, bytes);
    struct bao_unsynced unsynced;
    uint64_t ids[QUEUES + 1] = {0};
    uint64_t written = 0;
    uint64_t synced = 0;
    uint64_t turn = 0;
    (void)seed;
    assert_non_null(memory);
    assert_true(bao_unsynced_open(&unsynced, bao_arena_init(memory, bytes)));
    noted_count = 0;
    for (uint64_t position = 1; position <= FACTS; position++) {
        const uint64_t queue = 1 + model_random(QUEUES);
        struct noted fact = {.queue = queue, .position = position};
        if (model_random(2) == 0) {
            fact.first_id = queue << BAO_ID_SHIFT | (ids[queue] + 1);
            ids[queue] += 1 + model_random(5);
            fact.last_id = queue << BAO_ID_SHIFT | ids[queue];
        }
        turns[noted_count] = turn;
        noted[noted_count++] = fact;
        tell(&unsynced, &fact, written);
        if (model_random(4) == 0) {
            written = position;
            turn++;
        }
        if (written > synced && model_random(8) == 0) {
            synced += 1 + model_random(written - synced);
            bao_unsynced_passed(&unsynced, synced);
        }
        const uint64_t asked = 1 + model_random(QUEUES);
        assert_int_equal(bao_unsynced_last(&unsynced, asked),
                         last_of(asked, synced));
        const uint64_t id =
            asked << BAO_ID_SHIFT | (1 + model_random(ids[asked] + 1));
        assert_int_equal(bao_unsynced_put(&unsynced, id),
                         put_of(id, synced, turns));
    }
    bao_unsynced_passed(&unsynced, FACTS);
    assert_int_equal(unsynced.order.count, 0);
    assert_int_equal(unsynced.queues.count, 0);
    free(memory);
}

/* Else a power cut could unmake it, and the next one would have its ids. */
static void
test_unsynced__a_new_queue_is_told_of_once_it_is_synced(void **state)
{
    (void)state;
    const size_t bytes = 1u << 20;
    void *memory = aligned_alloc(4096, bytes);
    struct bao_unsynced unsynced;
    const struct bao_fact made = {.kind = BAO_FACT_QUEUE_MADE, .queue = 7};
    const struct bao_fact later = {.kind = BAO_FACT_ITEM_LEASED, .queue = 7};
    assert_non_null(memory);
    assert_true(bao_unsynced_open(&unsynced, bao_arena_init(memory, bytes)));
    bao_unsynced_note(&unsynced, 3, &made, 0);
    bao_unsynced_note(&unsynced, 9, &later, 0);
    assert_int_equal(bao_unsynced_made(&unsynced, 7), 3);
    assert_int_equal(bao_unsynced_made(&unsynced, 8), 0);
    bao_unsynced_passed(&unsynced, 9);
    assert_int_equal(bao_unsynced_made(&unsynced, 7), 0);
    free(memory);
}

static void test_unsynced__knows_what_is_in_flight(void **state)
{
    (void)state;
    model_each_seed("unsynced", run_seed);
}

/* It may say too late, never too early. */
static void test_unsynced__without_memory_all_waits_for_the_last(void **state)
{
    (void)state;
    const size_t bytes = 128u << 10;
    void *memory = aligned_alloc(4096, bytes);
    struct bao_unsynced unsynced;
    assert_non_null(memory);
    struct bao_arena *arena = bao_arena_init(memory, bytes);
    assert_true(bao_unsynced_open(&unsynced, arena));
    while (bao_arena_take(arena, 64) != NULL) {
    }
    const uint64_t id = UINT64_C(1) << BAO_ID_SHIFT | 1;
    const struct noted put = {1, 7, id, id};
    const struct noted other = {2, 9, 0, 0};
    tell(&unsynced, &put, 0);
    tell(&unsynced, &other, 0);
    assert_int_equal(bao_unsynced_last(&unsynced, 1), 9);
    assert_int_equal(bao_unsynced_put(&unsynced, id), 9);
    bao_unsynced_passed(&unsynced, 8);
    assert_int_equal(bao_unsynced_last(&unsynced, 3), 9);
    bao_unsynced_passed(&unsynced, 9);
    assert_int_equal(bao_unsynced_last(&unsynced, 3), 0);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unsynced__knows_what_is_in_flight),
        cmocka_unit_test(
            test_unsynced__a_new_queue_is_told_of_once_it_is_synced),
        cmocka_unit_test(test_unsynced__without_memory_all_waits_for_the_last),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("unsynced", tests, NULL, NULL);
}
