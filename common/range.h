/*
 * range.h - durations that are drawn anew each time: "200ms", "1s-3s".
 *
 * The tutorial's cooks and eaters take between one and three seconds for a
 * bun; producer and worker read that from one option.
 */
#ifndef BAO_RANGE_H
#define BAO_RANGE_H

#include "common/options.h"

struct bao_range {
    uint64_t least_ms;
    uint64_t most_ms; /* not smaller */
};

/* False if it is neither a duration nor two with a dash, the smaller first. */
bool bao_read_range(const char *text, struct bao_range *range);

/* The same for the value of --sleep. */
bool bao_range_check(const char *text,
                     struct bao_range *range,
                     struct bao_problem *problem);
/* An option that is read so; a `const char *`. */
#define BAO_OPTION_SLEEP(type, member, text)                               \
    {                                                                      \
        .name = "sleep", .takes = BAO_TAKES_TEXT, .value = "D or D-D",     \
        .offset = offsetof(type, member), .initial = "1s-3s", .help = text \
    }

/* One duration of it, each millisecond as likely as the others. */
uint64_t bao_range_draw(struct bao_range range);

#endif
