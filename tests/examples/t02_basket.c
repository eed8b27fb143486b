/*
 * t02_basket.c - a basket for three: full, empty, and how long a call waits.
 *
 * The tutorial's Queue(3): put until it is full, put without waiting and with
 * a timeout, get until it is empty, get without waiting and with a timeout.
 */
#include "kitchen.h"

#define ROOM 3

static struct baozi *client;

static enum baozi_status put(int number, int64_t wait_ms)
{
    return baozi_put(
        client, "basket", &number, sizeof number, NULL, wait_ms, NULL);
}

/* Takes and eats one; *number is what it was. */
static enum baozi_status get(int *number, int64_t wait_ms)
{
    struct baozi_item item;
    enum baozi_status status =
        baozi_get(client, "basket", NULL, wait_ms, &item);
    if (status != BAOZI_OK)
        return status;
    memcpy(number, item.payload, sizeof *number);
    return baozi_done(client, &item);
}

static uint64_t size(void)
{
    struct baozi_queue_stat stat = {.size = sizeof stat};
    must(baozi_stat(client, "basket", &stat), "baozi_stat");
    return stat.ready;
}

/* A timeout is never early, and not much too late. */
static void on_time(int64_t begin, int64_t wait_ms, const char *what)
{
    int64_t took = now_ms() - begin;
    ok(took >= wait_ms && took < wait_ms + 1000,
       "%s waited its %d ms (%d ms)",
       what,
       (int)wait_ms,
       (int)took);
}

static int late_cook(int number)
{
    client = open_client();
    sleep_ms(200);
    enum baozi_status status = put(number, 0);
    baozi_close(client);
    return (int)status;
}

int main(void)
{
    int number = 0;
    struct baozi_queue_options options;
    plan(18);
    open_kitchen();
    client = open_client();
    baozi_queue_options_init(&options);
    baozi_queue_option(&options, BAOZI_OPTION_MAXSIZE, ROOM);
    answers(baozi_declare(client, "basket", &options), BAOZI_OK, "declare");

    for (int i = 1; i <= ROOM; i++)
        answers(put(i, BAOZI_FOREVER), BAOZI_OK, "put");
    ok(size() == ROOM, "the basket is full");
    int64_t begin = now_ms();
    answers(put(4, 0), BAOZI_FULL, "put(block=False)");
    on_time(begin, 0, "it");
    begin = now_ms();
    answers(put(4, 300), BAOZI_FULL, "put(timeout=0.3)");
    on_time(begin, 300, "it");

    for (int i = 1; i <= ROOM; i++)
        ok(get(&number, BAOZI_FOREVER) == BAOZI_OK && number == i,
           "the %d. bun out is the %d. that went in",
           i,
           number);
    ok(size() == 0, "the basket is empty");
    begin = now_ms();
    answers(get(&number, 0), BAOZI_EMPTY, "get_nowait()");
    on_time(begin, 0, "it");
    begin = now_ms();
    answers(get(&number, 300), BAOZI_EMPTY, "get(timeout=0.3)");
    on_time(begin, 300, "it");

    pid_t cook = start_child(late_cook, 7);
    ok(get(&number, 10000) == BAOZI_OK && number == 7 &&
           wait_child(cook) == BAOZI_OK,
       "a get that waits is woken by another process's put");
    baozi_close(client);
    return close_kitchen();
}
