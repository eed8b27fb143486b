/*
 * t17_idle.c - hundreds of idle clients cost memory, not processor time.
 *
 * The tutorial sets event-driven servers against one thread for each client.
 * The broker is event-driven: while a crowd of connected clients waits in
 * get(), its processor time stands still and others are served as fast as
 * before. BAOZI_TEST_CLIENTS sets the size of the crowd (default 500).
 */
#include "crowd.h"

#define GROUPS_MAX 400
#define WATCH_MS   2000
#define TRIES      51

static long ticks_of(pid_t pid)
{
    char path[64];
    char text[1024];
    unsigned long user = 0;
    unsigned long system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return -1;
    size_t bytes = fread(text, 1, sizeof text - 1, file);
    text[bytes] = '\0';
    fclose(file);
    const char *after = strrchr(text, ')');
    if (after == NULL ||
        sscanf(after,
               ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
               &user,
               &system) != 2)
        return -1;
    return (long)(user + system);
}

static double processor_ms(pid_t pid)
{
    return (double)ticks_of(pid) * 1000.0 / (double)sysconf(_SC_CLK_TCK);
}

static long resident_kib(pid_t pid)
{
    char path[64];
    long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*d %ld", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Waits for a bun that comes at the very end. */
static bool wait_for_a_bun(struct baozi *client, int number)
{
    struct baozi_item bun;
    (void)number;
    return baozi_get(client, "late", NULL, 120000, &bun) == BAOZI_OK &&
           baozi_done(client, &bun) == BAOZI_OK;
}

static int compare(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Median of put, get and done of one item, in microseconds. */
static int64_t turn_us(struct baozi *client)
{
    int64_t took[TRIES];
    struct baozi_item item;
    for (int i = 0; i < TRIES; i++) {
        int64_t begin = now_us();
        must(baozi_put(client, "now", "bun", 3, NULL, 5000, NULL), "put");
        must(baozi_get(client, "now", NULL, 5000, &item), "get");
        must(baozi_done(client, &item), "done");
        took[i] = now_us() - begin;
    }
    qsort(took, TRIES, sizeof took[0], compare);
    return took[TRIES / 2];
}

/* Waits until the broker says that all are waiting in get. */
static bool all_wait(struct baozi *client, uint64_t clients)
{
    struct baozi_queue_stat stat = {.size = sizeof stat};
    for (int64_t end = now_ms() + 30000; now_ms() < end; sleep_ms(50)) {
        must(baozi_stat(client, "late", &stat), "stat");
        if (stat.parked_gets == clients)
            return true;
    }
    return false;
}

static int group_count(void)
{
    const char *wanted = getenv("BAOZI_TEST_CLIENTS");
    long clients = wanted != NULL ? strtol(wanted, NULL, 10) : 500;
    long groups = (clients + CROWD_EACH - 1) / CROWD_EACH;
    return (int)(groups < 1 ? 1 : groups > GROUPS_MAX ? GROUPS_MAX : groups);
}

int main(void)
{
    static pid_t pids[GROUPS_MAX];
    int groups = group_count();
    int clients = groups * CROWD_EACH;
    plan(5);
    open_kitchen();
    struct baozi *client = open_client();
    must(baozi_declare(client, "late", NULL), "declare");
    must(baozi_declare(client, "now", NULL), "declare");
    int64_t alone_us = turn_us(client);
    long memory = resident_kib(kitchen.pid);

    gather(pids, groups, wait_for_a_bun);
    open_gate(); /* all go into get */
    ok(all_wait(client, (uint64_t)clients), "%d clients wait", clients);
    double each = (double)(resident_kib(kitchen.pid) - memory) / clients;
    ok(each < 200, "each costs the broker %.1f KiB of memory", each);
    double before = processor_ms(kitchen.pid);
    sleep_ms(WATCH_MS);
    double used = processor_ms(kitchen.pid) - before;
    ok(used <= WATCH_MS * 0.05,
       "the broker used %.0f ms of processor time in %d ms",
       used,
       WATCH_MS);
    int64_t crowd_us = turn_us(client);
    ok(crowd_us < alone_us * 10 + 20000,
       "another client's put, get, done takes %d us (%d us without them)",
       (int)crowd_us,
       (int)alone_us);
    for (int i = 0; i < clients; i++)
        must(baozi_put(client, "late", "bun", 3, NULL, 5000, NULL), "put");
    int failed = wait_crowd(pids, groups);
    ok(failed == 0, "every one gets its bun (%d do not)", failed);
    baozi_close(client);
    return close_kitchen();
}
