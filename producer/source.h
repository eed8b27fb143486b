/*
 * source.h - where items come from: lines, files, JSON, or the cook.
 */
#ifndef BAO_PRODUCER_SOURCE_H
#define BAO_PRODUCER_SOURCE_H

#include "producer/feed.h"

/* Why the source gave no more. */
enum bao_source_end {
    BAO_SOURCE_END,     /* all was put */
    BAO_SOURCE_STOPPED, /* a signal came */
    BAO_SOURCE_REFUSED, /* the feed failed; it knows why */
    BAO_SOURCE_BAD      /* *problem says what is wrong with the input */
};

/* Puts all that the settings name; the puts are not confirmed yet. */
enum bao_source_end bao_source_read(struct bao_feed *feed,
                                    struct bao_problem *problem);

/* The tutorial's cook: makes items, one after another, and says so. */
enum bao_source_end bao_source_cook(struct bao_feed *feed);

#endif
