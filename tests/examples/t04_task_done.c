/*
 * t04_task_done.c - task_done called more often than there were items.
 *
 * Python raises ValueError; here the call answers TOO_MANY and nothing
 * changes. Both ways of counting are asked: `lease` (the default: what this
 * client took) and `count` (Python's own: a plain counter of the queue).
 */
#include "kitchen.h"

static void cook_and_eat(struct baozi *client, const char *queue)
{
    struct baozi_item item;
    for (int i = 0; i < 2; i++)
        must(baozi_put(client, queue, "bun", 3, NULL, 1000, NULL), "put");
    for (int i = 0; i < 2; i++) {
        must(baozi_get(client, queue, NULL, 1000, &item), "get");
        baozi_item_free(&item); /* task_done() will settle it by age */
    }
}

static void try_queue(struct baozi *client,
                      const char *queue,
                      enum baozi_accounting accounting)
{
    struct baozi_queue_options options;
    struct baozi_counts counts;
    baozi_queue_options_init(&options);
    baozi_queue_option(&options, BAOZI_OPTION_ACCOUNTING, accounting);
    must(baozi_declare(client, queue, &options), "declare");
    answers(baozi_task_done(client, queue),
            BAOZI_TOO_MANY,
            "task_done before any item");
    cook_and_eat(client, queue);
    answers(baozi_task_done(client, queue), BAOZI_OK, "the first task_done");
    answers(baozi_join(client, queue, BAOZI_SCOPE_QUEUE, NULL, 100, &counts),
            BAOZI_TIMEOUT,
            "join with one to go");
    answers(baozi_task_done(client, queue), BAOZI_OK, "the second task_done");
    answers(
        baozi_task_done(client, queue), BAOZI_TOO_MANY, "the third task_done");
    answers(baozi_join(client, queue, BAOZI_SCOPE_QUEUE, NULL, 5000, &counts),
            BAOZI_OK,
            "join");
    ok(counts.done == 2 && counts.unfinished == 0,
       "join counts 2 done (found %d)",
       (int)counts.done);
}

int main(void)
{
    plan(14);
    open_kitchen();
    struct baozi *client = open_client();
    try_queue(client, "leases", BAOZI_ACCOUNTING_LEASE);
    try_queue(client, "counter", BAOZI_ACCOUNTING_COUNT);
    baozi_close(client);
    return close_kitchen();
}
