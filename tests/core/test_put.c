/*
 * test_put.c - what is put, and what comes out again.
 */
#include "common/wire.h"
#include "tests/core/story.h"
#include "tests/core/tests.h"
#include "tests/core/world.h"

static void test_put__ids_grow_in_accept_order(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'     -> ok, item 1\n"
               "[   0] p2 put buns 'b'     -> ok, item 2\n"
               "[   1] p1 put buns 'c' 'd' -> ok, items 3-4\n"
               "[   2] w1 get buns 9       -> ok, item 1 'a', item 2 'b', "
               "item 3 'c', item 4 'd', leases 1-4 until 30002\n"
               "[   3] p1 put cakes 'e'    -> ok, item cakes/1\n"
               "[   3] w1 get cakes        -> ok, item cakes/1 'e', lease 5 "
               "until 30003\n");
}

static void test_put__payload_and_headers_come_out_as_they_went_in(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns '' 'a'{traceparent=00-4bf9-01} ''{k=v} "
               "-> ok, items 1-3\n"
               "[   0] p1 put buns 'x'*70000 'y' 'z'*65536 'w'*65535 -> ok, "
               "items 4-7\n"
               "[   1] w1 get buns 3 -> ok, item 1 '', item 2 "
               "'a'{traceparent=00-4bf9-01}, item 3 ''{k=v}, leases 1-3 "
               "until 30001\n"
               "[   1] w1 get buns 4 -> ok, item 4 <70000 bytes>, item 5 "
               "'y', item 6 <65536 bytes>, item 7 <65535 bytes>, leases 4-7 "
               "until 30001\n");
}

/* Two fit; the third waits alone and times out alone. */
static void
test_put__many_puts_in_one_message_are_each_answered_for_itself(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 2 -> ok, created\n"
               "[   0] p1 put buns 'a' 'b' 'c' wait 100 -> ok, items 1-2; 1 "
               "wait\n"
               "[ 100]\n"
               "       p1 put buns 'a' 'b' 'c' wait 100 -> FULL\n");
    world_says("[   0] p1 declare buns maxsize 1      -> ok, created\n"
               "[   0] p1 put buns 'a' 'b' 'c' 'd' #1 -> ok, item 1; 3 wait\n"
               "[   1] w1 get buns                    -> ok, item 1 'a', "
               "lease 1 until 30001\n"
               "       p1 put #1                      -> ok, item 2\n"
               "[   2] w1 get buns                    -> ok, item 2 'b', "
               "lease 2 until 30002\n"
               "       p1 put #1                      -> ok, item 3\n"
               "[   3] p1 put buns 'e' try            -> FULL\n");
}

/* It waits in its place, although two of its three would fit, and nobody
 * overtakes it. */
static void test_put__put_many_is_all_or_nothing(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 3    -> ok, created\n"
               "[   0] p1 put buns 'a'              -> ok, item 1\n"
               "[   1] p1 put buns 'b' 'c' 'd' many .. waits\n"
               "[   2] p2 put buns 'e'              .. waits\n"
               "[   2] p3 put buns 'f' try          -> FULL\n"
               "[   3] w1 get buns                  -> ok, item 1 'a', "
               "lease 1 until 30003\n"
               "       p1 put buns 'b' 'c' 'd' many -> ok, item 2\n"
               "[   4] w1 get buns 9                -> ok, item 2 'b', item "
               "3 'c', item 4 'd', leases 2-4 until 30004\n"
               "       p2 put buns 'e'              -> ok, item 5\n");
}

static void test_put__put_many_that_times_out_leaves_nothing(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 3    -> ok, created\n"
               "[   0] p1 put buns 'a'              -> ok, item 1\n"
               "[   0] p1 put buns 'b' 'c' 'd' many wait 50 .. waits\n"
               "[  50]\n"
               "       p1 put buns 'b' 'c' 'd' many wait 50 -> FULL\n"
               "[  51] p1 put buns 'b' 'c' many try -> ok, item 2\n"
               "[  52] p1 put buns 'd' 'e' many try -> FULL\n"
               "[  53] p1 stat buns ready accepted  -> ok, ready 3, "
               "accepted 3\n");
}

static void test_put__what_can_never_fit_is_too_big(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 2 max_bytes 10 -> ok, created\n"
               "[   0] p1 put buns 'a' 'b' 'c' many -> TOO_BIG\n"
               "[   0] p1 put buns 'aaaaaa' 'bbbbbb' many -> TOO_BIG\n"
               "[   0] p1 put buns 'a'*11           -> TOO_BIG\n"
               "[   0] p1 put buns 'a'*10           -> ok, item 1\n"
               "[   0] p1 put buns 'a'*11 try       -> TOO_BIG\n");
}

static void test_put__the_kinds_order_by_id_newest_id_or_priority(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' 'c' -> ok, items 1-3\n"
               "[   0] w1 get buns 2           -> ok, item 1 'a', item 2 "
               "'b', leases 1-2 until 30000\n");
    world_says("[   0] p1 declare buns kind lifo -> ok, created\n"
               "[   0] p1 put buns 'a' 'b' 'c'   -> ok, items 1-3\n"
               "[   0] w1 get buns 2             -> ok, item 3 'c', item 2 "
               "'b', leases 1-2 until 30000\n"
               "[   0] p1 put buns 'd'           -> ok, item 4\n"
               "[   0] w1 get buns 2             -> ok, item 4 'd', item 1 "
               "'a', leases 3-4 until 30000\n");
    world_says("[   0] p1 declare buns kind priority  -> ok, created\n"
               "[   0] p1 put buns 'a' 'b' 'c' 'd' priorities "
               "5,-2,5,2147483647 -> ok, items 1-4\n"
               "[   0] p1 put buns 'e' priority -2147483648 -> ok, item 5\n"
               "[   0] p1 put buns 'f' 'g' priority 5 -> ok, items 6-7\n"
               "[   0] w1 get buns 9                  -> ok, item 5 'e' "
               "(priority -2147483648), item 2 'b' (priority -2), item 1 "
               "'a' (priority 5), item 3 'c' (priority 5), item 6 'f' "
               "(priority 5), item 7 'g' (priority 5), item 4 'd' (priority "
               "2147483647), leases 1-7 until 30000\n");
}

