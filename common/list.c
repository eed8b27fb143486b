/*
 * list.c - the doubly linked list of list.h.
 *
 * A ring through the head, so that no operation has a special case.
 * Invariant: link->next->previous == link for every link and the head.
 */
#include "common/list.h"

#include "common/check.h"

void bao_list_init(struct bao_list *list)
{
    list->head.previous = &list->head;
    list->head.next = &list->head;
    list->count = 0;
}

/* Puts `link` between two neighbours. */
static void link_between(struct bao_link *previous,
                         struct bao_link *next,
                         struct bao_link *link)
{
    BAO_ASSERT(link->next == NULL);
    BAO_ASSERT(previous->next == next && next->previous == previous);

    link->previous = previous;
    link->next = next;
    previous->next = link;
    next->previous = link;
}

void bao_list_push(struct bao_list *list, struct bao_link *link)
{
    link_between(list->head.previous, &list->head, link);
    list->count++;
}

void bao_list_push_front(struct bao_list *list, struct bao_link *link)
{
    link_between(&list->head, list->head.next, link);
    list->count++;
}

void bao_list_insert_before(struct bao_list *list,
                            struct bao_link *place,
                            struct bao_link *link)
{
    BAO_ASSERT(place->next != NULL);
    link_between(place->previous, place, link);
    list->count++;
}

struct bao_link *bao_list_pop(struct bao_list *list)
{
    struct bao_link *link = bao_list_first(list);
    if (link != NULL)
        bao_list_remove(list, link);
    return link;
}

void bao_list_remove(struct bao_list *list, struct bao_link *link)
{
    BAO_ASSERT(link->next != NULL && link != &list->head);
    BAO_ASSERT(list->count > 0);
    BAO_ASSERT(link->previous->next == link && link->next->previous == link);

    link->previous->next = link->next;
    link->next->previous = link->previous;
    link->previous = NULL;
    link->next = NULL;
    list->count--;
}

struct bao_link *bao_list_first(const struct bao_list *list)
{
    return list->count == 0 ? NULL : list->head.next;
}

struct bao_link *bao_list_next(const struct bao_list *list,
                               const struct bao_link *link)
{
    BAO_ASSERT(link->next != NULL);
    return link->next == &list->head ? NULL : link->next;
}
