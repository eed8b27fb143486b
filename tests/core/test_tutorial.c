/*
 * test_tutorial.c - the stories that a newcomer reads first.
 * The bun kitchen of the tutorials, in small.
 */
#include "tests/core/story.h"
#include "tests/core/tests.h"

/* A producer that joins is answered by the last task_done, not the last
 * get. */
static void test_tutorial__a_bun_is_put_taken_eaten_and_joined(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'meat' -> ok, item 1\n"
               "[   0] p1 join buns       .. waits\n"
               "[  10] w1 get buns        -> ok, item 1 'meat', lease 1 "
               "until 30010\n"
               "[  20] w1 done 1          -> ok\n"
               "       p1 join buns       -> ok, done 1\n");
}

/* Cooks wait while the table is full, eaters while it is empty, and the
 * chef's join ends with the last bun. */
static void
test_tutorial__three_cooks_and_two_eaters_empty_the_kitchen(void **state)
{
    (void)state;
    world_says("[   0] chef declare buns maxsize 2 -> ok, created\n"
               "[   0] e1 get buns                 .. waits\n"
               "[   0] e2 get buns                 .. waits\n"
               "[  10] c1 put buns 'meat'          -> ok, item 1\n"
               "       e1 get buns                 -> ok, item 1 'meat', "
               "lease 1 until 30010\n"
               "[  11] c2 put buns 'bean'          -> ok, item 2\n"
               "       e2 get buns                 -> ok, item 2 'bean', "
               "lease 2 until 30011\n"
               "[  12] c3 put buns 'leek'          -> ok, item 3\n"
               "[  20] c1 put buns 'meat'          -> ok, item 4\n"
               "[  21] c2 put buns 'bean'          .. waits\n"
               "[  22] c3 put buns 'leek'          .. waits\n"
               "[  30] chef join buns              .. waits\n"
               "[  30] chef stat buns ready leased unfinished parked_puts "
               "joiners -> ok, ready 2, leased 2, unfinished 4, parked_puts "
               "2, joiners 1\n"
               "[  40] e1 done 1                   -> ok\n"
               "[  40] e1 get buns                 -> ok, item 3 'leek', "
               "lease 3 until 30040\n"
               "       c2 put buns 'bean'          -> ok, item 5\n"
               "[  50] e2 done 2                   -> ok\n"
               "[  50] e2 get buns                 -> ok, item 4 'meat', "
               "lease 4 until 30050\n"
               "       c3 put buns 'leek'          -> ok, item 6\n"
               "[  60] e1 done 3                   -> ok\n"
               "[  60] e1 get buns                 -> ok, item 5 'bean', "
               "lease 5 until 30060\n"
               "[  61] e1 done 5                   -> ok\n"
               "[  70] e2 done 4                   -> ok\n"
               "[  70] e2 get buns                 -> ok, item 6 'leek', "
               "lease 6 until 30070\n"
               "[  71] e2 done 6                   -> ok\n"
               "       chef join buns              -> ok, done 6\n");
}

/* CPython's JoinableQueue hangs here: the bun that a dead process took is
 * never done. */
static void test_tutorial__a_killed_eater_costs_nobody_the_join(void **state)
{
    (void)state;
    world_says("[   0] c1 put buns 'meat' -> ok, item 1\n"
               "[   0] c1 join buns       .. waits\n"
               "[   5] e1 get buns        -> ok, item 1 'meat', lease 1 "
               "until 30005\n"
               "[   6] e2 get buns        .. waits\n"
               "[   9] e1 crashes\n"
               "       e2 get buns        -> ok, item 1 'meat' (delivery "
               "2), lease 2 until 30009\n"
               "[  10] e2 done 1          -> ok\n"
               "       c1 join buns       -> ok, done 1\n");
}

const struct core_test core_tests_tutorial[] = {
    CORE_TEST(test_tutorial__a_bun_is_put_taken_eaten_and_joined,
              "S2.a S4.2.b S4.3.a S2.l"),
    CORE_TEST(test_tutorial__three_cooks_and_two_eaters_empty_the_kitchen,
              "S2.a S3.1.a S3.1.b S3.1.c S4.1.a"),
    CORE_TEST(test_tutorial__a_killed_eater_costs_nobody_the_join,
              "S5.1.c S5.1.e S4.1.a"),
    CORE_TESTS_END,
};
