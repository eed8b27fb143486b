/*
 * test_fact_code.c - facts become bytes and facts again; damage is refused.
 */
#include "tests/lib/random_fact.h"
#include "tests/lib/unit.h"

#define RECORD_MAX (70u << 20)

static uint64_t seed = 1;

static uint64_t below(uint64_t most)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return most == 0 ? 0 : seed % most;
}

static struct random_fact_memory memory;
static struct bao_fact_room room;
static uint8_t *record;

/* Encodes a fact; the payloads that follow are zeros. */
static size_t write_record(const struct bao_fact *fact)
{
    size_t bytes = bao_fact_encode(fact, record);
    size_t all = bytes + fact_payload_bytes(fact);
    assert_true(bytes <= BAO_FACT_CODE_MAX && all <= RECORD_MAX);
    memset(record + bytes, 0, all - bytes);
    return all;
}

static enum baozi_status read_record(size_t bytes, struct bao_fact *fact)
{
    const char *why = NULL;
    enum baozi_status status =
        bao_fact_decode(bao_span_of(record, bytes), &room, fact, &why);
    assert_true((why != NULL) == (status != BAOZI_OK));
    return status;
}

static void test_fact_code__every_kind_comes_back(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        struct bao_fact fact;
        struct bao_fact back;
        enum bao_fact_kind kind =
            (enum bao_fact_kind)(1 + round % BAO_FACT_ANSWERED);
        random_fact(below, kind, &memory, &fact);
        size_t bytes = write_record(&fact);
        assert_int_equal(read_record(bytes, &back), BAOZI_OK);
        const char *differs = fact_differs(&fact, &back);
        if (differs != NULL)
            fail_msg("round %u: %s of kind %u", round, differs, kind);
        /* Equal facts have equal bytes. */
        static uint8_t again[BAO_FACT_CODE_MAX];
        size_t code = bao_fact_encode(&back, again);
        assert_int_equal(code + fact_payload_bytes(&back), bytes);
        assert_memory_equal(again, record, code);
    }
}

static void test_fact_code__bodies_lie_behind_the_code(void **state)
{
    (void)state;
    struct bao_put_item items[4] = {
        {.body = {.hold = 1, .bytes = 3}},
        {.body = {.bytes = 0}},
        {.body = {.hold = 1, .bytes = BAO_BIG_BYTES}}, /* a record of its own */
        {.body = {.hold = 1, .bytes = 5}}};
    struct bao_fact fact = {.kind = BAO_FACT_ITEM_PUT,
                            .queue = 3,
                            .first_id = UINT64_C(3) << 40 | 1,
                            .count = 4,
                            .items = items};
    struct bao_fact back;
    size_t code = bao_fact_encode(&fact, record);
    assert_int_equal(write_record(&fact), code + 8);
    assert_int_equal(read_record(code + 8, &back), BAOZI_OK);
    assert_int_equal(back.items[0].body.offset, code);
    assert_int_equal(back.items[0].body.hold, BAO_HOLD_LOGGED);
    assert_int_equal(back.items[1].body.hold, 0);
    assert_int_equal(back.items[2].body.hold, BAO_HOLD_LOGGED);
    assert_true(bao_fact_body_is_apart(&back.items[2].body));
    assert_int_equal(back.items[3].body.offset, code + 3);
    assert_int_equal(read_record(code + 7, &back), BAOZI_BAD_REQUEST);
    assert_int_equal(read_record(code + 9, &back), BAOZI_BAD_REQUEST);
}

static void test_fact_code__a_redriven_item_has_no_bytes_here(void **state)
{
    (void)state;
    struct bao_put_item item = {.body = {.bytes = 100}};
    struct bao_fact fact = {.kind = BAO_FACT_ITEM_PUT,
                            .queue = 3,
                            .count = 1,
                            .origin = UINT64_C(3) << 40 | 9,
                            .items = &item};
    struct bao_fact back;
    size_t code = bao_fact_encode(&fact, record);
    assert_int_equal(read_record(code, &back), BAOZI_OK);
    assert_int_equal(back.items[0].body.hold, 0);
    assert_int_equal(back.items[0].body.bytes, 100);
}

