/*
 * test_client_look.c - looking at queues and operating them, against a real
 * broker.
 */
#include "tests/unit/client_test.h"

/* --- looking and operating ---------------------------------------------- */

static int count_view(void *context, const struct baozi_view *view)
{
    int *count = context;
    assert_true(view->id != 0 && view->state != BAOZI_STATE_NONE);
    return ++*count == 1000 ? 1 : 0;
}

static int stop_at_two(void *context, const struct baozi_view *view)
{
    (void)view;
    int *count = context;
    return ++*count == 2 ? 1 : 0;
}

static int find_queue(void *context, const struct baozi_queue_stat *stat)
{
    int *found = context;
    *found += strcmp(stat->name, "shelf") == 0 ? 1 : 0;
    assert_int_equal(stat->options.values[BAOZI_OPTION_LEASE_MS] > 0, 1);
    return 0;
}

static int find_self(void *context, const struct baozi_session_info *info)
{
    int *found = context;
    *found += info->pid == (uint32_t)getpid() &&
                      strcmp(info->program, "test_client") == 0 &&
                      info->connected != 0
                  ? 1
                  : 0;
    return 0;
}

static void test_client_look__looks_without_changing(void **state)
{
    (void)state;
    int count = 0;
    uint64_t cursor = 0;
    struct baozi_queue_stat stat;
    struct baozi_broker_info info;
    OK(baozi_declare(client, "shelf", NULL));
    IS(baozi_peek(client, "shelf", 0, count_view, &count), EMPTY);
    for (int i = 0; i < 600; i++) {
        OK(baozi_put_async(client, "shelf", "x", 1, NULL, -1, NULL, NULL));
    }
    OK(baozi_flush(client, 5000));
    OK(baozi_peek(client, "shelf", 0, count_view, &count));
    assert_int_equal(count, 1);
    count = 0;
    OK(baozi_browse(client,
                    "shelf",
                    BAOZI_STATE_READY,
                    NULL,
                    &cursor,
                    0,
                    count_view,
                    &count));
    assert_int_equal(count, 600);
    count = 0;
    cursor = 0;
    OK(baozi_browse(client,
                    "shelf",
                    BAOZI_STATE_READY,
                    NULL,
                    &cursor,
                    0,
                    stop_at_two,
                    &count));
    assert_int_equal(count, 2);
    OK(baozi_browse(client,
                    "shelf",
                    BAOZI_STATE_READY,
                    NULL,
                    &cursor,
                    300,
                    count_view,
                    &count));
    assert_int_equal(count, 302);
    OK(baozi_stat(client, "shelf", &stat));
    assert_int_equal(stat.ready, 600);
    assert_string_equal(stat.name, "shelf");
    int found = 0;
    OK(baozi_list(client, find_queue, &found));
    assert_int_equal(found, 1);
    found = 0;
    OK(baozi_sessions(client, find_self, &found));
    assert_int_equal(found, 1);
    OK(baozi_broker(client, 1000, &info));
    assert_true(info.queues > 0 && info.sessions > 0 && info.draining == 0);
    uint64_t purged = 0;
    OK(baozi_purge(client, "shelf", 0, &purged));
    assert_int_equal(purged, 600);
}

static void test_client_look__operates_queues(void **state)
{
    (void)state;
    struct baozi_queue_options options;
    struct baozi_item item;
    uint64_t moved = 0;
    OK(baozi_declare(client, "op", NULL));
    baozi_queue_options_init(&options);
    baozi_queue_option(&options, BAOZI_OPTION_MAXSIZE, 3);
    IS(baozi_declare(client, "op", &options), EXISTS);
    OK(baozi_configure(client, "op", &options));
    OK(baozi_declare(client, "op", &options));
    OK(baozi_pause(client, "op", 1));
    IS(baozi_put(client, "op", "x", 1, NULL, 0, NULL), FULL);
    OK(baozi_resume(client, "op", 1));
    put("op", "x");
    item = get("op");
    OK(baozi_reject(client, &item, "no"));
    OK(baozi_redrive(client, "op", NULL, 0, "no", 0, 0, &moved));
    assert_int_equal(moved, 1);
    IS(baozi_delete(client, "op", 0), BAD_REQUEST);
    OK(baozi_shutdown(client, "op", 0));
    IS(baozi_put(client, "op", "x", 1, NULL, 0, NULL), SHUTDOWN);
    item = get("op");
    OK(baozi_done(client, &item));
    IS(baozi_get(client, "op", NULL, BAOZI_FOREVER, &item), SHUTDOWN);
    OK(baozi_reopen(client, "op"));
    put("op", "x");
    OK(baozi_delete(client, "op", 1));
    IS(baozi_put(client, "op", "x", 1, NULL, 0, NULL), NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_client_look__looks_without_changing),
        TEST(test_client_look__operates_queues),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("client_look", tests, start, stop);
}
