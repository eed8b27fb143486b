/*
 * link.c - one line to the broker.
 */
#include "common/link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/check.h"
#include "common/resolve.h"

#define KEEPALIVE_IDLE_S  30
#define KEEPALIVE_EVERY_S 10
#define KEEPALIVE_COUNT   3
#define HANDSHAKE_US      (2000u * 1000u)
/* One attempt. The kernel repeats a lost SYN after 1, 3 and 7 s: a new attempt
 * is sooner, and finds a network that healed within 2 s. */
#define CONNECT_MS_MAX 2000u
/* So much may wait for a slow network before more is added. */
#define WAITING_BYTES_MAX (256u * 1024u)

/* --- the address -------------------------------------------------------- */

/* "ipc://PATH", or "ipc://@NAME" in Linux's abstract namespace. */
static bool read_path(struct bao_line *line, const char *path)
{
    size_t bytes = strlen(path);
    if (bytes == 0 || bytes >= sizeof line->path.sun_path) {
        return false;
    }
    line->path.sun_family = AF_UNIX;
    memcpy(line->path.sun_path, path, bytes + 1);
    size_t used = bytes + 1;
    if (path[0] == '@') {
        line->path.sun_path[0] = '\0';
        used = bytes;
    }
    line->path_bytes =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + used);
    return true;
}

/* "HOST:PORT" or "[HOST]:PORT". */
static bool read_host(struct bao_line *line, const char *text)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL) {
        return false;
    }
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    size_t digits = strlen(colon + 1);
    bool is_number = colon[1] >= '0' && colon[1] <= '9' && *end == '\0';
    if (!is_number || digits >= sizeof line->port || port == 0 ||
        port > UINT16_MAX) {
        return false;
    }
    memcpy(line->port, colon + 1, digits + 1);
    size_t bytes = (size_t)(colon - text);
    if (bytes >= 2 && text[0] == '[' && colon[-1] == ']') {
        text++;
        bytes -= 2;
    }
    if (bytes == 0 || bytes >= sizeof line->host) {
        return false;
    }
    memcpy(line->host, text, bytes);
    line->host[bytes] = '\0';
    return true;
}

enum baozi_status
bao_line_open(struct bao_line *line, const char *url, uint32_t connect_ms)
{
    *line = (struct bao_line){.fd = -1, .connect_ms = connect_ms};
    bool known = false;
    if (strncmp(url, "ipc://", 6) == 0) {
        known = read_path(line, url + 6);
    } else if (strncmp(url, "tcp://", 6) == 0) {
        known = read_host(line, url + 6);
    }
    return known ? BAOZI_OK : BAOZI_BAD_REQUEST;
}

/* --- connecting --------------------------------------------------------- */

static void close_fd(struct bao_line *line)
{
    if (line->fd >= 0) {
        (void)close(line->fd);
        line->fd = -1;
    }
}

void bao_line_cut(struct bao_line *line)
{
    close_fd(line);
    bao_resolve_end(line->resolve);
    line->resolve = NULL;
    if (line->addresses != NULL) {
        freeaddrinfo(line->addresses);
    }
    line->addresses = NULL;
    line->address = NULL;
    bao_zmtp_close(&line->zmtp);
    line->state = BAO_LINE_CUT;
}

/* A connection that stands: our greeting is the first that is said. */
static enum baozi_status shake(struct bao_line *line, uint64_t now_us)
{
    line->state = BAO_LINE_SHAKING;
    line->until_us = now_us + HANDSHAKE_US;
    line->drained = false;
    enum baozi_status status = bao_zmtp_open(&line->zmtp);
    return status == BAOZI_OK ? bao_line_flush(line) : BAOZI_CONNECTION_LOST;
}

static void set_number(int fd, int level, int option, int value)
{
    /* Each of them only helps. */
    (void)setsockopt(fd, level, option, &value, sizeof value);
}

