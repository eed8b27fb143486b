/*
 * list.c - walking and sorting the list of list.h.
 *
 * Invariant: link->next->previous == link for every link and the head.
 */
#include "common/list.h"

struct bao_link *bao_list_first(const struct bao_list *list)
{
    return list->count == 0 ? NULL : list->head.next;
}

struct bao_link *bao_list_pop(struct bao_list *list)
{
    struct bao_link *link = bao_list_first(list);
    if (link != NULL)
        bao_list_remove(list, link);
    return link;
}

struct bao_link *bao_list_next(const struct bao_list *list,
                               const struct bao_link *link)
{
    BAO_ASSERT(link->next != NULL);
    return link->next == &list->head ? NULL : link->next;
}

typedef bool is_after_function(const struct bao_link *a,
                               const struct bao_link *b);

static bool is_sorted(const struct bao_list *list, is_after_function *is_after)
{
    const struct bao_link *link = bao_list_first(list);
    while (link != NULL) {
        const struct bao_link *next = bao_list_next(list, link);
        if (next != NULL && is_after(link, next))
            return false;
        link = next;
    }
    return true;
}

/* Two chains (by `next`, to NULL) as one; those of `a` go first. */
static struct bao_link *
merge(struct bao_link *a, struct bao_link *b, is_after_function *is_after)
{
    struct bao_link head;
    struct bao_link *last = &head;
    while (a != NULL && b != NULL) {
        struct bao_link **from = is_after(a, b) ? &b : &a;
        last->next = *from;
        last = *from;
        *from = last->next;
    }
    last->next = a != NULL ? a : b;
    return head.next;
}

/* Bottom-up merge sort: chain i has 2^i links or none. */
void bao_list_sort(struct bao_list *list, is_after_function *is_after)
{
    struct bao_link *chains[64] = {NULL};
    if (is_sorted(list, is_after))
        return;
    struct bao_link *link = list->head.next;
    while (link != &list->head) {
        struct bao_link *one = link;
        link = link->next;
        one->next = NULL;
        unsigned i = 0;
        for (; chains[i] != NULL; i++) {
            one = merge(chains[i], one, is_after);
            chains[i] = NULL;
        }
        chains[i] = one;
    }
    struct bao_link *all = NULL;
    for (unsigned i = 0; i < 64; i++)
        all = merge(chains[i], all, is_after);
    struct bao_link *previous = &list->head;
    for (link = all; link != NULL; link = link->next) {
        previous->next = link;
        link->previous = previous;
        previous = link;
    }
    previous->next = &list->head;
    list->head.previous = previous;
}
