/*
 * proxy.c - a relay in a thread.
 */
#include "tests/lib/proxy.h"

#include <stddef.h>

#include "tests/lib/relay.h"

#define TURN_US 5000

static void *run(void *argument)
{
    struct test_proxy *proxy = argument;
    unsigned cuts = 0;
    bool frozen = false;
    while (!proxy->stop) {
        if (proxy->cuts != cuts) {
            cuts = proxy->cuts;
            relay_end_all(proxy->relay, RELAY_CUT);
        }
        if (proxy->frozen != frozen) {
            frozen = proxy->frozen;
            struct relay_settings settings = {.flow = frozen ? RELAY_STALLS
                                                             : RELAY_FLOWS};
            relay_set(proxy->relay, RELAY_UP, &settings);
            relay_set(proxy->relay, RELAY_DOWN, &settings);
        }
        (void)relay_turn(proxy->relay, TURN_US, -1);
        proxy->accepted = (unsigned)relay_counts(proxy->relay).accepted;
    }
    relay_close(proxy->relay);
    return NULL;
}

bool proxy_start(struct test_proxy *proxy, int target_port)
{
    *proxy = (struct test_proxy){.relay = relay_open(target_port, 1)};
    if (proxy->relay == NULL) {
        return false;
    }
    proxy->port = relay_port(proxy->relay);
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
}
