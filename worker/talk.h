/*
 * talk.h - what the supervisor and a child say to each other.
 *
 * A channel is a stream socket. The supervisor writes a task, the child
 * writes one answer for it; before the first task the child writes an answer
 * that says READY, or UNFIT with the reason. Lengths are checked on both
 * sides: a child whose memory a plugin has ruined cannot harm the supervisor.
 */
#ifndef BAO_WORKER_TALK_H
#define BAO_WORKER_TALK_H

#include <stddef.h>
#include <stdint.h>

#include "common/limits.h"

#define BAO_RESULT_BYTES_MAX (1024u * 1024u)

enum bao_outcome {
    BAO_OUTCOME_DONE,
    BAO_OUTCOME_RETRY,
    BAO_OUTCOME_RELEASE,
    BAO_OUTCOME_REJECT,
    BAO_OUTCOME_READY, /* the child has begun */
    BAO_OUTCOME_UNFIT  /* the child cannot begin; `error` says why */
};

/* An item on its way to a child. Pointers are lent. */
struct bao_task {
    uint64_t id;
    uint64_t token;
    uint32_t deliveries;
    int32_t priority;
    const char *group;   /* NULL if none */
    const char *headers; /* key NUL value NUL ...; may be NULL if none */
    size_t header_bytes;
    const uint8_t *payload;
    size_t bytes;
};

struct bao_answer {
    enum bao_outcome outcome;
    int signal;       /* that ended the job; 0 = none */
    int64_t delay_ms; /* retry, release: not before; < 0 = the usual */
    int has_result;   /* an empty result is one */
    const void *result;
    size_t result_bytes;
    char error[BAO_ERROR_BYTES_MAX + 1];
};

enum bao_talk {
    BAO_TALK_OK,
    BAO_TALK_ENDED,   /* the other side is gone */
    BAO_TALK_STOPPED, /* `wait` said so */
    BAO_TALK_GARBLED  /* the other side makes no sense */
};

/* One end of a channel; the caller's memory, the buffer is ours. */
struct bao_channel {
    int fd; /* owned; -1 = none */
    /* Waits until fd is ready for `events` (POLLIN, POLLOUT); nonzero: stop
     * talking. NULL: wait for ever. */
    int (*wait)(void *context, int fd, short events);
    void *context;
    uint8_t *buffer;
    size_t capacity;
};

void bao_channel_init(struct bao_channel *channel, int fd);
void bao_channel_close(struct bao_channel *channel);

enum bao_talk bao_talk_send_task(struct bao_channel *channel,
                                 const struct bao_task *task);
/* What the task lends lives until the next call on this channel. */
enum bao_talk bao_talk_read_task(struct bao_channel *channel,
                                 struct bao_task *task);
/* The result must not be larger than BAO_RESULT_BYTES_MAX. */
enum bao_talk bao_talk_send_answer(struct bao_channel *channel,
                                   const struct bao_answer *answer);
/* The result is lent until the next call on this channel. */
enum bao_talk bao_talk_read_answer(struct bao_channel *channel,
                                   struct bao_answer *answer);

#endif
