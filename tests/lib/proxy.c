/*
 * proxy.c - a TCP relay in a thread.
 */
#include "tests/lib/proxy.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAIRS 16

struct relay {
    struct test_proxy *proxy;
    int ends[PAIRS][2];
    unsigned cuts;
};

static struct sockaddr_in local(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return address;
}

static void close_pair(int ends[2])
{
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= 0) {
            (void)close(ends[i]);
            ends[i] = -1;
        }
    }
}

static void accept_pair(struct relay *relay)
{
    struct sockaddr_in target = local(relay->proxy->target_port);
    int one = 1;
    int near = accept(relay->proxy->listener, NULL, NULL);
    int far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int ends[2] = {near, far};
    if (near < 0 || far < 0 ||
        connect(far, (struct sockaddr *)&target, sizeof target) != 0) {
        close_pair(ends);
        return;
    }
    (void)setsockopt(near, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)setsockopt(far, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    relay->proxy->accepted++;
    for (int i = 0; i < PAIRS; i++) {
        if (relay->ends[i][0] < 0) {
            relay->ends[i][0] = near;
            relay->ends[i][1] = far;
            return;
        }
    }
    close_pair(ends);
}

/* False when one end is closed. */
static bool pass_on(int from, int to)
{
    char bytes[16384];
    ssize_t count = recv(from, bytes, sizeof bytes, MSG_DONTWAIT);
    for (ssize_t sent = 0; sent < count;) {
        ssize_t n =
            send(to, bytes + sent, (size_t)(count - sent), MSG_NOSIGNAL);
        if (n < 0) {
            return false;
        }
        sent += n;
    }
    return count > 0;
}

static void relay_once(struct relay *relay)
{
    struct pollfd fds[1 + 2 * PAIRS];
    fds[0] = (struct pollfd){.fd = relay->proxy->listener, .events = POLLIN};
    bool frozen = relay->proxy->frozen;
    for (int i = 0; i < PAIRS; i++) {
        for (int k = 0; k < 2; k++) {
            fds[1 + 2 * i + k] = (struct pollfd){
                .fd = frozen ? -1 : relay->ends[i][k], .events = POLLIN};
        }
    }
    (void)poll(fds, 1 + 2 * PAIRS, 5);
    for (int i = 0; i < PAIRS; i++) {
        for (int k = 0; k < 2; k++) {
            if (fds[1 + 2 * i + k].revents != 0 && relay->ends[i][k] >= 0 &&
                !pass_on(relay->ends[i][k], relay->ends[i][1 - k])) {
                close_pair(relay->ends[i]);
            }
        }
    }
    if (fds[0].revents != 0) {
        accept_pair(relay);
    }
}

static void cut_all(struct relay *relay)
{
    for (int i = 0; i < PAIRS; i++) {
        close_pair(relay->ends[i]);
    }
}

static void *run(void *argument)
{
    struct relay relay = {.proxy = argument};
    for (int i = 0; i < PAIRS; i++) {
        relay.ends[i][0] = -1;
        relay.ends[i][1] = -1;
    }
    while (!relay.proxy->stop) {
        unsigned cuts = relay.proxy->cuts;
        if (cuts != relay.cuts) {
            relay.cuts = cuts;
            cut_all(&relay);
        }
        relay_once(&relay);
    }
    cut_all(&relay);
    return NULL;
}

bool proxy_start(struct test_proxy *proxy, int target_port)
{
    struct sockaddr_in address = local(0);
    socklen_t bytes = sizeof address;
    *proxy = (struct test_proxy){.target_port = target_port};
    proxy->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (proxy->listener < 0 ||
        bind(proxy->listener, (struct sockaddr *)&address, sizeof address) !=
            0 ||
        listen(proxy->listener, 16) != 0 ||
        getsockname(proxy->listener, (struct sockaddr *)&address, &bytes) !=
            0) {
        return false;
    }
    proxy->port = ntohs(address.sin_port);
    return pthread_create(&proxy->thread, NULL, run, proxy) == 0;
}

void proxy_cut(struct test_proxy *proxy)
{
    proxy->cuts++;
}

void proxy_stop(struct test_proxy *proxy)
{
    proxy->stop = true;
    (void)pthread_join(proxy->thread, NULL);
    (void)close(proxy->listener);
}
