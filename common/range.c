/*
 * range.c - durations that are drawn anew each time.
 */
#include "common/range.h"

#include <string.h>

#include "common/random.h"
#include "common/text.h"

bool bao_read_range(const char *text, struct bao_range *range)
{
    char first[64];
    const char *dash = strchr(text, '-');
    size_t length = dash == NULL ? strlen(text) : (size_t)(dash - text);
    if (length >= sizeof first)
        return false;
    memcpy(first, text, length);
    first[length] = '\0';
    return bao_read_duration(first, &range->least_ms) &&
           bao_read_duration(dash == NULL ? first : dash + 1,
                             &range->most_ms) &&
           range->least_ms <= range->most_ms;
}

bool bao_range_check(const char *text,
                     struct bao_range *range,
                     struct bao_problem *problem)
{
    return bao_read_range(text, range) ||
           bao_problem_usage(problem,
                             "--sleep: this is no duration",
                             "a duration like 200ms, or a range like 1s-3s "
                             "with the smaller one first, is needed",
                             "say for example --sleep 100ms-300ms");
}

uint64_t bao_range_draw(struct bao_range range)
{
    uint64_t width = range.most_ms - range.least_ms;
    if (width == UINT64_MAX)
        return bao_random_number();
    return range.least_ms + bao_random_number() % (width + 1);
}
