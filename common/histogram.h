/*
 * histogram.h - how often each value came, within 0.8 % of it.
 *
 * Buckets are 1 wide up to 256; above, each doubling has 128 buckets. A value
 * costs some nanoseconds and no memory; a histogram is 33 KiB, holds no
 * pointers, and may lie in memory that processes share (one writer each).
 */
#ifndef BAO_HISTOGRAM_H
#define BAO_HISTOGRAM_H

#include <stdint.h>

#define BAO_HISTOGRAM_BITS    40u /* larger values count as the largest */
#define BAO_HISTOGRAM_BUCKETS ((BAO_HISTOGRAM_BITS - 6u) * 128u)

/* All zero is an empty one. */
struct bao_histogram {
    uint64_t count;
    uint64_t sum;
    uint64_t least; /* exact; 0 if empty */
    uint64_t most;  /* exact */
    uint64_t buckets[BAO_HISTOGRAM_BUCKETS];
};

void bao_histogram_record(struct bao_histogram *histogram, uint64_t value);

/* Adds all that `source` holds. */
void bao_histogram_add(struct bao_histogram *target,
                       const struct bao_histogram *source);

/*
 * The smallest value of which at least `permille` thousandths of all values
 * are not above (a bucket's upper end, but never above the largest value).
 * 0 if it is empty.
 */
uint64_t bao_histogram_value(const struct bao_histogram *histogram,
                             unsigned permille);

/* 0 if it is empty. */
double bao_histogram_mean(const struct bao_histogram *histogram);

#endif
