/*
 * t16_server.c - five hundred clients at once, four servers.
 *
 * The tutorial's concurrent server answers "hello" with "HELLO". Here a client
 * puts its hello and waits for the item's result; a pool of four worker
 * processes takes the hellos and settles each with its answer. Nobody holds a
 * connection to anybody but the broker.
 */
#include <ctype.h>

#include "crowd.h"

#define GROUPS  20
#define CLIENTS (GROUPS * CROWD_EACH)
#define SERVERS 4

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

static int asked_to_stop(void *context)
{
    (void)context;
    return stopped;
}

/* Upper-cases until it is told to stop; ends with how many it served, capped
 * to what an exit code can say. */
static int serve(int number)
{
    struct sigaction action = {.sa_handler = stop};
    struct baozi_options options = {.size = sizeof options,
                                    .interrupted = asked_to_stop};
    struct baozi *client = NULL;
    struct baozi_item hello;
    int served = 0;
    (void)number;
    sigaction(SIGTERM, &action, NULL);
    must(baozi_open(&options, &client), "baozi_open");
    while (!stopped) {
        enum baozi_status status =
            baozi_get(client, "hello", NULL, 500, &hello);
        if (status == BAOZI_EMPTY || status == BAOZI_INTERRUPTED)
            continue;
        must(status, "get");
        char answer[64];
        size_t bytes = hello.bytes < sizeof answer ? hello.bytes : 0;
        const char *text = hello.payload;
        for (size_t i = 0; i < bytes; i++)
            answer[i] = (char)toupper((unsigned char)text[i]);
        must(baozi_done_with(client, &hello, answer, bytes), "done_with");
        served++;
    }
    baozi_close(client);
    return served < 255 ? served : 255;
}

static bool say_hello(struct baozi *client, int number)
{
    char hello[64];
    char expected[64];
    struct baozi_put_options options = {.size = sizeof options,
                                        .want_result = 1};
    struct baozi_receipt receipt;
    struct baozi_outcome outcome;
    size_t bytes =
        (size_t)snprintf(hello, sizeof hello, "hello from %d", number);
    snprintf(expected, sizeof expected, "HELLO FROM %d", number);
    if (baozi_put(client, "hello", hello, bytes, &options, 60000, &receipt) !=
            BAOZI_OK ||
        baozi_wait(client, receipt.id, 60000, &outcome) != BAOZI_OK)
        return false;
    bool good = outcome.state == BAOZI_STATE_DONE && outcome.bytes == bytes &&
                memcmp(outcome.result, expected, bytes) == 0;
    baozi_outcome_free(&outcome);
    return good;
}

int main(void)
{
    pid_t servers[SERVERS];
    pid_t groups[GROUPS];
    int idle = 0;
    plan(3);
    open_kitchen();
    struct baozi *client = open_client();
    must(baozi_declare(client, "hello", NULL), "declare");
    for (int i = 0; i < SERVERS; i++)
        servers[i] = start_child(serve, i);
    gather(groups, GROUPS, say_hello);
    int64_t begin = now_ms();
    open_gate();
    int failed = wait_crowd(groups, GROUPS);
    ok(failed == 0,
       "%d clients at once: %d wrong or no answer, %d ms in all",
       CLIENTS,
       failed,
       (int)(now_ms() - begin));
    for (int i = 0; i < SERVERS; i++)
        kill(servers[i], SIGTERM);
    for (int i = 0; i < SERVERS; i++)
        idle += wait_child(servers[i]) <= 0;
    ok(idle == 0, "all %d servers served and ended well", SERVERS);
    struct baozi_queue_stat stat = {.size = sizeof stat};
    must(baozi_stat(client, "hello", &stat), "stat");
    ok(stat.done == CLIENTS && stat.unfinished == 0,
       "%d hellos done, %d unfinished",
       (int)stat.done,
       (int)stat.unfinished);
    baozi_close(client);
    return close_kitchen();
}
