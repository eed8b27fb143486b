/*
 * stream.c - buffers around a socket.
 */
#include "tests/bench/compare/stream.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/bench/compare/driver.h"

#define READ_BYTES (256u * 1024u)

static void *grown(void *memory, size_t *room, size_t wanted)
{
    if (wanted <= *room) {
        return memory;
    }
    while (*room < wanted) {
        *room = *room == 0 ? READ_BYTES : *room * 2;
    }
    memory = realloc(memory, *room);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static int open_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (fd >= 0 &&
        connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int open_tcp(const char *place)
{
    char host[128];
    const int one = 1;
    const struct addrinfo hints = {.ai_family = AF_INET,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const char *colon = strrchr(place, ':');
    if (colon == NULL) {
        return -1;
    }
    snprintf(host, sizeof host, "%.*s", (int)(colon - place), place);
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0) {
        return -1;
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    if (fd >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    return fd;
}

bool stream_open(struct stream *stream, const char *url)
{
    *stream = (struct stream){.fd = -1};
    if (strncmp(url, "unix:", 5) == 0) {
        stream->fd = open_unix(url + 5);
    } else if (strncmp(url, "tcp://", 6) == 0) {
        stream->fd = open_tcp(url + 6);
    }
    return stream->fd >= 0 ||
           driver_fail("cannot connect to %s: %s", url, strerror(errno));
}

void stream_add(struct stream *stream, const void *data, size_t bytes)
{
    stream->out =
        grown(stream->out, &stream->out_room, stream->out_used + bytes);
    memcpy(stream->out + stream->out_used, data, bytes);
    stream->out_used += bytes;
}

void stream_print(struct stream *stream, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int bytes = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (bytes < 0 || (size_t)bytes >= sizeof text) {
        abort();
    }
    stream_add(stream, text, (size_t)bytes);
}

/* Until it takes more. What it says meanwhile is read: a server that cannot get
 * rid of its answers reads nothing either. */
static bool wait_for_room(struct stream *stream)
{
    bool any;
    struct pollfd fd = {.fd = stream->fd, .events = POLLIN | POLLOUT};
    if (poll(&fd, 1, -1) < 0) {
        return errno == EINTR || driver_fail("poll: %s", strerror(errno));
    }
    return (fd.revents & POLLIN) == 0 || stream_fill(stream, -1, &any);
}

bool stream_flush(struct stream *stream)
{
    size_t at = 0;
    while (at < stream->out_used) {
        ssize_t sent = send(stream->fd,
                            stream->out + at,
                            stream->out_used - at,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        at += sent > 0 ? (size_t)sent : 0;
        if (sent < 0 && errno == EAGAIN && !wait_for_room(stream)) {
            return false;
        }
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            return driver_fail("send: %s", strerror(errno));
        }
    }
    stream->out_used = 0;
    return true;
}

bool stream_fill(struct stream *stream, int wait_ms, bool *any)
{
    struct pollfd fd = {.fd = stream->fd, .events = POLLIN};
    *any = false;
    if (wait_ms >= 0 && poll(&fd, 1, wait_ms) <= 0) {
        return true;
    }
    if (stream->in_at > 0) {
        memmove(stream->in,
                stream->in + stream->in_at,
                stream->in_used - stream->in_at);
        stream->in_used -= stream->in_at;
        stream->in_at = 0;
    }
    stream->in =
        grown(stream->in, &stream->in_room, stream->in_used + READ_BYTES);
    ssize_t got = recv(stream->fd,
                       stream->in + stream->in_used,
                       stream->in_room - stream->in_used,
                       0);
    if (got <= 0) {
        return driver_fail("the server closed the connection");
    }
    stream->in_used += (size_t)got;
    *any = true;
    return true;
}

const char *stream_look(const struct stream *stream, size_t skip, size_t bytes)
{
    if (stream->in_used - stream->in_at < skip + bytes) {
        return NULL;
    }
    return stream->in + stream->in_at + skip;
}

long stream_line(const struct stream *stream, size_t skip)
{
    const char *begin = stream_look(stream, skip, 1);
    if (begin == NULL) {
        return -1;
    }
    size_t bytes = stream->in_used - stream->in_at - skip;
    const char *end = memchr(begin, '\n', bytes);
    return end == NULL || end == begin ? -1 : end - begin - 1;
}

void stream_consume(struct stream *stream, size_t bytes)
{
    stream->in_at += bytes;
}
