/*
 * test_session.c - who speaks, from where, and for how long.
 */
#include "tests/core/story.h"
#include "tests/core/tests.h"
#include "tests/core/world.h"

static void test_session__hello_makes_a_session(void **state)
{
    (void)state;
    world_says("[   0] p1 hello    -> ok, session 1\n"
               "[   0] p2 hello    -> ok, session 2\n"
               "[   0] p1 sessions -> session 1 p1@kitchen pid 4711, leases "
               "0, silent 0, state 1; session 2 p2@kitchen pid 4711, leases "
               "0, silent 0, state 1; ok\n"
               "[   1] p1 broker   -> ok, queues 0, sessions 2, draining 0\n");
}

static void
test_session__the_broker_tells_where_its_log_is_damaged(void **state)
{
    (void)state;
    world_says("[   0] broker finds damage at segment-1, offset 70\n"
               "[   1] broker finds damage at segment-1, offset 70\n"
               "[   2] broker finds damage at segment-2, offset 8\n"
               "[   3] p1 broker -> ok, queues 0, sessions 1, draining 0, "
               "'segment-1, offset 70', 'segment-2, offset 8'\n");
}

static void test_session__a_session_outlives_its_connection(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'       -> ok, item 1\n"
               "[   1] p1 closes\n"
               "[ 400] p1 hello resume       -> ok, session 1, resumed\n"
               "[ 400] p1 held\n"
               "[ 401] p1 put buns 'b'       -> ok, item 2\n"
               "[ 402] p1 join buns mine try -> TIMEOUT, unfinished 2\n");
}

/* Only frames from the new address count; the old one is told so. */
static void
test_session__a_session_may_resume_before_its_old_connection_is_noticed(
    void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'     -> ok, item 1\n"
               "[   1] p1 hello resume     -> ok, session 1, resumed\n"
               "       p1 (old)            -> gone, SESSION_GONE\n"
               "[   1] p1 held\n"
               "[   2] p1 old put buns 'b' .. waits\n"
               "       p1 (old)            -> gone, SESSION_GONE\n"
               "[   3] p1 put buns 'c'     -> ok, item 2\n");
}

static void test_session__a_forged_secret_resumes_nothing(void **state)
{
    (void)state;
    world_says("[   0] p1 hello        -> ok, session 1\n"
               "[   1] p1 closes\n"
               "[   2] p1 hello forged -> SESSION_GONE\n"
               "[   3] p1 hello resume -> ok, session 1, resumed\n");
}

static void test_session__bye_ends_a_session(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'   -> ok, item 1\n"
               "[   1] p1 bye            -> ok\n"
               "[   2] p1 hello resume   -> SESSION_GONE\n"
               "[   3] p1 hello          -> ok, session 2\n"
               "[   3] p1 join buns mine -> ok\n");
}

static void
test_session__what_is_said_without_a_session_is_answered_gone(void **state)
{
    (void)state;
    world_says("[   0] p2 declare buns -> ok, created\n"
               "[   0] p1 bye          -> ok\n"
               "[   1] p1 put buns 'a' .. waits\n"
               "       p1              -> gone, SESSION_GONE\n");
}

/* Its leases are gone; its answers are not. */
static void test_session__a_dead_session_may_come_back(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' #1          -> ok, item 1\n"
               "[   0] p1 get buns                 -> ok, item 1 'a', lease "
               "1 until 30000\n"
               "[   1] p1 crashes\n"
               "[1000] p1 stat buns ready          .. waits\n"
               "       p1                          -> gone, SESSION_GONE\n"
               "[2000] p1 hello resume             -> ok, session 1, resumed\n"
               "[2000] p1 held 1\n"
               "[2001] p1 resend #1                -> ok, item 1\n"
               "[2002] p1 done 1                   -> STALE\n"
               "[2003] p1 stat buns ready accepted -> ok, ready 1, accepted "
               "1\n");
}

