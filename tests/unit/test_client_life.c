/*
 * test_client_life.c - what happens to a client: many threads, forks, signals,
 * cut connections, brokers that stop, restart or die, closing.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/baozi.h"
#include "common/time.h"
#include "tests/lib/broker.h"
#include "tests/lib/proxy.h"
#include "tests/lib/unit.h"

#define THREADS 20
#define ROUNDS  100

static struct test_broker broker;
static struct baozi *client;
static _Atomic int failures;

/* Fails with the library's own words. */
static void is_ok(enum baozi_status status, const char *what)
{
    char text[1024];
    if (status != BAOZI_OK) {
        fail_msg("%s: %s: %s",
                 what,
                 baozi_status_name(status),
                 baozi_explain(client, text, sizeof text));
    }
}
#define OK(call) is_ok((call), #call)
#define IS(call, expected) \
    assert_string_equal(baozi_status_name(call), #expected)

/* In threads and children: cmocka's own jump out only of the main thread. */
static bool good(enum baozi_status status, const char *what)
{
    if (status != BAOZI_OK) {
        failures++;
        char text[512];
        (void)fprintf(stderr,
                      "# %s: %s: %s\n",
                      what,
                      baozi_status_name(status),
                      baozi_explain(client, text, sizeof text));
    }
    return status == BAOZI_OK;
}
#define GOOD(call) good((call), #call)

static int start(void **state)
{
    (void)state;
    failures = 0;
    if (!broker_start(&broker)) {
        return -1;
    }
    struct baozi_options options = {.size = sizeof options, .url = broker.ipc};
    return baozi_open(&options, &client) == BAOZI_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    (void)baozi_close(client);
    broker_forget(&broker);
    return 0;
}

static uint64_t since_ms(uint64_t start_us)
{
    return (bao_time_monotonic_us() - start_us) / 1000;
}

/* --- threads ------------------------------------------------------------ */

static void *put_and_join(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        GOOD(baozi_put(client, "busy", "x", 1, NULL, BAOZI_FOREVER, NULL));
    }
    GOOD(baozi_join(
        client, "busy", BAOZI_SCOPE_UP_TO, NULL, BAOZI_FOREVER, NULL));
    return NULL;
}

static void *get_and_settle(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        struct baozi_item item;
        if (!GOOD(baozi_get(client, "busy", NULL, BAOZI_FOREVER, &item))) {
            return NULL;
        }
        GOOD(i % 2 == 0 ? baozi_done(client, &item)
                        : baozi_done_async(client, &item));
    }
    return NULL;
}

static void test_client_life__serves_many_threads(void **state)
{
    (void)state;
    pthread_t threads[2 * THREADS];
    struct baozi_counts counts;
    struct baozi_queue_options options;
    baozi_queue_options_init(&options);
    baozi_queue_option(&options, BAOZI_OPTION_MAXSIZE, 7);
    OK(baozi_declare(client, "busy", &options));
    for (int i = 0; i < 2 * THREADS; i++) {
        assert_int_equal(
            pthread_create(&threads[i],
                           NULL,
                           i % 2 == 0 ? put_and_join : get_and_settle,
                           NULL),
            0);
    }
    for (int i = 0; i < 2 * THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    OK(baozi_join(
        client, "busy", BAOZI_SCOPE_QUEUE, NULL, BAOZI_FOREVER, &counts));
    assert_int_equal(counts.done, THREADS * ROUNDS);
    assert_int_equal(failures, 0);
}

static void *get_from_empty(void *argument)
{
    (void)argument;
    struct baozi_item item;
    enum baozi_status status =
        baozi_get(client, "empty", NULL, BAOZI_FOREVER, &item);
    if (status == BAOZI_OK) {
        GOOD(baozi_done(client, &item));
    } else if (status != BAOZI_CLOSED) {
        failures++;
    }
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

/* A blocked call of one thread never delays another's. */
static void test_client_life__lets_blocked_gets_delay_nobody(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    uint64_t took_us[ROUNDS];
    OK(baozi_declare(client, "empty", NULL));
    OK(baozi_declare(client, "other", NULL));
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_create(&threads[i], NULL, get_from_empty, NULL);
    }
    (void)usleep(100000);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start_us = bao_time_monotonic_us();
        OK(baozi_put(client, "other", "x", 1, NULL, BAOZI_FOREVER, NULL));
        took_us[i] = bao_time_monotonic_us() - start_us;
    }
    qsort(took_us, ROUNDS, sizeof took_us[0], by_size);
    print_message("# a put beside %d blocked gets: median %llu us, worst "
                  "%llu us\n",
                  THREADS,
                  (unsigned long long)took_us[ROUNDS / 2],
                  (unsigned long long)took_us[ROUNDS - 1]);
    assert_true(took_us[ROUNDS / 2] < 20000);
    for (int i = 0; i < THREADS; i++) {
        OK(baozi_put(client, "empty", "x", 1, NULL, BAOZI_FOREVER, NULL));
    }
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    assert_int_equal(failures, 0);
}

