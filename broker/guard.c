/*
 * guard.c - the thread of guard.h, and the table that it shares with the edge.
 *
 * The table has a slot for each descriptor. The edge's thread writes the
 * first half of a slot, the guard's thread the second; what both touch is
 * atomic. A slot belongs to one connection as long as its cookie stays the
 * same; the guard reads the cookie first and last and drops what it measured
 * if it changed between.
 */
#include "broker/guard.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/check.h"
#include "common/limits.h"
#include "common/text.h"
#include "common/time.h"

#define MIB                (UINT64_C(1) << 20)
#define TICK_MS            10
#define CALM_TICK_MS       50 /* while memory does not grow */
#define TRIM_US            1000000u
#define RESTLESS_US        1000000u /* for so long after it grew */
#define SHARES             100u     /* of the connections, one a tick */
#define SLOTS_MAX          (1u << 20)
#define ALARM_BYTES        (16 * MIB)
#define GREETING_BYTES     (UINT64_C(64) << 10)
#define GREETING_ALL_BYTES (4 * MIB)
#define MESSAGE_BYTES      (BAO_ITEM_BYTES_MAX + MIB)
#define EXCESS_BYTES       (32 * MIB)
#define UNSENT_BYTES_MAX   (8 * MIB)
#define CONNECTION_BYTES   (UINT64_C(32) << 10) /* what one costs by itself */
/* Who has less is no suspect when memory grew without a reason. */
#define SUSPECT_BYTES          (UINT64_C(16) << 10)
#define SUSPECT_GREETING_BYTES (UINT64_C(2) << 10)
#define SWELLING               32u     /* an empty part: 2 bytes are 64 */
#define SETTLE_US              200000u /* until a cut peer's memory is free */

static const struct bao_verdict too_much_before_hello = {
    "it sent too much before HELLO",
    true};
static const struct bao_verdict more_than_credit = {
    "it sent more than its credit",
    true};
static const struct bao_verdict largest_of_all = {
    "all peers sent more than memory allows, and it the most",
    false};
static const struct bao_verdict memory_grew = {
    "memory grew without a reason, and it sent the most unseen",
    true};
static const struct bao_verdict nameless = {
    "memory grew without a reason, and it said no HELLO",
    false};

enum { COUNTED = 1u, WELCOMED = 2u };

struct slot {
    /* The edge's thread writes. */
    _Atomic uint64_t cookie; /* 0 = no connection */
    _Atomic uint64_t consumed;
    _Atomic uint64_t sent;
    _Atomic uint32_t flags;
    uint64_t acknowledged; /* of `sent`, as last asked: its own */
    /* The guard's thread writes. */
    const struct bao_verdict *_Atomic verdict; /* why it was cut */
    uint64_t backlog;
    bool greeting;
};

/* What a look at all connections came to. */
struct sums {
    uint64_t local;    /* welcomed, and not counted */
    uint64_t backlog;  /* of all */
    uint64_t greeting; /* of those not welcomed */
    uint64_t unsent;
};

struct bao_guard {
    struct slot *slots; /* by descriptor */
    size_t slot_count;
    _Atomic size_t top; /* no connection at or above it */
    _Atomic uint64_t uses[BAO_USE_COUNT];
    _Atomic uint64_t open_count;
    struct bao_guard_config config;
    uint64_t each_bytes;
    pthread_t thread;
    bool running;
    int stop;  /* an eventfd */
    int statm; /* of this process */
    size_t page_bytes;
    /* The thread's own. */
    size_t next;          /* where the next share begins */
    struct sums round;    /* of the shares since the first */
    int64_t noted;        /* resident without ledger at the last full look */
    uint64_t resident;    /* at the last tick */
    int64_t unknown;      /* resident without ledger, then */
    uint64_t trimmed_us;  /* when memory was given back last */
    int64_t trimmed_gap;  /* resident without what is used, after that */
    uint64_t restless_us; /* tick fast until then */
    uint64_t touched;     /* what the ledger had at its peak, as far as it is
                             still resident */
    int64_t baseline;     /* resident, not explained, and nobody's fault */
    uint64_t settle_us;   /* clean up then; 0 = nobody was cut */
    int64_t forgiven;     /* excess of those who were cut, until it is free */
    _Atomic uint64_t greeting, credit, total, memory, scans;
};