static void
test_session__a_dead_session_is_forgotten_after_an_hour(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' #1 -> ok, item 1\n"
               "[   1] p1 crashes\n"
               "[3600000] p1 hello resume -> ok, session 1, resumed\n"
               "[3600001] p1 held\n"
               "[3600002] p1 resend #1    -> ok, item 1\n"
               "[3600003] p1 crashes\n"
               "[7200003] p1 hello resume -> SESSION_GONE\n");
}

/* What a forked child does: the parent's leases are untouched by it. */
static void test_session__another_client_id_is_another_session(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'     -> ok, item 1\n"
               "[   0] w1 get buns         -> ok, item 1 'a', lease 1 until "
               "30000\n"
               "[   1] child hello         -> ok, session 3\n"
               "[   2] child done buns/1@1 -> STALE\n"
               "[   3] child bye           -> ok\n"
               "[   4] w1 done 1           -> ok\n");
}

/* It falls silent as far as heartbeats go, but its other words count. */
static void test_session__traffic_renews_a_session(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' -> ok, item 1\n"
               "[   0] w1 get buns     -> ok, item 1 'a', lease 1 until "
               "30000\n"
               "[   0] w1 falls silent\n"
               "[2500] w1 touch 1      -> ok until 32500\n"
               "[5400] w1 touch 1      -> ok until 35400\n"
               "[8300] w1 done 1       -> ok\n");
}

static void test_session__no_common_version_no_session(void **state)
{
    (void)state;
    world_says("[   0] p1 hello version 9 -> BAD_VERSION\n");
}

/* The answer to its get was lost on the way: it does not list that lease.
 * The request was acknowledged, so nothing can be answered again: back it
 * goes, uncounted. */
static void test_session__a_resumed_session_says_what_it_holds(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' -> ok, items 1-2\n"
               "[   0] w1 get buns         -> ok, item 1 'a', lease 1 until "
               "30000\n"
               "[   0] w1 get buns         -> ok, item 2 'b', lease 2 until "
               "30000\n"
               "[   1] w1 ack 1-2\n"
               "[   2] w1 closes\n"
               "[   3] w1 hello resume     -> ok, session 2, resumed\n"
               "[   4] w1 held 1\n"
               "[   5] w2 get buns         -> ok, item 2 'b', lease 3 until "
               "30005\n"
               "[   6] w1 done 1           -> ok\n");
}

/* The answer never came, so the client says it again from a new address;
 * once the session was used only its secret opens it. */
static void test_session__a_hello_that_was_lost_is_repeated(void **state)
{
    (void)state;
    world_says("[   0] p1 hello        -> ok, session 1\n"
               "[   1] p1 hello again  -> ok, session 1\n"
               "[   2] p1 put buns 'a' -> ok, item 1\n"
               "[   3] p1 hello again  -> EXISTS\n");
}

/* A client that never heard its welcome has no secret: were it told EXISTS,
 * it could never come in again under its id. */
static void
test_session__a_hello_is_repeated_after_its_session_died(void **state)
{
    (void)state;
    world_says("[   0] p1 hello        -> ok, session 1\n"
               "[   1] p1 closes\n"
               "[2000] p1 hello again  -> ok, session 1\n"
               "[2001] p1 put buns 'a' -> ok, item 1\n");
}

static void test_session__sessions_are_bounded(void **state)
{
    (void)state;
    world_says("broker sessions_max 2\n"
               "[   0] p1 hello -> ok, session 1\n"
               "[   0] p2 hello -> ok, session 2\n"
               "[   0] p3 hello -> QUOTA\n"
               "[   1] p2 bye   -> ok\n"
               "[   2] p3 hello -> ok, session 3\n");
}

static void
test_session__the_end_of_an_old_connection_ends_nothing(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'     -> ok, item 1\n"
               "[   0] w1 get buns         -> ok, item 1 'a', lease 1 until "
               "30000\n"
               "[   1] w1 hello resume     -> ok, session 2, resumed\n"
               "       w1 (old)            -> gone, SESSION_GONE\n"
               "[   1] w1 held 1\n"
               "[   2] w1 old closes\n"
               "[1000] p1 stat buns leased -> ok, leased 1\n"
               "[1001] w1 done 1           -> ok\n");
}

