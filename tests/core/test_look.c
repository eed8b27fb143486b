/*
 * test_look.c - looking without changing anything.
 */
#include "tests/core/story.h"
#include "tests/core/tests.h"

static void test_look__peek_shows_the_next_or_a_certain_item(void **state)
{
    (void)state;
    world_says("[   0] p1 peek buns        -> EMPTY\n"
               "[   0] p1 put buns 'a' 'b' -> ok, items 1-2\n"
               "[   1] p1 peek buns        -> item 1 ready 'a'; ok\n"
               "[   1] p1 peek buns 2      -> item 2 ready 'b'; ok\n"
               "[   1] p1 peek buns 3      -> NOT_FOUND\n"
               "[   2] w1 get buns 2       -> ok, item 1 'a', item 2 'b', "
               "leases 1-2 until 30002\n"
               "[   3] p1 peek buns        -> EMPTY\n"
               "[   3] p1 peek buns 1      -> item 1 leased 'a', deliveries "
               "1, lease left 29999; ok\n"
               "[   4] w1 done 1 2         -> ok x2\n");
}

static void test_look__browse_walks_a_state_by_id(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' 'c' 'd'  -> ok, items 1-4\n"
               "[   1] p1 browse buns ready limit 3 -> item 1 ready 'a'; "
               "item 2 ready 'b'; item 3 ready 'c'; ok, more\n"
               "[   2] p1 browse buns ready from 3  -> item 4 ready 'd'; ok\n"
               "[   3] p1 browse buns delayed       -> ok\n"
               "[   4] w1 get buns                  -> ok, item 1 'a', "
               "lease 1 until 30004\n"
               "[   5] p1 browse buns leased        -> item 1 leased 'a', "
               "deliveries 1, lease left 29999; ok\n"
               "[   6] p1 browse buns ready from 1 limit 1 -> item 2 ready "
               "'b'; ok, more\n"
               "[   7] p1 put buns 'e' delay 500 ttl 1000 group g key k "
               "unique -> ok, item 5\n"
               "[   8] p1 browse buns delayed       -> item 5 delayed 'e', "
               "due in 499, expires in 999, group g, key k; ok\n");
}

static void test_look__browse_filters_by_error(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' 'c'         -> ok, items 1-3\n"
               "[   0] w1 get buns 3                   -> ok, item 1 'a', "
               "item 2 'b', item 3 'c', leases 1-3 until 30000\n"
               "[   1] w1 reject 1 3 error 'burnt black' -> ok x2\n"
               "[   1] w1 reject 2 error 'cold'        -> ok\n"
               "[   2] p1 browse buns dead match black -> item 1 dead 'a', "
               "deliveries 1, error 'burnt black', history, 'rejected'; "
               "item 3 dead 'c', deliveries 1, error 'burnt black', "
               "history, 'rejected'; ok\n"
               "[   3] p1 browse buns dead match nothing -> ok\n");
}

static void test_look__stat_reads_everything(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 3  -> ok, created\n"
               "[   0] p1 put buns 'aa' 'bb' 'cc' -> ok, items 1-3\n"
               "[   0] p1 put buns 'dd'           .. waits\n"
               "[   0] p2 join buns               .. waits\n"
               "[  10] p1 stat buns ready unfinished accepted bytes "
               "parked_puts parked_bytes joiners oldest_ready_ms last_id -> "
               "ok, ready 3, unfinished 3, accepted 3, bytes 6, parked_puts "
               "1, parked_bytes 2, joiners 1, oldest_ready_ms 10, last_id "
               "1099511627779\n"
               "[  11] w1 get cakes               .. waits\n"
               "[  12] p1 stat cakes parked_gets consumers -> ok, "
               "parked_gets 1, consumers 1\n");
}

/* Items rest in columns, and leave rest for a while; nothing shows of it. */
static void test_look__an_item_is_the_same_whoever_cared_for_it(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'bb'{k=v} 'c'   -> ok, items 1-3\n"
               "[   1] p2 put buns 'd' delay 9         -> ok, item 4\n"
               "[   2] p2 put buns 'e'                 -> ok, item 5\n"
               "[   3] p1 wait 2 wait 5                .. waits\n"
               "[   8]\n"
               "       p1 wait 2 wait 5                -> TIMEOUT\n"
               "[  20] w1 get buns limit 5 bytes 3     -> ok, item 1 'a', "
               "lease 1 until 30020\n"
               "[  21] w1 release 1                    -> ok\n"
               "[  22] p1 cancel_item 3                -> ok\n"
               "[  23] p1 wait 4 #4                    .. waits\n"
               "[  24] p1 browse buns ready            -> item 1 ready 'a', "
               "history, 'released'; item 2 ready 'bb'{k=v}; item 4 ready "
               "'d'; item 5 ready 'e'; ok\n"
               "[  25] p1 cancel #4\n"
               "       p1 wait #4                      -> CANCELLED\n"
               "[  26] p1 peek buns                    -> item 1 ready 'a', "
               "history, 'released'; ok\n"
               "[  27] w1 get buns limit 5             -> ok, item 1 'a', "
               "item 2 'bb'{k=v}, item 4 'd', item 5 'e', leases 2-5 until "
               "30027\n");
}

const struct core_test core_tests_look[] = {
    CORE_TEST(test_look__peek_shows_the_next_or_a_certain_item, "S2.aa"),
    CORE_TEST(test_look__browse_walks_a_state_by_id, "S2.aa S2.ab"),
    CORE_TEST(test_look__browse_filters_by_error, "S2.aa S2.t"),
    CORE_TEST(test_look__an_item_is_the_same_whoever_cared_for_it,
              "S2.aa S2.ab"),
    CORE_TEST(test_look__stat_reads_everything, "S2.ak S2.aa"),
    CORE_TESTS_END,
};
