/*
 * edge_connections.c - the table of edge_connections.h.
 *
 * Invariant: open_count slots are open; a slot is in `greeting` only while it
 * is open and was not welcomed; pidfd_count slots have a pidfd. The first
 * spare_count of `spares` are open.
 */
#include "broker/edge_connections.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/check.h"
#include "common/log.h"

/* Above this share of the limit a local process gets no pidfd any more; its
 * death then shows through the closed connection and resume_grace. */
#define PIDFD_LOAD_MAX 75u
/* A table of 16 million slots is not needed even if the limit says so. */
#define SLOTS_MAX (1u << 20)

static size_t count_open_descriptors(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return 16;
    while (readdir(folder) != NULL)
        count++;
    (void)closedir(folder);
    return count;
}

enum baozi_status bao_connections_open(struct bao_connections *connections,
                                       size_t open_max,
                                       uint64_t hello_us,
                                       int epoll,
                                       struct bao_guard *guard)
{
    struct rlimit limit = {.rlim_cur = 1024};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > SLOTS_MAX)
        limit.rlim_cur = SLOTS_MAX;
    *connections = (struct bao_connections){
        .slot_count = limit.rlim_cur,
        .base_count = count_open_descriptors(),
        .open_max = open_max == 0 ? SIZE_MAX : open_max,
        .hello_us = hello_us,
        .epoll = epoll,
        .guard = guard,
    };
    bao_list_init(&connections->greeting);
    connections->slots =
        calloc(connections->slot_count, sizeof *connections->slots);
    return connections->slots == NULL ? BAOZI_NO_MEMORY : BAOZI_OK;
}

enum baozi_status bao_connections_settle(struct bao_connections *connections,
                                         size_t spare_max)
{
    connections->base_count = count_open_descriptors();
    connections->spares = calloc(spare_max, sizeof *connections->spares);
    if (connections->spares == NULL)
        return BAOZI_NO_MEMORY;
    connections->spare_max = spare_max;
    bao_connections_keep_spares(connections);
    return BAOZI_OK;
}

void bao_connections_keep_spares(struct bao_connections *connections)
{
    while (connections->spare_count < connections->spare_max) {
        int spare = fcntl(connections->epoll, F_DUPFD_CLOEXEC, 0);
        if (spare < 0)
            return;
        connections->spares[connections->spare_count++] = spare;
    }
}

void bao_connections_give_spares(struct bao_connections *connections)
{
    while (connections->spare_count > 0)
        (void)close(connections->spares[--connections->spare_count]);
}

void bao_connections_close(struct bao_connections *connections)
{
    size_t i;
    if (connections->slots == NULL)
        return;
    bao_connections_give_spares(connections);
    free(connections->spares);
    connections->spares = NULL;
    connections->spare_max = 0;
    for (i = 0; connections->pidfd_count > 0; i++) {
        struct bao_connection *connection = &connections->slots[i];
        if (!connection->open || connection->pidfd < 0)
            continue;
        (void)close(connection->pidfd);
        connections->pidfd_count--;
    }
    free(connections->slots);
    connections->slots = NULL;
}

static int descriptor_of(const struct bao_connections *connections,
                         const struct bao_connection *connection)
{
    return (int)(connection - connections->slots);
}

static uint64_t cookie_of(int descriptor)
{
    uint64_t cookie = 0;
    socklen_t bytes = sizeof cookie;
    if (getsockopt(descriptor, SOL_SOCKET, SO_COOKIE, &cookie, &bytes) != 0)
        return 0;
    return cookie;
}

static bool is_local(int descriptor)
{
    int family = 0;
    socklen_t bytes = sizeof family;
    return getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &family, &bytes) ==
               0 &&
           family == AF_UNIX;
}

static void watch_process(struct bao_connections *connections,
                          struct bao_connection *connection)
{
    struct ucred who;
    socklen_t bytes = sizeof who;
    int descriptor = descriptor_of(connections, connection);
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &who, &bytes) != 0 ||
        who.pid <= 0)
        return; /* its process lives in another pid namespace */
    connection->pid = (uint32_t)who.pid;
    if (bao_connections_load(connections) > PIDFD_LOAD_MAX)
        return;
    int pidfd = (int)syscall(SYS_pidfd_open, who.pid, 0);
    if (pidfd < 0)
        return;
    struct epoll_event event = {.events = EPOLLIN,
                                .data = {.u64 = (uint64_t)descriptor}};
    if (epoll_ctl(connections->epoll, EPOLL_CTL_ADD, pidfd, &event) != 0) {
        (void)close(pidfd);
        return;
    }
    connection->pidfd = pidfd;
    connections->pidfd_count++;
}

