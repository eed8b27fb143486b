/*
 * t07_tickets.c - one ticket, ten or a hundred buyers, exactly one winner.
 *
 * The tutorial keeps the number of tickets in a JSON file. Each buyer reads
 * it, needs a moment, and writes back one less: without a lock several win.
 * The lock here is a queue with one item, the permit: get is acquire, release
 * puts it back. A buyer that dies with the permit in its hand gives it back
 * by dying.
 */
#include "kitchen.h"

#define BUYERS_MAX 100

enum { LOST, WON };

static char office[128]; /* the JSON file */

static int tickets_left(void)
{
    int count = -1;
    FILE *file = fopen(office, "r");
    if (file == NULL)
        return -1;
    if (fscanf(file, "{\"count\": %d}", &count) != 1)
        count = -1; /* caught in the middle of another's writing */
    fclose(file);
    return count;
}

static void set_tickets(int count)
{
    FILE *file = fopen(office, "w");
    if (file == NULL)
        return;
    fprintf(file, "{\"count\": %d}\n", count);
    fclose(file);
}

static int buy(void)
{
    int count = tickets_left();
    if (count <= 0)
        return LOST;
    sleep_ms(20); /* the network, the bank */
    set_tickets(count - 1);
    return WON;
}

static int careless_buyer(int number)
{
    (void)number;
    return buy();
}

static int buyer(int number)
{
    struct baozi_item permit;
    struct baozi *client = open_client();
    must(baozi_get(client, "lock", NULL, 60000, &permit), "acquire");
    if (number == 0)
        raise(SIGKILL); /* with the lock held */
    int won = buy();
    must(baozi_release(client, &permit, 0), "release");
    baozi_close(client);
    return won;
}

/* Lets `count` buyers in at once; returns how many won. */
static int open_office(int (*act)(int), int first, int count)
{
    pid_t pids[BUYERS_MAX];
    int winners = 0;
    set_tickets(1);
    for (int i = 0; i < count; i++)
        pids[i] = start_child(act, first + i);
    for (int i = 0; i < count; i++)
        winners += wait_child(pids[i]) == WON;
    return winners;
}

/* The first buyer takes the lock and dies; then the others come. */
static void try_with_a_death(int count)
{
    int64_t begin = now_ms();
    int winners = open_office(buyer, 0, count);
    ok(winners == 1 && tickets_left() == 0,
       "one of %d buyers dies with the lock: %d winner, %d ms in all",
       count,
       winners,
       (int)(now_ms() - begin));
}

int main(void)
{
    struct baozi_queue_options options;
    plan(5);
    open_kitchen();
    snprintf(office, sizeof office, "%s/tickets.json", kitchen.folder);
    struct baozi *client = open_client();
    baozi_queue_options_init(&options);
    baozi_queue_option(&options, BAOZI_OPTION_MAXSIZE, 1);
    /* held as long as the holder lives, however long that is */
    baozi_queue_option(&options, BAOZI_OPTION_LEASE_MS, 0);
    must(baozi_declare(client, "lock", &options), "declare");
    must(baozi_put(client, "lock", "", 0, NULL, 0, NULL), "put the permit");

    int winners = open_office(careless_buyer, 1, 10);
    ok(winners > 1, "without a lock %d of 10 buyers win one ticket", winners);
    winners = open_office(buyer, 1, 10);
    ok(winners == 1, "with the lock 1 of 10 buyers wins (found %d)", winners);
    winners = open_office(buyer, 1, BUYERS_MAX);
    ok(winners == 1, "with the lock 1 of 100 buyers wins (found %d)", winners);
    try_with_a_death(20);

    struct baozi_queue_stat stat = {.size = sizeof stat};
    must(baozi_stat(client, "lock", &stat), "stat");
    ok(stat.ready == 1 && stat.unfinished == 1, "the permit is back");
    baozi_close(client);
    unlink(office);
    return close_kitchen();
}
