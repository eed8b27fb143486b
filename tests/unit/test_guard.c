/*
 * test_guard.c - who is cut for what the broker cannot see, and who is not.
 *
 * Connections are real ones over the loopback, because the kernel counts for
 * the guard; resident memory is a number that the test sets.
 */
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "broker/guard.h"
#include "common/limits.h"
#include "common/time.h"
#include "tests/lib/unit.h"

#define KIB            1024u
#define MIB            (1024u * 1024u)
#define CREDIT_BYTES   (1u * MIB)
#define TOTAL_BYTES    (40u * MIB)
#define MESSAGE_BYTES  (BAO_ITEM_BYTES_MAX + MIB)
#define PAIRS_MAX      8u
#define RESIDENT_BYTES (100u * (uint64_t)MIB)

struct pair {
    int peer; /* sends */
    int ours; /* what the edge would have accepted */
    uint64_t written;
};

static struct bao_guard *guard;
static uint64_t resident;
static uint64_t now_us;
static int listener;
static struct pair pairs[PAIRS_MAX];
static unsigned pair_count;

static uint64_t tell_resident(void *context)
{
    (void)context;
    return resident;
}

static void open_guard(void)
{
    struct bao_guard_config config = {
        .credit_bytes = CREDIT_BYTES,
        .total_bytes = TOTAL_BYTES,
        .threadless = true,
        .resident = tell_resident,
    };
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    resident = RESIDENT_BYTES;
    now_us = 1000000;
    pair_count = 0;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(
        bind(listener, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, (int)PAIRS_MAX), 0);
    assert_int_equal(bao_guard_open(&config, &guard), BAOZI_OK);
}

static void close_guard(void)
{
    for (unsigned i = 0; i < pair_count; i++) {
        (void)bao_guard_forget(guard, pairs[i].ours);
        (void)close(pairs[i].peer);
        (void)close(pairs[i].ours);
    }
    (void)close(listener);
    bao_guard_close(guard);
}

static uint64_t cookie_of(int descriptor)
{
    uint64_t cookie = 0;
    socklen_t bytes = sizeof cookie;
    assert_int_equal(
        getsockopt(descriptor, SOL_SOCKET, SO_COOKIE, &cookie, &bytes), 0);
    return cookie;
}

/* A connection that the guard watches. */
static struct pair *open_pair(void)
{
    struct sockaddr_in address;
    socklen_t bytes = sizeof address;
    assert_true(pair_count < PAIRS_MAX);
    struct pair *pair = &pairs[pair_count++];
    *pair = (struct pair){0};
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &bytes),
                     0);
    pair->peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(
        connect(pair->peer, (const struct sockaddr *)&address, bytes), 0);
    pair->ours = accept(listener, NULL, NULL);
    assert_true(pair->ours >= 0);
    bao_guard_watch(guard, pair->ours, cookie_of(pair->ours), true);
    return pair;
}

/* Sends so much from one end and reads it at the other, as ZeroMQ would. */
static void flow(int from, int to, uint64_t bytes)
{
    static char data[64 * KIB];
    while (bytes > 0) {
        size_t some = bytes < sizeof data ? (size_t)bytes : sizeof data;
        ssize_t sent = send(from, data, some, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0)
            bytes -= (uint64_t)sent;
        while (recv(to, data, sizeof data, MSG_DONTWAIT) > 0)
            continue;
    }
}

static void peer_sends(struct pair *pair, uint64_t bytes)
{
    flow(pair->peer, pair->ours, bytes);
    pair->written += bytes;
}

static bool is_cut(const struct pair *pair)
{
    char byte;
    return recv(pair->peer, &byte, 1, MSG_DONTWAIT) == 0;
}

/* A look at all connections: memory grew, and the ledger says why. */
static void look_at_all(void)
{
    static uint64_t ledger;
    ledger += 20u * MIB;
    resident += 20u * MIB;
    bao_guard_look(guard, now_us += 10000);
    bao_guard_explain(guard, BAO_USE_LEDGER, ledger);
    /* A round, so that each was looked at if nothing raised an alarm. */
    for (unsigned i = 0; i < 120; i++)
        bao_guard_look(guard, now_us += 10000);
}

/* --- one peer's limits --- */

static void test_guard__64_kib_before_hello_and_no_more(void **state)
{
    (void)state;
    open_guard();
    struct pair *good = open_pair();
    struct pair *bad = open_pair();
    peer_sends(good, 64 * KIB);
    peer_sends(bad, 64 * KIB + 1);
    look_at_all();
    assert_false(is_cut(good));
    assert_true(is_cut(bad));
    assert_int_equal(bao_guard_counts(guard).greeting, 1);
    assert_null(bao_guard_forget(guard, good->ours));
    const struct bao_verdict *verdict = bao_guard_forget(guard, bad->ours);
    assert_string_equal(verdict->why, "it sent too much before HELLO");
    assert_true(verdict->is_offence);
    close_guard();
}

