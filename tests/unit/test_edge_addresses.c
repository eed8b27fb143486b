/*
 * test_edge_addresses.c - limits and bans by address, without any socket.
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "broker/edge_addresses.h"
#include "tests/lib/unit.h"

#define MEMORY_BYTES (4u << 20)
#define SECOND_US    UINT64_C(1000000)
#define OPEN_MAX     3u
#define STRIKES_MAX  10u

static _Alignas(4096) uint8_t memory[MEMORY_BYTES];
static struct bao_addresses addresses;

static void open_addresses(void)
{
    struct bao_arena *arena = bao_arena_init(memory, sizeof memory);
    assert_true(bao_addresses_open(&addresses, arena, 7));
    addresses.open_max = OPEN_MAX;
    addresses.strikes_max = STRIKES_MAX;
}

static struct sockaddr_storage from(const char *text)
{
    struct sockaddr_storage peer = {0};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(9)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        memcpy(&peer, &in, sizeof in);
    else if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
        memcpy(&peer, &in6, sizeof in6);
    else
        peer.ss_family = AF_UNIX;
    return peer;
}

static const char *
enter(const char *text, uint64_t now_us, struct bao_address **address)
{
    struct sockaddr_storage peer = from(text);
    return bao_addresses_enter(&addresses, &peer, now_us, address);
}

static void test_edge_addresses__an_address_has_its_share_only(void **state)
{
    (void)state;
    struct bao_address *seen[5];
    open_addresses();
    for (unsigned i = 0; i < OPEN_MAX; i++)
        assert_null(enter("10.1.2.3", 0, &seen[i]));
    assert_string_equal(enter("10.1.2.3", 0, &seen[3]),
                        "too many clients from its address");
    /* The same address, written the other way. */
    assert_non_null(enter("::ffff:10.1.2.3", 0, &seen[4]));
    bao_addresses_leave(&addresses, seen[4]);
    /* Others are others. */
    assert_null(enter("10.1.2.4", 0, &seen[4]));
    bao_addresses_leave(&addresses, seen[4]);
    assert_null(enter("2001:db8::1", 0, &seen[4]));
    bao_addresses_leave(&addresses, seen[4]);
    /* The refused one leaves too; then there is room again. */
    bao_addresses_leave(&addresses, seen[3]);
    bao_addresses_leave(&addresses, seen[0]);
    assert_null(enter("10.1.2.3", 0, &seen[0]));
    for (unsigned i = 0; i < OPEN_MAX; i++)
        bao_addresses_leave(&addresses, seen[i]);
    assert_int_equal(addresses.table.count, 0);
    bao_addresses_close(&addresses);
}

