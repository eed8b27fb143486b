/*
 * relay.c - a bad network in one thread.
 *
 * A pair is two sockets and two lanes; the lane of a way is fed by the end
 * where the bytes come from and empties into the other. A lane that is too
 * full is not read, so that the sender feels it as on a real network.
 */
#include "tests/lib/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/time.h"

#define PAIRS_MAX      256
#define CHUNK_BYTES    16384u
#define LANE_BYTES_MAX (4u << 20)
#define NEVER_US       UINT64_MAX

struct chunk {
    struct chunk *next;
    uint64_t due_us;
    size_t at, bytes;
    uint8_t data[];
};

struct lane {
    struct chunk *first, *last;
    size_t bytes;    /* that wait */
    uint64_t due_us; /* of the last chunk; later ones are not sooner */
    bool eof;        /* nothing more comes in */
    bool shut;       /* and the other end was told */
    bool full;       /* the other end took less than it was given */
    bool lost;       /* bytes were swallowed */
};

/* ends[RELAY_UP] is the near one: the end that feeds that lane. */
struct pair {
    bool used;
    bool orphan; /* its near end is gone, its far one waits for the rest */
    int ends[RELAY_WAYS];
    struct lane lanes[RELAY_WAYS];
    uint64_t life_bytes;
};

struct relay {
    int listener, port, target_port;
    uint64_t random;
    bool refuse;
    uint64_t lifetime_bytes;
    struct relay_settings settings[RELAY_WAYS];
    struct relay_counts counts;
    struct pair pairs[PAIRS_MAX];
};

/* splitmix64 */
static uint64_t draw(struct relay *relay, uint64_t below)
{
    uint64_t x = relay->random += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    return below == 0 ? 0 : x % below;
}

static struct sockaddr_in local(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return address;
}

static enum relay_way other(enum relay_way way)
{
    return way == RELAY_UP ? RELAY_DOWN : RELAY_UP;
}

/* --- ending -----------------------------------------------------------------
 */

static void close_end(struct pair *pair, enum relay_way end, bool reset)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    int fd = pair->ends[end];
    if (fd < 0) {
        return;
    }
    if (reset) {
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    (void)close(fd);
    pair->ends[end] = -1;
}

static void empty_lane(struct relay *relay, struct lane *lane)
{
    relay->counts.lost_bytes += lane->bytes;
    while (lane->first != NULL) {
        struct chunk *next = lane->first->next;
        free(lane->first);
        lane->first = next;
    }
    lane->last = NULL;
    lane->bytes = 0;
}

static void end_pair(struct relay *relay, struct pair *pair, bool reset)
{
    for (int way = 0; way < RELAY_WAYS; way++) {
        close_end(pair, (enum relay_way)way, reset);
        empty_lane(relay, &pair->lanes[way]);
    }
    *pair = (struct pair){.ends = {-1, -1}};
    relay->counts.open--;
}

/* An orphan's far end takes what was sent before; nobody reads its answers. */
static void make_orphan(struct relay *relay, struct pair *pair)
{
    close_end(pair, RELAY_UP, true);
    pair->orphan = true;
    pair->lanes[RELAY_UP].eof = true;
    empty_lane(relay, &pair->lanes[RELAY_DOWN]);
}

void relay_end_all(struct relay *relay, enum relay_end end)
{
    for (size_t i = 0; i < PAIRS_MAX; i++) {
        struct pair *pair = &relay->pairs[i];
        if (!pair->used) {
            continue;
        }
        switch (end) {
        case RELAY_CUT:
        case RELAY_RESET:
            relay->counts.ended++;
            end_pair(relay, pair, end == RELAY_RESET);
            break;
        case RELAY_ORPHAN:
            relay->counts.ended += pair->orphan ? 0 : 1;
            make_orphan(relay, pair);
            break;
        case RELAY_HALF_UP: pair->lanes[RELAY_UP].eof = true; break;
        case RELAY_HALF_DOWN: pair->lanes[RELAY_DOWN].eof = true; break;
        }
    }
}

