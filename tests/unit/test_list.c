/*
 * test_list.c - the list against a naive model: an array of numbers.
 */
#include <string.h>

#include "common/list.h"
#include "tests/unit/model.h"

#define THINGS 64u

struct thing {
    struct bao_link link;
    unsigned number;
};

struct model {
    struct bao_list list;
    struct thing things[THINGS];
    unsigned order[THINGS];
    unsigned count;
};

static void model_insert(struct model *model, unsigned at, unsigned number)
{
    memmove(&model->order[at + 1],
            &model->order[at],
            (model->count - at) * sizeof(model->order[0]));
    model->order[at] = number;
    model->count++;
}

static unsigned model_remove(struct model *model, unsigned at)
{
    unsigned number = model->order[at];
    model->count--;
    memmove(&model->order[at],
            &model->order[at + 1],
            (model->count - at) * sizeof(model->order[0]));
    return number;
}

static void compare(const struct model *model)
{
    struct bao_link *link = bao_list_first(&model->list);
    for (unsigned i = 0; i < model->count; i++) {
        assert_non_null(link);
        assert_int_equal(BAO_OF(link, struct thing, link)->number,
                         model->order[i]);
        link = bao_list_next(&model->list, link);
    }
    assert_null(link);
    assert_int_equal(model->list.count, model->count);
}

/* One random operation on a thing that is not listed. */
static void add(struct model *model, struct thing *thing)
{
    switch (model_random(3)) {
    case 0:
        bao_list_push(&model->list, &thing->link);
        model_insert(model, model->count, thing->number);
        break;
    case 1:
        bao_list_push_front(&model->list, &thing->link);
        model_insert(model, 0, thing->number);
        break;
    default:
        if (model->count > 0) {
            unsigned at = (unsigned)model_random(model->count);
            struct thing *place = &model->things[model->order[at]];
            bao_list_insert_before(&model->list, &place->link, &thing->link);
            model_insert(model, at, thing->number);
        }
        break;
    }
}

static void take(struct model *model)
{
    if (model_random(3) == 0) {
        struct bao_link *link = bao_list_pop(&model->list);
        if (model->count == 0) {
            assert_null(link);
            return;
        }
        assert_int_equal(BAO_OF(link, struct thing, link)->number,
                         model_remove(model, 0));
        assert_false(bao_link_is_listed(link));
    } else if (model->count > 0) {
        unsigned at = (unsigned)model_random(model->count);
        struct thing *thing = &model->things[model_remove(model, at)];
        bao_list_remove(&model->list, &thing->link);
        assert_false(bao_link_is_listed(&thing->link));
    }
}

static void run_model(uint64_t seed)
{
    static struct model model;
    (void)seed;
    memset(&model, 0, sizeof(model));
    bao_list_init(&model.list);
    for (unsigned i = 0; i < THINGS; i++)
        model.things[i].number = i;

    for (unsigned step = 0; step < 20000; step++) {
        struct thing *thing = &model.things[model_random(THINGS)];
        if (!bao_link_is_listed(&thing->link))
            add(&model, thing);
        else
            take(&model);
        compare(&model);
    }
}

static void test_list__agrees_with_a_naive_model(void **state)
{
    (void)state;
    model_each_seed("list", run_model);
}

static struct thing *thing_of(const struct bao_link *link)
{
    return BAO_OF((uintptr_t)link, struct thing, link);
}

/* By tens: equal ones must stay as they were. */
static bool is_after(const struct bao_link *a, const struct bao_link *b)
{
    return thing_of(a)->number / 10 > thing_of(b)->number / 10;
}

static void run_sort(uint64_t seed)
{
    static struct thing things[3000];
    (void)seed;
    for (unsigned round = 0; round < 40; round++) {
        struct bao_list list;
        const unsigned count = (unsigned)model_random(round < 20 ? 20 : 3000);
        const unsigned numbers = 1 + (unsigned)model_random(2 * count + 1);
        bao_list_init(&list);
        for (unsigned i = 0; i < count; i++) {
            things[i].number = (unsigned)model_random(numbers);
            bao_list_push(&list, &things[i].link);
        }
        bao_list_sort(&list, is_after);
        assert_int_equal(list.count, count);
        const struct thing *before = NULL;
        for (unsigned i = 0; i < count; i++) {
            const struct thing *thing = thing_of(bao_list_pop(&list));
            if (before != NULL) {
                assert_false(is_after(&before->link, &thing->link));
                assert_true(is_after(&thing->link, &before->link) ||
                            thing > before);
            }
            before = thing;
        }
        assert_null(bao_list_pop(&list));
    }
}

static void test_list__sorts_and_keeps_equal_ones_in_order(void **state)
{
    (void)state;
    model_each_seed("list sort", run_sort);
}

static void test_list__zeroed_memory_is_an_unlisted_link(void **state)
{
    (void)state;
    struct bao_link link = {0};
    struct bao_list list;
    bao_list_init(&list);
    assert_false(bao_link_is_listed(&link));
    assert_null(bao_list_first(&list));
    assert_null(bao_list_pop(&list));
    bao_list_push(&list, &link);
    assert_true(bao_link_is_listed(&link));
    assert_ptr_equal(bao_list_pop(&list), &link);
    assert_false(bao_link_is_listed(&link));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list__agrees_with_a_naive_model),
        cmocka_unit_test(test_list__sorts_and_keeps_equal_ones_in_order),
        cmocka_unit_test(test_list__zeroed_memory_is_an_unlisted_link),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