static uint64_t peek(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void bump(_Atomic uint64_t *value, uint64_t more)
{
    /* One writer: no read-modify-write is needed. */
    atomic_store_explicit(value, peek(value) + more, memory_order_relaxed);
}

/* --- the edge's side --- */

static struct slot *slot_of(struct bao_guard *guard, int descriptor)
{
    if (guard == NULL || descriptor < 0 ||
        (size_t)descriptor >= guard->slot_count)
        return NULL;
    return &guard->slots[descriptor];
}

void bao_guard_watch(struct bao_guard *guard,
                     int descriptor,
                     uint64_t cookie,
                     bool counted)
{
    struct slot *slot = slot_of(guard, descriptor);
    if (slot == NULL)
        return;
    atomic_store_explicit(&slot->consumed, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->sent, 0, memory_order_relaxed);
    atomic_store_explicit(
        &slot->flags, counted ? COUNTED : 0, memory_order_relaxed);
    atomic_store_explicit(&slot->verdict, NULL, memory_order_relaxed);
    slot->acknowledged = 0;
    bump(&guard->open_count, 1);
    atomic_store_explicit(&slot->cookie, cookie, memory_order_release);
    size_t end = (size_t)descriptor + 1;
    if (end > atomic_load_explicit(&guard->top, memory_order_relaxed))
        atomic_store_explicit(&guard->top, end, memory_order_release);
}

const struct bao_verdict *bao_guard_forget(struct bao_guard *guard,
                                           int descriptor)
{
    struct slot *slot = slot_of(guard, descriptor);
    if (slot == NULL || peek(&slot->cookie) == 0)
        return NULL;
    bump(&guard->open_count, UINT64_MAX); /* one less */
    atomic_store_explicit(&slot->cookie, 0, memory_order_release);
    return atomic_load_explicit(&slot->verdict, memory_order_acquire);
}

void bao_guard_welcome(struct bao_guard *guard, int descriptor)
{
    struct slot *slot = slot_of(guard, descriptor);
    if (slot == NULL)
        return;
    uint32_t flags = atomic_load_explicit(&slot->flags, memory_order_relaxed);
    atomic_store_explicit(&slot->flags, flags | WELCOMED, memory_order_relaxed);
}

void bao_guard_consumed(struct bao_guard *guard, int descriptor, uint64_t bytes)
{
    struct slot *slot = slot_of(guard, descriptor);
    if (slot != NULL)
        bump(&slot->consumed, bytes);
}

void bao_guard_sent(struct bao_guard *guard, int descriptor, uint64_t bytes)
{
    struct slot *slot = slot_of(guard, descriptor);
    if (slot != NULL)
        bump(&slot->sent, bytes);
}

static bool ask(int descriptor, struct tcp_info *info)
{
    socklen_t bytes = sizeof *info;
    *info = (struct tcp_info){0};
    return getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, info, &bytes) == 0;
}

bool bao_guard_has_room(struct bao_guard *guard, int descriptor)
{
    struct tcp_info info;
    struct slot *slot = slot_of(guard, descriptor);
    if (slot == NULL ||
        peek(&slot->sent) - slot->acknowledged < UNSENT_BYTES_MAX ||
        (atomic_load_explicit(&slot->flags, memory_order_relaxed) & COUNTED) ==
            0 ||
        !ask(descriptor, &info))
        return true;
    /* The handshake was acknowledged too. */
    slot->acknowledged = info.tcpi_bytes_acked < peek(&slot->sent)
                             ? info.tcpi_bytes_acked
                             : peek(&slot->sent);
    return peek(&slot->sent) - slot->acknowledged < UNSENT_BYTES_MAX;
}

void bao_guard_explain(struct bao_guard *guard,
                       enum bao_guard_use use,
                       uint64_t bytes)
{
    if (guard != NULL)
        atomic_store_explicit(&guard->uses[use], bytes, memory_order_relaxed);
}

/* --- looking --- */

static bool is_still(int descriptor, uint64_t cookie)
{
    uint64_t now = 0;
    socklen_t bytes = sizeof now;
    return cookie != 0 &&
           getsockopt(descriptor, SOL_SOCKET, SO_COOKIE, &now, &bytes) == 0 &&
           now == cookie;
}

