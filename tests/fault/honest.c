/*
 * honest.c - a client that means well, beside those that do not.
 *
 *   honest URL SECONDS [ROUNDS_A_SECOND]
 *
 * Puts an item, takes it back and settles it, so many times a second (100),
 * and looks at the clock each time. When the time is over or stdin ends it
 * joins its queue and prints
 * one line of JSON: how many rounds, their p50, p99 and worst time in
 * microseconds, and how many items were lost or wrong. Exit code 1 if any
 * was, or if a call failed.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/baozi.h"
#include "common/text.h"
#include "common/time.h"

#define ROUNDS_MAX 1000000u
#define WAIT_MS    30000
#define SLOW_US    1000000u

static uint64_t took_us[ROUNDS_MAX];

static int by_size(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void must(enum baozi_status status, const char *what)
{
    if (status == BAOZI_OK)
        return;
    (void)fprintf(stderr, "honest: %s: %s\n", what, baozi_status_name(status));
    exit(1);
}

/* One item there and back; false if it was not the one. */
static bool go_round(struct baozi *client, const char *queue, uint64_t number)
{
    struct baozi_item item;
    must(baozi_put(client, queue, &number, sizeof number, NULL, WAIT_MS, NULL),
         "put");
    must(baozi_get(client, queue, NULL, WAIT_MS, &item), "get");
    bool good = item.bytes == sizeof number &&
                memcmp(item.payload, &number, sizeof number) == 0;
    must(baozi_done(client, &item), "done");
    return good;
}

/* True once stdin has ended. */
static bool is_over(void)
{
    struct pollfd look = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte;
    return poll(&look, 1, 0) == 1 && read(STDIN_FILENO, &byte, 1) <= 0;
}

static void sleep_until(uint64_t due_us)
{
    uint64_t now_us = bao_time_monotonic_us();
    if (now_us >= due_us)
        return;
    uint64_t left_us = due_us - now_us;
    struct timespec pause = {.tv_sec = (time_t)(left_us / 1000000),
                             .tv_nsec = (long)(left_us % 1000000 * 1000)};
    (void)nanosleep(&pause, NULL);
}

static void tell_if_slow(uint64_t round, uint64_t slow_us)
{
    if (slow_us < SLOW_US)
        return;
    uint64_t wall_ms = bao_time_wall_us() / 1000;
    (void)fprintf(stderr,
                  "round %" PRIu64 " took %" PRIu64 " ms, until %" PRIu64
                  ".%03" PRIu64 "\n",
                  round,
                  slow_us / 1000,
                  wall_ms / 1000 % 86400,
                  wall_ms % 1000);
}

static void run(struct baozi *client, uint64_t seconds, uint64_t rate)
{
    char queue[64];
    uint64_t rounds = 0;
    uint64_t wrong = 0;
    (void)snprintf(queue, sizeof queue, "honest-%d", (int)getpid());
    must(baozi_declare(client, queue, NULL), "declare");
    uint64_t begin_us = bao_time_monotonic_us();
    uint64_t end_us = begin_us + seconds * 1000000;
    while (rounds < ROUNDS_MAX) {
        sleep_until(begin_us + rounds * 1000000 / rate);
        uint64_t before_us = bao_time_monotonic_us();
        if (before_us >= end_us || is_over())
            break;
        wrong += !go_round(client, queue, rounds);
        took_us[rounds] = bao_time_monotonic_us() - before_us;
        tell_if_slow(rounds, took_us[rounds]);
        rounds++;
    }
    struct baozi_counts counts = {0};
    must(baozi_join(client, queue, BAOZI_SCOPE_QUEUE, NULL, WAIT_MS, &counts),
         "join");
    wrong += counts.done != rounds;
    qsort(took_us, rounds, sizeof *took_us, by_size);
    uint64_t last = rounds > 0 ? rounds - 1 : 0;
    (void)printf("{\"rounds\": %" PRIu64 ", \"p50_us\": %" PRIu64
                 ", \"p99_us\": %" PRIu64 ", \"worst_us\": %" PRIu64
                 ", \"wrong\": %" PRIu64 "}\n",
                 rounds,
                 took_us[last / 2],
                 took_us[last * 99 / 100],
                 took_us[last],
                 wrong);
    must(baozi_delete(client, queue, 1), "delete");
    if (wrong > 0 || rounds == 0)
        exit(1);
}

int main(int argc, char **argv)
{
    uint64_t seconds = 0;
    uint64_t rate = 100;
    struct baozi *client;
    if (argc < 3 || argc > 4 || !bao_read_number(argv[2], &seconds) ||
        (argc == 4 && !bao_read_number(argv[3], &rate)) || rate == 0) {
        (void)fprintf(stderr, "usage: honest URL SECONDS [ROUNDS]\n");
        return 64;
    }
    struct baozi_options options = {.size = sizeof options, .url = argv[1]};
    must(baozi_open(&options, &client), "open");
    must(baozi_connect(client, WAIT_MS), "connect");
    run(client, seconds, rate);
    must(baozi_close(client), "close");
    return 0;
}
