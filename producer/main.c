/*
 * main.c - baozi-producer: client, items, join, last words, exit code.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "producer/report.h"
#include "producer/source.h"

/* Calls of the library go on for as long as the broker is away. */
#define WAITS_FOR_EVER_MS INT32_MAX
#define CLOSE_MS          1000

static struct bao_producer_signals signals = {.fd = -1};
static volatile sig_atomic_t finishing; /* no call is broken off any more */

static void on_signal(int number)
{
    int fault = errno;
    uint64_t one = 1;
    signals.last = number;
    signals.count++;
    if (signals.count > 2)
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

/* A signal ends calls that wait; the last words are waited for in slices. */
static int interrupted(void *context)
{
    (void)context;
    return signals.count > 0 && finishing == 0;
}

static enum baozi_status declare(struct baozi *client,
                                 const struct bao_producer_settings *settings)
{
    struct baozi_queue_options options;
    baozi_queue_options_init(&options);
    if (settings->has_maxsize)
        baozi_queue_option(&options, BAOZI_OPTION_MAXSIZE, settings->maxsize);
    if (settings->has_kind)
        baozi_queue_option(
            &options, BAOZI_OPTION_KIND, (uint64_t)settings->kind);
    bool any = settings->has_maxsize || settings->has_kind;
    return baozi_declare(client, settings->queue, any ? &options : NULL);
}

/* Opens the client, waits for the broker, makes the queue. 0: all is well. */
static int begin(const struct bao_producer_settings *settings,
                 struct baozi **client)
{
    const char *name = bao_producer_program.name;
    const struct baozi_options options = {
        .size = sizeof options,
        .url = settings->url,
        .connect_timeout_ms = WAITS_FOR_EVER_MS,
        .close_timeout_ms = CLOSE_MS,
        .window = (uint32_t)settings->window,
        .program = name,
        .interrupted = interrupted,
    };
    enum baozi_status status = baozi_open(&options, client);
    if (status != BAOZI_OK)
        return bao_complain_open(name, settings->url, status);
    status = baozi_connect(*client, (int64_t)settings->connect_timeout_ms);
    if (status == BAOZI_OK)
        status = declare(*client, settings);
    if (signals.count > 0)
        return BAO_EXIT_SIGNAL + signals.last;
    if (status != BAOZI_OK)
        return bao_complain_status(name, *client, status);
    return BAO_EXIT_OK;
}

/* An item was refused: which one, and what became of the others. */
static int complain_refused(const struct bao_feed *feed,
                            const struct bao_fed_counts *counts)
{
    char what[512];
    (void)snprintf(what,
                   sizeof what,
                   "item %llu was not put into queue '%s' (%s); %llu were "
                   "confirmed",
                   (unsigned long long)counts->failed_number,
                   feed->settings->queue,
                   baozi_status_name(counts->failure),
                   (unsigned long long)counts->confirmed);
    return bao_complain(bao_producer_program.name,
                        baozi_status_exit_code(counts->failure),
                        what,
                        baozi_status_text(counts->failure),
                        baozi_status_remedy(counts->failure));
}

/* The exit code that follows from the join; a message unless it is plain. */
static int judge_join(const struct bao_feed *feed,
                      const struct bao_joined *joined)
{
    if (joined->status == BAOZI_INTERRUPTED)
        return BAO_EXIT_SIGNAL + signals.last;
    if (joined->status == BAOZI_TIMEOUT)
        return BAO_EXIT_NEGATIVE; /* the counts say it */
    if (joined->status != BAOZI_OK)
        return bao_complain_status(
            bao_producer_program.name, feed->client, joined->status);
    return bao_joined_failed(joined) > 0 ? BAO_EXIT_NEGATIVE : BAO_EXIT_OK;
}

/* Puts everything, and joins if asked; the exit code. */
static int produce(struct bao_feed *feed)
{
    const struct bao_producer_settings *settings = feed->settings;
    const char *name = bao_producer_program.name;
    struct bao_problem problem = {0};
    struct bao_joined joined = {0};
    int exit_code = BAO_EXIT_OK;
    enum bao_source_end end = settings->cooks ? bao_source_cook(feed)
                                              : bao_source_read(feed, &problem);
    finishing = 1;
    bao_feed_flush(feed);
    struct bao_fed_counts counts = bao_feed_counts(feed);
    bao_progress_end(
        &feed->progress, counts.confirmed + counts.duplicates, NULL);

    if (end == BAO_SOURCE_BAD)
        exit_code = bao_problem_print(&problem, name);
    if (counts.failure != BAOZI_OK && exit_code == BAO_EXIT_OK)
        exit_code = complain_refused(feed, &counts);
    if (signals.count > 0 && exit_code == BAO_EXIT_OK)
        exit_code = BAO_EXIT_SIGNAL + signals.last;
    if (counts.unknown > 0 && exit_code == BAO_EXIT_OK)
        exit_code = bao_complain(
            name,
            BAO_EXIT_UNREACHABLE,
            "some puts were not answered",
            "the broker did not answer in time",
            "look into the queue before you put these items again");
    if (settings->join && exit_code == BAO_EXIT_OK) {
        bao_producer_join(feed, &joined);
        exit_code = judge_join(feed, &joined);
    }
    if (!bao_producer_report(feed, &joined) && exit_code == BAO_EXIT_OK)
        exit_code = bao_complain_errno(
            name, BAO_EXIT_IO, "the counts cannot be written", errno);
    return exit_code;
}

int main(int argc, char **argv)
{
    struct bao_producer_settings settings;
    struct bao_options options;
    struct bao_feed feed;
    struct baozi *client = NULL;
    int exit_code;
    if (!bao_producer_settings_read(
            &settings, &options, argc, argv, &exit_code))
        return exit_code;
    hear_signals();
    exit_code = begin(&settings, &client);
    bool fed = false;
    if (exit_code == BAO_EXIT_OK) {
        fed = bao_feed_init(&feed, &settings, &signals, client);
        exit_code = fed ? produce(&feed)
                        : bao_complain_status(bao_producer_program.name,
                                              client,
                                              BAOZI_NO_MEMORY);
    }
    /* all that matters was confirmed before or told as unknown */
    (void)baozi_close(client);
    if (fed)
        bao_feed_fini(&feed);
    bao_options_fini(&options);
    return exit_code;
}
