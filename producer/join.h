/*
 * join.h - waits until what was put is settled.
 */
#ifndef BAO_PRODUCER_JOIN_H
#define BAO_PRODUCER_JOIN_H

#include "producer/feed.h"

struct bao_joined {
    bool tried;
    enum baozi_status status; /* OK: all settled; TIMEOUT; INTERRUPTED; ... */
    struct baozi_counts counts;
    uint64_t took_us;
};

/* Joins what this client put, drawing progress; ends early by a signal or
 * --join-timeout. */
void bao_producer_join(struct bao_feed *feed, struct bao_joined *joined);

#endif