/* --- fork --------------------------------------------------------------- */

#if !defined(__SANITIZE_THREAD__)
static int child_uses(struct baozi_item *parents_item)
{
    struct baozi_item item;
    bool all = GOOD(
        baozi_put(client, "forked", "child", 5, NULL, BAOZI_FOREVER, NULL));
    all = all && GOOD(baozi_get(client, "forked", NULL, 2000, &item));
    all = all && item.bytes == 5 && memcmp(item.payload, "child", 5) == 0;
    all = all && GOOD(baozi_done(client, &item));
    all = all && baozi_done(client, parents_item) == BAOZI_STALE;
    all = all && baozi_close(client) == BAOZI_OK;
    return all ? 0 : 1;
}

/* A child has a session of its own, also while the parent's threads are
 * blocked, and holds none of the parent's leases. */
static void test_client_life__works_in_a_forked_child(void **state)
{
    (void)state;
    pthread_t blocked;
    struct baozi_item item;
    OK(baozi_declare(client, "empty", NULL));
    OK(baozi_declare(client, "forked", NULL));
    OK(baozi_put(client, "forked", "mine", 4, NULL, 0, NULL));
    OK(baozi_get(client, "forked", NULL, 0, &item));
    (void)pthread_create(&blocked, NULL, get_from_empty, NULL);
    (void)usleep(50000);
    for (int i = 0; i < 3; i++) {
        struct baozi_item seen = item;
        pid_t child = fork();
        if (child == 0) {
            _exit(child_uses(&seen));
        }
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    pid_t child = fork();
    if (child == 0) { /* one that only closes */
        _exit(baozi_close(client) == BAOZI_OK ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    OK(baozi_done(client, &item)); /* still ours */
    OK(baozi_put(client, "empty", "x", 1, NULL, 0, NULL));
    (void)pthread_join(blocked, NULL);
    assert_int_equal(failures, 0);
}
#endif

/* --- signals ------------------------------------------------------------ */

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
    (void)number;
    alarms++;
}

static void set_alarms(suseconds_t every_us)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval timer = {.it_interval.tv_usec = every_us,
                              .it_value.tv_usec = every_us};
    (void)sigaction(SIGALRM, &action, NULL);
    (void)setitimer(ITIMER_REAL, &timer, NULL);
}

static void test_client_life__passes_over_signals(void **state)
{
    (void)state;
    struct baozi_item item;
    OK(baozi_declare(client, "storm", NULL));
    alarms = 0;
    set_alarms(700);
    for (int i = 0; i < 300; i++) {
        OK(baozi_put(client, "storm", "x", 1, NULL, BAOZI_FOREVER, NULL));
        OK(baozi_get(client, "storm", NULL, BAOZI_FOREVER, &item));
        OK(baozi_done(client, &item));
    }
    IS(baozi_get(client, "storm", NULL, 200, &item), EMPTY);
    set_alarms(0);
    assert_true(alarms > 50);
}

static int want_back(void *context)
{
    (void)context;
    return alarms > 0;
}

/* [S3.2] An interrupted get has one outcome: no item is lost or charged. */
static void test_client_life__returns_from_an_interrupted_get(void **state)
{
    (void)state;
    struct baozi *other;
    struct baozi_item item;
    struct baozi_options options = {
        .size = sizeof options, .url = broker.ipc, .interrupted = want_back};
    OK(baozi_open(&options, &other));
    OK(baozi_declare(other, "waits", NULL));
    for (int i = 0; i < 5; i++) {
        alarms = 0;
        set_alarms(100000);
        uint64_t start_us = bao_time_monotonic_us();
        IS(baozi_get(other, "waits", NULL, BAOZI_FOREVER, &item), INTERRUPTED);
        assert_in_range(since_ms(start_us), 90, 1500);
        set_alarms(0);
    }
    alarms = 0;
    OK(baozi_put(client, "waits", "x", 1, NULL, 0, NULL));
    OK(baozi_get(other, "waits", NULL, 1000, &item));
    assert_int_equal(item.deliveries, 1);
    OK(baozi_done(other, &item));
    OK(baozi_close(other));
}

/* --- close -------------------------------------------------------------- */

static void *get_until_closed(void *argument)
{
    _Atomic int *closed = argument;
    struct baozi_item item;
    enum baozi_status status =
        baozi_get(client, "empty", NULL, BAOZI_FOREVER, &item);
    *closed += status == BAOZI_CLOSED ? 1 : 0;
    return NULL;
}

static void test_client_life__closes_with_calls_pending(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    _Atomic int closed = 0;
    struct baozi_item item;
    OK(baozi_declare(client, "empty", NULL));
    OK(baozi_declare(client, "kept", NULL));
    for (int i = 0; i < 200; i++) { /* all of them must arrive */
        OK(baozi_put_async(client, "kept", "x", 1, NULL, -1, NULL, NULL));
    }
    OK(baozi_get(client, "kept", NULL, 1000, &item));
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_create(&threads[i], NULL, get_until_closed, &closed);
    }
    (void)usleep(100000);
    baozi_item_free(&item); /* our memory of it, not its lease */
    uint64_t start_us = bao_time_monotonic_us();
    IS(baozi_close(client), OK);
    assert_true(since_ms(start_us) < 2000);
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    assert_int_equal(closed, THREADS);
    struct baozi_options options = {.size = sizeof options, .url = broker.ipc};
    OK(baozi_open(&options, &client));
    struct baozi_queue_stat stat;
    OK(baozi_stat(client, "kept", &stat));
    assert_int_equal(stat.accepted, 200);
    assert_int_equal(stat.leased, 0); /* BYE released it, */
    assert_int_equal(stat.ready, 200);
    OK(baozi_get(client, "kept", NULL, 1000, &item));
    assert_int_equal(item.deliveries, 1); /* uncounted */
    OK(baozi_done(client, &item));
}

