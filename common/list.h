/*
 * list.h - a doubly linked list whose links live in its elements.
 *
 * push, pop and remove are O(1). A link that is in no list has next == NULL,
 * so "is it listed" is one compare; zeroed memory is a valid unlinked link.
 */
#ifndef BAO_LIST_H
#define BAO_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "common/check.h"

struct bao_link {
    struct bao_link *previous;
    struct bao_link *next;
};

struct bao_list {
    struct bao_link head; /* head.next first, head.previous last */
    size_t count;
};

/* The element that holds `link` as its member `member`. */
#define BAO_OF(link, type, member) \
    ((type *)(void *)((char *)(link)-offsetof(type, member)))

/* True if it is in a list. */
static inline bool bao_link_is_listed(const struct bao_link *link)
{
    return link->next != NULL;
}

/* What changes the list is some instructions each, so it stands here. A ring
 * through the head: nothing is a special case. */
static inline void bao_list_init(struct bao_list *list)
{
    list->head.previous = &list->head;
    list->head.next = &list->head;
    list->count = 0;
}

static inline void bao_list_insert_before(struct bao_list *list,
                                          struct bao_link *place,
                                          struct bao_link *link)
{
    struct bao_link *previous = place->previous;
    BAO_ASSERT(link->next == NULL);
    BAO_ASSERT(previous != NULL && previous->next == place);
    link->previous = previous;
    link->next = place;
    previous->next = link;
    place->previous = link;
    list->count++;
}

/* At the end. */
static inline void bao_list_push(struct bao_list *list, struct bao_link *link)
{
    bao_list_insert_before(list, &list->head, link);
}

static inline void bao_list_push_front(struct bao_list *list,
                                       struct bao_link *link)
{
    bao_list_insert_before(list, list->head.next, link);
}

static inline void bao_list_remove(struct bao_list *list, struct bao_link *link)
{
    struct bao_link *previous = link->previous;
    struct bao_link *next = link->next;
    BAO_ASSERT(next != NULL && link != &list->head);
    BAO_ASSERT(list->count > 0);
    BAO_ASSERT(previous->next == link && next->previous == link);
    previous->next = next;
    next->previous = previous;
    link->previous = NULL;
    link->next = NULL;
    list->count--;
}

struct bao_link *bao_list_pop(struct bao_list *list); /* first, or NULL */
struct bao_link *bao_list_first(const struct bao_list *list); /* or NULL */
/* The one after `link`, or NULL at the end. */
struct bao_link *bao_list_next(const struct bao_list *list,
                               const struct bao_link *link);

/* Puts the elements in order; equal ones stay as they were. O(n) if they are
 * in order, else O(n log n). `is_after`: a belongs behind b. */
void bao_list_sort(struct bao_list *list,
                   bool (*is_after)(const struct bao_link *a,
                                    const struct bao_link *b));

#endif