void bao_connections_accepted(struct bao_connections *connections,
                              int descriptor,
                              uint64_t now_us)
{
    if (descriptor < 0 || (size_t)descriptor >= connections->slot_count)
        return;
    struct bao_connection *connection = &connections->slots[descriptor];
    BAO_ASSERT(!connection->open);
    *connection = (struct bao_connection){
        .cookie = cookie_of(descriptor),
        .deadline_us = now_us + connections->hello_us,
        .pidfd = -1,
        .open = true,
        .local = is_local(descriptor),
    };
    bao_guard_watch(
        connections->guard, descriptor, connection->cookie, !connection->local);
    connections->open_count++;
    bao_list_push(&connections->greeting, &connection->greeting);
    if (connections->open_count > connections->open_max) {
        bao_connections_cut(connections, connection, "too many clients");
        return;
    }
    if (connection->local)
        watch_process(connections, connection);
}

static void unlist(struct bao_connections *connections,
                   struct bao_connection *connection)
{
    if (bao_link_is_listed(&connection->greeting))
        bao_list_remove(&connections->greeting, &connection->greeting);
}

static void log_cut(const struct bao_connection *connection)
{
    BAO_LOG(BAO_LOG_INFO,
            bao_event("connection_cut"),
            bao_number("peer", connection->peer),
            bao_text("why", connection->why));
}

struct bao_connection bao_connections_gone(struct bao_connections *connections,
                                           int descriptor)
{
    struct bao_connection *connection =
        bao_connections_find(connections, descriptor);
    if (connection == NULL)
        return (struct bao_connection){.pidfd = -1};
    unlist(connections, connection);
    struct bao_connection gone = *connection;
    const char *verdict = bao_guard_forget(connections->guard, descriptor);
    if (gone.why == NULL && verdict != NULL) {
        gone.why = verdict;
        log_cut(&gone);
    }
    if (gone.pidfd >= 0) {
        (void)epoll_ctl(connections->epoll, EPOLL_CTL_DEL, gone.pidfd, NULL);
        connections->pidfd_count--;
    }
    BAO_ASSERT(connections->open_count > 0);
    connections->open_count--;
    *connection = (struct bao_connection){.pidfd = -1};
    return gone;
}

struct bao_connection *
bao_connections_find(const struct bao_connections *connections, int descriptor)
{
    if (descriptor < 0 || (size_t)descriptor >= connections->slot_count ||
        !connections->slots[descriptor].open)
        return NULL;
    return &connections->slots[descriptor];
}

void bao_connections_welcome(struct bao_connections *connections,
                             struct bao_connection *connection)
{
    unlist(connections, connection);
    bao_guard_welcome(connections->guard,
                      descriptor_of(connections, connection));
}

void bao_connections_cut(struct bao_connections *connections,
                         struct bao_connection *connection,
                         const char *why)
{
    int descriptor = descriptor_of(connections, connection);
    unlist(connections, connection);
    if (connection->why == NULL) {
        connection->why = why;
        log_cut(connection);
    }
    /* Never somebody else's socket that has got the same number since. */
    if (connection->cookie != 0 && cookie_of(descriptor) == connection->cookie)
        (void)shutdown(descriptor, SHUT_RDWR);
}

void bao_connections_process_gone(struct bao_connections *connections,
                                  int descriptor)
{
    struct bao_connection *connection =
        bao_connections_find(connections, descriptor);
    if (connection == NULL || connection->pidfd < 0 ||
        !bao_process_ended(connection->pidfd))
        return;
    (void)epoll_ctl(connections->epoll, EPOLL_CTL_DEL, connection->pidfd, NULL);
    (void)close(connection->pidfd);
    connection->pidfd = -1;
    connections->pidfd_count--;
    connection->process_gone = true;
    /* A forked child may hold the socket open: it is not its connection. */
    bao_connections_cut(connections, connection, "its process is gone");
}

void bao_connections_expire(struct bao_connections *connections,
                            uint64_t now_us)
{
    for (;;) {
        struct bao_link *link = bao_list_first(&connections->greeting);
        if (link == NULL)
            return;
        struct bao_connection *connection =
            BAO_OF(link, struct bao_connection, greeting);
        if (connection->deadline_us > now_us)
            return;
        bao_connections_cut(connections, connection, "it said no HELLO");
    }
}

uint64_t bao_connections_deadline(const struct bao_connections *connections)
{
    struct bao_link *link = bao_list_first(&connections->greeting);
    if (link == NULL)
        return UINT64_MAX;
    return BAO_OF(link, struct bao_connection, greeting)->deadline_us;
}

unsigned bao_connections_load(const struct bao_connections *connections)
{
    size_t used = connections->base_count + connections->open_count +
                  connections->pidfd_count + connections->spare_count;
    return (unsigned)(used * 100 / connections->slot_count);
}

bool bao_process_ended(int pidfd)
{
    struct pollfd look = {.fd = pidfd, .events = POLLIN};
    return poll(&look, 1, 0) == 1 && (look.revents & POLLIN) != 0;
}
