/*
 * t06_order.c - last in first out, and smallest first.
 *
 * The tutorial's LifoQueue and PriorityQueue of (priority, item): negative
 * priorities come before 0, equal ones in the order they were put.
 */
#include "kitchen.h"

struct dish {
    int priority;
    const char *name;
};

static void make(struct baozi *client,
                 const char *queue,
                 enum baozi_kind kind,
                 const struct dish *dishes,
                 size_t count)
{
    struct baozi_queue_options options;
    baozi_queue_options_init(&options);
    baozi_queue_option(&options, BAOZI_OPTION_KIND, kind);
    must(baozi_declare(client, queue, &options), "declare");
    for (size_t i = 0; i < count; i++) {
        struct baozi_put_options put = {.size = sizeof put,
                                        .priority = dishes[i].priority};
        must(baozi_put(client,
                       queue,
                       dishes[i].name,
                       strlen(dishes[i].name),
                       &put,
                       1000,
                       NULL),
             "put");
    }
}

/* Takes all and compares the names with `expected`, one blank between. */
static void
comes_as(struct baozi *client, const char *queue, const char *expected)
{
    char found[256] = "";
    size_t used = 0;
    struct baozi_item item;
    while (baozi_get(client, queue, NULL, 0, &item) == BAOZI_OK) {
        int wrote = snprintf(found + used,
                             sizeof found - used,
                             "%s%.*s",
                             used > 0 ? " " : "",
                             (int)item.bytes,
                             (const char *)item.payload);
        if (wrote > 0 && (size_t)wrote < sizeof found - used)
            used += (size_t)wrote;
        must(baozi_done(client, &item), "done");
    }
    ok(strcmp(found, expected) == 0, "%s gives: %s", queue, found);
}

int main(void)
{
    static const struct dish stack[] = {{0, "one"}, {0, "two"}, {0, "three"}};
    static const struct dish table[] = {{10, "slops"},
                                        {-5, "bun"},
                                        {0, "bone"},
                                        {10, "soup"},
                                        {-5, "dumpling"},
                                        {INT32_MIN, "water"},
                                        {INT32_MAX, "dishes"},
                                        {3, "tea"}};
    struct baozi_put_options urgent = {.size = sizeof urgent, .priority = -1};
    plan(4);
    open_kitchen();
    struct baozi *client = open_client();
    make(client, "stack", BAOZI_KIND_LIFO, stack, 3);
    comes_as(client, "stack", "three two one");
    make(client, "table", BAOZI_KIND_PRIORITY, table, 8);
    comes_as(client, "table", "water bun dumpling bone tea slops soup dishes");
    make(client, "line", BAOZI_KIND_FIFO, stack, 3);
    answers(baozi_put(client, "line", "me first", 8, &urgent, 0, NULL),
            BAOZI_BAD_REQUEST,
            "a priority where there is none");
    comes_as(client, "line", "one two three");
    baozi_close(client);
    return close_kitchen();
}
