/*
 * test_client.c - put, get, settle, join and wait, against a real broker.
 */
#include "tests/unit/client_test.h"

/* --- the joinable queue ------------------------------------------------- */

static void test_client__puts_gets_and_joins(void **state)
{
    (void)state;
    struct baozi_counts counts;
    struct baozi_receipt receipt = {0};
    OK(baozi_declare(client, "first", NULL));
    OK(baozi_put(client, "first", "bun", 3, NULL, BAOZI_FOREVER, &receipt));
    assert_true(receipt.id != 0 && receipt.duplicate == 0);
    assert_int_equal(receipt.level, BAOZI_DURABILITY_MEMORY);
    struct baozi_item item = get("first");
    is_payload(&item, "bun");
    assert_int_equal(item.id, receipt.id);
    assert_true(item.token != 0 && item.deliveries == 1);
    IS(baozi_join(client, "first", BAOZI_SCOPE_QUEUE, NULL, 50, &counts),
       TIMEOUT);
    assert_int_equal(counts.unfinished, 1);
    OK(baozi_done(client, &item));
    assert_null(item.hidden);
    OK(baozi_join(
        client, "first", BAOZI_SCOPE_MINE, NULL, BAOZI_FOREVER, &counts));
    assert_int_equal(counts.done, 1);
}

static void test_client__answers_full_and_empty_in_time(void **state)
{
    (void)state;
    struct baozi_item item;
    struct baozi_queue_options options;
    char text[512];
    baozi_queue_options_init(&options);
    baozi_queue_option(&options, BAOZI_OPTION_MAXSIZE, 1);
    OK(baozi_declare(client, "small", &options));
    uint64_t start_us = bao_time_monotonic_us();
    IS(baozi_get(client, "small", NULL, 100, &item), EMPTY);
    assert_true(bao_time_monotonic_us() - start_us >= 100000);
    put("small", "one");
    IS(baozi_put(client, "small", "two", 3, NULL, 0, NULL), FULL);
    baozi_explain(client, text, sizeof text);
    assert_non_null(strstr(text, "put on queue 'small': FULL"));
    assert_non_null(strstr(text, "the queue is at its bound"));
    assert_non_null(strstr(text, "raise maxsize"));
    start_us = bao_time_monotonic_us();
    IS(baozi_put(client, "small", "two", 3, NULL, 100, NULL), FULL);
    assert_true(bao_time_monotonic_us() - start_us >= 100000);
}

static void test_client__takes_many(void **state)
{
    (void)state;
    struct baozi_payload payloads[5] = {
        {"a", 1}, {"bb", 2}, {"", 0}, {"dddd", 4}, {"e", 1}};
    struct baozi_item items[8];
    uint64_t first_id = 0;
    size_t count = 0;
    OK(baozi_declare(client, "many", NULL));
    OK(baozi_put_many(client, "many", payloads, 5, NULL, 0, &first_id));
    OK(baozi_get_many(client, "many", 8, NULL, 0, items, &count));
    assert_int_equal(count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(items[i].id, first_id + i);
        is_payload(&items[i], payloads[i].data);
        OK(baozi_done_async(client, &items[i]));
    }
    OK(baozi_flush(client, 1000));
    OK(baozi_join(client, "many", BAOZI_SCOPE_QUEUE, NULL, 0, NULL));
}

static void test_client__carries_big_items(void **state)
{
    (void)state;
    size_t bytes = (size_t)5 << 20;
    uint8_t *big = malloc(bytes);
    assert_non_null(big);
    for (size_t i = 0; i < bytes; i++) {
        big[i] = (uint8_t)(i * 31 >> 3);
    }
    struct baozi_payload payloads[3] = {
        {"small", 5}, {big, 70000}, {big, 65535}};
    struct baozi_item items[4];
    size_t count = 0;
    OK(baozi_declare(client, "big", NULL));
    OK(baozi_put(client, "big", big, bytes, NULL, 0, NULL));
    OK(baozi_put_many(client, "big", payloads, 3, NULL, 0, NULL));
    for (size_t got = 0; got < 4; got += count) {
        OK(baozi_get_many(
            client, "big", 4 - got, NULL, 1000, items + got, &count));
    }
    assert_int_equal(items[0].bytes, bytes);
    assert_memory_equal(items[0].payload, big, bytes);
    is_payload(&items[1], "small");
    assert_int_equal(items[2].bytes, 70000);
    assert_memory_equal(items[2].payload, big, 70000);
    assert_memory_equal(items[3].payload, big, 65535);
    for (size_t i = 0; i < 4; i++) {
        OK(baozi_done(client, &items[i]));
    }
    free(big);
}

