/*
 * source.c - where items come from.
 */
#include "producer/source.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/input.h"
#include "common/limits.h"
#include "common/text.h"

/* One file being read. */
struct reading {
    struct bao_feed *feed;
    struct bao_input input;
    const char *name; /* for messages */
    struct bao_problem *problem;
};

/* Writes the three parts; what stands before is "NAME, line 3". */
static enum bao_source_end bad(struct reading *reading,
                               int exit_code,
                               const char *what,
                               const char *why,
                               const char *remedy)
{
    const struct bao_producer_settings *settings = reading->feed->settings;
    const char *unit = settings->null ? "item" : "line";
    reading->problem->exit_code = exit_code;
    if (settings->whole)
        bao_problem_what(reading->problem, "%s: %s", reading->name, what);
    else
        bao_problem_what(reading->problem,
                         "%s, %s %llu: %s",
                         reading->name,
                         unit,
                         (unsigned long long)reading->input.number,
                         what);
    bao_problem_why(reading->problem, "%s", why);
    bao_problem_remedy(reading->problem, "%s", remedy);
    return BAO_SOURCE_BAD;
}

static bool is_blank(const uint8_t *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (data[i] != ' ' && data[i] != '\t' && data[i] != '\r')
            return false;
    }
    return true;
}

/* Whether the item is a JSON value; *problem is filled if not. */
static bool
check_json(struct reading *reading, const uint8_t *data, size_t bytes)
{
    char why[256];
    json_error_t error;
    json_t *value = json_loadb(
        (const char *)data, bytes, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (value != NULL) {
        json_decref(value);
        return true;
    }
    (void)snprintf(
        why, sizeof why, "%s, at character %d", error.text, error.column);
    (void)bad(reading,
              BAO_EXIT_DATA,
              "this is not JSON",
              why,
              "mend the line; the lines before it were put, so begin again "
              "with this one");
    return false;
}

static enum bao_source_end
put_item(struct reading *reading, const uint8_t *data, size_t bytes)
{
    if (reading->feed->settings->json && !check_json(reading, data, bytes))
        return BAO_SOURCE_BAD;
    switch (bao_feed_put(reading->feed, data, bytes)) {
    case BAO_FED_OK: return BAO_SOURCE_END;
    case BAO_FED_STOPPED: return BAO_SOURCE_STOPPED;
    case BAO_FED_FAILED: return BAO_SOURCE_REFUSED;
    case BAO_FED_BAD_KEY: break;
    }
    return bad(reading,
               BAO_EXIT_DATA,
               "this cannot be a dedup key",
               "a key has 1 to 256 bytes",
               "give a shorter one with --dedup-key");
}

static enum bao_source_end too_big(struct reading *reading)
{
    char why[96];
    char limit[BAO_TEXT_BYTES];
    (void)snprintf(why,
                   sizeof why,
                   "an item may have at most %s",
                   bao_write_size(limit, sizeof limit, BAO_ITEM_BYTES_MAX));
    return bad(reading,
               BAO_EXIT_DATA,
               "the item is too large",
               why,
               reading->feed->settings->whole
                   ? "put the file's name instead of the file"
                   : "check that the input has lines (or use --null), or put "
                     "names instead of contents");
}

/* Reads one file to its end. */
static enum bao_source_end
read_file(struct bao_feed *feed, const char *name, struct bao_problem *problem)
{
    const struct bao_producer_settings *settings = feed->settings;
    bool standard = strcmp(name, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    struct reading reading = {.feed = feed,
                              .name = standard ? "standard input" : name,
                              .problem = problem};
    enum bao_input_split split = settings->whole  ? BAO_INPUT_WHOLE
                                 : settings->null ? BAO_INPUT_NULS
                                                  : BAO_INPUT_LINES;
    enum bao_source_end end = BAO_SOURCE_END;
    enum bao_input_found found = BAO_INPUT_FAILED;
    bao_input_init(
        &reading.input, fd, split, BAO_ITEM_BYTES_MAX, feed->signals->fd);
    while (end == BAO_SOURCE_END) {
        const uint8_t *data = NULL;
        size_t bytes = 0;
        found = fd < 0 ? BAO_INPUT_FAILED
                       : bao_input_next(&reading.input, &data, &bytes);
        if (found != BAO_INPUT_ITEM)
            break;
        if (!settings->json || !is_blank(data, bytes))
            end = put_item(&reading, data, bytes);
    }
    if (found == BAO_INPUT_STOPPED)
        end = BAO_SOURCE_STOPPED;
    else if (found == BAO_INPUT_TOO_BIG)
        end = too_big(&reading);
    else if (found == BAO_INPUT_FAILED) {
        char why[128];
        (void)snprintf(why, sizeof why, "%s", strerror(errno));
        end = bad(&reading,
                  BAO_EXIT_IO,
                  "it cannot be read",
                  why,
                  "mend that; what stood before it was put");
    }
    bao_input_fini(&reading.input);
    if (!standard && fd >= 0)
        (void)close(fd);
    return end;
}

enum bao_source_end bao_source_read(struct bao_feed *feed,
                                    struct bao_problem *problem)
{
    const struct bao_texts *files = &feed->settings->files;
    if (files->count == 0)
        return read_file(feed, "-", problem);
    enum bao_source_end end = BAO_SOURCE_END;
    for (size_t i = 0; i < files->count && end == BAO_SOURCE_END; i++)
        end = read_file(feed, files->texts[i], problem);
    return end;
}

enum bao_source_end bao_source_cook(struct bao_feed *feed)
{
    const struct bao_producer_settings *settings = feed->settings;
    for (uint64_t i = 0; i < settings->count; i++) {
        char bun[256];
        int bytes = snprintf(bun,
                             sizeof bun,
                             "%.200s%llu",
                             settings->name,
                             (unsigned long long)i);
        if (bytes < 0)
            return BAO_SOURCE_STOPPED;
        uint64_t takes_ms = bao_range_draw(settings->takes);
        if (bao_input_wait(-1, feed->signals->fd, (int64_t)takes_ms) < 0)
            return BAO_SOURCE_STOPPED;
        switch (bao_feed_put(feed, bun, (size_t)bytes)) {
        case BAO_FED_OK: break;
        case BAO_FED_STOPPED: return BAO_SOURCE_STOPPED;
        case BAO_FED_BAD_KEY:
        case BAO_FED_FAILED: return BAO_SOURCE_REFUSED;
        }
        bao_progress_hide(&feed->progress);
        (void)printf("%d made %s\n", (int)getpid(), bun);
        (void)fflush(stdout);
    }
    return BAO_SOURCE_END;
}
