/*
 * proxy.h - a relay in a thread, to cut the connections of a C test with.
 */
#ifndef BAO_TESTS_PROXY_H
#define BAO_TESTS_PROXY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct relay;

struct test_proxy {
    pthread_t thread;
    struct relay *relay; /* the thread's */
    int port;            /* where it listens on 127.0.0.1 */
    _Atomic bool stop;
    _Atomic unsigned cuts;     /* wanted */
    _Atomic bool frozen;       /* passes nothing on */
    _Atomic unsigned accepted; /* connections so far */
};

bool proxy_start(struct test_proxy *proxy, int target_port);
/* Cuts every connection that stands now. */
void proxy_cut(struct test_proxy *proxy);
void proxy_stop(struct test_proxy *proxy);

#endif