/* --- settings ---------------------------------------------------------------
 */

void relay_set(struct relay *relay,
               enum relay_way way,
               const struct relay_settings *settings)
{
    relay->settings[way] = *settings;
    for (size_t i = 0; i < PAIRS_MAX && settings->flow == RELAY_FLOWS; i++) {
        struct pair *pair = &relay->pairs[i];
        if (pair->used && pair->lanes[way].lost) {
            relay->counts.ended++;
            end_pair(relay, pair, true);
        }
    }
}

struct relay_settings relay_settings(const struct relay *relay,
                                     enum relay_way way)
{
    return relay->settings[way];
}

void relay_refuse(struct relay *relay, bool refuse)
{
    relay->refuse = refuse;
}

void relay_lifetime(struct relay *relay, uint64_t bytes)
{
    relay->lifetime_bytes = bytes;
}

struct relay_counts relay_counts(const struct relay *relay)
{
    return relay->counts;
}

int relay_port(const struct relay *relay)
{
    return relay->port;
}

/* --- a new connection -------------------------------------------------------
 */

static struct pair *free_pair(struct relay *relay)
{
    for (size_t i = 0; i < PAIRS_MAX; i++) {
        if (!relay->pairs[i].used) {
            return &relay->pairs[i];
        }
    }
    return NULL;
}

static int connect_far(const struct relay *relay)
{
    struct sockaddr_in target = local(relay->target_port);
    int far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (far >= 0 &&
        connect(far, (struct sockaddr *)&target, sizeof target) != 0 &&
        errno != EINPROGRESS) {
        (void)close(far);
        far = -1;
    }
    return far;
}

