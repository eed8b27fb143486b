/*
 * talk.c - what the supervisor and a child say to each other.
 *
 * Every message is a fixed part of numbers and then its texts, one after
 * another. Both ends wait through the channel's own function, so that the
 * supervisor's end notices timeouts while a child is slow to read or write.
 */
#include "worker/talk.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/check.h"
#include "common/span.h"

#define TASK_MARK     0x4b534154u
#define ANSWER_MARK   0x57534e41u
#define TASK_FIXED    44u
#define ANSWER_FIXED  32u
#define TASK_TEXT_MAX (4u * BAO_ITEM_HEADER_BYTES_MAX)
#define NO_RESULT     UINT32_MAX

void bao_channel_init(struct bao_channel *channel, int fd)
{
    *channel = (struct bao_channel){.fd = fd};
}

void bao_channel_close(struct bao_channel *channel)
{
    if (channel->fd >= 0)
        (void)close(channel->fd);
    free(channel->buffer);
    bao_channel_init(channel, -1);
}

static enum bao_talk wait_for(struct bao_channel *channel, short events)
{
    if (channel->wait != NULL)
        return channel->wait(channel->context, channel->fd, events) != 0
                   ? BAO_TALK_STOPPED
                   : BAO_TALK_OK;
    struct pollfd poller = {.fd = channel->fd, .events = events};
    (void)poll(&poller, 1, -1);
    return BAO_TALK_OK;
}

static enum bao_talk
send_all(struct bao_channel *channel, const void *data, size_t bytes)
{
    const uint8_t *from = data;
    while (bytes > 0) {
        ssize_t sent =
            send(channel->fd, from, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            from += sent;
            bytes -= (size_t)sent;
            continue;
        }
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN)
            return BAO_TALK_ENDED;
        enum bao_talk waited = wait_for(channel, POLLOUT);
        if (waited != BAO_TALK_OK)
            return waited;
    }
    return BAO_TALK_OK;
}

static enum bao_talk
read_all(struct bao_channel *channel, void *data, size_t bytes)
{
    uint8_t *into = data;
    while (bytes > 0) {
        ssize_t got = recv(channel->fd, into, bytes, MSG_DONTWAIT);
        if (got > 0) {
            into += got;
            bytes -= (size_t)got;
            continue;
        }
        if (got == 0)
            return BAO_TALK_ENDED;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return BAO_TALK_ENDED;
        enum bao_talk waited = wait_for(channel, POLLIN);
        if (waited != BAO_TALK_OK)
            return waited;
    }
    return BAO_TALK_OK;
}

/* Reads `bytes` into the channel's buffer and one NUL behind them. */
static enum bao_talk read_body(struct bao_channel *channel, size_t bytes)
{
    /* a large buffer is not kept for small messages */
    if (channel->capacity < bytes + 1 ||
        (channel->capacity > BAO_RESULT_BYTES_MAX &&
         bytes < channel->capacity / 4)) {
        free(channel->buffer);
        channel->capacity = bytes < 4000 ? 4096 : bytes + 1;
        channel->buffer = malloc(channel->capacity);
        if (channel->buffer == NULL) {
            channel->capacity = 0;
            return BAO_TALK_GARBLED;
        }
    }
    channel->buffer[bytes] = '\0';
    return read_all(channel, channel->buffer, bytes);
}

enum bao_talk bao_talk_send_task(struct bao_channel *channel,
                                 const struct bao_task *task)
{
    uint8_t fixed[TASK_FIXED];
    size_t group = task->group == NULL ? 0 : strlen(task->group) + 1;
    BAO_ASSERT(group + task->header_bytes <= TASK_TEXT_MAX);
    BAO_ASSERT(task->bytes <= BAO_ITEM_BYTES_MAX);
    bao_store32(fixed, TASK_MARK);
    bao_store32(fixed + 4, task->deliveries);
    bao_store64(fixed + 8, task->id);
    bao_store64(fixed + 16, task->token);
    bao_store32(fixed + 24, (uint32_t)task->priority);
    bao_store32(fixed + 28, (uint32_t)group);
    bao_store32(fixed + 32, (uint32_t)task->header_bytes);
    bao_store64(fixed + 36, task->bytes);
    enum bao_talk talk = send_all(channel, fixed, sizeof fixed);
    if (talk == BAO_TALK_OK && group > 0)
        talk = send_all(channel, task->group, group);
    if (talk == BAO_TALK_OK && task->header_bytes > 0)
        talk = send_all(channel, task->headers, task->header_bytes);
    if (talk == BAO_TALK_OK && task->bytes > 0)
        talk = send_all(channel, task->payload, task->bytes);
    return talk;
}

