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

void bao_list_init(struct bao_list *list);
void bao_list_push(struct bao_list *list, struct bao_link *link); /* at end */
void bao_list_push_front(struct bao_list *list, struct bao_link *link);
void bao_list_insert_before(struct bao_list *list,
                            struct bao_link *place,
                            struct bao_link *link);
struct bao_link *bao_list_pop(struct bao_list *list); /* first, or NULL */
void bao_list_remove(struct bao_list *list, struct bao_link *link);
struct bao_link *bao_list_first(const struct bao_list *list); /* or NULL */
/* The one after `link`, or NULL at the end. */
struct bao_link *bao_list_next(const struct bao_list *list,
                               const struct bao_link *link);

/* Puts the elements in order; equal ones stay as they were. O(n) if they are
 * in order, else O(n log n). `is_after`: a belongs behind b. */
void bao_list_sort(struct bao_list *list,
                   bool (*is_after)(const struct bao_link *a,
                                    const struct bao_link *b));

static inline bool bao_link_is_listed(const struct bao_link *link)
{
    return link->next != NULL;
}

#endif
