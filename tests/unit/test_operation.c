/*
 * test_operation.c - the tables of operation.h and status.h, and whether
 * PROTOCOL.md tells all of them with their numbers.
 */
#include "common/baozi.h"
#include "common/operation.h"
#include "common/operation_check.h"
#include "tests/lib/unit.h"

static void test_operation__names_come_from_the_tables(void **state)
{
    (void)state;
    assert_string_equal(bao_verb_name(BAO_VERB_PUT), "PUT");
    assert_string_equal(bao_verb_name(BAO_VERB_PLEASE_CANCEL), "PLEASE_CANCEL");
    assert_string_equal(bao_verb_name(0), "?");
    assert_string_equal(bao_verb_name(UINT64_MAX), "?");
    assert_string_equal(bao_key_name(BAO_KEY_HEADER_LENGTHS), "header_lengths");
    assert_string_equal(bao_key_name(BAO_OPTION_MAXSIZE), "maxsize");
    assert_string_equal(bao_key_name(BAO_READING_UNFINISHED), "unfinished");
    assert_string_equal(bao_key_name(63), "?");
    assert_string_equal(bao_key_name(255), "?");
    assert_string_equal(bao_state_name(BAO_STATE_NONE), "none");
    assert_string_equal(bao_state_name(BAO_STATE_DEAD), "dead");
    assert_string_equal(bao_state_name(BAO_STATE_PURGED), "purged");
    assert_string_equal(bao_state_name(BAO_STATE_PURGED + 1), "?");
}

static void test_operation__verbs_know_their_keys(void **state)
{
    (void)state;
    uint64_t required = 0;
    uint64_t optional = 0;
    uint64_t answer = 0;
    assert_false(bao_verb_keys(0, &required, &optional, &answer));
    assert_false(bao_verb_keys(9, &required, &optional, &answer));
    assert_false(bao_verb_keys(UINT64_MAX, &required, &optional, &answer));
    assert_true(bao_verb_keys(BAO_VERB_GET, &required, &optional, &answer));
    assert_int_equal(required, BAO_BIT(RID) | BAO_BIT(QUEUE));
    assert_true((optional & BAO_BIT(WAIT_MS)) != 0);
    assert_true((answer & BAO_BIT(IDS)) != 0);
    /* The bit that stands for options is no key, and never optional. */
    for (uint64_t verb = 0; verb < 256; verb++) {
        if (bao_verb_keys(verb, &required, &optional, &answer)) {
            assert_int_equal(optional & BAO_OPTIONS_OK, 0);
            assert_string_not_equal(bao_verb_name(verb), "?");
        } else {
            assert_string_equal(bao_verb_name(verb), "?");
        }
    }
}

static void test_operation__vectors_are_many_requests(void **state)
{
    (void)state;
    static const uint8_t column[8 * 5] = {0};
    struct bao_operation put = {0};
    BAO_SET(&put, VERB, verb, BAO_VERB_PUT);
    assert_int_equal(bao_operation_requests(&put), 0); /* no rid */
    BAO_SET(&put, RID, rid, 9);
    assert_int_equal(bao_operation_requests(&put), 1);
    BAO_SET(&put, LENGTHS, lengths, bao_span_of(column, 4 * 5));
    assert_int_equal(bao_operation_requests(&put), 5);
    BAO_SET(&put, FLAGS, flags, BAO_FLAG_ATOMIC);
    assert_int_equal(bao_operation_requests(&put), 1);
    static const uint64_t vectors[] = {
        BAO_VERB_DONE, BAO_VERB_RETRY, BAO_VERB_RELEASE, BAO_VERB_REJECT};
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct bao_operation settle = {0};
        BAO_SET(&settle, VERB, verb, vectors[i]);
        BAO_SET(&settle, RID, rid, 9);
        BAO_SET(&settle, IDS, ids, bao_span_of(column, 8 * 5));
        assert_int_equal(bao_operation_requests(&settle), 5);
        settle.verb = BAO_VERB_TOUCH; /* one request for all */
        assert_int_equal(bao_operation_requests(&settle), 1);
    }
}

