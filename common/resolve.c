/*
 * resolve.c - names on a thread of their own.
 *
 * The question belongs to two, the asker and the thread; the last one to
 * leave frees it. So the asker may leave while a name server is silent.
 */
#include "common/resolve.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define HOST_BYTES  256u
#define PORT_BYTES  8u
#define STACK_BYTES (256u * 1024u) /* glibc's resolver needs some */

struct bao_resolve {
    char host[HOST_BYTES];
    char port[PORT_BYTES];
    int fd;
    atomic_int owners;
    atomic_bool answered;
    struct addrinfo *addresses; /* written before `answered` */
};

static struct addrinfo *find(const struct bao_resolve *resolve, int flags)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = flags | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    return getaddrinfo(resolve->host, resolve->port, &hints, &found) == 0
               ? found
               : NULL;
}

static void leave(struct bao_resolve *resolve)
{
    if (atomic_fetch_sub(&resolve->owners, 1) > 1) {
        return;
    }
    if (resolve->addresses != NULL) {
        freeaddrinfo(resolve->addresses);
    }
    if (resolve->fd >= 0) {
        (void)close(resolve->fd);
    }
    free(resolve);
}

static void answer(struct bao_resolve *resolve, struct addrinfo *found)
{
    uint64_t one = 1;
    resolve->addresses = found;
    atomic_store(&resolve->answered, true);
    ssize_t written = write(resolve->fd, &one, sizeof one);
    (void)written; /* it was 0: it cannot fail */
}

static void *ask(void *argument)
{
    struct bao_resolve *resolve = argument;
    answer(resolve, find(resolve, 0));
    leave(resolve);
    return NULL;
}

/* Signals are for the program's own threads. */
static bool start_thread(struct bao_resolve *resolve)
{
    sigset_t all;
    sigset_t before;
    pthread_t thread;
    pthread_attr_t attributes;
    (void)sigfillset(&all);
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    atomic_store(&resolve->owners, 2);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, &attributes, ask, resolve);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    if (failed != 0) {
        atomic_store(&resolve->owners, 1);
    }
    return failed == 0;
}

enum baozi_status bao_resolve_start(struct bao_resolve **resolve,
                                    const char *host,
                                    const char *port)
{
    struct bao_resolve *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return BAOZI_NO_MEMORY;
    }
    (void)snprintf(made->host, sizeof made->host, "%s", host);
    (void)snprintf(made->port, sizeof made->port, "%s", port);
    atomic_store(&made->owners, 1);
    made->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    bool started = made->fd >= 0;
    if (started) {
        struct addrinfo *number = find(made, AI_NUMERICHOST);
        if (number != NULL) {
            answer(made, number);
        } else {
            started = start_thread(made);
        }
    }
    if (!started) {
        leave(made);
        return BAOZI_NO_MEMORY;
    }
    *resolve = made;
    return BAOZI_OK;
}

enum baozi_status bao_resolve_look(struct bao_resolve *resolve,
                                   struct addrinfo **addresses)
{
    if (!atomic_load(&resolve->answered)) {
        return BAOZI_EMPTY;
    }
    *addresses = resolve->addresses;
    resolve->addresses = NULL;
    return *addresses == NULL ? BAOZI_NOT_FOUND : BAOZI_OK;
}

int bao_resolve_fd(const struct bao_resolve *resolve)
{
    return resolve->fd;
}

void bao_resolve_end(struct bao_resolve *resolve)
{
    if (resolve != NULL) {
        leave(resolve);
    }
}