static void accept_pair(struct relay *relay)
{
    int one = 1;
    int near =
        accept4(relay->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (near < 0) {
        return;
    }
    struct pair *pair = free_pair(relay);
    int far = relay->refuse || pair == NULL ? -1 : connect_far(relay);
    relay->counts.accepted++;
    if (far < 0 || pair == NULL) {
        struct pair refused = {.ends = {near, far}};
        relay->counts.refused++;
        close_end(&refused, RELAY_UP, true);
        return;
    }
    *pair = (struct pair){
        .used = true, .ends = {near, far}, .life_bytes = NEVER_US};
    if (relay->lifetime_bytes > 0) {
        pair->life_bytes = 1 + draw(relay, 2 * relay->lifetime_bytes);
    }
    (void)setsockopt(near, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)setsockopt(far, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    relay->counts.open++;
}

/* --- bytes in ---------------------------------------------------------------
 */

/* When the next bytes of this lane leave. */
static uint64_t due_of(struct relay *relay,
                       enum relay_way way,
                       const struct lane *lane,
                       size_t bytes)
{
    const struct relay_settings *settings = &relay->settings[way];
    uint64_t due_us = bao_time_monotonic_us() + settings->delay_us +
                      draw(relay, settings->jitter_us + 1);
    due_us = due_us < lane->due_us ? lane->due_us : due_us;
    if (settings->bytes_per_second > 0) {
        due_us += bytes * 1000000 / settings->bytes_per_second;
    }
    return due_us;
}

static void push_chunk(struct lane *lane, struct chunk *chunk)
{
    if (lane->last != NULL) {
        lane->last->next = chunk;
    } else {
        lane->first = chunk;
    }
    lane->last = chunk;
    lane->bytes += chunk->bytes;
    lane->due_us = chunk->due_us;
}

/* False if the connection is of no use any more. */
static bool
read_lane(struct relay *relay, struct pair *pair, enum relay_way way)
{
    struct lane *lane = &pair->lanes[way];
    uint8_t data[CHUNK_BYTES];
    ssize_t count = recv(pair->ends[way], data, sizeof data, 0);
    if (count <= 0) {
        lane->eof |= count == 0;
        return count == 0 || errno == EAGAIN || errno == EINTR;
    }
    bool thrown = pair->orphan && way == RELAY_DOWN;
    if (relay->settings[way].flow == RELAY_SWALLOWS || thrown) {
        relay->counts.lost_bytes += (uint64_t)count;
        lane->lost = !thrown;
        return true;
    }
    struct chunk *chunk = malloc(sizeof *chunk + (size_t)count);
    if (chunk == NULL) {
        return false;
    }
    *chunk = (struct chunk){.bytes = (size_t)count,
                            .due_us = due_of(relay, way, lane, (size_t)count)};
    memcpy(chunk->data, data, chunk->bytes);
    push_chunk(lane, chunk);
    return true;
}

/* --- bytes out --------------------------------------------------------------
 */

static void pop_chunk(struct lane *lane)
{
    struct chunk *chunk = lane->first;
    lane->first = chunk->next;
    if (lane->first == NULL) {
        lane->last = NULL;
    }
    free(chunk);
}

/* False if the other end is gone or the connection's life is over. */
static bool
write_lane(struct relay *relay, struct pair *pair, enum relay_way way)
{
    struct lane *lane = &pair->lanes[way];
    int target = pair->ends[other(way)];
    uint64_t now_us = bao_time_monotonic_us();
    lane->full = false;
    while (lane->first != NULL && lane->first->due_us <= now_us) {
        struct chunk *chunk = lane->first;
        size_t bytes = chunk->bytes - chunk->at;
        bytes = bytes < pair->life_bytes ? bytes : (size_t)pair->life_bytes;
        ssize_t sent =
            send(target, chunk->data + chunk->at, bytes, MSG_NOSIGNAL);
        if (sent < 0) {
            lane->full = errno == EAGAIN || errno == ENOTCONN;
            return lane->full || errno == EINTR;
        }
        relay->counts.bytes[way] += (uint64_t)sent;
        lane->bytes -= (size_t)sent;
        chunk->at += (size_t)sent;
        if (pair->life_bytes != NEVER_US) {
            pair->life_bytes -= (uint64_t)sent;
        }
        if (pair->life_bytes == 0) {
            return false;
        }
        if (chunk->at == chunk->bytes) {
            pop_chunk(lane);
        }
    }
    if (lane->eof && lane->first == NULL && !lane->shut && !pair->orphan) {
        lane->shut = true;
        (void)shutdown(target, SHUT_WR);
    }
    return true;
}

/* --- a turn -----------------------------------------------------------------
 */

static bool wants_bytes(const struct relay *relay,
                        const struct pair *pair,
                        enum relay_way way)
{
    const struct lane *lane = &pair->lanes[way];
    return pair->ends[way] >= 0 && !lane->eof && lane->bytes < LANE_BYTES_MAX &&
           relay->settings[way].flow != RELAY_STALLS;
}

static bool may_write(const struct relay *relay,
                      const struct pair *pair,
                      enum relay_way way)
{
    return pair->ends[other(way)] >= 0 &&
           relay->settings[way].flow != RELAY_STALLS;
}

static void do_pair(struct relay *relay,
                    struct pair *pair,
                    const struct pollfd fds[RELAY_WAYS])
{
    bool fine = true;
    for (int i = 0; i < RELAY_WAYS && fine; i++) {
        enum relay_way way = (enum relay_way)i;
        if (fds[way].revents != 0 && wants_bytes(relay, pair, way)) {
            fine = read_lane(relay, pair, way);
        }
        if (fine && may_write(relay, pair, way)) {
            fine = write_lane(relay, pair, way);
        }
        /* an error or a hang-up that nobody asked for */
        if ((fds[way].revents & (POLLERR | POLLNVAL)) != 0) {
            fine = false;
        }
    }
    bool over = pair->lanes[RELAY_UP].shut && pair->lanes[RELAY_DOWN].shut;
    bool buried = pair->orphan && pair->lanes[RELAY_DOWN].eof;
    if (!fine && pair->life_bytes == 0) {
        relay->counts.ended++;
        end_pair(relay, pair, draw(relay, 2) == 0);
    } else if (!fine || over || buried) {
        end_pair(relay, pair, !fine);
    }
}

static uint64_t fill(struct relay *relay, struct pollfd *fds)
{
    uint64_t due_us = NEVER_US;
    for (size_t i = 0; i < PAIRS_MAX; i++) {
        const struct pair *pair = &relay->pairs[i];
        for (int k = 0; k < RELAY_WAYS; k++) {
            enum relay_way way = (enum relay_way)k;
            const struct lane *into = &pair->lanes[other(way)];
            const struct lane *lane = &pair->lanes[way];
            short events = 0;
            events |= wants_bytes(relay, pair, way) ? POLLIN : 0;
            events |=
                into->full && may_write(relay, pair, other(way)) ? POLLOUT : 0;
            fds[2 * i + (size_t)k] = (struct pollfd){
                .fd = pair->used && events != 0 ? pair->ends[way] : -1,
                .events = events};
            if (pair->used && lane->first != NULL && !lane->full &&
                may_write(relay, pair, way) && lane->first->due_us < due_us) {
                due_us = lane->first->due_us;
            }
        }
    }
    return due_us;
}

bool relay_turn(struct relay *relay, uint64_t wait_us, int other_fd)
{
    static const nfds_t count = 2 * PAIRS_MAX + 2;
    struct pollfd fds[2 * PAIRS_MAX + 2];
    uint64_t due_us = fill(relay, fds);
    uint64_t now_us = bao_time_monotonic_us();
    fds[count - 2] = (struct pollfd){.fd = relay->listener, .events = POLLIN};
    fds[count - 1] = (struct pollfd){.fd = other_fd, .events = POLLIN};
    if (due_us != NEVER_US) {
        uint64_t left_us = due_us > now_us ? due_us - now_us : 0;
        wait_us = left_us < wait_us ? left_us : wait_us;
    }
    struct timespec wait = {.tv_sec = (time_t)(wait_us / 1000000),
                            .tv_nsec = (long)(wait_us % 1000000) * 1000};
    if (ppoll(fds, count, &wait, NULL) < 0) {
        return false;
    }
    for (size_t i = 0; i < PAIRS_MAX; i++) {
        if (relay->pairs[i].used) {
            do_pair(relay, &relay->pairs[i], &fds[2 * i]);
        }
    }
    if (fds[count - 2].revents != 0) {
        accept_pair(relay);
    }
    return fds[count - 1].revents != 0;
}

/* --- life -------------------------------------------------------------------
 */

struct relay *relay_open(int target_port, uint64_t seed)
{
    struct sockaddr_in address = local(0);
    socklen_t bytes = sizeof address;
    struct relay *relay = calloc(1, sizeof *relay);
    if (relay == NULL) {
        return NULL;
    }
    relay->random = seed;
    relay->target_port = target_port;
    for (size_t i = 0; i < PAIRS_MAX; i++) {
        relay->pairs[i].ends[0] = relay->pairs[i].ends[1] = -1;
    }
    relay->listener =
        socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr *where = (struct sockaddr *)&address;
    if (relay->listener < 0 ||
        bind(relay->listener, where, sizeof address) != 0 ||
        listen(relay->listener, PAIRS_MAX) != 0 ||
        getsockname(relay->listener, where, &bytes) != 0) {
        relay_close(relay);
        return NULL;
    }
    relay->port = ntohs(address.sin_port);
    return relay;
}

void relay_close(struct relay *relay)
{
    relay_end_all(relay, RELAY_RESET);
    if (relay->listener >= 0) {
        (void)close(relay->listener);
    }
    free(relay);
}