static void test_client__keeps_headers_group_and_priority(void **state)
{
    (void)state;
    struct baozi_queue_options options;
    struct baozi_header headers[2] = {{"traceparent", "00-1"},
                                      {"\xc3\xa9", ""}};
    struct baozi_put_options with = {.size = sizeof with,
                                     .priority = -7,
                                     .group = "batch",
                                     .headers = headers,
                                     .header_count = 2};
    struct baozi_header header;
    struct baozi_counts counts;
    baozi_queue_options_init(&options);
    baozi_queue_option(&options, BAOZI_OPTION_KIND, BAOZI_KIND_PRIORITY);
    OK(baozi_declare(client, "urgent", &options));
    put("urgent", "later");
    OK(baozi_put(client, "urgent", "x", 1, &with, 0, NULL));
    struct baozi_item item = get("urgent");
    is_payload(&item, "x");
    assert_int_equal(item.priority, -7);
    assert_string_equal(item.group, "batch");
    assert_string_equal(baozi_item_header(&item, "traceparent"), "00-1");
    assert_string_equal(baozi_item_header(&item, "\xc3\xa9"), "");
    assert_null(baozi_item_header(&item, "none"));
    assert_int_equal(baozi_item_header_at(&item, 2, &header), 0);
    IS(baozi_join(client, "urgent", BAOZI_SCOPE_GROUP, "batch", 0, NULL),
       TIMEOUT);
    OK(baozi_done(client, &item));
    OK(baozi_join(client, "urgent", BAOZI_SCOPE_GROUP, "batch", 0, &counts));
    assert_int_equal(counts.done, 1);
}

/* --- settling ----------------------------------------------------------- */

static void test_client__settles_in_every_way(void **state)
{
    (void)state;
    OK(baozi_declare(client, "ways", NULL));
    put("ways", "w");
    struct baozi_item item = get("ways");
    OK(baozi_release(client, &item, 0));
    item = get("ways");
    assert_int_equal(item.deliveries, 1); /* a release is not counted */
    OK(baozi_retry(client, &item, 0, "burnt"));
    item = get("ways");
    assert_int_equal(item.deliveries, 2);
    OK(baozi_touch(client, &item, 60000));
    OK(baozi_reject(client, &item, "rotten \xff text"));
    struct baozi_counts counts;
    OK(baozi_join(client, "ways", BAOZI_SCOPE_QUEUE, NULL, 0, &counts));
    assert_int_equal(counts.dead, 1);
    assert_int_equal(counts.error_count, 1);
    assert_non_null(strstr(counts.errors[0], "rotten"));
    put("ways", "v");
    item = get("ways");
    OK(baozi_task_done(client, "ways"));
    IS(baozi_task_done(client, "ways"), TOO_MANY);
    IS(baozi_done(client, &item), STALE);
    IS(baozi_done(client, &item), BAD_REQUEST); /* it is gone */
}

/* [S5.2] The lease is renewed in the background while a handler runs. */
static void test_client__renews_leases_in_the_background(void **state)
{
    (void)state;
    struct baozi_get_options options = {.size = sizeof options,
                                        .lease_ms = 800};
    struct baozi_item item;
    struct baozi_item other;
    OK(baozi_declare(client, "slow", NULL));
    put("slow", "s");
    OK(baozi_get(client, "slow", &options, 0, &item));
    (void)usleep(2000000);
    IS(baozi_get(client, "slow", NULL, 0, &other), EMPTY);
    OK(baozi_done(client, &item));
    /* And one that is forgotten is not. */
    put("slow", "t");
    OK(baozi_get(client, "slow", &options, 0, &item));
    baozi_item_free(&item);
    OK(baozi_get(client, "slow", NULL, 5000, &other));
    OK(baozi_done(client, &other));
}

