/*
 * baozi.c - our own, through baozi.h as any program uses it.
 */
#include "common/baozi.h"

#include <stdio.h>
#include <string.h>

#include "tests/bench/compare/driver.h"

static struct baozi *client;
static struct baozi_subscription *subscription;
static uint64_t refused;
static uint64_t unsettled;

static bool fails(const char *what)
{
    char text[1024];
    return driver_fail(
        "%s: %s", what, baozi_explain(client, text, sizeof text));
}

static bool open_client(const struct driver *driver)
{
    const struct baozi_options options = {.size = sizeof options,
                                          .url = driver->url,
                                          .window = (uint32_t)driver->window,
                                          .program = "compare"};
    return (baozi_open(&options, &client) == BAOZI_OK &&
            baozi_connect(client, 5000) == BAOZI_OK) ||
           fails("open");
}

static bool make(struct driver *driver)
{
    struct baozi_queue_options options;
    baozi_queue_options_init(&options);
    baozi_queue_option(&options,
                       BAOZI_OPTION_DURABILITY,
                       strcmp(driver->mode, "disk") == 0
                           ? BAOZI_DURABILITY_DISK
                           : BAOZI_DURABILITY_MEMORY);
    return open_client(driver) &&
           (baozi_declare(client, driver->queue, &options) == BAOZI_OK ||
            fails("declare"));
}

static bool start(struct driver *driver, bool takes)
{
    return open_client(driver) && (!takes ||
                                   baozi_subscribe(client,
                                                   driver->queue,
                                                   (uint32_t)driver->window,
                                                   0,
                                                   NULL,
                                                   &subscription) == BAOZI_OK ||
                                   fails("subscribe"));
}

static void answered(void *context,
                     enum baozi_status status,
                     const struct baozi_receipt *receipt)
{
    (void)receipt;
    struct driver *driver = context;
    refused += status != BAOZI_OK;
    driver->confirmed++;
}

static bool put(struct driver *driver, const uint8_t *data, size_t bytes)
{
    return baozi_put_async(client,
                           driver->queue,
                           data,
                           bytes,
                           NULL,
                           BAOZI_FOREVER,
                           answered,
                           driver) == BAOZI_OK ||
           fails("put");
}

static bool confirm(struct driver *driver)
{
    if (baozi_flush(client, BAOZI_FOREVER) != BAOZI_OK || refused > 0) {
        return fails("flush");
    }
    driver_confirmed(driver, 0); /* the time of the last one */
    return true;
}

/* All that was settled is confirmed; the time of the last one counts. */
static bool settle(struct driver *driver)
{
    if (unsettled > 0) {
        if (baozi_flush(client, BAOZI_FOREVER) != BAOZI_OK) {
            return fails("flush");
        }
        driver_confirmed(driver, unsettled);
        unsettled = 0;
    }
    return true;
}

static bool take(struct driver *driver)
{
    struct baozi_item item;
    enum baozi_status status = baozi_next(subscription, DRIVER_IDLE_MS, &item);
    if (status == BAOZI_EMPTY) {
        return settle(driver);
    }
    if (status != BAOZI_OK) {
        return fails("next");
    }
    driver_took(driver, item.payload, item.bytes);
    unsettled++;
    return baozi_done_async(client, &item) == BAOZI_OK || fails("done");
}

static bool finish(struct driver *driver)
{
    if (!settle(driver)) {
        return false;
    }
    return baozi_unsubscribe(subscription) == BAOZI_OK || fails("unsubscribe");
}

const struct system bench_system = {.name = "baozi",
                                    .window_inside = true,
                                    .make = make,
                                    .open = start,
                                    .put = put,
                                    .confirm = confirm,
                                    .take = take,
                                    .finish = finish};