static void test_put__a_priority_needs_a_priority_queue(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' priority 1   -> BAD_REQUEST\n"
               "[   0] p1 put buns 'a' 'b' priorities 0,1 -> BAD_REQUEST x2\n"
               "[   0] p1 put buns 'a' 'b' priorities 0,0 -> ok, items 1-2\n"
               "[   0] p1 put buns 'a' priority 0   -> ok, item 3\n"
               "[   0] p1 declare cakes kind lifo   -> ok, created\n"
               "[   0] p1 put cakes 'a' priority -1 -> BAD_REQUEST\n");
}

static void test_put__a_queue_that_is_not_there_is_not_found(void **state)
{
    (void)state;
    world_says("[   0] p1 put nowhere 'a'             -> NOT_FOUND\n"
               "[   0] p1 put nowhere 'a' 'b'         -> NOT_FOUND x2\n"
               "[   0] p1 put nowhere 'a' 'b' many    -> NOT_FOUND\n"
               "[   0] p1 get nowhere                 -> NOT_FOUND\n"
               "[   0] p1 subscribe nowhere items 5   -> NOT_FOUND\n"
               "[   0] p1 join nowhere                -> NOT_FOUND\n"
               "[   0] p1 stat nowhere                -> NOT_FOUND\n"
               "[   0] p1 purge nowhere               -> NOT_FOUND\n"
               "[   0] p1 delete nowhere              -> NOT_FOUND\n"
               "[   0] p1 pause nowhere in            -> NOT_FOUND\n"
               "[   0] p1 done_next nowhere           -> NOT_FOUND\n"
               "[   0] p1 configure nowhere maxsize 1 -> NOT_FOUND\n"
               "[   0] p1 shutdown nowhere            -> NOT_FOUND\n"
               "[   0] p1 reopen nowhere              -> NOT_FOUND\n"
               "[   0] p1 redrive nowhere             -> NOT_FOUND\n"
               "[   0] p1 browse nowhere ready        -> NOT_FOUND\n"
               "[   0] p1 peek nowhere                -> NOT_FOUND\n"
               "[   0] p1 put buns 'a'                -> ok, item 1\n"
               "[   0] p1 wait 99                     -> NOT_FOUND\n"
               "[   0] p1 cancel_item 99              -> NOT_FOUND\n");
}

/* Is a DECLARE of this name one that the wire lets through? */
static bool name_passes(const char *name, size_t bytes)
{
    static uint8_t data[BAO_HEADER_BYTES_MAX];
    struct bao_operation declare = {0};
    struct bao_operation read;
    struct bao_writer writer;
    struct bao_reader reader;
    BAO_SET(&declare, VERB, verb, BAO_VERB_DECLARE);
    BAO_SET(&declare, RID, rid, 1);
    BAO_SET(&declare, QUEUE, queue, bao_span_of(name, bytes));
    bao_writer_open(&writer, data, sizeof(data));
    assert_int_equal(bao_writer_add(&writer, &declare), BAOZI_OK);
    return bao_reader_open(&reader, bao_writer_close(&writer)) == BAOZI_OK &&
           bao_reader_next(&reader, &read) == BAOZI_OK;
}

static void test_put__a_queue_name_is_utf8_of_1_to_200_bytes(void **state)
{
    char name[202];
    (void)state;
    memset(name, 'n', sizeof(name));
    assert_true(name_passes(name, 1));
    assert_true(name_passes(name, 200));
    assert_true(name_passes("B\xc3\xa4ozi", 6));
    assert_false(name_passes(name, 0));
    assert_false(name_passes(name, 201));
    assert_false(name_passes("a\nb", 3));
    assert_false(name_passes("a\0b", 3));
    assert_false(name_passes("a\x7f", 2));
    assert_false(name_passes("a\xff", 2));
}

const struct core_test core_tests_put[] = {
    CORE_TEST(test_put__ids_grow_in_accept_order, "S1.e S1.r S1.q S2.f S1.g"),
    CORE_TEST(test_put__payload_and_headers_come_out_as_they_went_in,
              "S1.c S1.d"),
    CORE_TEST(test_put__many_puts_in_one_message_are_each_answered_for_itself,
              "S2.b"),
    CORE_TEST(test_put__put_many_is_all_or_nothing, "S2.c S2.e"),
    CORE_TEST(test_put__put_many_that_times_out_leaves_nothing, "S2.c S3.1.e"),
    CORE_TEST(test_put__what_can_never_fit_is_too_big, "S2.d S10.i"),
    CORE_TEST(test_put__the_kinds_order_by_id_newest_id_or_priority,
              "S1.b S1.f S6.j"),
    CORE_TEST(test_put__a_priority_needs_a_priority_queue, "S6.k"),
    CORE_TEST(test_put__a_queue_that_is_not_there_is_not_found, "S10.a"),
    CORE_TEST(test_put__a_queue_name_is_utf8_of_1_to_200_bytes, "S1.a"),
    CORE_TESTS_END,
};