static void cut(struct bao_guard *guard,
                size_t i,
                const struct bao_verdict *verdict,
                _Atomic uint64_t *count)
{
    /* Closing it will not wait for a peer that goes on sending. */
    const struct linger none = {.l_onoff = 1, .l_linger = 0};
    struct slot *slot = &guard->slots[i];
    uint64_t cookie = atomic_load_explicit(&slot->cookie, memory_order_acquire);
    if (!is_still((int)i, cookie))
        return;
    (void)setsockopt((int)i, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    atomic_store_explicit(&slot->verdict, verdict, memory_order_release);
    (void)shutdown((int)i, SHUT_RDWR);
    slot->backlog = 0;
    bump(count, 1);
    if (guard->settle_us == 0)
        guard->settle_us = UINT64_MAX; /* set at the end of the tick */
}

/* Measures one connection, cuts it if it is above its own limit. */
static void look_at(struct bao_guard *guard, size_t i, struct sums *sums)
{
    struct slot *slot = &guard->slots[i];
    struct tcp_info info;
    slot->backlog = 0;
    uint64_t cookie = atomic_load_explicit(&slot->cookie, memory_order_acquire);
    if (cookie == 0)
        return;
    uint32_t flags = atomic_load_explicit(&slot->flags, memory_order_relaxed);
    slot->greeting = (flags & WELCOMED) == 0;
    if ((flags & COUNTED) == 0) {
        sums->local += !slot->greeting;
        return;
    }
    if (atomic_load_explicit(&slot->verdict, memory_order_relaxed) != NULL ||
        !ask((int)i, &info))
        return;
    uint64_t consumed = peek(&slot->consumed);
    uint64_t sent = peek(&slot->sent);
    if (atomic_load_explicit(&slot->cookie, memory_order_acquire) != cookie)
        return;
    if (info.tcpi_bytes_received > consumed)
        slot->backlog = info.tcpi_bytes_received - consumed;
    if (sent > info.tcpi_bytes_acked)
        sums->unsent += sent - info.tcpi_bytes_acked;
    if (slot->greeting && slot->backlog > GREETING_BYTES)
        cut(guard, i, &too_much_before_hello, &guard->greeting);
    else if (slot->backlog > guard->each_bytes)
        cut(guard, i, &more_than_credit, &guard->credit);
    sums->backlog += slot->backlog;
    if (slot->greeting)
        sums->greeting += slot->backlog;
}

static size_t top_of(struct bao_guard *guard)
{
    return atomic_load_explicit(&guard->top, memory_order_acquire);
}

static struct sums look_at_all(struct bao_guard *guard)
{
    struct sums sums = {0};
    size_t top = top_of(guard);
    for (size_t i = 0; i < top; i++)
        look_at(guard, i, &sums);
    bump(&guard->scans, 1);
    return sums;
}

/* --- judging --- */

/* The connection with the largest backlog, at least a suspect's; or top. */
static size_t largest(struct bao_guard *guard, bool greeting_only)
{
    size_t top = top_of(guard);
    size_t found = top;
    uint64_t most = 0;
    for (size_t i = 0; i < top; i++) {
        const struct slot *slot = &guard->slots[i];
        uint64_t least =
            slot->greeting ? SUSPECT_GREETING_BYTES : SUSPECT_BYTES;
        if (slot->backlog < least || slot->backlog <= most ||
            (greeting_only && !slot->greeting))
            continue;
        most = slot->backlog;
        found = i;
    }
    return found;
}

/* Cuts the largest as long as `sum` is above `limit`. */
static void cut_down(struct bao_guard *guard,
                     uint64_t *sum,
                     uint64_t limit,
                     bool greeting_only)
{
    while (*sum > limit) {
        size_t i = largest(guard, greeting_only);
        if (i == top_of(guard))
            return;
        *sum -= guard->slots[i].backlog;
        cut(guard, i, &largest_of_all, &guard->total);
        guard->slots[i].backlog = 0;
    }
}

static void cut_nameless(struct bao_guard *guard)
{
    size_t top = top_of(guard);
    for (size_t i = 0; i < top; i++) {
        struct slot *slot = &guard->slots[i];
        uint32_t flags =
            atomic_load_explicit(&slot->flags, memory_order_relaxed);
        if (flags == 0 &&
            atomic_load_explicit(&slot->cookie, memory_order_acquire) != 0)
            cut(guard, i, &nameless, &guard->memory);
    }
}

/* Memory that nobody's known traffic explains. */
static int64_t excess_bytes(const struct bao_guard *guard,
                            const struct sums *sums,
                            int64_t unknown)
{
    return unknown - (int64_t)sums->backlog - (int64_t)sums->unsent -
           guard->baseline;
}

/* It is somebody's empty parts, or nobody's. Nobody's is remembered, so that
 * it raises no alarm again. */
static void
judge_memory(struct bao_guard *guard, const struct sums *sums, int64_t unknown)
{
    int64_t excess = excess_bytes(guard, sums, unknown);
    uint64_t local = sums->local * guard->config.credit_bytes;
    if (local > guard->config.total_bytes)
        local = guard->config.total_bytes;
    if (excess < 0)
        guard->baseline += excess;
    if (excess < guard->forgiven)
        guard->forgiven = excess > 0 ? excess : 0;
    if (excess <= (int64_t)(EXCESS_BYTES + local) + guard->forgiven)
        return;
    size_t suspect = largest(guard, false);
    if (suspect == top_of(guard)) {
        cut_nameless(guard);
        guard->baseline += excess;
        return;
    }
    guard->forgiven = excess;
    while (excess > 0 && suspect != top_of(guard)) {
        excess -= (int64_t)(guard->slots[suspect].backlog * SWELLING);
        cut(guard, suspect, &memory_grew, &guard->memory);
        guard->slots[suspect].backlog = 0;
        suspect = largest(guard, false);
    }
}

/* The next hundredth. After a round in which nobody was suspect, whatever is
 * resident is nobody's. */
static void look_at_share(struct bao_guard *guard, int64_t unknown)
{
    size_t top = top_of(guard);
    size_t count = (top + SHARES - 1) / SHARES;
    for (; count > 0 && guard->next < top; count--)
        look_at(guard, guard->next++, &guard->round);
    if (guard->next < top)
        return;
    if (largest(guard, false) == top)
        guard->baseline += excess_bytes(guard, &guard->round, unknown);
    guard->round = (struct sums){0};
    guard->next = 0;
}

static uint64_t resident_bytes(struct bao_guard *guard)
{
    char text[64] = "";
    unsigned long long pages;
    if (guard->config.resident != NULL)
        return guard->config.resident(guard->config.context);
    ssize_t bytes = pread(guard->statm, text, sizeof text - 1, 0);
    const char *second = bytes > 0 ? strchr(text, ' ') : NULL;
    if (second == NULL)
        return guard->resident;
    pages = strtoull(second, NULL, 10);
    return (uint64_t)pages * guard->page_bytes;
}

/* Resident bytes that the ledger does not explain. What it once had and gave
 * back may still be resident: it counts until resident memory falls. */
static int64_t unknown_bytes(struct bao_guard *guard)
{
    uint64_t resident = resident_bytes(guard);
    uint64_t ledger = peek(&guard->open_count) * CONNECTION_BYTES;
    for (unsigned use = 0; use < BAO_USE_COUNT; use++)
        ledger += peek(&guard->uses[use]);
    if (resident < guard->resident) {
        uint64_t fell = guard->resident - resident;
        guard->touched = guard->touched > fell ? guard->touched - fell : 0;
    }
    if (guard->touched < ledger)
        guard->touched = ledger;
    guard->resident = resident;
    return (int64_t)resident - (int64_t)guard->touched;
}

/* Gives back what the allocator kept, once memory is calm; only if it is
 * much, and once a second, because its locks are held meanwhile. */
static int64_t
trimmed(struct bao_guard *guard, uint64_t now_us, int64_t unknown)
{
    int64_t gap = (int64_t)guard->resident;
    for (unsigned use = 0; use < BAO_USE_COUNT; use++)
        gap -= (int64_t)peek(&guard->uses[use]);
    if (gap < guard->trimmed_gap)
        guard->trimmed_gap = gap;
    if (now_us < guard->restless_us || now_us < guard->trimmed_us + TRIM_US ||
        gap < guard->trimmed_gap + (int64_t)ALARM_BYTES)
        return unknown;
    uint64_t before = guard->resident;
    (void)malloc_trim(0);
    unknown = unknown_bytes(guard);
    guard->trimmed_us = now_us;
    guard->trimmed_gap = gap - (int64_t)(before - guard->resident);
    return unknown;
}

void bao_guard_look(struct bao_guard *guard, uint64_t now_us)
{
    int64_t unknown = unknown_bytes(guard);
    if (unknown > guard->unknown + (int64_t)MIB || guard->settle_us != 0)
        guard->restless_us = now_us + RESTLESS_US;
    guard->unknown = unknown;
    bool settled = guard->settle_us != 0 && now_us >= guard->settle_us;
    if (settled) {
        guard->settle_us = 0;
        guard->forgiven = 0;
    }
    unknown = trimmed(guard, now_us, unknown);
    if (unknown < guard->noted)
        guard->noted = unknown;
    if (unknown > guard->noted + (int64_t)ALARM_BYTES || settled) {
        struct sums sums = look_at_all(guard);
        uint64_t others = sums.backlog - sums.greeting;
        guard->noted = unknown;
        cut_down(guard, &sums.greeting, GREETING_ALL_BYTES, true);
        uint64_t all = sums.greeting + others;
        cut_down(guard, &all, guard->config.total_bytes, false);
        judge_memory(guard, &sums, unknown);
    } else {
        look_at_share(guard, unknown);
    }
    if (guard->settle_us == UINT64_MAX)
        guard->settle_us = now_us + SETTLE_US;
}

static void *run(void *context)
{
    struct bao_guard *guard = context;
    struct pollfd stop = {.fd = guard->stop, .events = POLLIN};
    int tick_ms = TICK_MS;
    while (poll(&stop, 1, tick_ms) <= 0) {
        uint64_t now_us = bao_time_monotonic_us();
        bao_guard_look(guard, now_us);
        tick_ms = now_us < guard->restless_us ? TICK_MS : CALM_TICK_MS;
    }
    return NULL;
}

/* --- opening and closing --- */

static size_t descriptors_max(void)
{
    struct rlimit limit = {.rlim_max = SLOTS_MAX};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max > SLOTS_MAX)
        return SLOTS_MAX;
    return limit.rlim_max;
}

