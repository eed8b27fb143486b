/*
 * tests.h - the tables of core tests; main.c runs them all.
 *
 * Each test cites the sentences of sentences.txt that it proves.
 */
#ifndef BAO_TESTS_CORE_TESTS_H
#define BAO_TESTS_CORE_TESTS_H

#include "tests/lib/unit.h"

struct core_test {
    const char *name; /* NULL: the end of the table */
    void (*run)(void **state);
    const char *cites; /* "S3.1.a S3.1.b" */
};

#define CORE_TEST(function, cites) \
    {                              \
#function, function, cites \
    }
#define CORE_TESTS_END   \
    {                    \
        NULL, NULL, NULL \
    }

extern const struct core_test core_tests_story[];
extern const struct core_test core_tests_put[];
extern const struct core_test core_tests_wait[];
extern const struct core_test core_tests_lease[];
extern const struct core_test core_tests_settle[];
extern const struct core_test core_tests_join[];
extern const struct core_test core_tests_count[];
extern const struct core_test core_tests_dead[];
extern const struct core_test core_tests_session[];
extern const struct core_test core_tests_repeat[];
extern const struct core_test core_tests_time[];
extern const struct core_test core_tests_bound[];
extern const struct core_test core_tests_dedup[];
extern const struct core_test core_tests_shutdown[];
extern const struct core_test core_tests_subscribe[];
extern const struct core_test core_tests_operate[];
extern const struct core_test core_tests_look[];
extern const struct core_test core_tests_restart[];
extern const struct core_test core_tests_tutorial[];
extern const struct core_test core_tests_random[];
extern const struct core_test core_tests_image[];

/* Every mark of the core was reached; in builds with BAO_MARKS only. */
void core_marks_check(void);

/* Sentences without a test are exactly the allowed ones. */
void core_sentences_check(const struct core_test *const *tables,
                          size_t table_count);

#endif
