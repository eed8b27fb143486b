/*
 * histogram.c - logarithmic buckets, each doubling divided evenly.
 */
#include "common/histogram.h"

#include "common/check.h"

#define HALF_BITS 7u /* 128 buckets a doubling */
#define HALF      (1u << HALF_BITS)

_Static_assert(BAO_HISTOGRAM_BUCKETS ==
                   (BAO_HISTOGRAM_BITS - HALF_BITS + 1) * HALF,
               "one row of buckets a doubling, and two for the smallest");

static uint64_t clipped(uint64_t value)
{
    const uint64_t most = (UINT64_C(1) << BAO_HISTOGRAM_BITS) - 1;
    return value < most ? value : most;
}

/* How far a value is shifted so that it fits below 2 * HALF. */
static unsigned shift_of(uint64_t value)
{
    unsigned bits = 64u - (unsigned)__builtin_clzll(value | 1);
    return bits > HALF_BITS + 1 ? bits - (HALF_BITS + 1) : 0;
}

static unsigned bucket_of(uint64_t value)
{
    unsigned shift = shift_of(value);
    return shift * HALF + (unsigned)(value >> shift);
}

/* The largest value of a bucket. */
static uint64_t end_of(unsigned bucket)
{
    unsigned shift = bucket < 2 * HALF ? 0 : bucket / HALF - 1;
    uint64_t top = bucket - shift * HALF;
    return ((top + 1) << shift) - 1;
}

void bao_histogram_record(struct bao_histogram *histogram, uint64_t value)
{
    unsigned bucket = bucket_of(clipped(value));
    BAO_ASSERT(bucket < BAO_HISTOGRAM_BUCKETS);
    histogram->buckets[bucket]++;
    if (histogram->count == 0 || value < histogram->least)
        histogram->least = value;
    if (value > histogram->most)
        histogram->most = value;
    histogram->sum += value;
    histogram->count++;
}

void bao_histogram_add(struct bao_histogram *target,
                       const struct bao_histogram *source)
{
    if (source->count == 0)
        return;
    for (unsigned i = 0; i < BAO_HISTOGRAM_BUCKETS; i++)
        target->buckets[i] += source->buckets[i];
    if (target->count == 0 || source->least < target->least)
        target->least = source->least;
    if (source->most > target->most)
        target->most = source->most;
    target->sum += source->sum;
    target->count += source->count;
}

uint64_t bao_histogram_value(const struct bao_histogram *histogram,
                             unsigned permille)
{
    BAO_ASSERT(permille <= 1000);
    if (histogram->count == 0)
        return 0;
    /* Rounded up; divided first, so that no count is too large. */
    uint64_t rank = histogram->count / 1000 * permille +
                    (histogram->count % 1000 * permille + 999) / 1000;
    uint64_t seen = 0;
    unsigned i = 0;
    for (; i < BAO_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank && seen > 0)
            break;
    }
    uint64_t value = i < BAO_HISTOGRAM_BUCKETS ? end_of(i) : histogram->most;
    return value < histogram->most ? value : histogram->most;
}

double bao_histogram_mean(const struct bao_histogram *histogram)
{
    if (histogram->count == 0)
        return 0;
    return (double)histogram->sum / (double)histogram->count;
}