/* Close is bounded, even when nobody answers. */
static void test_client_life__closes_beside_a_dead_broker(void **state)
{
    (void)state;
    struct baozi *other;
    struct baozi_options options = {
        .size = sizeof options, .url = broker.tcp, .close_timeout_ms = 300};
    OK(baozi_open(&options, &other));
    OK(baozi_connect(other, 2000));
    broker_kill(&broker);
    uint64_t start_us = bao_time_monotonic_us();
    IS(baozi_close(other), CONNECTION_LOST);
    assert_true(since_ms(start_us) < 1500);
}

/* --- connections and brokers -------------------------------------------- */

static void *get_one(void *argument)
{
    struct baozi *through = argument;
    struct baozi_item item;
    if (GOOD(baozi_get(through, "cut", NULL, BAOZI_FOREVER, &item))) {
        GOOD(baozi_done(through, &item));
    }
    return NULL;
}

/* [S3.5] The session is taken up again: a held lease stays ours, a blocked
 * get goes on waiting. */
static void test_client_life__resumes_after_the_connection_is_cut(void **state)
{
    (void)state;
    struct test_proxy proxy;
    struct baozi *through;
    pthread_t blocked;
    char url[64];
    struct baozi_item item;
    assert_true(proxy_start(&proxy, atoi(strrchr(broker.tcp, ':') + 1)));
    (void)snprintf(url, sizeof url, "tcp://127.0.0.1:%d", proxy.port);
    struct baozi_options options = {.size = sizeof options, .url = url};
    OK(baozi_open(&options, &through));
    OK(baozi_declare(through, "cut", NULL));
    OK(baozi_put(through, "cut", "held", 4, NULL, BAOZI_FOREVER, NULL));
    OK(baozi_get(through, "cut", NULL, BAOZI_FOREVER, &item));
    (void)pthread_create(&blocked, NULL, get_one, through);
    (void)usleep(50000);
    for (int i = 0; i < 10; i++) {
        proxy_cut(&proxy);
        (void)usleep(i % 2 == 0 ? 0 : 150000);
        OK(baozi_put_async(through, "late", "x", 1, NULL, -1, NULL, NULL));
        IS(baozi_flush(through, 5000), NOT_FOUND);
    }
    OK(baozi_put(through, "cut", "more", 4, NULL, BAOZI_FOREVER, NULL));
    (void)pthread_join(blocked, NULL);
    assert_int_equal(failures, 0);
    assert_true(proxy.accepted > 1);
    OK(baozi_done(through, &item));
    OK(baozi_join(through, "cut", BAOZI_SCOPE_MINE, NULL, 1000, NULL));
    struct baozi_queue_stat stat;
    OK(baozi_stat(client, "cut", &stat));
    assert_int_equal(stat.accepted, 2); /* nothing twice */
    assert_int_equal(stat.done, 2);
    OK(baozi_close(through));
    proxy_stop(&proxy);
}