static void
test_client__settles_automatic_gets_as_they_are_handed_over(void **state)
{
    (void)state;
    struct baozi_get_options options = {.size = sizeof options, .automatic = 1};
    struct baozi_item item;
    OK(baozi_declare(client, "plain", NULL));
    put("plain", "p");
    OK(baozi_get(client, "plain", &options, 0, &item));
    is_payload(&item, "p");
    assert_int_equal(item.token, 0);
    OK(baozi_flush(client, 1000));
    OK(baozi_join(client, "plain", BAOZI_SCOPE_QUEUE, NULL, 0, NULL));
    OK(baozi_done(client, &item)); /* is nothing but a free */
}

static void test_client__hands_results_to_whoever_waits(void **state)
{
    (void)state;
    struct baozi_put_options with = {.size = sizeof with, .want_result = 1};
    struct baozi_receipt receipt;
    struct baozi_outcome outcome;
    OK(baozi_declare(client, "asks", NULL));
    OK(baozi_put(client, "asks", "q", 1, &with, 0, &receipt));
    IS(baozi_wait(client, receipt.id, 50, &outcome), TIMEOUT);
    struct baozi_item item = get("asks");
    OK(baozi_done_with(client, &item, "answer", 6));
    OK(baozi_wait(client, receipt.id, 1000, &outcome));
    assert_int_equal(outcome.state, BAOZI_STATE_DONE);
    assert_int_equal(outcome.bytes, 6);
    assert_memory_equal(outcome.result, "answer", 6);
    baozi_outcome_free(&outcome);
}

static void test_client__cancels_items(void **state)
{
    (void)state;
    struct baozi_receipt receipt;
    int asked = 9;
    OK(baozi_declare(client, "regret", NULL));
    OK(baozi_put(client, "regret", "r", 1, NULL, 0, &receipt));
    OK(baozi_cancel(client, receipt.id, &asked));
    assert_int_equal(asked, 0);
    OK(baozi_put(client, "regret", "r", 1, NULL, 0, &receipt));
    struct baozi_item item = get("regret");
    assert_int_equal(baozi_item_cancel_asked(&item), 0);
    OK(baozi_cancel(client, receipt.id, &asked));
    assert_int_equal(asked, 1);
    OK(baozi_flush(client, 1000));
    OK(baozi_connect(client, 1000));
    assert_int_equal(baozi_item_cancel_asked(&item), 1);
    OK(baozi_done(client, &item));
    IS(baozi_cancel(client, receipt.id + 1000, NULL), NOT_FOUND);
}

/* --- subscriptions ------------------------------------------------------ */

static void test_client__hands_pushed_items_over(void **state)
{
    (void)state;
    struct baozi_subscription *subscription;
    struct baozi_item item;
    IS(baozi_subscribe(client, "nowhere", 1, 0, NULL, &subscription),
       NOT_FOUND);
    OK(baozi_declare(client, "pushed", NULL));
    OK(baozi_subscribe(client, "pushed", 2, 0, NULL, &subscription));
    IS(baozi_next(subscription, 20, &item), EMPTY);
    for (int i = 0; i < 5; i++) {
        put("pushed", "p");
    }
    struct baozi_queue_stat stat;
    (void)usleep(50000);
    OK(baozi_stat(client, "pushed", &stat));
    assert_int_equal(stat.leased, 2); /* the credit */
    for (int i = 0; i < 3; i++) {
        OK(baozi_next(subscription, 1000, &item));
        OK(baozi_done(client, &item));
    }
    OK(baozi_unsubscribe(subscription));
    OK(baozi_stat(client, "pushed", &stat));
    assert_int_equal(stat.ready, 2);
    assert_int_equal(stat.leased, 0);
    item = get("pushed");
    assert_int_equal(item.deliveries, 1); /* what was not taken is uncounted */
    OK(baozi_done(client, &item));
}

/* --- asynchronous puts -------------------------------------------------- */

struct tally {
    int ok;
    int failed;
    uint64_t last_id;
    bool ordered;
};

static void on_answer(void *context,
                      enum baozi_status status,
                      const struct baozi_receipt *receipt)
{
    struct tally *tally = context;
    if (status == BAOZI_OK) {
        tally->ok++;
        tally->ordered = tally->ordered && receipt->id > tally->last_id;
        tally->last_id = receipt->id;
    } else {
        tally->failed++;
    }
}

