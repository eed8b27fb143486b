/*
 * putter.c - puts as fast as confirmations come, for benches.
 *
 *     putter URL QUEUE WINDOW MS
 *
 * Puts items of 100 bytes for MS milliseconds, at most WINDOW of them
 * unconfirmed (1: one call at a time), and prints `CONFIRMED P50_US`: how many
 * were confirmed, and the median from the call to the confirmation.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/baozi.h"
#include "common/time.h"

#define ITEM_BYTES  100
#define SAMPLES_MAX 1000000u
#define PATIENCE_MS 30000

static uint32_t samples[SAMPLES_MAX];
static size_t sample_count;
static uint64_t confirmed;
static uint64_t begun_us[4096]; /* of puts under way, a ring */
static uint64_t begun;

static void sample(uint64_t us)
{
    if (sample_count < SAMPLES_MAX)
        samples[sample_count++] = (uint32_t)us;
}

/* Confirmations come in the order of the puts. */
static void answered(void *context,
                     enum baozi_status status,
                     const struct baozi_receipt *receipt)
{
    (void)context;
    (void)receipt;
    if (status != BAOZI_OK)
        exit(74);
    sample(bao_time_monotonic_us() - begun_us[confirmed % 4096]);
    confirmed++;
}

static enum baozi_status
put_one(struct baozi *client, const char *queue, bool alone)
{
    static const char item[ITEM_BYTES];
    const uint64_t now_us = bao_time_monotonic_us();
    if (!alone) {
        begun_us[begun++ % 4096] = now_us;
        return baozi_put_async(client,
                               queue,
                               item,
                               sizeof item,
                               NULL,
                               PATIENCE_MS,
                               answered,
                               NULL);
    }
    enum baozi_status status =
        baozi_put(client, queue, item, sizeof item, NULL, PATIENCE_MS, NULL);
    sample(bao_time_monotonic_us() - now_us);
    confirmed++;
    return status;
}

static int compare(const void *a, const void *b)
{
    const uint32_t *left = a;
    const uint32_t *right = b;
    return *left < *right ? -1 : *left > *right;
}

int main(int argc, char **argv)
{
    struct baozi *client;
    struct baozi_options options = {.size = sizeof options};
    if (argc != 5)
        return 64;
    options.url = argv[1];
    options.window = (uint32_t)strtoul(argv[3], NULL, 10);
    if (options.window > 4096 || baozi_open(&options, &client) != BAOZI_OK ||
        baozi_connect(client, PATIENCE_MS) != BAOZI_OK)
        return 69;
    const uint64_t end_us =
        bao_time_monotonic_us() + strtoul(argv[4], NULL, 10) * 1000;
    enum baozi_status status = BAOZI_OK;
    while (status == BAOZI_OK && bao_time_monotonic_us() < end_us)
        status = put_one(client, argv[2], options.window == 1);
    const uint64_t in_time = confirmed;
    if (status == BAOZI_OK)
        status = baozi_flush(client, PATIENCE_MS);
    qsort(samples, sample_count, sizeof samples[0], compare);
    (void)printf("%llu %u\n",
                 (unsigned long long)in_time,
                 sample_count == 0 ? 0 : samples[sample_count / 2]);
    (void)baozi_close(client);
    return status == BAOZI_OK ? 0 : 74;
}