/* Cuts at any moment lose nothing and double nothing. */
static void *cut_often(void *argument)
{
    struct test_proxy *proxy = argument;
    while (!proxy->stop) {
        (void)usleep(40000);
        proxy_cut(proxy);
    }
    return NULL;
}

/* Its leases outlive a cut even where a busy machine takes seconds to come
 * back. */
static int start_patient(void **state)
{
    (void)setenv("BAOZI_RESUME_GRACE", "10s", 1);
    int result = start(state);
    (void)unsetenv("BAOZI_RESUME_GRACE");
    return result;
}

static void test_client_life__loses_nothing_to_many_cuts(void **state)
{
    (void)state;
    struct test_proxy proxy;
    struct baozi *through;
    pthread_t cutter;
    char url[64];
    assert_true(proxy_start(&proxy, atoi(strrchr(broker.tcp, ':') + 1)));
    (void)snprintf(url, sizeof url, "tcp://127.0.0.1:%d", proxy.port);
    struct baozi_options options = {.size = sizeof options, .url = url};
    OK(baozi_open(&options, &through));
    OK(baozi_declare(through, "many", NULL));
    (void)pthread_create(&cutter, NULL, cut_often, &proxy);
    uint32_t taken = 0;
    uint8_t seen[200] = {0};
    for (uint32_t i = 0; i < 200; i++) {
        struct baozi_item item;
        OK(baozi_put(through, "many", &i, sizeof i, NULL, BAOZI_FOREVER, NULL));
        OK(baozi_get(through, "many", NULL, BAOZI_FOREVER, &item));
        uint32_t number;
        assert_int_equal(item.bytes, sizeof number);
        memcpy(&number, item.payload, sizeof number);
        assert_true(number < 200);
        seen[number]++;
        taken++;
        OK(baozi_done(through, &item));
        (void)usleep(2000);
    }
    OK(baozi_join(through, "many", BAOZI_SCOPE_QUEUE, NULL, 5000, NULL));
    proxy.stop = true;
    (void)pthread_join(cutter, NULL);
    assert_int_equal(taken, 200);
    for (size_t i = 0; i < sizeof seen; i++) {
        assert_int_equal(seen[i], 1);
    }
    print_message("# %u connections\n", (unsigned)proxy.accepted);
    assert_true(proxy.accepted > 3);
    proxy_stop(&proxy);
    (void)baozi_close(through);
}

