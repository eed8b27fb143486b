/*
 * marks.c - every BAO_MARK of the core must have been reached by some test.
 *
 * A mark names a place that only an unusual story reaches; if none did, the
 * story is missing or the place cannot be reached. Only in builds that count
 * marks (-DBAO_MARKS), and only when all tests ran.
 */
#include <dirent.h>

#include "common/check.h"
#include "tests/core/tests.h"

#ifdef BAO_MARKS

/* Looks for BAO_MARK("...") in one file; returns how many were not reached. */
static unsigned check_file(const char *path)
{
    static char text[1024 * 1024];
    static const char call[] = "BAO_MARK(\"";
    unsigned missed = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t bytes = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    text[bytes] = '\0';
    for (char *at = strstr(text, call); at != NULL; at = strstr(at, call)) {
        at += sizeof(call) - 1;
        char *end = strchr(at, '"');
        assert_non_null(end);
        *end = '\0';
        if (bao_mark_count(at) == 0) {
            (void)fprintf(stderr, "%s: not reached: %s\n", path, at);
            missed++;
        }
        at = end + 1;
    }
    return missed;
}

void core_marks_check(void)
{
    unsigned missed = 0;
    unsigned files = 0;
    DIR *folder = opendir("broker/core");
    assert_non_null(folder);
    for (const struct dirent *entry = readdir(folder); entry != NULL;
         entry = readdir(folder)) {
        char path[300];
        const char *dot = strrchr(entry->d_name, '.');
        if (dot != NULL && strcmp(dot, ".c") == 0) {
            (void)snprintf(path, sizeof(path), "broker/core/%s", entry->d_name);
            missed += check_file(path);
            files++;
        }
    }
    (void)closedir(folder);
    assert_true(files > 0);
    assert_int_equal(missed, 0);
}

#endif
