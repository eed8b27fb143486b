/*
 * edge_connections.c - the table of edge_connections.h.
 *
 * Invariant: open_count slots are open; a slot is in `greeting` only while it
 * is open and was not welcomed; pidfd_count slots have a pidfd. The first
 * spare_count of `spares` are open.
 */
#include "broker/edge_connections.h"

#include <arpa/inet.h>
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
#include "common/random.h"

/* Above this share of the limit a local process gets no pidfd any more; its
 * death then shows through the closed connection and resume_grace. */
#define PIDFD_LOAD_MAX 75u
/* A table of 16 million slots is not needed even if the limit says so. */
#define SLOTS_MAX (1u << 20)
/* A flood is no mistake of a program, and it costs all others some 10 ms. */
#define FLOOD_STRIKES 5u

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

enum baozi_status
bao_connections_open(struct bao_connections *connections,
                     const struct bao_connections_config *config)
{
    struct rlimit limit = {.rlim_cur = 1024};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > SLOTS_MAX)
        limit.rlim_cur = SLOTS_MAX;
    *connections = (struct bao_connections){
        .slot_count = limit.rlim_cur,
        .base_count = count_open_descriptors(),
        .open_max = config->open_max == 0 ? SIZE_MAX : config->open_max,
        .hello_us = config->hello_us,
        .epoll = config->epoll,
        .guard = config->guard,
        .users = config->users,
    };
    bao_list_init(&connections->greeting);
    if (!bao_addresses_open(
            &connections->addresses, config->arena, bao_random_number()))
        return BAOZI_NO_MEMORY;
    connections->addresses.strikes_max = config->strikes_max;
    connections->addresses.open_max = config->open_address_max != 0
                                          ? config->open_address_max
                                          : connections->slot_count / 4;
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
    bao_addresses_close(&connections->addresses);
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

/* The end of its process will be told. */
static void watch_end(struct bao_connections *connections,
                      struct bao_connection *connection)
{
    int descriptor = descriptor_of(connections, connection);
    if (bao_connections_load(connections) > PIDFD_LOAD_MAX)
        return;
    int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)connection->pid, 0);
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

static bool user_may(const struct bao_users *users, uint32_t user)
{
    if (users->count == 0 || user == 0 || user == geteuid())
        return true;
    for (size_t i = 0; i < users->count; i++) {
        if (users->ids[i] == user)
            return true;
    }
    return false;
}

/* Who it is; NULL, or why it must go. */
static const char *watch_process(struct bao_connections *connections,
                                 struct bao_connection *connection)
{
    struct ucred who = {0};
    socklen_t bytes = sizeof who;
    int descriptor = descriptor_of(connections, connection);
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &who, &bytes) != 0)
        return "its user is not known";
    if (!user_may(&connections->users, who.uid))
        return "its user may not connect";
    if (who.pid <= 0)
        return NULL; /* its process lives in another pid namespace */
    connection->pid = (uint32_t)who.pid;
    watch_end(connections, connection);
    return NULL;
}

/* NULL, or why an address of elsewhere is not welcome. */
static const char *look_at_address(struct bao_connections *connections,
                                   struct bao_connection *connection)
{
    struct sockaddr_storage peer = {0};
    socklen_t bytes = sizeof peer;
    if (getpeername(descriptor_of(connections, connection),
                    (struct sockaddr *)&peer,
                    &bytes) != 0)
        return NULL; /* it has left already */
    return bao_addresses_enter(&connections->addresses,
                               &peer,
                               connections->now_us,
                               &connection->address);
}

void bao_connections_accepted(struct bao_connections *connections,
                              int descriptor)
{
    if (descriptor < 0 || (size_t)descriptor >= connections->slot_count)
        return;
    struct bao_connection *connection = &connections->slots[descriptor];
    BAO_ASSERT(!connection->open);
    *connection = (struct bao_connection){
        .cookie = cookie_of(descriptor),
        .deadline_us = connections->now_us + connections->hello_us,
        .pidfd = -1,
        .open = true,
        .local = is_local(descriptor),
    };
    bao_guard_watch(
        connections->guard, descriptor, connection->cookie, !connection->local);
    connections->open_count++;
    bao_list_push(&connections->greeting, &connection->greeting);
    connections->counts.accepted++;
    const char *why = NULL;
    if (connection->local) {
        why = watch_process(connections, connection);
        connections->counts.users += why != NULL;
    } else {
        why = look_at_address(connections, connection);
        connections->counts.addresses += why != NULL;
    }
    if (connections->open_count > connections->open_max) {
        connections->counts.too_many++;
        why = "too many clients";
    }
    if (why != NULL)
        bao_connections_cut(connections, connection, why);
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

static void strike(struct bao_connections *connections,
                   const struct bao_connection *connection,
                   uint32_t strikes)
{
    connections->counts.punished++;
    if (!bao_addresses_strike(&connections->addresses,
                              connection->address,
                              strikes,
                              connections->now_us))
        return;
    char text[INET6_ADDRSTRLEN] = "";
    (void)inet_ntop(AF_INET6, connection->address->bytes, text, sizeof text);
    BAO_LOG(BAO_LOG_WARNING,
            bao_event("address_banned"),
            bao_text("address", text),
            bao_number("seconds", connection->address->ban_us / 1000000));
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
    const struct bao_verdict *verdict =
        bao_guard_forget(connections->guard, descriptor);
    if (gone.why == NULL && verdict != NULL) {
        gone.why = verdict->why;
        log_cut(&gone);
        if (verdict->is_offence)
            strike(connections, &gone, FLOOD_STRIKES);
    }
    bao_addresses_leave(&connections->addresses, gone.address);
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

void bao_connections_punish(struct bao_connections *connections,
                            struct bao_connection *connection,
                            const char *why)
{
    if (connection->why == NULL)
        strike(connections, connection, 1);
    bao_connections_cut(connections, connection, why);
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

void bao_connections_expire(struct bao_connections *connections)
{
    for (;;) {
        struct bao_link *link = bao_list_first(&connections->greeting);
        if (link == NULL)
            return;
        struct bao_connection *connection =
            BAO_OF(link, struct bao_connection, greeting);
        if (connection->deadline_us > connections->now_us)
            return;
        connections->counts.mute++;
        bao_connections_punish(connections, connection, "it said no HELLO");
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