static void test_session__bye_ends_what_waits(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'      -> ok, item 1\n"
               "[   0] w1 get cakes         .. waits\n"
               "[   0] w1 join buns         .. waits\n"
               "[   1] w1 bye               -> ok\n"
               "       w1 get cakes         -> CANCELLED\n"
               "       w1 join buns         -> CANCELLED\n"
               "[   2] p1 put cakes 'b'     -> ok, item cakes/1\n"
               "[   3] p1 stat buns joiners -> ok, joiners 0\n");
}

/* A client comes, and its process is gone before it did anything. */
static void come_and_die(struct world *world, struct world_client *client)
{
    struct bao_command gone = {.kind = BAO_COMMAND_PROCESS_GONE};
    world_hello(world, client, false, BAO_PROTOCOL_VERSION);
    gone.peer = client->peer;
    client->connected = false;
    world_command(world, &gone);
}

/* The oldest dead session is forgotten first; what resumes it is told that
 * it is gone, never OK. */
static void test_session__dead_sessions_are_bounded(void **state)
{
    (void)state;
    struct bao_core_config config = world_config();
    config.memory_bytes = 256u * 1024u * 1024u;
    struct world *world = world_open(&config);
    world->quick = true;
    struct world_client *first = world_client(world, "first");
    struct world_client *second = world_client(world, "second");
    struct world_client *other = world_client(world, "other");
    come_and_die(world, first);
    come_and_die(world, second);
    for (unsigned i = 2; i < BAO_DEAD_SESSIONS_MAX; i++) {
        come_and_die(world, other);
    }
    uint64_t session = first->session;
    first->session = 0;
    world_hello(world, first, true, BAO_PROTOCOL_VERSION);
    assert_int_equal(first->session, session);
    come_and_die(world, first);
    come_and_die(world, other);
    second->session = 0;
    world_hello(world, second, true, BAO_PROTOCOL_VERSION);
    assert_int_equal(second->session, 0); /* the oldest of too many */
    second->connected = false;
    session = other->session;
    other->session = 0;
    world_hello(world, other, true, BAO_PROTOCOL_VERSION);
    assert_int_equal(other->session, session);
    world_close(world);
}

const struct core_test core_tests_session[] = {
    CORE_TEST(test_session__hello_makes_a_session, "S1.k"),
    CORE_TEST(test_session__the_broker_tells_where_its_log_is_damaged, "S9.e"),
    CORE_TEST(test_session__a_session_outlives_its_connection, "S1.m S1.o"),
    CORE_TEST(
        test_session__a_session_may_resume_before_its_old_connection_is_noticed,
        "S1.o S3.5.h"),
    CORE_TEST(test_session__a_forged_secret_resumes_nothing, "S1.m S1.o"),
    CORE_TEST(test_session__bye_ends_a_session, "S1.n S7.b"),
    CORE_TEST(test_session__what_is_said_without_a_session_is_answered_gone,
              "S1.n"),
    CORE_TEST(test_session__a_dead_session_may_come_back, "S7.a S1.m"),
    CORE_TEST(test_session__a_dead_session_is_forgotten_after_an_hour,
              "S7.a S7.d"),
    CORE_TEST(test_session__another_client_id_is_another_session, "S1.p"),
    CORE_TEST(test_session__traffic_renews_a_session, "S1.l"),
    CORE_TEST(test_session__no_common_version_no_session, "S10.g"),
    CORE_TEST(test_session__a_resumed_session_says_what_it_holds, "S1.m"),
    CORE_TEST(test_session__a_hello_that_was_lost_is_repeated, "S1.k S3.5.a"),
    CORE_TEST(test_session__a_hello_is_repeated_after_its_session_died,
              "S3.5.a"),
    CORE_TEST(test_session__sessions_are_bounded, "S3.5.f"),
    CORE_TEST(test_session__the_end_of_an_old_connection_ends_nothing,
              "S1.o S1.m"),
    CORE_TEST(test_session__bye_ends_what_waits, "S1.n"),
    CORE_TEST(test_session__dead_sessions_are_bounded, "S7.c S7.d"),
    CORE_TESTS_END,
};