/* A broker that is stopped for a while is waited for. */
static void test_client_life__waits_for_a_stopped_broker(void **state)
{
    (void)state;
    OK(baozi_declare(client, "stop", NULL));
    (void)kill(broker.pid, SIGSTOP);
    IS(baozi_put(client, "stop", "x", 1, NULL, 100, NULL), CONNECTION_LOST);
    OK(baozi_put_async(client, "stop", "y", 1, NULL, -1, NULL, NULL));
    (void)usleep(300000);
    (void)kill(broker.pid, SIGCONT);
    OK(baozi_flush(client, 5000));
    OK(baozi_put(client, "stop", "z", 1, NULL, 1000, NULL));
}

static void *join_lost(void *argument)
{
    enum baozi_status *status = argument;
    *status = baozi_join(
        client, "gone", BAOZI_SCOPE_QUEUE, NULL, BAOZI_FOREVER, NULL);
    return NULL;
}

/* [S9] An in-memory queue ends with its broker: joins of the old one are
 * LOST; the client goes on with the new one. */
static void test_client_life__survives_a_broker_that_restarts(void **state)
{
    (void)state;
    pthread_t joiner;
    enum baozi_status joined = BAOZI_OK;
    struct baozi_item item;
    OK(baozi_declare(client, "gone", NULL));
    OK(baozi_put(client, "gone", "x", 1, NULL, 0, NULL));
    OK(baozi_get(client, "gone", NULL, 0, &item));
    (void)pthread_create(&joiner, NULL, join_lost, &joined);
    (void)usleep(100000);
    broker_kill(&broker);
    (void)usleep(200000);
    assert_true(broker_restart(&broker));
    OK(baozi_declare(client, "gone", NULL));
    OK(baozi_put(client, "gone", "y", 1, NULL, 0, NULL));
    IS(baozi_done(client, &item), LOST);
    (void)pthread_join(joiner, NULL);
    IS(joined, LOST);
}

/* A broker that is gone for longer than connect_timeout. */
static void
test_client_life__ends_waits_when_the_broker_stays_away(void **state)
{
    (void)state;
    struct baozi *other;
    struct baozi_item item;
    struct baozi_options options = {
        .size = sizeof options, .url = broker.ipc, .connect_timeout_ms = 400};
    OK(baozi_open(&options, &other));
    OK(baozi_declare(other, "away", NULL));
    broker_kill(&broker);
    uint64_t start_us = bao_time_monotonic_us();
    IS(baozi_get(other, "away", NULL, BAOZI_FOREVER, &item), CONNECTION_LOST);
    assert_in_range(since_ms(start_us), 300, 2000);
    (void)baozi_close(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_client_life__serves_many_threads),
        TEST(test_client_life__lets_blocked_gets_delay_nobody),
#if !defined(__SANITIZE_THREAD__)
        /* The thread sanitizer cannot follow a forked child with threads. */
        TEST(test_client_life__works_in_a_forked_child),
#endif
        TEST(test_client_life__passes_over_signals),
        TEST(test_client_life__returns_from_an_interrupted_get),
        TEST(test_client_life__closes_with_calls_pending),
        TEST(test_client_life__closes_beside_a_dead_broker),
        TEST(test_client_life__resumes_after_the_connection_is_cut),
        cmocka_unit_test_setup_teardown(
            test_client_life__loses_nothing_to_many_cuts, start_patient, stop),
        TEST(test_client_life__waits_for_a_stopped_broker),
        TEST(test_client_life__survives_a_broker_that_restarts),
        TEST(test_client_life__ends_waits_when_the_broker_stays_away),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("client_life", tests, NULL, NULL);
}