static void test_edge_addresses__this_machine_is_not_counted(void **state)
{
    (void)state;
    static const char *const ours[] = {
        "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "a file"};
    struct bao_address *address;
    open_addresses();
    for (unsigned i = 0; i < 50; i++) {
        assert_null(enter(ours[i % 5], 0, &address));
        assert_null(address);
        assert_false(bao_addresses_strike(&addresses, address, 1, 0));
        bao_addresses_leave(&addresses, address);
    }
    bao_addresses_close(&addresses);
}

/* Strikes at these moments; true if the last one was a ban. */
static bool strikes(struct bao_address *address, unsigned count, uint64_t at_us)
{
    bool banned = false;
    for (unsigned i = 0; i < count; i++) {
        assert_false(banned);
        banned = bao_addresses_strike(&addresses, address, 1, at_us);
    }
    return banned;
}

static void test_edge_addresses__strikes_of_a_minute_are_a_ban(void **state)
{
    (void)state;
    struct bao_address *bad;
    struct bao_address *other;
    uint64_t now_us = 5 * SECOND_US;
    open_addresses();
    assert_null(enter("10.1.2.3", now_us, &bad));
    assert_false(strikes(bad, STRIKES_MAX - 1, now_us));
    assert_true(strikes(bad, 1, now_us + 59 * SECOND_US));
    now_us += 59 * SECOND_US;
    bao_addresses_leave(&addresses, bad);
    assert_int_equal(addresses.bans, 1);
    /* Remembered, although it is gone. */
    assert_string_equal(enter("10.1.2.3", now_us + SECOND_US, &bad),
                        "its address is banned");
    bao_addresses_leave(&addresses, bad);
    assert_null(enter("10.1.2.4", now_us + SECOND_US, &other));
    bao_addresses_leave(&addresses, other);
    assert_null(enter("10.1.2.3", now_us + BAO_ADDRESS_BAN_US, &bad));
    bao_addresses_leave(&addresses, bad);
    bao_addresses_close(&addresses);
}

static void test_edge_addresses__each_ban_is_twice_the_last_one(void **state)
{
    (void)state;
    struct bao_address *bad;
    uint64_t now_us = SECOND_US;
    open_addresses();
    for (uint64_t minutes = 1; minutes <= 64; minutes *= 2) {
        const uint64_t ban_us = (minutes < 60 ? minutes : 60) * 60 * SECOND_US;
        assert_null(enter("10.1.2.3", now_us, &bad));
        assert_true(bao_addresses_strike(&addresses, bad, STRIKES_MAX, now_us));
        assert_int_equal(bad->ban_us, ban_us);
        /* What was under way is cut too, and lengthens nothing. */
        assert_false(
            bao_addresses_strike(&addresses, bad, STRIKES_MAX, now_us + 1));
        bao_addresses_leave(&addresses, bad);
        now_us += ban_us - 1;
        assert_string_equal(enter("10.1.2.3", now_us, &bad),
                            "its address is banned");
        bao_addresses_leave(&addresses, bad);
        now_us++;
    }
    /* An hour without one is forgiven. */
    now_us += BAO_ADDRESS_BAN_MAX_US + 1;
    assert_null(enter("10.1.2.3", now_us, &bad));
    assert_true(bao_addresses_strike(&addresses, bad, STRIKES_MAX, now_us));
    assert_int_equal(bad->ban_us, BAO_ADDRESS_BAN_US);
    bao_addresses_leave(&addresses, bad);
    bao_addresses_close(&addresses);
}

static void test_edge_addresses__bans_can_be_turned_off(void **state)
{
    (void)state;
    struct bao_address *address;
    open_addresses();
    addresses.strikes_max = 0;
    assert_null(enter("10.1.2.3", 0, &address));
    assert_false(strikes(address, 1000, 0));
    bao_addresses_leave(&addresses, address);
    bao_addresses_close(&addresses);
}

static void test_edge_addresses__old_strikes_do_not_count(void **state)
{
    (void)state;
    struct bao_address *address;
    open_addresses();
    assert_null(enter("10.1.2.3", 0, &address));
    for (unsigned i = 0; i < 100; i++)
        assert_false(
            bao_addresses_strike(&addresses, address, 1, i * 7 * SECOND_US));
    bao_addresses_leave(&addresses, address);
    bao_addresses_close(&addresses);
}

static void test_edge_addresses__a_crowd_is_forgotten(void **state)
{
    (void)state;
    struct bao_address *address;
    char text[32];
    open_addresses();
    for (unsigned i = 0; i < 3 * BAO_ADDRESSES_IDLE_MAX; i++) {
        (void)snprintf(
            text, sizeof text, "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
        assert_null(enter(text, 0, &address));
        assert_false(bao_addresses_strike(&addresses, address, 1, 0));
        bao_addresses_leave(&addresses, address);
    }
    assert_int_equal(addresses.table.count, BAO_ADDRESSES_IDLE_MAX);
    assert_int_equal(addresses.idle.count, BAO_ADDRESSES_IDLE_MAX);
    bao_addresses_close(&addresses);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edge_addresses__an_address_has_its_share_only),
        cmocka_unit_test(test_edge_addresses__this_machine_is_not_counted),
        cmocka_unit_test(test_edge_addresses__strikes_of_a_minute_are_a_ban),
        cmocka_unit_test(test_edge_addresses__each_ban_is_twice_the_last_one),
        cmocka_unit_test(test_edge_addresses__bans_can_be_turned_off),
        cmocka_unit_test(test_edge_addresses__old_strikes_do_not_count),
        cmocka_unit_test(test_edge_addresses__a_crowd_is_forgotten),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