static void test_guard__a_welcomed_peer_has_its_credit_and_a_message(void **s)
{
    (void)s;
    open_guard();
    struct pair *good = open_pair();
    struct pair *bad = open_pair();
    bao_guard_welcome(guard, good->ours);
    peer_sends(good, CREDIT_BYTES + MESSAGE_BYTES);
    look_at_all();
    assert_false(is_cut(good));
    /* What was consumed is no backlog. */
    bao_guard_consumed(guard, good->ours, good->written);
    bao_guard_welcome(guard, bad->ours);
    peer_sends(bad, 20 * MIB);
    bao_guard_consumed(guard, bad->ours, 20 * MIB);
    peer_sends(bad, CREDIT_BYTES + MESSAGE_BYTES);
    look_at_all();
    assert_false(is_cut(bad));
    peer_sends(bad, 1);
    look_at_all();
    assert_true(is_cut(bad));
    assert_false(is_cut(good));
    assert_int_equal(bao_guard_counts(guard).credit, 1);
    const struct bao_verdict *verdict = bao_guard_forget(guard, bad->ours);
    assert_string_equal(verdict->why, "it sent more than its credit");
    assert_true(verdict->is_offence);
    close_guard();
}

/* --- all together --- */

static void test_guard__of_all_the_largest_are_cut_first(void **state)
{
    (void)state;
    open_guard();
    struct pair *peers[4];
    for (unsigned i = 0; i < 4; i++) {
        peers[i] = open_pair();
        bao_guard_welcome(guard, peers[i]->ours);
        peer_sends(peers[i], (5 + 5 * i) * MIB); /* 5, 10, 15, 20 */
    }
    look_at_all();
    assert_true(is_cut(peers[3]));
    assert_false(is_cut(peers[2]));
    assert_false(is_cut(peers[1]));
    assert_false(is_cut(peers[0]));
    assert_int_equal(bao_guard_counts(guard).total, 1);
    /* Somebody must go; that is no offence. */
    assert_false(bao_guard_forget(guard, peers[3]->ours)->is_offence);
    close_guard();
}

/* --- memory that nobody explains --- */

static void test_guard__empty_parts_show_in_memory_only(void **state)
{
    (void)state;
    open_guard();
    struct pair *good = open_pair();
    struct pair *bad = open_pair();
    bao_guard_welcome(guard, good->ours);
    bao_guard_welcome(guard, bad->ours);
    peer_sends(good, 100 * KIB);
    peer_sends(bad, 2 * MIB);
    resident += 20 * MIB; /* alarming, but not yet too much */
    bao_guard_look(guard, now_us += 10000);
    assert_int_equal(bao_guard_counts(guard).scans, 1);
    assert_false(is_cut(bad));
    resident += 20 * MIB;
    bao_guard_look(guard, now_us += 10000);
    assert_true(is_cut(bad));
    assert_false(is_cut(good));
    assert_int_equal(bao_guard_counts(guard).memory, 1);
    close_guard();
}

static void test_guard__what_is_explained_raises_no_alarm(void **state)
{
    (void)state;
    open_guard();
    struct pair *peer = open_pair();
    bao_guard_welcome(guard, peer->ours);
    peer_sends(peer, 100 * KIB);
    for (unsigned i = 1; i <= 20; i++) {
        bao_guard_explain(guard, BAO_USE_LEDGER, i * 20 * MIB);
        resident += 20 * MIB;
        bao_guard_look(guard, now_us += 10000);
    }
    /* Records go, their pages stay: still explained. */
    bao_guard_explain(guard, BAO_USE_LEDGER, 0);
    bao_guard_look(guard, now_us += 10000);
    assert_int_equal(bao_guard_counts(guard).scans, 0);
    /* Once the pages have gone, growth is growth again. */
    resident = RESIDENT_BYTES;
    bao_guard_look(guard, now_us += 10000);
    resident += 50 * MIB;
    bao_guard_look(guard, now_us += 10000);
    assert_int_equal(bao_guard_counts(guard).scans, 1);
    assert_true(is_cut(peer));
    close_guard();
}

