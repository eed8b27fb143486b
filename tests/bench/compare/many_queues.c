/*
 * many_queues.c - fills many queues with few items each, so that what a queue
 * itself costs can be seen.
 *
 *     many_queues URL QUEUES EACH
 *
 * Declares QUEUES queues with no options of their own, then puts EACH items of
 * 100 bytes to each, one put an item, always to the next queue: two items of
 * one queue never travel together. It prints how many were confirmed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/baozi.h"

#define ITEM_BYTES 100u

static uint64_t confirmed;

static int fail(struct baozi *client, const char *what)
{
    char text[1024];
    (void)fprintf(stderr,
                  "many_queues: %s: %s\n",
                  what,
                  baozi_explain(client, text, sizeof text));
    return 1;
}

static void answered(void *context,
                     enum baozi_status status,
                     const struct baozi_receipt *receipt)
{
    (void)context;
    (void)receipt;
    confirmed += status == BAOZI_OK;
}

static const char *name_of(uint64_t queue)
{
    static char name[32];
    (void)snprintf(name, sizeof name, "many%" PRIu64, queue);
    return name;
}

static enum baozi_status put_all(struct baozi *client, uint64_t queues)
{
    static const char data[ITEM_BYTES];
    enum baozi_status status = BAOZI_OK;
    for (uint64_t i = 0; i < queues && status == BAOZI_OK; i++)
        status = baozi_put_async(client,
                                 name_of(i),
                                 data,
                                 sizeof data,
                                 NULL,
                                 BAOZI_FOREVER,
                                 answered,
                                 NULL);
    return status;
}

int main(int count, char **words)
{
    if (count != 4) {
        (void)fprintf(stderr, "many_queues URL QUEUES EACH\n");
        return 64;
    }
    const struct baozi_options options = {.size = sizeof options,
                                          .url = words[1]};
    const uint64_t queues = strtoull(words[2], NULL, 10);
    const uint64_t each = strtoull(words[3], NULL, 10);
    struct baozi *client;
    if (baozi_open(&options, &client) != BAOZI_OK)
        return fail(NULL, "open");
    for (uint64_t i = 0; i < queues; i++)
        if (baozi_declare(client, name_of(i), NULL) != BAOZI_OK)
            return fail(client, "declare");
    for (uint64_t k = 0; k < each; k++)
        if (put_all(client, queues) != BAOZI_OK)
            return fail(client, "put");
    if (baozi_flush(client, BAOZI_FOREVER) != BAOZI_OK)
        return fail(client, "flush");
    (void)printf("%" PRIu64 "\n", confirmed);
    return baozi_close(client) == BAOZI_OK ? 0 : 1;
}