static void set_tcp(int fd)
{
    set_number(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_number(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_number(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set_number(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY_S);
    set_number(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
}

/* Begins to connect to one address. OK | CONNECTION_LOST (not this one) |
 * NO_MEMORY */
static enum baozi_status try_address(struct bao_line *line,
                                     const struct sockaddr *address,
                                     socklen_t bytes,
                                     uint64_t now_us)
{
    close_fd(line);
    line->fd = socket(
        address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (line->fd < 0) {
        return errno == EAFNOSUPPORT ? BAOZI_CONNECTION_LOST : BAOZI_NO_MEMORY;
    }
    if (address->sa_family != AF_UNIX) {
        set_tcp(line->fd);
    }
    if (connect(line->fd, address, bytes) == 0) {
        return shake(line, now_us);
    }
    if (errno != EINPROGRESS && errno != EINTR) {
        return BAOZI_CONNECTION_LOST;
    }
    uint32_t attempt_ms =
        line->connect_ms < CONNECT_MS_MAX ? line->connect_ms : CONNECT_MS_MAX;
    line->state = BAO_LINE_CONNECTING;
    line->until_us = now_us + (uint64_t)attempt_ms * 1000;
    return BAOZI_OK;
}

/* Tries line->address and those behind it. */
static enum baozi_status try_addresses(struct bao_line *line, uint64_t now_us)
{
    enum baozi_status status = BAOZI_CONNECTION_LOST;
    while (line->address != NULL && status != BAOZI_OK) {
        status = try_address(
            line, line->address->ai_addr, line->address->ai_addrlen, now_us);
        line->address = line->address->ai_next;
    }
    return status == BAOZI_OK ? BAOZI_OK : BAOZI_CONNECTION_LOST;
}

enum baozi_status bao_line_connect(struct bao_line *line, uint64_t now_us)
{
    BAO_ASSERT(line->state == BAO_LINE_CUT);
    line->number++;
    line->state = BAO_LINE_RESOLVING;
    line->until_us = now_us + (uint64_t)line->connect_ms * 1000;
    enum baozi_status status;
    if (line->path.sun_family == AF_UNIX) {
        const void *path = &line->path;
        status = try_address(line, path, line->path_bytes, now_us);
    } else {
        status = bao_resolve_start(&line->resolve, line->host, line->port);
    }
    if (status == BAOZI_NO_MEMORY) {
        bao_line_cut(line);
        return status;
    }
    if (status != BAOZI_OK) {
        line->until_us = now_us; /* the next step says so */
    }
    return BAOZI_OK;
}

static enum baozi_status look_at_names(struct bao_line *line, uint64_t now_us)
{
    if (line->resolve == NULL) {
        return BAOZI_OK; /* of ipc: it failed, and its time is over */
    }
    enum baozi_status status =
        bao_resolve_look(line->resolve, &line->addresses);
    if (status == BAOZI_EMPTY) {
        return BAOZI_OK;
    }
    bao_resolve_end(line->resolve);
    line->resolve = NULL;
    line->address = status == BAOZI_OK ? line->addresses : NULL;
    return try_addresses(line, now_us);
}

static enum baozi_status look_at_connect(struct bao_line *line, uint64_t now_us)
{
    struct pollfd fd = {.fd = line->fd, .events = POLLOUT};
    int error = 0;
    socklen_t bytes = sizeof error;
    if (poll(&fd, 1, 0) <= 0) {
        return BAOZI_OK;
    }
    if (getsockopt(line->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0 ||
        error != 0) {
        return try_addresses(line, now_us);
    }
    return shake(line, now_us);
}

static enum baozi_status look_at_hands(struct bao_line *line)
{
    struct bao_received received;
    enum baozi_status status = bao_line_flush(line);
    if (status == BAOZI_OK) {
        status = bao_line_receive(line, &received); /* it stays for later */
    }
    if (status == BAOZI_CONNECTION_LOST) {
        return status;
    }
    if (line->zmtp.state == BAO_ZMTP_OPEN) {
        line->state = BAO_LINE_UP;
        line->until_us = BAO_NEVER_US;
    }
    return BAOZI_OK;
}

enum baozi_status bao_line_step(struct bao_line *line, uint64_t now_us)
{
    enum baozi_status status = BAOZI_OK;
    if (line->state == BAO_LINE_RESOLVING) {
        status = look_at_names(line, now_us);
    }
    if (status == BAOZI_OK && line->state == BAO_LINE_CONNECTING) {
        status = look_at_connect(line, now_us);
    }
    if (status == BAOZI_OK && line->state == BAO_LINE_SHAKING) {
        status = look_at_hands(line);
    }
    bool late = line->state != BAO_LINE_CUT && line->state != BAO_LINE_UP &&
                now_us >= line->until_us;
    return late ? BAOZI_CONNECTION_LOST : status;
}

/* --- sleeping ----------------------------------------------------------- */

int bao_line_fd(const struct bao_line *line)
{
    return line->resolve != NULL ? bao_resolve_fd(line->resolve) : line->fd;
}

short bao_line_events(const struct bao_line *line)
{
    bool waits = line->state == BAO_LINE_CONNECTING || line->zmtp.out.bytes > 0;
    return waits ? POLLIN | POLLOUT : POLLIN;
}

uint64_t bao_line_deadline(const struct bao_line *line)
{
    return line->state == BAO_LINE_CUT ? BAO_NEVER_US : line->until_us;
}

/* --- messages ----------------------------------------------------------- */

/* Reads once. OK | EMPTY | CONNECTION_LOST */
static enum baozi_status fill(struct bao_line *line)
{
    uint8_t *room;
    size_t bytes;
    if (bao_zmtp_room(&line->zmtp, &room, &bytes) != BAOZI_OK) {
        return BAOZI_CONNECTION_LOST;
    }
    ssize_t came;
    do {
        came = recv(line->fd, room, bytes, MSG_DONTWAIT);
    } while (came < 0 && errno == EINTR);
    if (came <= 0) {
        return came < 0 && errno == EAGAIN ? BAOZI_EMPTY
                                           : BAOZI_CONNECTION_LOST;
    }
    bao_zmtp_came(&line->zmtp, (size_t)came);
    line->drained = (size_t)came < bytes;
    return BAOZI_OK;
}

enum baozi_status bao_line_receive(struct bao_line *line,
                                   struct bao_received *received)
{
    for (;;) {
        enum baozi_status status = bao_zmtp_next(&line->zmtp, received);
        if (status != BAOZI_EMPTY) {
            return status;
        }
        if (!line->drained) {
            status = fill(line);
        }
        if (status != BAOZI_OK) {
            line->drained = false;
            return status;
        }
    }
}

void bao_line_release(struct bao_line *line, struct bao_received *received)
{
    bao_zmtp_release(&line->zmtp, received);
}

bool bao_line_writable(const struct bao_line *line)
{
    return line->state == BAO_LINE_UP &&
           line->zmtp.out.bytes < WAITING_BYTES_MAX;
}

enum baozi_status bao_line_send(struct bao_line *line,
                                const struct bao_outgoing *outgoing)
{
    return bao_zmtp_add(&line->zmtp, outgoing) == BAOZI_OK
               ? BAOZI_OK
               : BAOZI_CONNECTION_LOST;
}

enum baozi_status bao_line_flush(struct bao_line *line)
{
    struct bao_span out = bao_buffer_view(&line->zmtp.out);
    while (out.bytes > 0) {
        ssize_t sent =
            send(line->fd, out.data, out.bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            return errno == EAGAIN ? BAOZI_OK : BAOZI_CONNECTION_LOST;
        }
        bao_zmtp_left(&line->zmtp, sent > 0 ? (size_t)sent : 0);
        out = bao_buffer_view(&line->zmtp.out);
    }
    return BAOZI_OK;
}
