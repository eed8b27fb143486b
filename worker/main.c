/*
 * main.c - baozi-worker: settings, client, crew, end.
 *
 * The same program is the spawner of its own children (spawner.h).
 */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "worker/crew.h"

/* Calls of the library go on for as long as the broker is away. */
#define WAITS_FOR_EVER_MS INT32_MAX
#define CLOSE_MS          2000

static struct bao_worker_signals signals = {.fd = -1};

static void on_signal(int number)
{
    int fault = errno;
    uint64_t one = 1;
    signals.last = number;
    signals.count++;
    if (signals.count > 2) /* the spawner kills the children */
        _exit(BAO_EXIT_SIGNAL + number);
    ssize_t written = write(signals.fd, &one, sizeof one);
    (void)written;
    errno = fault;
}

static void hear_signals(void)
{
    static const int heard[] = {SIGTERM, SIGINT, SIGHUP};
    struct sigaction before;
    struct sigaction action = {.sa_handler = on_signal};
    signals.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    (void)sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof heard / sizeof heard[0]; i++) {
        /* nohup and the shell's & say what is not for us */
        if (sigaction(heard[i], NULL, &before) == 0 &&
            before.sa_handler != SIG_IGN)
            (void)sigaction(heard[i], &action, NULL);
    }
    (void)signal(SIGPIPE, SIG_IGN);
}

/* A signal ends the calls of the beginning; later ones are finished. */
static int interrupted(void *context)
{
    const struct bao_crew *crew = context;
    return signals.count > 0 && !atomic_load(&crew->working);
}

/* Opens the client, waits for the broker, makes the queue. 0: all is well. */
static int begin(struct bao_crew *crew)
{
    const struct bao_worker_settings *settings = crew->settings;
    const char *name = bao_worker_program.name;
    const struct baozi_options options = {
        .size = sizeof options,
        .url = settings->url,
        .connect_timeout_ms = WAITS_FOR_EVER_MS,
        .close_timeout_ms = CLOSE_MS,
        .program = name,
        .interrupted = interrupted,
        .context = crew,
    };
    enum baozi_status status = baozi_open(&options, &crew->client);
    if (status != BAOZI_OK)
        return bao_complain_open(name, settings->url, status);
    status = baozi_connect(crew->client, (int64_t)settings->connect_timeout_ms);
    if (status == BAOZI_OK)
        status = baozi_declare(crew->client, settings->queue, NULL);
    if (signals.count > 0)
        return BAO_EXIT_SIGNAL + signals.last;
    if (status != BAOZI_OK)
        return bao_complain_status(name, crew->client, status);
    return BAO_EXIT_OK;
}

/* What was done: a log line, or with --format json an object on stdout. */
static void report(struct bao_crew *crew)
{
    const struct bao_totals *totals = &crew->totals;
    if (crew->settings->format == BAO_FORMAT_JSON) {
        json_t *object = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}",
                                   "queue",
                                   crew->settings->queue,
                                   "done",
                                   (json_int_t)totals->done,
                                   "retried",
                                   (json_int_t)totals->retried,
                                   "released",
                                   (json_int_t)totals->released,
                                   "rejected",
                                   (json_int_t)totals->rejected,
                                   "lost",
                                   (json_int_t)totals->lost,
                                   "replaced",
                                   (json_int_t)totals->replaced);
        if (object != NULL) {
            (void)json_dumpf(object, stdout, JSON_COMPACT);
            (void)fputc('\n', stdout);
            (void)fflush(stdout);
            json_decref(object);
        }
    }
    BAO_CREW_LOG(crew,
                 BAO_LOG_INFO,
                 bao_event("end"),
                 bao_number("done", totals->done),
                 bao_number("retried", totals->retried),
                 bao_number("released", totals->released),
                 bao_number("rejected", totals->rejected),
                 bao_number("lost", totals->lost),
                 bao_number("replaced", totals->replaced));
}

static int supervise(const struct bao_worker_settings *settings,
                     char *const *argv)
{
    static struct bao_crew crew; /* threads may outlive the function */
    crew.settings = settings;
    crew.argv = argv;
    hear_signals();
    int exit_code = begin(&crew);
    if (exit_code == BAO_EXIT_OK) {
        atomic_store(&crew.working, true);
        exit_code = bao_crew_run(&crew, &signals);
        report(&crew);
    }
    enum baozi_status status = baozi_close(crew.client);
    if (status != BAOZI_OK && exit_code == BAO_EXIT_OK)
        exit_code =
            bao_complain(bao_worker_program.name,
                         BAO_EXIT_UNREACHABLE,
                         "the last outcomes may not have reached the broker",
                         "it did not answer in time",
                         "their items are delivered again, if so");
    if (crew.left_behind) /* threads still use what main() would free */
        _exit(exit_code);
    return exit_code;
}

int main(int argc, char **argv)
{
    struct bao_worker_settings settings;
    struct bao_options options;
    int exit_code;
    int role = bao_spawner_role();
    if (!bao_worker_settings_read(&settings, &options, argc, argv, &exit_code))
        return exit_code;
    if (settings.format == BAO_FORMAT_JSON)
        bao_log_format_set(BAO_LOG_JSON);
    exit_code = role >= 0 ? bao_spawner_main(&settings, role)
                          : supervise(&settings, argv);
    bao_worker_settings_fini(&settings, &options);
    return exit_code;
}
