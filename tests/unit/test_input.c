/*
 * test_input.c - items from files and pipes, whatever their lengths.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/input.h"
#include "tests/lib/unit.h"

static struct bao_input input;

/* A file in memory with these bytes, being read. */
static void begin(const void *data,
                  size_t bytes,
                  enum bao_input_split split,
                  size_t item_bytes_max)
{
    int fd = memfd_create("input", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, bytes), bytes);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    bao_input_init(&input, fd, split, item_bytes_max, -1);
}

static void end(void)
{
    (void)close(input.fd);
    bao_input_fini(&input);
}

static void expect(const char *text)
{
    const uint8_t *data = NULL;
    size_t bytes = 0;
    assert_int_equal(bao_input_next(&input, &data, &bytes), BAO_INPUT_ITEM);
    assert_int_equal(bytes, strlen(text));
    assert_memory_equal(data, text, bytes);
}

static enum bao_input_found next(void)
{
    const uint8_t *data;
    size_t bytes;
    return bao_input_next(&input, &data, &bytes);
}

static void test_input__lines_are_items(void **state)
{
    (void)state;
    begin("one\n\n three\nlast", 16, BAO_INPUT_LINES, 100);
    expect("one");
    expect("");
    expect(" three");
    assert_int_equal(input.number, 3);
    expect("last"); /* without a newline */
    assert_int_equal(next(), BAO_INPUT_END);
    assert_int_equal(next(), BAO_INPUT_END);
    end();
    begin("a\n", 2, BAO_INPUT_LINES, 100);
    expect("a");
    assert_int_equal(next(), BAO_INPUT_END);
    end();
    begin("", 0, BAO_INPUT_LINES, 100);
    assert_int_equal(next(), BAO_INPUT_END);
    end();
}

static void test_input__nul_separates_names_with_newlines(void **state)
{
    (void)state;
    begin("a\nb\0\0c", 6, BAO_INPUT_NULS, 100);
    expect("a\nb");
    expect("");
    expect("c");
    assert_int_equal(next(), BAO_INPUT_END);
    end();
}

static void test_input__a_whole_file_is_one_item_even_if_empty(void **state)
{
    (void)state;
    begin("a\nb\n", 4, BAO_INPUT_WHOLE, 100);
    expect("a\nb\n");
    assert_int_equal(next(), BAO_INPUT_END);
    end();
    begin("", 0, BAO_INPUT_WHOLE, 100);
    expect("");
    assert_int_equal(next(), BAO_INPUT_END);
    end();
}

static void test_input__the_limit_is_exact(void **state)
{
    enum { MAX = 200000 };
    const uint8_t *data;
    size_t bytes;
    char *text = malloc(2 * MAX + 10);
    (void)state;
    assert_non_null(text);
    memset(text, 'x', 2 * MAX + 10);
    text[MAX] = '\n';
    begin(text, 2 * MAX + 1, BAO_INPUT_LINES, MAX);
    assert_int_equal(bao_input_next(&input, &data, &bytes), BAO_INPUT_ITEM);
    assert_int_equal(bytes, MAX);
    assert_int_equal(bao_input_next(&input, &data, &bytes), BAO_INPUT_ITEM);
    assert_int_equal(bytes, MAX);
    assert_int_equal(next(), BAO_INPUT_END);
    end();
    begin(text, 2 * MAX + 2, BAO_INPUT_LINES, MAX);
    assert_int_equal(next(), BAO_INPUT_ITEM);
    assert_int_equal(next(), BAO_INPUT_TOO_BIG);
    assert_int_equal(input.number, 2);      /* the message names the line */
    assert_true(input.capacity <= MAX + 1); /* and memory stays bounded */
    end();
    begin(text, MAX + 5, BAO_INPUT_WHOLE, 5);
    assert_int_equal(next(), BAO_INPUT_TOO_BIG);
    end();
    begin("12345\n123456\n", 13, BAO_INPUT_LINES, 5);
    expect("12345");
    assert_int_equal(next(), BAO_INPUT_TOO_BIG);
    end();
    free(text);
}

/* Against a plain splitter, for many lengths and cuts of the pipe. */
static void test_input__cuts_of_a_pipe_do_not_matter(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed < 60; seed++) {
        char text[3000];
        size_t length = 0;
        unsigned random = seed * 2654435761u;
        while (length < sizeof text) {
            random = random * 1103515245u + 12345u;
            text[length++] = (random >> 16) % 7 == 0 ? '\n' : 'a';
        }
        int pipe_fds[2];
        assert_int_equal(pipe(pipe_fds), 0);
        bao_input_init(&input, pipe_fds[0], BAO_INPUT_LINES, 4000, -1);
        size_t written = 0;
        size_t seen = 0;
        while (seen < length) {
            size_t line = 0;
            while (seen + line < length && text[seen + line] != '\n')
                line++;
            while (written < seen + line + 1 && written < length) {
                random = random * 1103515245u + 12345u;
                size_t part = (random >> 16) % 50 + 1;
                if (part > length - written)
                    part = length - written;
                assert_int_equal(write(pipe_fds[1], text + written, part),
                                 part);
                written += part;
            }
            if (written == length && pipe_fds[1] >= 0) {
                (void)close(pipe_fds[1]);
                pipe_fds[1] = -1;
            }
            const uint8_t *data;
            size_t bytes;
            assert_int_equal(bao_input_next(&input, &data, &bytes),
                             BAO_INPUT_ITEM);
            assert_int_equal(bytes, line);
            assert_memory_equal(data, text + seen, line);
            seen += line + 1;
        }
        assert_int_equal(next(), BAO_INPUT_END);
        end();
    }
}

static void test_input__stops_when_told_while_it_waits(void **state)
{
    int pipe_fds[2];
    int stop = eventfd(1, EFD_CLOEXEC);
    (void)state;
    assert_int_equal(pipe(pipe_fds), 0);
    bao_input_init(&input, pipe_fds[0], BAO_INPUT_LINES, 100, stop);
    assert_int_equal(next(), BAO_INPUT_STOPPED);
    end();
    (void)close(pipe_fds[1]);
    assert_int_equal(bao_input_wait(-1, stop, -1), -1);
    (void)close(stop);
    assert_int_equal(bao_input_wait(-1, -1, 1), 0);
}

static void test_input__a_folder_is_told(void **state)
{
    (void)state;
    char *folder = strdup("/");
    assert_non_null(folder);
    FILE *opened = fopen(folder, "r");
    assert_non_null(opened);
    bao_input_init(&input, fileno(opened), BAO_INPUT_LINES, 100, -1);
    assert_int_equal(next(), BAO_INPUT_FAILED);
    assert_int_equal(errno, EISDIR);
    bao_input_fini(&input);
    (void)fclose(opened);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_input__lines_are_items),
        cmocka_unit_test(test_input__nul_separates_names_with_newlines),
        cmocka_unit_test(test_input__a_whole_file_is_one_item_even_if_empty),
        cmocka_unit_test(test_input__the_limit_is_exact),
        cmocka_unit_test(test_input__cuts_of_a_pipe_do_not_matter),
        cmocka_unit_test(test_input__stops_when_told_while_it_waits),
        cmocka_unit_test(test_input__a_folder_is_told),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("input", tests, NULL, NULL);
}
