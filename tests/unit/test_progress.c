/*
 * test_progress.c - the line of a progress bar, compared as text.
 */
#include <unistd.h>

#include "common/progress.h"
#include "common/range.h"
#include "tests/lib/unit.h"

static char line[BAO_PROGRESS_LINE_BYTES];

static const char *drawn(struct bao_bar bar)
{
    return bao_progress_line(line, &bar);
}

static void test_progress__numbers_are_grouped(void **state)
{
    char text[32];
    (void)state;
    assert_string_equal(bao_write_grouped(text, sizeof text, 0), "0");
    assert_string_equal(bao_write_grouped(text, sizeof text, 999), "999");
    assert_string_equal(bao_write_grouped(text, sizeof text, 1000), "1,000");
    assert_string_equal(bao_write_grouped(text, sizeof text, UINT64_MAX),
                        "18,446,744,073,709,551,615");
}

static void test_progress__a_line_says_all_it_knows(void **state)
{
    (void)state;
    assert_string_equal(drawn((struct bao_bar){.label = "put",
                                               .done = 1234,
                                               .rate = 5,
                                               .note = "blocked 0.3 s",
                                               .columns = 80}),
                        "put 1,234  5.0/s  blocked 0.3 s");
    assert_string_equal(drawn((struct bao_bar){.label = "join",
                                               .done = 25,
                                               .total = 100,
                                               .rate = 25,
                                               .columns = 80}),
                        "join #######....................... 25/100  25%  "
                        "25/s  eta 3 s");
    assert_string_equal(drawn((struct bao_bar){.label = "join",
                                               .done = 1,
                                               .total = 2,
                                               .rate = -1,
                                               .blocks = true,
                                               .columns = 40}),
                        "join ████████████▌             1/2  50%");
    /* not done is never 100% */
    assert_non_null(strstr(drawn((struct bao_bar){.label = "join",
                                                  .done = 99999,
                                                  .total = 100000,
                                                  .rate = -1,
                                                  .columns = 80}),
                           " 99%"));
    assert_non_null(strstr(
        drawn((struct bao_bar){
            .label = "join", .done = 7, .total = 7, .rate = -1, .columns = 80}),
        "100%"));
}

static void test_progress__no_line_is_wider_than_the_terminal(void **state)
{
    (void)state;
    for (size_t columns = 1; columns < 300; columns++) {
        const char *text = drawn((struct bao_bar){.label = "put",
                                                  .done = UINT64_MAX / 2,
                                                  .total = UINT64_MAX,
                                                  .rate = 1e6,
                                                  .note = "blocked 12 s",
                                                  .blocks = true,
                                                  .columns = columns});
        size_t width = 0;
        for (; *text != '\0'; text++)
            width += ((unsigned char)*text & 0xc0u) != 0x80u;
        assert_true(width <= columns - 1 || columns == 1);
    }
}

static void test_progress__colours_only_when_asked(void **state)
{
    struct bao_bar bar = {
        .label = "put", .done = 1, .total = 2, .rate = -1, .columns = 80};
    (void)state;
    assert_null(strchr(drawn(bar), '\033'));
    bar.colour = true;
    assert_non_null(strchr(drawn(bar), '\033'));
}

/* stderr of this test may be anything; a pipe is no terminal. */
static void test_progress__nothing_is_written_off_a_terminal(void **state)
{
    int pipe_fds[2];
    char byte;
    struct bao_progress progress;
    (void)state;
    assert_int_equal(pipe(pipe_fds), 0);
    int kept = dup(STDERR_FILENO);
    assert_int_equal(dup2(pipe_fds[1], STDERR_FILENO), STDERR_FILENO);
    bao_progress_begin(&progress, "put", 10, false);
    bool shows = progress.shows;
    bao_progress_draw(&progress, 5, "note");
    bao_progress_hide(&progress);
    bao_progress_end(&progress, 10, NULL);
    assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
    (void)close(kept);
    (void)close(pipe_fds[1]);
    assert_false(shows);
    assert_int_equal(read(pipe_fds[0], &byte, 1), 0);
    (void)close(pipe_fds[0]);
}

static void test_range__durations_and_ranges_are_read(void **state)
{
    struct bao_range range;
    (void)state;
    assert_true(bao_read_range("200ms", &range));
    assert_int_equal(range.least_ms, 200);
    assert_int_equal(range.most_ms, 200);
    assert_int_equal(bao_range_draw(range), 200);
    assert_true(bao_read_range("1s-3s", &range));
    assert_int_equal(range.least_ms, 1000);
    assert_int_equal(range.most_ms, 3000);
    for (int i = 0; i < 1000; i++) {
        uint64_t drawn_ms = bao_range_draw(range);
        assert_true(drawn_ms >= 1000 && drawn_ms <= 3000);
    }
    assert_false(bao_read_range("", &range));
    assert_false(bao_read_range("3s-1s", &range));
    assert_false(bao_read_range("1s-", &range));
    assert_false(bao_read_range("-1s", &range));
    assert_false(bao_read_range("1s-2s-3s", &range));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_progress__numbers_are_grouped),
        cmocka_unit_test(test_progress__a_line_says_all_it_knows),
        cmocka_unit_test(test_progress__no_line_is_wider_than_the_terminal),
        cmocka_unit_test(test_progress__colours_only_when_asked),
        cmocka_unit_test(test_progress__nothing_is_written_off_a_terminal),
        cmocka_unit_test(test_range__durations_and_ranges_are_read),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
