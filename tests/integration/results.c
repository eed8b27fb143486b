/*
 * results.c - asks for results, gives them, and says what came.
 *
 *     results URL QUEUE COUNT GO
 *
 * Puts COUNT items that want a result, prints `put`, and waits until there is
 * a file GO. Each of its lines is a size and a word: it takes an item, settles
 * it with so many bytes, and if the word is `ask`, asks for the outcome. It
 * prints `STATUS BYTES`: that of the first call that was not OK, and how long
 * the result was that came back.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/baozi.h"

#define PATIENCE_MS      60000
#define RESULT_BYTES_MAX (32u << 20)
#define BIG_BYTES        (4u << 20) /* the disk has time to follow these */
#define BIG_PAUSE_US     200000

static int put_all(struct baozi *client, const char *queue, long count)
{
    const struct baozi_put_options options = {.size = sizeof options,
                                              .want_result = 1};
    for (long i = 0; i < count; i++) {
        if (baozi_put(client, queue, "sum", 3, &options, PATIENCE_MS, NULL) !=
            BAOZI_OK)
            return 1;
    }
    return puts("put") < 0 || fflush(stdout) != 0;
}

static enum baozi_status give_one(struct baozi *client,
                                  const char *queue,
                                  const void *result,
                                  size_t bytes,
                                  size_t *found) /* NULL: do not ask */
{
    struct baozi_item item;
    struct baozi_outcome outcome;
    enum baozi_status status = baozi_get(client, queue, NULL, 0, &item);
    if (status != BAOZI_OK)
        return status;
    const uint64_t id = item.id;
    status = baozi_done_with(client, &item, result, bytes);
    if (status != BAOZI_OK || found == NULL)
        return status;
    status = baozi_wait(client, id, PATIENCE_MS, &outcome);
    if (status != BAOZI_OK)
        return status;
    *found = outcome.bytes;
    baozi_outcome_free(&outcome);
    return status;
}

static int give_all(struct baozi *client, const char *queue, FILE *go)
{
    char *result = malloc(RESULT_BYTES_MAX);
    char word[8];
    unsigned long bytes;
    if (result == NULL)
        return 1;
    memset(result, 'r', RESULT_BYTES_MAX);
    while (fscanf(go, "%lu %7s", &bytes, word) == 2 &&
           bytes <= RESULT_BYTES_MAX) {
        size_t found = 0;
        bool asks = strcmp(word, "ask") == 0;
        enum baozi_status status =
            give_one(client, queue, result, bytes, asks ? &found : NULL);
        (void)printf("%s %zu\n", baozi_status_name(status), found);
        (void)fflush(stdout);
        if (bytes >= BIG_BYTES)
            usleep(BIG_PAUSE_US);
    }
    free(result);
    return 0;
}

int main(int argc, char **argv)
{
    struct baozi *client;
    struct baozi_options options = {.size = sizeof options};
    FILE *go = NULL;
    if (argc != 5)
        return 64;
    options.url = argv[1];
    if (baozi_open(&options, &client) != BAOZI_OK)
        return 69;
    int failed = put_all(client, argv[2], strtol(argv[3], NULL, 10));
    while (failed == 0 && (go = fopen(argv[4], "r")) == NULL)
        usleep(10000);
    if (failed == 0)
        failed = give_all(client, argv[2], go);
    if (go != NULL)
        (void)fclose(go);
    (void)baozi_close(client);
    return failed;
}
