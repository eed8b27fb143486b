/*
 * driver.c - the loops that every system is measured with.
 */
#include "tests/bench/compare/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/time.h"

bool driver_fail(const char *format, ...)
{
    va_list arguments;
    fprintf(stderr, "%s: ", bench_system.name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return false;
}

void driver_took(struct driver *driver, const uint8_t *data, size_t bytes)
{
    struct bench_item item;
    driver->taken++;
    if (bytes != driver->bytes || !bench_item_read(&item, data, bytes)) {
        driver->altered++;
        return;
    }
    if (item.start_us != 0) {
        bao_histogram_record(&driver->delay,
                             bao_time_monotonic_us() - item.start_us);
    }
    switch (bench_seen_note(&driver->seen, &item)) {
    case BENCH_SIGHT_NEW:
        __atomic_add_fetch(&driver->file->taken, 1, __ATOMIC_RELAXED);
        break;
    case BENCH_SIGHT_AGAIN: driver->doubled++; break;
    case BENCH_SIGHT_STRANGE: driver->altered++; break;
    }
}

void driver_confirmed(struct driver *driver, uint64_t count)
{
    driver->confirmed += count;
    driver->end_us = bao_time_monotonic_us();
}

bool driver_all_taken(const struct driver *driver)
{
    return __atomic_load_n(&driver->file->taken, __ATOMIC_RELAXED) >=
           driver->count;
}

/* --- the loops --- */

/* One after the other, each with the time of its put. */
static bool put_slowly(struct driver *driver)
{
    static uint8_t data[ITEM_BYTES_MAX];
    const struct timespec pause = {.tv_sec = driver->pause_us / 1000000,
                                   .tv_nsec =
                                       driver->pause_us % 1000000 * 1000L};
    bool good = true;
    for (; good && driver->sent < driver->count; driver->sent++) {
        (void)nanosleep(&pause, NULL);
        struct bench_item item = {.producer = driver->number,
                                  .sequence = driver->sent,
                                  .start_us = bao_time_monotonic_us()};
        bench_item_write(&item, data, driver->bytes);
        good = bench_system.put(driver, data, driver->bytes);
        while (good && driver->confirmed <= driver->sent) {
            good = bench_system.confirm(driver);
        }
    }
    return good;
}

static bool put_all(struct driver *driver)
{
    static uint8_t data[ITEM_BYTES_MAX];
    bool good = true;
    while (good && driver->confirmed < driver->count) {
        uint64_t most = bench_system.window_inside
                            ? driver->count
                            : driver->confirmed + driver->window;
        while (good && driver->sent < driver->count && driver->sent < most) {
            struct bench_item item = {.producer = driver->number,
                                      .sequence = driver->sent};
            bench_item_write(&item, data, driver->bytes);
            good = bench_system.put(driver, data, driver->bytes);
            driver->sent++;
        }
        good = good && bench_system.confirm(driver);
    }
    return good;
}

static bool take_all(struct driver *driver)
{
    bool good = true;
    while (good && !driver_all_taken(driver)) {
        good = bench_system.take(driver);
    }
    return good && bench_system.finish(driver);
}

/* --- the process --- */

static bool map_seen(struct driver *driver, const char *path)
{
    uint64_t each = driver->count / driver->producers;
    size_t bytes =
        sizeof(struct seen_file) + bench_seen_bytes(driver->producers, each);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return driver_fail("%s: %s", path, strerror(errno));
    }
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED) {
        return driver_fail("%s: %s", path, strerror(errno));
    }
    driver->file = memory;
    driver->seen = (struct bench_seen){.producers = driver->producers,
                                       .each = each,
                                       .bits = driver->file->bits};
    return true;
}

static uint64_t number_of(const char *text)
{
    return strtoull(text, NULL, 10);
}

static uint64_t processor_us(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static void report(const struct driver *driver, bool takes)
{
    printf("{\"items\": %llu, \"confirmed\": %llu, \"doubled\": %llu, "
           "\"altered\": %llu, \"begin_us\": %llu, \"end_us\": %llu, "
           "\"processor_us\": %llu, \"p50_us\": %llu, \"p99_us\": %llu}\n",
           (unsigned long long)(takes ? driver->taken : driver->sent),
           (unsigned long long)driver->confirmed,
           (unsigned long long)driver->doubled,
           (unsigned long long)driver->altered,
           (unsigned long long)driver->begin_us,
           (unsigned long long)driver->end_us,
           (unsigned long long)processor_us(),
           (unsigned long long)bao_histogram_value(&driver->delay, 500),
           (unsigned long long)bao_histogram_value(&driver->delay, 990));
    fflush(stdout);
}

static int run(struct driver *driver, bool takes)
{
    char line[16];
    if (!bench_system.open(driver, takes)) {
        return 1;
    }
    puts("ready");
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL) {
        return 1;
    }
    driver->begin_us = bao_time_monotonic_us();
    bool (*work)(struct driver *) = takes                   ? take_all
                                    : driver->pause_us != 0 ? put_slowly
                                                            : put_all;
    if (!work(driver)) {
        return 1;
    }
    report(driver, takes);
    return 0;
}

int main(int argc, char **argv)
{
    static struct driver driver;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc == 5 && strcmp(argv[1], "make") == 0) {
        driver =
            (struct driver){.url = argv[2], .queue = argv[3], .mode = argv[4]};
        return bench_system.make == NULL || bench_system.make(&driver) ? 0 : 1;
    }
    if (argc != 11 && argc != 12) {
        driver_fail("make URL QUEUE MODE | put|take URL QUEUE MODE NUMBER "
                    "COUNT BYTES WINDOW PRODUCERS SEEN [PAUSE_US]");
        return 64;
    }
    bool takes = strcmp(argv[1], "take") == 0;
    driver = (struct driver){
        .url = argv[2],
        .queue = argv[3],
        .mode = argv[4],
        .number = (uint32_t)number_of(argv[5]),
        .count = number_of(argv[6]),
        .bytes = (size_t)number_of(argv[7]),
        .window = number_of(argv[8]),
        .producers = (uint32_t)number_of(argv[9]),
        .pause_us = argc == 12 ? (uint32_t)number_of(argv[11]) : 0};
    if (driver.bytes > ITEM_BYTES_MAX || driver.bytes < BENCH_ITEM_BYTES_MIN ||
        driver.producers == 0 || driver.window == 0) {
        driver_fail("a number is out of range");
        return 64;
    }
    if (takes && !map_seen(&driver, argv[10])) {
        return 1;
    }
    return run(&driver, takes);
}
