/*
 * sentences.c - holds the tests' citations against sentences.txt.
 */
#include "tests/core/tests.h"

#define SENTENCES_MAX 400u
#define NUMBER_BYTES  12u

struct sentence {
    char number[NUMBER_BYTES];
    bool allowed; /* to have no test */
    unsigned tests;
};

static struct sentence sentences[SENTENCES_MAX];
static size_t sentence_count;

static struct sentence *find(const char *number)
{
    for (size_t i = 0; i < sentence_count; i++) {
        if (strcmp(sentences[i].number, number) == 0) {
            return &sentences[i];
        }
    }
    return NULL;
}

static void read_line(const char *line, bool *allowed)
{
    char number[NUMBER_BYTES] = {0};
    size_t bytes = strcspn(line, " \n");
    if (strncmp(line, "allowed:", 8) == 0) {
        *allowed = true;
    }
    if (line[0] != 'S') {
        return;
    }
    assert_true(bytes < NUMBER_BYTES);
    memcpy(number, line, bytes);
    struct sentence *sentence = find(number);
    if (*allowed) {
        assert_non_null(sentence);
        sentence->allowed = true;
        return;
    }
    assert_null(sentence); /* each number once */
    assert_true(sentence_count < SENTENCES_MAX);
    memcpy(sentences[sentence_count++].number, number, NUMBER_BYTES);
}

/* The file lies beside its tests; they run at the root of the tree. */
static void read_sentences(void)
{
    const char *path = getenv("BAO_SENTENCES");
    FILE *file = fopen(path == NULL ? "tests/core/sentences.txt" : path, "r");
    char line[400];
    bool allowed = false;
    assert_non_null(file);
    sentence_count = 0;
    while (fgets(line, (int)sizeof(line), file) != NULL) {
        read_line(line, &allowed);
    }
    (void)fclose(file);
}

static void cite(const struct core_test *test)
{
    const char *at = test->cites;
    while (*at != '\0') {
        char number[NUMBER_BYTES] = {0};
        size_t bytes = strcspn(at, " ");
        assert_true(bytes > 0 && bytes < NUMBER_BYTES);
        memcpy(number, at, bytes);
        struct sentence *sentence = find(number);
        if (sentence == NULL) {
            fail_msg("%s cites %s, which is no sentence", test->name, number);
        }
        sentence->tests++;
        at += bytes + (at[bytes] == ' ' ? 1 : 0);
    }
}

void core_sentences_check(const struct core_test *const *tables,
                          size_t table_count)
{
    unsigned wrong = 0;
    read_sentences();
    for (size_t i = 0; i < table_count; i++) {
        for (const struct core_test *test = tables[i]; test->name != NULL;
             test++) {
            cite(test);
        }
    }
    for (size_t i = 0; i < sentence_count; i++) {
        const struct sentence *sentence = &sentences[i];
        if (sentence->tests == 0) {
            printf("# no test: %s%s\n",
                   sentence->number,
                   sentence->allowed ? " (allowed)" : "");
        }
        if ((sentence->tests == 0) != sentence->allowed) {
            (void)fprintf(stderr,
                          "%s %s\n",
                          sentence->number,
                          sentence->allowed ? "is allowed to have no test, and "
                                              "has one"
                                            : "has no test");
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}