static void test_client__puts_in_the_background(void **state)
{
    (void)state;
    struct tally tally = {.ordered = true};
    OK(baozi_declare(client, "async", NULL));
    for (int i = 0; i < 5000; i++) {
        OK(baozi_put_async(client,
                           "async",
                           &i,
                           sizeof i,
                           NULL,
                           BAOZI_FOREVER,
                           on_answer,
                           &tally));
    }
    OK(baozi_flush(client, 10000));
    assert_int_equal(tally.ok, 5000);
    assert_true(tally.ordered);
    struct baozi_queue_stat stat;
    OK(baozi_stat(client, "async", &stat));
    assert_int_equal(stat.ready, 5000);
    OK(baozi_purge(client, "async", 0, NULL));
    /* A failure that no callback took is flush's to tell, once. */
    OK(baozi_put_async(client, "nowhere", "x", 1, NULL, 0, NULL, NULL));
    IS(baozi_flush(client, 1000), NOT_FOUND);
    OK(baozi_flush(client, 1000));
    OK(baozi_put_async(client, "nowhere", "x", 1, NULL, 0, on_answer, &tally));
    OK(baozi_flush(client, 1000));
    assert_int_equal(tally.failed, 1);
}

static void test_client__bounds_the_window(void **state)
{
    (void)state;
    struct baozi_queue_options options;
    struct baozi *small;
    struct baozi_options with = {
        .size = sizeof with, .url = broker.ipc, .window = 4};
    baozi_queue_options_init(&options);
    baozi_queue_option(&options, BAOZI_OPTION_MAXSIZE, 2);
    OK(baozi_declare(client, "narrow", &options));
    OK(baozi_open(&with, &small));
    int taken = 0;
    while (baozi_put_async(small, "narrow", "x", 1, NULL, 50, NULL, NULL) ==
           BAOZI_OK) {
        taken++;
        assert_true(taken <= 6);
    }
    assert_int_equal(taken, 6); /* two accepted, four in the window */
    for (int i = 0; i < 6; i++) {
        struct baozi_item item = get("narrow");
        OK(baozi_done(client, &item));
    }
    OK(baozi_flush(small, 1000));
    OK(baozi_close(small));
}

/* Waits until a queue has as many ready items. */
static void await_ready(const char *queue, uint64_t count)
{
    struct baozi_queue_stat stat = {.size = sizeof stat};
    for (int tries = 0; tries < 5000; tries++) {
        OK(baozi_stat(client, queue, &stat));
        if (stat.ready == count && stat.leased == 0) {
            return;
        }
        usleep(1000);
    }
    assert_int_equal(stat.ready, count);
    assert_int_equal(stat.leased, 0);
}

/* Who filled its window, or has more items at hand, is expected to go on: its
 * puts and settles gather. If it stays away instead they leave all the
 * same, without any call of it. */
static void
test_client__sends_what_gathers_when_its_caller_stays_away(void **state)
{
    (void)state;
    struct baozi *other;
    struct baozi_subscription *subscription;
    struct baozi_item item;
    struct baozi_options with = {
        .size = sizeof with, .url = broker.ipc, .window = 64};
    OK(baozi_declare(client, "gathered", NULL));
    OK(baozi_open(&with, &other));
    for (int i = 0; i < 100; i++) {
        OK(baozi_put_async(
            other, "gathered", "x", 1, NULL, BAOZI_FOREVER, NULL, NULL));
    }
    await_ready("gathered", 100);
    OK(baozi_subscribe(other, "gathered", 10, 0, NULL, &subscription));
    for (int i = 0; i < 7; i++) {
        OK(baozi_next(subscription, 5000, &item));
        OK(baozi_done_async(other, &item));
    }
    struct baozi_queue_stat stat = {.size = sizeof stat};
    for (int tries = 0; tries < 5000 && stat.done < 7; tries++) {
        OK(baozi_stat(client, "gathered", &stat));
        usleep(1000);
    }
    assert_int_equal(stat.done, 7);
    OK(baozi_unsubscribe(subscription));
    OK(baozi_close(other));
    await_ready("gathered", 93);
    OK(baozi_purge(client, "gathered", 0, NULL));
}

/* The answer that makes room in the window may be there when the next call
 * begins: it must not go to sleep over it. */
