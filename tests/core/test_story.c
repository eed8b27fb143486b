/*
 * test_story.c - a story that goes another way than told must fail.
 */
#include "tests/core/story.h"
#include "tests/core/tests.h"

static void test_story__one_that_goes_as_told_agrees(void **state)
{
    (void)state;
    assert_true(world_agrees("[ 0] w1 get buns wait 50 .. waits\n"
                             "[49]\n"
                             "[50]\n"
                             "     w1 get buns wait 50 -> EMPTY\n"));
}

static void test_story__another_outcome_does_not_agree(void **state)
{
    (void)state;
    assert_false(world_agrees("[0] p1 put buns 'a' -> ok, item 2\n"));
    assert_false(world_agrees("[0] p1 put buns 'a' -> FULL\n"));
    assert_false(world_agrees("[0] p1 put buns 'a' .. waits\n"));
    assert_false(world_agrees("[0] p1 put buns 'a'\n"));
}

static void test_story__another_moment_does_not_agree(void **state)
{
    (void)state;
    assert_false(world_agrees("[ 0] w1 get buns wait 50 .. waits\n"
                              "[49]\n"
                              "     w1 get buns wait 50 -> EMPTY\n"
                              "[60]\n"));
    assert_false(world_agrees("[ 0] w1 get buns wait 50 .. waits\n"
                              "[60]\n"
                              "     w1 get buns wait 50 -> EMPTY\n"));
}

static void test_story__a_reply_too_many_or_too_few_does_not_agree(void **state)
{
    (void)state;
    assert_false(world_agrees("[0] w1 get buns     .. waits\n"
                              "[1] p1 put buns 'a' -> ok, item 1\n"));
    assert_false(world_agrees("[0] p1 put buns 'a' -> ok, item 1\n"
                              "    w1 get buns     -> ok\n"));
}

const struct core_test core_tests_story[] = {
    CORE_TEST(test_story__one_that_goes_as_told_agrees, "S2.a"),
    CORE_TEST(test_story__another_outcome_does_not_agree, "S2.a"),
    CORE_TEST(test_story__another_moment_does_not_agree, "S3.1.g"),
    CORE_TEST(test_story__a_reply_too_many_or_too_few_does_not_agree, "S3.2.a"),
    CORE_TESTS_END,
};