static void test_guard__growth_that_is_nobodys_is_remembered(void **state)
{
    (void)state;
    open_guard();
    struct pair *peer = open_pair();
    bao_guard_welcome(guard, peer->ours);
    resident += 500 * MIB;
    for (unsigned i = 0; i < 200; i++)
        bao_guard_look(guard, now_us += 10000);
    peer_sends(peer, 17 * MIB);
    resident += 17 * MIB;
    for (unsigned i = 0; i < 200; i++)
        bao_guard_look(guard, now_us += 10000);
    assert_false(is_cut(peer));
    assert_int_equal(bao_guard_counts(guard).memory, 0);
    close_guard();
}

static void test_guard__local_peers_without_hello_go_on_an_alarm(void **state)
{
    (void)state;
    int welcomed[2];
    int nameless[2];
    open_guard();
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, welcomed), 0);
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, nameless), 0);
    bao_guard_watch(guard, welcomed[0], cookie_of(welcomed[0]), false);
    bao_guard_watch(guard, nameless[0], cookie_of(nameless[0]), false);
    bao_guard_welcome(guard, welcomed[0]);
    resident += 50 * MIB;
    bao_guard_look(guard, now_us += 10000);
    char byte;
    assert_int_equal(recv(nameless[1], &byte, 1, MSG_DONTWAIT), 0);
    assert_int_equal(recv(welcomed[1], &byte, 1, MSG_DONTWAIT), -1);
    for (unsigned i = 0; i < 2; i++) {
        (void)bao_guard_forget(guard, i == 0 ? welcomed[0] : nameless[0]);
        (void)close(welcomed[i]);
        (void)close(nameless[i]);
    }
    close_guard();
}

/* --- descriptors --- */

static void test_guard__a_reused_descriptor_is_another_connection(void **state)
{
    (void)state;
    open_guard();
    struct pair *first = open_pair();
    peer_sends(first, MIB);
    assert_null(bao_guard_forget(guard, first->ours));
    int number = first->ours;
    (void)close(first->ours);
    (void)close(first->peer);
    pair_count--;
    /* The number comes back with a stranger's socket behind it. */
    struct pair *second = open_pair();
    assert_int_equal(second->ours, number);
    look_at_all();
    assert_false(is_cut(second));
    /* Nor is a socket shut that the guard was not told of. */
    bao_guard_watch(guard, second->ours, cookie_of(second->ours) + 1, true);
    peer_sends(second, MIB);
    look_at_all();
    assert_false(is_cut(second));
    close_guard();
}

/* --- what goes out --- */

static void test_guard__a_peer_that_takes_nothing_has_no_room(void **state)
{
    (void)state;
    open_guard();
    struct pair *pair = open_pair();
    bao_guard_sent(guard, pair->ours, 7 * MIB);
    assert_true(bao_guard_has_room(guard, pair->ours));
    bao_guard_sent(guard, pair->ours, 2 * MIB);
    assert_false(bao_guard_has_room(guard, pair->ours));
    flow(pair->ours, pair->peer, 9 * MIB);
    assert_true(bao_guard_has_room(guard, pair->ours));
    close_guard();
}

/* --- the thread --- */

static void test_guard__its_thread_cuts_within_a_second(void **state)
{
    (void)state;
    open_guard();
    bao_guard_close(guard);
    struct bao_guard_config config = {.credit_bytes = CREDIT_BYTES,
                                      .total_bytes = TOTAL_BYTES};
    assert_int_equal(bao_guard_open(&config, &guard), BAOZI_OK);
    struct pair *pair = open_pair();
    peer_sends(pair, 100 * KIB);
    uint64_t end_us = bao_time_monotonic_us() + 5000000;
    struct timespec pause = {.tv_nsec = 1000000};
    while (!is_cut(pair) && bao_time_monotonic_us() < end_us)
        (void)nanosleep(&pause, NULL);
    assert_true(is_cut(pair));
    close_guard();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guard__64_kib_before_hello_and_no_more),
        cmocka_unit_test(
            test_guard__a_welcomed_peer_has_its_credit_and_a_message),
        cmocka_unit_test(test_guard__of_all_the_largest_are_cut_first),
        cmocka_unit_test(test_guard__empty_parts_show_in_memory_only),
        cmocka_unit_test(test_guard__what_is_explained_raises_no_alarm),
        cmocka_unit_test(test_guard__growth_that_is_nobodys_is_remembered),
        cmocka_unit_test(test_guard__local_peers_without_hello_go_on_an_alarm),
        cmocka_unit_test(test_guard__a_reused_descriptor_is_another_connection),
        cmocka_unit_test(test_guard__a_peer_that_takes_nothing_has_no_room),
        cmocka_unit_test(test_guard__its_thread_cuts_within_a_second),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
