/*
 * test_utf8.c - what is a text, what is a name, and lists of texts.
 */
#include "common/texts.h"
#include "common/utf8.h"
#include "tests/lib/unit.h"

static const struct {
    const char *text;
    bool valid;
    bool name;
} rows[] = {
    {"", true, false},
    {"buns", true, true},
    {"with space", true, true},
    {"line\nline", true, false},
    {"tab\t", true, false},
    {"del\x7f", true, false},
    {"\xc2\x80", true, false}, /* U+0080 and U+009F: controls */
    {"\xc2\x9f", true, false},
    {"\xc2\xa0", true, true},
    {"\xdf\xbf", true, true},
    {"\xe0\xa0\x80", true, true},
    {"\xed\x9f\xbf", true, true}, /* U+D7FF, the last before surrogates */
    {"\xee\x80\x80", true, true},
    {"\xef\xbf\xbf", true, true},
    {"\xf0\x90\x80\x80", true, true},
    {"\xf4\x8f\xbf\xbf", true, true}, /* U+10FFFF */
    {"\xf4\x90\x80\x80", false, false},
    {"\xf5\x80\x80\x80", false, false},
    {"\xed\xa0\x80", false, false}, /* a surrogate */
    {"\xed\xbf\xbf", false, false},
    {"\xc0\xaf", false, false}, /* overlong forms */
    {"\xc1\xbf", false, false},
    {"\xe0\x9f\xbf", false, false},
    {"\xf0\x8f\xbf\xbf", false, false},
    {"\x80", false, false},
    {"\xbf", false, false},
    {"\xff", false, false},
    {"\xc3", false, false}, /* cut */
    {"\xe5\x8c", false, false},
    {"\xf0\x9f\xa5", false, false},
    {"\xc3(", false, false},
    {"\xe5\x8c(", false, false},
    {"\xf0\x9f(\x9f", false, false},
};

static void test_utf8__texts_and_names_are_told_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bao_span text = bao_span_text(rows[i].text);
        if (bao_text_valid(text) != rows[i].valid ||
            bao_name_valid(text, 200) != rows[i].name) {
            fail_msg("row %zu", i);
        }
    }
    assert_false(bao_text_valid(bao_span_of("a\0b", 3)));
    assert_false(bao_name_valid(bao_span_of("a\0b", 3), 200));
    assert_true(bao_name_valid(bao_span_text("four"), 4));
    assert_false(bao_name_valid(bao_span_text("fives"), 4));
}

static void test_utf8__clean_makes_any_bytes_a_text(void **state)
{
    (void)state;
    uint8_t text[] = "ok \xff\xc3\xa9\xed\xa0\x80 \xf0\x9f";
    text[2] = 0;
    bao_text_clean(text, sizeof(text) - 1);
    assert_string_equal((char *)text, "ok??\xc3\xa9??? ??");
    uint8_t bytes[3];
    for (unsigned i = 0; i < 1u << 24; i += 97) {
        bytes[0] = (uint8_t)(i >> 16);
        bytes[1] = (uint8_t)(i >> 8);
        bytes[2] = (uint8_t)i;
        bao_text_clean(bytes, sizeof(bytes));
        assert_true(bao_text_valid(bao_span_of(bytes, sizeof(bytes))));
    }
}

static void test_utf8__cut_keeps_characters_whole(void **state)
{
    (void)state;
    struct bao_span text =
        bao_span_text("a\xc3\xa9\xe5\x8c\x85\xf0\x9f\xa5\x9f");
    static const size_t kept[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
    for (size_t most = 0; most < sizeof(kept) / sizeof(kept[0]); most++) {
        struct bao_span cut = bao_text_cut(text, most);
        assert_int_equal(cut.bytes, kept[most]);
        assert_true(bao_text_valid(cut));
    }
}

static void test_texts__come_back_in_order(void **state)
{
    (void)state;
    static uint8_t data[4096];
    static const char *const words[] = {
        "", "egg", "a text of more than thirty-one bytes, in the longer form"};
    size_t bytes = 0;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(
            bao_texts_add(data, sizeof(data), &bytes, bao_span_text(words[i])),
            BAOZI_OK);
    }
    struct bao_span texts = bao_span_of(data, bytes);
    assert_int_equal(bao_texts_count(texts), 3);
    size_t offset = 0;
    struct bao_span text;
    for (size_t i = 0; i < 3; i++) {
        assert_true(bao_texts_next(texts, &offset, &text));
        assert_true(bao_span_equal(text, bao_span_text(words[i])));
    }
    assert_false(bao_texts_next(texts, &offset, &text));
    assert_int_equal(offset, bytes);
}

static void test_texts__absent_lists_are_empty(void **state)
{
    (void)state;
    size_t offset = 0;
    struct bao_span text;
    struct bao_span absent = {0};
    assert_int_equal(bao_texts_count(absent), 0);
    assert_false(bao_texts_next(absent, &offset, &text));
}

static void test_texts__a_list_that_is_full_stays_as_it_was(void **state)
{
    (void)state;
    uint8_t data[BAO_TEXTS_BYTES(2, 8)];
    uint8_t before[sizeof(data)];
    size_t bytes = 0;
    struct bao_span four = bao_span_text("four");
    assert_int_equal(bao_texts_add(data, 7, &bytes, four), BAOZI_FULL);
    assert_int_equal(bytes, 0);
    assert_int_equal(bao_texts_add(data, 8, &bytes, four), BAOZI_OK);
    memcpy(before, data, bytes);
    assert_int_equal(bao_texts_add(data, 12, &bytes, four), BAOZI_FULL);
    assert_int_equal(bytes, 8);
    assert_memory_equal(data, before, bytes);
    assert_int_equal(bao_texts_add(data, 13, &bytes, four), BAOZI_OK);
    assert_int_equal(bao_texts_count(bao_span_of(data, bytes)), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8__texts_and_names_are_told_apart),
        cmocka_unit_test(test_utf8__clean_makes_any_bytes_a_text),
        cmocka_unit_test(test_utf8__cut_keeps_characters_whole),
        cmocka_unit_test(test_texts__come_back_in_order),
        cmocka_unit_test(test_texts__absent_lists_are_empty),
        cmocka_unit_test(test_texts__a_list_that_is_full_stays_as_it_was),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