enum baozi_status bao_guard_open(const struct bao_guard_config *config,
                                 struct bao_guard **guard)
{
    struct bao_guard *made = calloc(1, sizeof *made);
    if (made == NULL)
        return BAOZI_NO_MEMORY;
    made->config = *config;
    if (made->config.total_bytes < MESSAGE_BYTES)
        made->config.total_bytes = MESSAGE_BYTES;
    made->each_bytes = config->credit_bytes + MESSAGE_BYTES;
    made->slot_count = descriptors_max();
    made->slots = calloc(made->slot_count, sizeof *made->slots);
    made->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    made->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    made->stop = eventfd(0, EFD_CLOEXEC);
    if (made->slots != NULL && made->stop >= 0) {
        made->resident = resident_bytes(made);
        made->baseline = (int64_t)made->resident;
        made->noted = made->baseline;
        made->trimmed_gap = made->baseline;
        made->unknown = made->baseline;
        made->running = !config->threadless &&
                        pthread_create(&made->thread, NULL, run, made) == 0;
    }
    if (made->running || (config->threadless && made->slots != NULL)) {
        *guard = made;
        return BAOZI_OK;
    }
    bao_guard_close(made);
    return BAOZI_NO_MEMORY;
}

void bao_guard_close(struct bao_guard *guard)
{
    uint64_t one = 1;
    if (guard == NULL)
        return;
    if (guard->running) {
        ssize_t told = write(guard->stop, &one, sizeof one);
        BAO_ASSERT(told == (ssize_t)sizeof one);
        (void)pthread_join(guard->thread, NULL);
    }
    if (guard->stop >= 0)
        (void)close(guard->stop);
    if (guard->statm >= 0)
        (void)close(guard->statm);
    free(guard->slots);
    free(guard);
}

struct bao_guard_counts bao_guard_counts(const struct bao_guard *guard)
{
    struct bao_guard_counts none = {0};
    if (guard == NULL)
        return none;
    return (struct bao_guard_counts){
        .greeting = peek(&guard->greeting),
        .credit = peek(&guard->credit),
        .total = peek(&guard->total),
        .memory = peek(&guard->memory),
        .scans = peek(&guard->scans),
    };
}
