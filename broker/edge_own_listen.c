/*
 * edge_own_listen.c - the sockets that the own edge listens on.
 *
 * Addresses are numbers, `*`, or the name of a network interface: a broker
 * asks no name server. What connections need of the kernel is set here; they
 * inherit it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "broker/edge_own_inner.h"

#define SOCKET_BYTES    (256 * 1024) /* the kernel's, a peer and direction */
#define KEEPALIVE_IDLE  60           /* s */
#define KEEPALIVE_EVERY 10
#define KEEPALIVE_COUNT 6

static bool refuse(struct bao_problem *problem,
                   const struct bao_listener *listener,
                   const char *what)
{
    char text[128];
    int error = errno;
    return bao_doors_refuse(problem,
                            what,
                            listener->url,
                            error == EADDRINUSE,
                            strerror_r(error, text, sizeof text));
}

static bool set(int socket, int level, int option, int value)
{
    return setsockopt(socket, level, option, &value, sizeof value) == 0;
}

/* The first address of a network interface. */
static bool find_interface(const char *name, struct sockaddr_storage *address)
{
    struct ifaddrs *all;
    bool found = false;
    if (getifaddrs(&all) != 0)
        return false;
    for (const struct ifaddrs *one = all; one != NULL && !found;
         one = one->ifa_next) {
        if (one->ifa_addr == NULL || one->ifa_addr->sa_family != AF_INET ||
            strcmp(one->ifa_name, name) != 0)
            continue;
        memcpy(address, one->ifa_addr, sizeof(struct sockaddr_in));
        found = true;
    }
    freeifaddrs(all);
    return found;
}

/* HOST of tcp://HOST:PORT, without brackets. */
static void host_of(const char *url, char host[BAO_ADDRESS_BYTES])
{
    const char *begin = url + strlen("tcp://");
    const char *end = strrchr(begin, ':');
    size_t bytes = (size_t)(end - begin);
    if (bytes >= 2 && begin[0] == '[' && begin[bytes - 1] == ']') {
        begin++;
        bytes -= 2;
    }
    memcpy(host, begin, bytes);
    host[bytes] = '\0';
}

/* False if there is no such address. */
static bool
resolve(const char *url, struct sockaddr_storage *address, socklen_t *bytes)
{
    char host[BAO_ADDRESS_BYTES];
    const char *port = strrchr(url, ':') + 1;
    struct addrinfo *found = NULL;
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags =
                                 AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    host_of(url, host);
    if (strcmp(port, "*") == 0)
        port = "0";
    const bool any = strcmp(host, "*") == 0;
    if (getaddrinfo(any ? "0.0.0.0" : host, port, &hints, &found) == 0) {
        memcpy(address, found->ai_addr, found->ai_addrlen);
        *bytes = found->ai_addrlen;
        freeaddrinfo(found);
        return true;
    }
    if (!find_interface(host, address))
        return false;
    ((struct sockaddr_in *)(void *)address)->sin_port =
        htons((uint16_t)strtoul(port, NULL, 10));
    *bytes = sizeof(struct sockaddr_in);
    return true;
}

static bool set_options(int socket, int family)
{
    bool good = set(socket, SOL_SOCKET, SO_RCVBUF, SOCKET_BYTES) &&
                set(socket, SOL_SOCKET, SO_SNDBUF, SOCKET_BYTES);
    if (family == AF_UNIX)
        return good;
    if (family == AF_INET6)
        good = good && set(socket, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    return good && set(socket, SOL_SOCKET, SO_REUSEADDR, 1) &&
           set(socket, SOL_SOCKET, SO_KEEPALIVE, 1) &&
           set(socket, IPPROTO_TCP, TCP_NODELAY, 1) &&
           set(socket, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE) &&
           set(socket, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY) &&
           set(socket, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
}

static bool open_socket(struct bao_listener *listener,
                        const struct sockaddr_storage *address,
                        socklen_t bytes,
                        struct bao_problem *problem)
{
    listener->descriptor = socket(
        address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener->descriptor < 0)
        return refuse(problem, listener, "socket");
    if (!set_options(listener->descriptor, address->ss_family))
        return refuse(problem, listener, "setsockopt");
    /* The socket file gets its rights from the mask: owner and group. */
    mode_t mask = umask(007);
    int answer = bind(listener->descriptor,
                      (const struct sockaddr *)(const void *)address,
                      bytes);
    int error = errno;
    (void)umask(mask);
    errno = error;
    if (answer != 0)
        return refuse(problem, listener, "bind");
    listener->bound = true;
    return true;
}

/* Writes the address as it is bound. */
static bool name_address(struct bao_listener *listener)
{
    struct sockaddr_storage bound = {.ss_family = AF_UNSPEC};
    socklen_t bytes = sizeof bound;
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    if (listener->path != NULL) {
        (void)snprintf(
            listener->address, sizeof listener->address, "%s", listener->url);
        return true;
    }
    if (getsockname(listener->descriptor,
                    (struct sockaddr *)(void *)&bound,
                    &bytes) != 0 ||
        getnameinfo((const struct sockaddr *)(const void *)&bound,
                    bytes,
                    host,
                    sizeof host,
                    port,
                    sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return false;
    const bool six = bound.ss_family == AF_INET6;
    int length = snprintf(listener->address,
                          sizeof listener->address,
                          six ? "tcp://[%s]:%s" : "tcp://%s:%s",
                          host,
                          port);
    return length > 0 && (size_t)length < sizeof listener->address;
}

bool bao_own_listen(struct bao_listener *listener,
                    int backlog,
                    struct bao_problem *problem)
{
    struct sockaddr_storage address = {.ss_family = AF_UNIX};
    socklen_t bytes = sizeof(struct sockaddr_un);
    if (listener->path != NULL) {
        struct sockaddr_un *file = (struct sockaddr_un *)(void *)&address;
        (void)snprintf(
            file->sun_path, sizeof file->sun_path, "%s", listener->path);
    } else if (!resolve(listener->url, &address, &bytes)) {
        return bao_doors_refuse(problem,
                                "address",
                                listener->url,
                                false,
                                "it is no number and no network interface");
    }
    if (!open_socket(listener, &address, bytes, problem))
        return false;
    if (listen(listener->descriptor, backlog) != 0)
        return refuse(problem, listener, "listen");
    return name_address(listener) ||
           refuse(problem, listener, "asking for the address");
}