static void test_operation__defaults_are_the_tables(void **state)
{
    (void)state;
    struct bao_queue_options options = bao_queue_options_default();
    assert_int_equal(options.present, 0);
    assert_int_equal(options.maxsize, 0);
    assert_int_equal(options.lease_ms, 30000);
    assert_int_equal(options.max_deliveries, 16);
    assert_int_equal(options.dedup_max, 1000000);
#define X(number, NAME, field, fallback, max) \
    assert_true(options.field <= (uint64_t)(max));
    BAO_OPTION_TABLE(X)
#undef X
}

static void test_operation__the_highest_shared_version_is_chosen(void **state)
{
    (void)state;
    static const struct {
        struct bao_versions ours;
        struct bao_versions theirs;
        uint32_t chosen;
    } rows[] = {
        {{1, 1}, {1, 1}, 1},
        {{1, 1}, {0, 1}, 1}, /* no least: only the one */
        {{1, 3}, {2, 5}, 3},
        {{2, 5}, {1, 3}, 3},
        {{1, 9}, {4, 4}, 4},
        {{1, 9}, {0, 4}, 4},
        {{1, 1}, {2, 3}, 0},
        {{2, 3}, {1, 1}, 0},
        {{2, 3}, {0, 1}, 0},
        {{1, 3}, {3, 2}, 0}, /* nonsense */
        {{1, 1}, {0, 0}, 0},
        {{1, 1}, {1, UINT64_MAX}, 1},
        {{1, UINT64_MAX}, {1, UINT64_MAX}, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(bao_version_choose(rows[i].ours, rows[i].theirs),
                         rows[i].chosen);
    }
    const struct bao_versions mine = {BAO_PROTOCOL_VERSION_MIN,
                                      BAO_PROTOCOL_VERSION};
    assert_int_equal(bao_version_choose(mine, mine), BAO_PROTOCOL_VERSION);
}

static void test_status__every_row_has_its_words(void **state)
{
    (void)state;
#define X(number, NAME, exit_code, what, remedy)                    \
    assert_string_equal(baozi_status_name(BAOZI_##NAME), #NAME);    \
    assert_string_equal(baozi_status_text(BAOZI_##NAME), what);     \
    assert_string_equal(baozi_status_remedy(BAOZI_##NAME), remedy); \
    assert_int_equal(baozi_status_exit_code(BAOZI_##NAME), exit_code);
    BAOZI_STATUS_TABLE(X)
#undef X
}

static void test_status__an_unknown_number_is_a_newer_peers(void **state)
{
    (void)state;
    enum baozi_status status = (enum baozi_status)99;
    assert_string_equal(baozi_status_name(status), "?");
    assert_true(strlen(baozi_status_text(status)) > 0);
    assert_true(strlen(baozi_status_remedy(status)) > 0);
    assert_int_equal(baozi_status_exit_code(status), 76);
}

/* --- PROTOCOL.md ---------------------------------------------------------- */

/* The document; NUL at its end. */
static const char *document(void)
{
    static char text[512 * 1024];
    FILE *file = fopen("common/PROTOCOL.md", "r");
    assert_non_null(file);
    size_t bytes = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    assert_true(bytes > 0 && bytes < sizeof(text) - 1);
    text[bytes] = 0;
    return text;
}

/* True if a row of a table begins "| number | `NAME` |". */
static bool has_row(const char *text, unsigned long number, const char *name)
{
    char row[128];
    (void)snprintf(row, sizeof(row), "\n| %lu | `%s` |", number, name);
    return strstr(text, row) != NULL;
}

static void assert_row(unsigned long number, const char *name)
{
    if (!has_row(document(), number, name)) {
        fail_msg("PROTOCOL.md has no row | %lu | `%s` |", number, name);
    }
}

static void test_protocol__tells_every_key_option_and_reading(void **state)
{
    (void)state;
#define X(number, NAME, field, type, max) assert_row((number), #field);
    BAO_KEY_TABLE(X)
#undef X
#define X(number, NAME, field, fallback, max) assert_row((number), #field);
    BAO_OPTION_TABLE(X)
#undef X
#define X(number, NAME, field) assert_row((number), #field);
    BAO_READING_TABLE(X)
#undef X
}

/* Each verb has a row, and a chapter that names each of its keys. */
static void
assert_chapter(unsigned long number, const char *name, uint64_t keys)
{
    char heading[64];
    (void)snprintf(heading, sizeof(heading), "\n### %s (%lu)", name, number);
    const char *begin = strstr(document(), heading);
    if (begin == NULL) {
        fail_msg("PROTOCOL.md has no chapter '%s'", heading + 1);
        return;
    }
    const char *end = strstr(begin + 1, "\n### ");
    size_t bytes = end == NULL ? strlen(begin) : (size_t)(end - begin);
    static char chapter[32 * 1024];
    assert_true(bytes < sizeof(chapter));
    memcpy(chapter, begin, bytes);
    chapter[bytes] = 0;
    keys &= ~(BAO_BIT(VERB) | BAO_BIT(RID) | BAO_OPTIONS_OK);
    for (unsigned key = 0; key < 63; key++) {
        char word[64];
        (void)snprintf(word, sizeof(word), "`%s`", bao_key_name(key));
        if ((keys & UINT64_C(1) << key) != 0 && strstr(chapter, word) == NULL) {
            fail_msg("PROTOCOL.md: %s does not speak of %s", name, word);
        }
    }
}

static void test_protocol__tells_every_verb_with_all_its_keys(void **state)
{
    (void)state;
#define X(number, NAME, required, optional, answer) \
    assert_row((number), #NAME);                    \
    assert_chapter((number), #NAME, (required) | (optional) | (answer));
    BAO_VERB_TABLE(X)
#undef X
}

static void test_protocol__tells_every_status(void **state)
{
    (void)state;
#define X(number, NAME, exit_code, what, remedy) assert_row((number), #NAME);
    BAOZI_STATUS_TABLE(X)
#undef X
}

static void test_protocol__tells_the_values_of_enumerations(void **state)
{
    (void)state;
    for (unsigned item = BAO_STATE_NONE; item <= BAO_STATE_PURGED; item++) {
        assert_row(item, bao_state_name(item));
    }
    static const struct {
        unsigned long bit;
        const char *name;
    } flags[] = {
        {BAO_FLAG_ATOMIC, "ATOMIC"},
        {BAO_FLAG_UNIQUE, "UNIQUE"},
        {BAO_FLAG_WANT_RESULT, "WANT_RESULT"},
        {BAO_FLAG_AUTO, "AUTO"},
        {BAO_FLAG_FORCE, "FORCE"},
        {BAO_FLAG_IMMEDIATE, "IMMEDIATE"},
        {BAO_FLAG_DEAD, "DEAD"},
        {BAO_FLAG_RESUME, "RESUME"},
        {BAO_FLAG_NO_BODY, "NO_BODY"},
        {BAO_FLAG_MORE, "MORE"},
        {BAO_FLAG_DUPLICATE, "DUPLICATE"},
        {BAO_FLAG_ASKED, "ASKED"},
        {BAO_FLAG_RESUMED, "RESUMED"},
        {BAO_FLAG_CREATED, "CREATED"},
        {BAO_FLAG_LASTING, "LASTING"},
    };
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        assert_row(flags[i].bit, flags[i].name);
    }
    static const char *const levels[] = {
        "default", "memory", "os", "disk", "quorum"};
    for (unsigned i = 0; i < 5; i++) {
        assert_row(i, levels[i]);
    }
    static const char *const scopes[] = {"queue", "group", "mine", "up_to"};
    for (unsigned i = 0; i < 4; i++) {
        assert_row(i, scopes[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operation__names_come_from_the_tables),
        cmocka_unit_test(test_operation__verbs_know_their_keys),
        cmocka_unit_test(test_operation__vectors_are_many_requests),
        cmocka_unit_test(test_operation__defaults_are_the_tables),
        cmocka_unit_test(test_operation__the_highest_shared_version_is_chosen),
        cmocka_unit_test(test_status__every_row_has_its_words),
        cmocka_unit_test(test_status__an_unknown_number_is_a_newer_peers),
        cmocka_unit_test(test_protocol__tells_every_key_option_and_reading),
        cmocka_unit_test(test_protocol__tells_every_verb_with_all_its_keys),
        cmocka_unit_test(test_protocol__tells_every_status),
        cmocka_unit_test(test_protocol__tells_the_values_of_enumerations),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("operation", tests, NULL, NULL);
}
