/*
 * proxy.h - a TCP relay in a thread, to cut connections with.
 */
#ifndef BAO_TESTS_PROXY_H
#define BAO_TESTS_PROXY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct test_proxy {
    pthread_t thread;
    int listener;
    int port; /* where it listens on 127.0.0.1 */
    int target_port;
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
