/*
 * ledger.c - a producer or a worker that writes down what it was told.
 *
 *     ledger put URL QUEUE LOG NAME [BYTES]   puts NAME-1, NAME-2, ...
 *     ledger eat URL QUEUE LOG                gets and settles, until SIGTERM
 *                                             and then until nothing is left
 *
 * One line is one event, appended by one write: `try X` before a put, `put X`
 * when it was confirmed; `got X`, then `done X` when the settle was confirmed
 * or `stale X`; `bad X` if it has other bytes than it was put with; `fail X
 * STATUS` for everything else. tests/lib/ledger.py reads the lines of all and
 * says whether something is missing or came twice.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/baozi.h"

#define PATIENCE_MS   120000
#define PAYLOAD_BYTES (1 << 20)

static volatile sig_atomic_t told; /* to end, once nothing is begun */
static bool getting;
static int book = -1;

static void tell(int signal)
{
    (void)signal;
    told = 1;
}

/* Only a get is given up; what else was begun is finished. */
static int is_over(void *context)
{
    (void)context;
    return getting && told;
}

static void note(const char *what, const char *payload, int bytes, int status)
{
    char line[200];
    int count =
        status == 0
            ? snprintf(line, sizeof line, "%s %.*s\n", what, bytes, payload)
            : snprintf(line,
                       sizeof line,
                       "%s %.*s %s\n",
                       what,
                       bytes,
                       payload,
                       baozi_status_name((enum baozi_status)status));
    if (write(book, line, (size_t)count) != count)
        exit(74);
}

/* The name is the first word of a payload; the rest only fills it. */
static int name_bytes(const char *payload, size_t bytes)
{
    const char *end = memchr(payload, ' ', bytes);
    size_t name = end == NULL ? bytes : (size_t)(end - payload);
    return name > 100 ? 100 : (int)name;
}

/* Behind the name there is nothing but one space and x. */
static bool is_whole(const char *payload, size_t bytes, size_t name)
{
    for (size_t i = name + 1; i < bytes; i++)
        if (payload[i] != 'x')
            return false;
    return name == bytes || payload[name] == ' ';
}

static int put_all(struct baozi *client, char **argv, size_t bytes)
{
    static char payload[PAYLOAD_BYTES];
    memset(payload, 'x', sizeof payload);
    for (unsigned long n = 1; !told; n++) {
        int name = snprintf(payload, 100, "%s-%lu ", argv[5], n) - 1;
        payload[name + 1] = 'x';
        size_t all = bytes > (size_t)name + 1 ? bytes : (size_t)name;
        note("try", payload, name, 0);
        enum baozi_status status =
            baozi_put(client, argv[3], payload, all, NULL, PATIENCE_MS, NULL);
        note(status == BAOZI_OK ? "put" : "fail", payload, name, (int)status);
        if (status != BAOZI_OK)
            usleep(10000);
    }
    return 0;
}

static int eat_all(struct baozi *client, char **argv)
{
    struct baozi_item item;
    for (;;) {
        getting = !told;
        enum baozi_status status =
            baozi_get(client, argv[3], NULL, told ? 0 : PATIENCE_MS, &item);
        getting = false;
        if (status == BAOZI_EMPTY && told)
            return 0;
        if (status == BAOZI_EMPTY || status == BAOZI_INTERRUPTED)
            continue;
        if (status != BAOZI_OK) {
            note("fail", "get", 3, (int)status);
            usleep(10000);
            continue;
        }
        char name[101];
        int bytes = name_bytes(item.payload, item.bytes);
        memcpy(name, item.payload, (size_t)bytes);
        note(is_whole(item.payload, item.bytes, (size_t)bytes) ? "got" : "bad",
             name,
             bytes,
             0);
        status = baozi_done(client, &item);
        if (status == BAOZI_STALE)
            note("stale", name, bytes, 0);
        else
            note(
                status == BAOZI_OK ? "done" : "fail", name, bytes, (int)status);
    }
}

int main(int argc, char **argv)
{
    struct baozi *client;
    struct baozi_options options = {.size = sizeof options,
                                    .connect_timeout_ms = PATIENCE_MS,
                                    .interrupted = is_over};
    struct sigaction action = {.sa_handler = tell};
    if (argc < 5)
        return 64;
    (void)sigaction(SIGTERM, &action, NULL);
    options.url = argv[2];
    book = open(argv[4], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (book < 0 || baozi_open(&options, &client) != BAOZI_OK)
        return 74;
    const size_t bytes = argc > 6 ? strtoul(argv[6], NULL, 10) : 0;
    int code = strcmp(argv[1], "put") == 0
                   ? put_all(client, argv, bytes < PAYLOAD_BYTES ? bytes : 0)
                   : eat_all(client, argv);
    (void)baozi_close(client);
    return code;
}