/* 1,000 items of one queue: few bytes for each further one. */
static void test_fact_code__vectors_are_small(void **state)
{
    (void)state;
    const uint64_t now_us = UINT64_C(1764000000000000);
    struct bao_fact fact = {.kind = BAO_FACT_ITEM_PUT,
                            .time_us = now_us,
                            .queue = 3,
                            .session = 12,
                            .rid = 40000,
                            .first_id = UINT64_C(3) << 40 | 1000000,
                            .verb = 1,
                            .count = 1000,
                            .items = room.items};
    for (uint32_t i = 0; i < fact.count; i++)
        room.items[i] =
            (struct bao_put_item){.body = {.hold = 1, .bytes = 90 + i % 20}};
    assert_in_range(bao_fact_encode(&fact, record), 1000, 1100);
    fact.kind = BAO_FACT_ITEM_LEASED;
    fact.items = NULL;
    fact.ids = memory.room.ids;
    fact.token = UINT64_C(7) << 40 | 5000000;
    fact.until_us = now_us + 30000000;
    for (uint32_t i = 0; i < fact.count; i++)
        memory.room.ids[i] = fact.first_id + i;
    assert_in_range(bao_fact_encode(&fact, record), 1000, 1100);
    fact.kind = BAO_FACT_ITEM_SETTLED;
    fact.count = 1;
    fact.token = 0;
    fact.until_us = 0;
    fact.first_id = 0;
    fact.state = BAO_STATE_DONE;
    assert_in_range(bao_fact_encode(&fact, record), 18, 24);
}

struct golden {
    const char *hex;
    struct bao_fact fact;
};

/* These bytes are what a log of today has in it: they never change. */
static void test_fact_code__todays_bytes_stay(void **state)
{
    (void)state;
    static const uint64_t ids[] = {
        UINT64_C(2) << 40 | 5, UINT64_C(2) << 40 | 6, UINT64_C(2) << 40 | 4};
    static const struct bao_put_item items[] = {
        {.body = {.hold = 1, .bytes = 2}}, {.body = {.hold = 1, .bytes = 2}}};
    const struct golden goldens[] = {
        {"0180808008e80709",
         {.kind = BAO_FACT_EPOCH, .time_us = 1000, .epoch = 9}},
        {"0b7fe8070203040205010402",
         {.kind = BAO_FACT_ITEM_PUT,
          .time_us = 1000,
          .count = 2,
          .session = 3,
          .rid = 4,
          .queue = 2,
          .first_id = UINT64_C(2) << 40 | 5,
          .verb = 1,
          .items = items}},
        {"0dab0fe807030302020a02038180808080a001d20f01",
         {.kind = BAO_FACT_ITEM_LEASED,
          .time_us = 1000,
          .count = 3,
          .session = 3,
          .queue = 2,
          .verb = 2,
          .ids = ids,
          .token = UINT64_C(5) << 40 | 1,
          .until_us = 2000,
          .state = 1}},
        {"0282808042e8070303626f78"
         "1030313233343536373839616263646566",
         {.kind = BAO_FACT_SESSION_OPENED,
          .time_us = 1000,
          .session = 3,
          .name = {(const uint8_t *)"box", 3},
          .client = {(const uint8_t *)"0123456789abcdef", 16}}},
    };
    for (size_t i = 0; i < sizeof goldens / sizeof goldens[0]; i++) {
        char hex[200] = "";
        size_t bytes = bao_fact_encode(&goldens[i].fact, record);
        for (size_t j = 0; j < bytes; j++)
            (void)snprintf(hex + 2 * j, 3, "%02x", record[j]);
        assert_string_equal(hex, goldens[i].hex);
    }
}

/* Whatever the bytes are: an answer, and nothing outside is touched (the
 * sanitizer looks). */
static void test_fact_code__damage_is_refused_or_harmless(void **state)
{
    (void)state;
    unsigned refused = 0;
    for (unsigned round = 0; round < 20000; round++) {
        struct bao_fact fact;
        struct bao_fact back;
        random_fact(below,
                    (enum bao_fact_kind)(1 + below(BAO_FACT_ANSWERED)),
                    &memory,
                    &fact);
        if (fact.count > 40)
            continue;
        size_t bytes = write_record(&fact);
        uint8_t *exact = malloc(bytes);
        assert_non_null(exact);
        memcpy(exact, record, bytes);
        size_t cut = below(3) == 0 ? below(bytes) : bytes;
        if (cut == bytes)
            exact[below(bytes)] ^= (uint8_t)(1u << below(8));
        const char *why = NULL;
        refused += bao_fact_decode(
                       bao_span_of(exact, cut), &room, &back, &why) != BAOZI_OK;
        free(exact);
    }
    assert_true(refused > 1000);
}

static int setup(void **state)
{
    (void)state;
    record = malloc(RECORD_MAX + BAO_FACT_CODE_MAX);
    return record == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    free(record);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fact_code__every_kind_comes_back),
        cmocka_unit_test(test_fact_code__bodies_lie_behind_the_code),
        cmocka_unit_test(test_fact_code__a_redriven_item_has_no_bytes_here),
        cmocka_unit_test(test_fact_code__vectors_are_small),
        cmocka_unit_test(test_fact_code__todays_bytes_stay),
        cmocka_unit_test(test_fact_code__damage_is_refused_or_harmless),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("fact_code", tests, setup, teardown);
}