enum bao_talk bao_talk_read_task(struct bao_channel *channel,
                                 struct bao_task *task)
{
    uint8_t fixed[TASK_FIXED];
    enum bao_talk talk = read_all(channel, fixed, sizeof fixed);
    if (talk != BAO_TALK_OK)
        return talk;
    size_t group = bao_load32(fixed + 28);
    size_t headers = bao_load32(fixed + 32);
    uint64_t bytes = bao_load64(fixed + 36);
    if (bao_load32(fixed) != TASK_MARK || group > TASK_TEXT_MAX ||
        headers > TASK_TEXT_MAX || bytes > BAO_ITEM_BYTES_MAX)
        return BAO_TALK_GARBLED;
    talk = read_body(channel, group + headers + (size_t)bytes);
    const char *texts = (const char *)channel->buffer;
    *task = (struct bao_task){
        .id = bao_load64(fixed + 8),
        .token = bao_load64(fixed + 16),
        .deliveries = bao_load32(fixed + 4),
        .priority = (int32_t)bao_load32(fixed + 24),
        .group = group == 0 ? NULL : texts,
        .headers = texts + group,
        .header_bytes = headers,
        .payload = channel->buffer + group + headers,
        .bytes = (size_t)bytes,
    };
    return talk;
}

enum bao_talk bao_talk_send_answer(struct bao_channel *channel,
                                   const struct bao_answer *answer)
{
    uint8_t fixed[ANSWER_FIXED];
    size_t error = strnlen(answer->error, BAO_ERROR_BYTES_MAX);
    BAO_ASSERT(answer->result_bytes <= BAO_RESULT_BYTES_MAX);
    bao_store32(fixed, ANSWER_MARK);
    bao_store32(fixed + 4, (uint32_t)answer->outcome);
    bao_store64(fixed + 8, (uint64_t)answer->delay_ms);
    bao_store32(fixed + 16, (uint32_t)answer->signal);
    bao_store32(fixed + 20, (uint32_t)error);
    bao_store32(fixed + 24,
                answer->has_result ? (uint32_t)answer->result_bytes
                                   : NO_RESULT);
    bao_store32(fixed + 28, 0);
    enum bao_talk talk = send_all(channel, fixed, sizeof fixed);
    if (talk == BAO_TALK_OK && error > 0)
        talk = send_all(channel, answer->error, error);
    if (talk == BAO_TALK_OK && answer->has_result && answer->result_bytes > 0)
        talk = send_all(channel, answer->result, answer->result_bytes);
    return talk;
}

enum bao_talk bao_talk_read_answer(struct bao_channel *channel,
                                   struct bao_answer *answer)
{
    uint8_t fixed[ANSWER_FIXED];
    enum bao_talk talk = read_all(channel, fixed, sizeof fixed);
    if (talk != BAO_TALK_OK)
        return talk;
    uint32_t outcome = bao_load32(fixed + 4);
    size_t error = bao_load32(fixed + 20);
    uint32_t result = bao_load32(fixed + 24);
    int has_result = result != NO_RESULT;
    size_t result_bytes = has_result ? result : 0;
    if (bao_load32(fixed) != ANSWER_MARK || outcome > BAO_OUTCOME_UNFIT ||
        error > BAO_ERROR_BYTES_MAX || result_bytes > BAO_RESULT_BYTES_MAX)
        return BAO_TALK_GARBLED;
    talk = read_body(channel, error + result_bytes);
    if (talk != BAO_TALK_OK)
        return talk;
    *answer = (struct bao_answer){
        .outcome = (enum bao_outcome)outcome,
        .signal = (int)bao_load32(fixed + 16),
        .delay_ms = (int64_t)bao_load64(fixed + 8),
        .has_result = has_result,
        .result = channel->buffer + error,
        .result_bytes = result_bytes,
    };
    memcpy(answer->error, channel->buffer, error);
    return BAO_TALK_OK;
}