static void test_client__wakes_for_every_place_in_the_window(void **state)
{
    (void)state;
    struct baozi *narrow;
    struct baozi_options options = {
        .size = sizeof options, .url = broker.ipc, .window = 1};
    OK(baozi_open(&options, &narrow));
    OK(baozi_declare(narrow, "one by one", NULL));
    uint64_t begin_us = bao_time_monotonic_us();
    for (int i = 0; i < 50; i++) {
        OK(baozi_put_async(
            narrow, "one by one", "x", 1, NULL, 20000, NULL, NULL));
        (void)usleep(2000); /* the answer comes, and nobody looks */
    }
    assert_true(bao_time_monotonic_us() - begin_us < 10000000);
    OK(baozi_flush(narrow, 20000));
    OK(baozi_close(narrow));
}

static void test_client__refuses_what_makes_no_sense(void **state)
{
    (void)state;
    char text[512];
    struct baozi_item item = {0};
    struct baozi_put_options with = {.size = sizeof with, .unique = 1};
    IS(baozi_put(client, "", "x", 1, NULL, 0, NULL), BAD_REQUEST);
    baozi_explain(client, text, sizeof text);
    assert_non_null(strstr(text, "a queue's name"));
    IS(baozi_put(client, "tab\there\nor", "x", 1, NULL, 0, NULL), BAD_REQUEST);
    IS(baozi_declare(client, "\033[2Jtab\nthere", NULL), BAD_REQUEST);
    baozi_explain(client, text, sizeof text);
    assert_non_null(strstr(text, "declare on queue '\\x1b[2Jtab\\nthere': "));
    IS(baozi_put(client, "q", NULL, 1, NULL, 0, NULL), BAD_REQUEST);
    IS(baozi_put(client, "q", "x", 1, NULL, -2, NULL), BAD_REQUEST);
    IS(baozi_put(client, "q", "x", 1, &with, 0, NULL), BAD_REQUEST);
    IS(baozi_put(client, "q", "x", (size_t)33 << 20, NULL, 0, NULL), TOO_BIG);
    IS(baozi_get_many(client, "q", 0, NULL, 0, &item, &item.bytes),
       BAD_REQUEST);
    IS(baozi_join(client, "q", BAOZI_SCOPE_GROUP, NULL, 0, NULL), BAD_REQUEST);
    IS(baozi_pause(client, "q", 4), BAD_REQUEST);
    IS(baozi_done(client, &item), BAD_REQUEST);
    IS(baozi_put(client, "q", "x", 1, NULL, 0, NULL), NOT_FOUND);
}

static void test_client__says_where_nobody_answered(void **state)
{
    (void)state;
    struct baozi *lonely;
    struct baozi_item item;
    char text[512];
    struct baozi_options options = {.size = sizeof options,
                                    .url = "ipc:///tmp/baozi-nobody-is-here",
                                    .connect_timeout_ms = 300};
    OK(baozi_open(&options, &lonely));
    uint64_t start_us = bao_time_monotonic_us();
    IS(baozi_connect(lonely, 10000), CONNECTION_LOST);
    IS(baozi_get(lonely, "q", NULL, BAOZI_FOREVER, &item), CONNECTION_LOST);
    uint64_t took_us = bao_time_monotonic_us() - start_us;
    assert_in_range(took_us, 600000, 2000000);
    baozi_explain(lonely, text, sizeof text);
    assert_non_null(strstr(text, "ipc:///tmp/baozi-nobody-is-here"));
    assert_int_equal(baozi_close(lonely), BAOZI_OK);
    options.url = "http://elsewhere";
    IS(baozi_open(&options, &lonely), BAD_REQUEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_client__puts_gets_and_joins),
        TEST(test_client__answers_full_and_empty_in_time),
        TEST(test_client__takes_many),
        TEST(test_client__carries_big_items),
        TEST(test_client__keeps_headers_group_and_priority),
        TEST(test_client__settles_in_every_way),
        TEST(test_client__renews_leases_in_the_background),
        TEST(test_client__settles_automatic_gets_as_they_are_handed_over),
        TEST(test_client__hands_results_to_whoever_waits),
        TEST(test_client__cancels_items),
        TEST(test_client__hands_pushed_items_over),
        TEST(test_client__puts_in_the_background),
        TEST(test_client__bounds_the_window),
        TEST(test_client__sends_what_gathers_when_its_caller_stays_away),
        TEST(test_client__wakes_for_every_place_in_the_window),
        TEST(test_client__refuses_what_makes_no_sense),
        TEST(test_client__says_where_nobody_answered),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("client", tests, start, stop);
}
