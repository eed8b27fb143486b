/*
 * test_packed.c - packed numbers: shortest forms, ends, damage.
 */
#include "common/packed.h"
#include "tests/lib/unit.h"

static const uint64_t numbers[] = {0,
                                   1,
                                   127,
                                   128,
                                   16383,
                                   16384,
                                   UINT32_MAX,
                                   UINT64_MAX,
                                   UINT64_C(1) << 62,
                                   UINT64_C(1) << 63};

static void test_packed__numbers_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        uint8_t bytes[BAO_PACKED_NUMBER_MAX];
        struct bao_packer out = {bytes, bytes + sizeof bytes, false};
        bao_pack_number(&out, numbers[i]);
        assert_false(out.full);
        struct bao_unpacker in = {bytes, out.at, false};
        assert_int_equal(bao_unpack_number(&in), numbers[i]);
        assert_false(in.bad);
        assert_ptr_equal(in.at, out.at);
        /* Any end before the last byte is damage. */
        for (const uint8_t *end = bytes; end < out.at; end++) {
            struct bao_unpacker cut = {bytes, end, false};
            assert_int_equal(bao_unpack_number(&cut), 0);
            assert_true(cut.bad);
        }
    }
}

static void test_packed__a_long_form_is_damage(void **state)
{
    (void)state;
    const uint8_t padded[] = {0x81, 0x00};
    const uint8_t wide[] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
    struct bao_unpacker in = {padded, padded + sizeof padded, false};
    (void)bao_unpack_number(&in);
    assert_true(in.bad);
    in = (struct bao_unpacker){wide, wide + sizeof wide, false};
    (void)bao_unpack_number(&in);
    assert_true(in.bad);
}

static void test_packed__a_number_above_its_most_is_damage(void **state)
{
    (void)state;
    const uint8_t seven[] = {7};
    struct bao_unpacker in = {seven, seven + 1, false};
    assert_int_equal(bao_unpack_most(&in, 7), 7);
    in = (struct bao_unpacker){seven, seven + 1, false};
    assert_int_equal(bao_unpack_most(&in, 6), 0);
    assert_true(in.bad);
}

static void test_packed__spans_know_both_ends(void **state)
{
    (void)state;
    uint8_t bytes[6];
    struct bao_packer out = {bytes, bytes + sizeof bytes, false};
    bao_pack_span(&out, bao_span_text("bun"));
    assert_false(out.full);
    bao_pack_span(&out, bao_span_text("xy"));
    assert_true(out.full); /* one byte short */
    struct bao_unpacker in = {bytes, bytes + 4, false};
    struct bao_span span = bao_unpack_span(&in, 3);
    assert_true(bao_span_equal(span, bao_span_text("bun")));
    in = (struct bao_unpacker){bytes, bytes + 4, false};
    assert_int_equal(bao_unpack_span(&in, 2).bytes, 0);
    assert_true(in.bad);
    in = (struct bao_unpacker){bytes, bytes + 3, false};
    assert_null(bao_unpack_span(&in, 100).data);
    assert_true(in.bad);
}

static void test_packed__small_differences_are_small(void **state)
{
    (void)state;
    assert_int_equal(bao_zigzag(0), 0);
    assert_int_equal(bao_zigzag(UINT64_MAX), 1); /* -1 */
    assert_int_equal(bao_zigzag(1), 2);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        assert_int_equal(bao_unzigzag(bao_zigzag(numbers[i])), numbers[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packed__numbers_come_back),
        cmocka_unit_test(test_packed__a_long_form_is_damage),
        cmocka_unit_test(test_packed__a_number_above_its_most_is_damage),
        cmocka_unit_test(test_packed__spans_know_both_ends),
        cmocka_unit_test(test_packed__small_differences_are_small),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("packed", tests, NULL, NULL);
}
