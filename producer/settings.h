/*
 * settings.h - what the producer was told to do.
 */
#ifndef BAO_PRODUCER_SETTINGS_H
#define BAO_PRODUCER_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/baozi.h"
#include "common/options_put.h"
#include "common/range.h"

enum bao_producer_builtin { BAO_BUILTIN_COOK, BAO_BUILTIN_STEAMER };

struct bao_producer_settings {
    const char *queue;
    struct bao_texts files;
    const char *url;
    int format; /* enum bao_format */

    bool null;
    bool whole; /* --file */
    bool json;
    uint64_t maxsize;
    int kind; /* enum baozi_kind */
    uint64_t rate;
    int64_t timeout_ms; /* per put; -1 = for ever */
    uint64_t window;

    struct bao_put_settings put;

    bool join;
    int64_t join_timeout_ms; /* -1 = for ever */
    bool quiet;
    uint64_t connect_timeout_ms;

    int builtin;
    uint64_t count;
    const char *name;
    const char *sleep;

    /* made from the above */
    bool cooks;       /* --builtin was given */
    bool has_timeout; /* --timeout was given: puts go one by one */
    bool has_maxsize;
    bool has_kind;
    struct bao_range takes; /* of `sleep` */
};

extern const struct bao_program bao_producer_program;

/*
 * Reads the command line. `options` keeps the texts. False: end with
 * *exit_code, all was said.
 */
bool bao_producer_settings_read(struct bao_producer_settings *settings,
                                struct bao_options *options,
                                int argc,
                                char *const *argv,
                                int *exit_code);

#endif
