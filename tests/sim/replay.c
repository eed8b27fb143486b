/*
 * replay.c - live state and replayed state are the same after every step.
 *
 * The program is linked so that the gateway's calls of bao_core_step() and
 * bao_core_tick() come here first (-Wl,--wrap): a second core applies the
 * facts of the step and must have the same digest, and every CHECK_STEPS
 * steps both recount themselves. In a durable run a third one applies only the
 * facts that a log has, as the next start will. It is also where a false
 * assertion of the broker's or the library's, and what they log, become part of
 * the run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "broker/core/digest.h"
#include "broker/core/image.h"
#include "common/check.h"
#include "common/log.h"
#include "common/poison.h"
#include "common/random.h"
#include "tests/sim/broker.h"
#include "tests/sim/count.h"
#include "tests/sim/disk.h"
#include "tests/sim/prefix.h"
#include "tests/sim/queues.h"

#define CHECK_STEPS 64u

void real_step(struct bao_core *core,
               uint64_t now_us,
               const struct bao_command *command,
               struct bao_out *out) __asm__("__real_bao_core_step");
void real_tick(struct bao_core *core,
               uint64_t now_us,
               struct bao_out *out) __asm__("__real_bao_core_tick");
void wrapped_step(struct bao_core *core,
                  uint64_t now_us,
                  const struct bao_command *command,
                  struct bao_out *out) __asm__("__wrap_bao_core_step");
void wrapped_tick(struct bao_core *core,
                  uint64_t now_us,
                  struct bao_out *out) __asm__("__wrap_bao_core_tick");
_Noreturn void wrapped_panic(const char *file,
                             int line,
                             const char *what) __asm__("__wrap_bao_panic");
void wrapped_log(
    enum bao_log_level level,
    const struct bao_log_field *fields) __asm__("__wrap_bao_log_line");
void wrapped_fill(void *data, size_t bytes) __asm__("__wrap_bao_random_fill");
uint64_t wrapped_number(void) __asm__("__wrap_bao_random_number");

/* A core that only applies facts. */
struct follower {
    struct bao_core *core;
    void *memory;
};

static struct {
    const struct bao_core *live;
    struct follower all;    /* of all facts */
    struct follower logged; /* of those that a log has; in a durable run */
    size_t memory_bytes;
    uint64_t steps;
} replay;

/* It takes over what the first one recovered. */
static void copy_image(struct bao_core *core, struct bao_core *second)
{
    static uint8_t piece[BAO_IMAGE_PIECE_BYTES];
    const char *why = "no memory for an image";
    enum baozi_status status =
        bao_image_begin(core) ? BAOZI_OK : BAOZI_NO_MEMORY;
    while (status == BAOZI_OK && bao_image_under_way(core)) {
        size_t bytes =
            bao_image_next(core, BAO_IMAGE_SLICE, piece, sizeof piece);
        if (bytes > 0) {
            status = bao_image_load(second, bao_span_of(piece, bytes), &why);
        }
    }
    if (status == BAOZI_OK) {
        status = bao_image_loaded(second, &why);
    }
    if (status != BAOZI_OK ||
        bao_core_digest(core) != bao_core_digest(second)) {
        sim_fail(sim_current, "the image of what was recovered: %s", why);
    }
}

static void follower_open(struct follower *follower,
                          struct bao_core *core,
                          const struct bao_core_config *config)
{
    struct bao_core_config second = *config;
    second.memory = mmap(NULL,
                         config->memory_bytes,
                         PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                         -1,
                         0);
    if (second.memory == MAP_FAILED ||
        bao_core_open(&second, &follower->core) != BAOZI_OK) {
        sim_fail(sim_current, "the second core does not open");
    }
    follower->memory = second.memory;
    if (sim_current->disk != NULL) {
        copy_image(core, follower->core);
    }
}

static void follower_close(struct follower *follower)
{
    bao_core_check(follower->core);
    BAO_UNPOISON(follower->memory, replay.memory_bytes);
    (void)munmap(follower->memory, replay.memory_bytes);
}

void replay_open(struct bao_core *core, const struct bao_core_config *config)
{
    replay.live = core;
    replay.memory_bytes = config->memory_bytes;
    replay.steps = 0;
    follower_open(&replay.all, core, config);
    if (sim_current->disk != NULL) {
        follower_open(&replay.logged, core, config);
    }
}

void replay_recovered(uint64_t now_us)
{
    bao_core_recovered(replay.all.core, now_us, 0);
    bao_core_recovered(replay.logged.core, now_us, 0);
}

void replay_close(void)
{
    if (replay.live == NULL) {
        return; /* the start did not come so far */
    }
    bao_core_check(replay.live);
    follower_close(&replay.all);
    if (sim_current->disk != NULL) {
        follower_close(&replay.logged);
    }
    replay.live = NULL;
}

uint64_t replay_digest(const struct bao_core *core)
{
    uint64_t digest = bao_core_digest(core);
    for (unsigned i = 0; i < SIM_QUEUES; i++) {
        if (!queue_is_kept(sim_current, i)) {
            return digest - bao_digest_core(core);
        }
    }
    return digest;
}

static void follow_fact(const struct bao_fact *fact)
{
    sim_count(sim_current, SIM_COUNT_FACT, fact->kind);
    if (fact->kind == BAO_FACT_ITEM_RETURNED ||
        fact->kind == BAO_FACT_ITEM_DEAD) {
        sim_count(sim_current, SIM_COUNT_CAUSE, fact->cause);
    }
    bao_core_apply(replay.all.core, fact);
    if (sim_current->disk != NULL && !fact->unlogged) {
        bao_core_apply(replay.logged.core, fact);
        prefix_fact(sim_current, replay_digest(replay.logged.core));
    }
}

static void follow(const struct bao_core *core, const struct bao_out *out)
{
    if (core != replay.live) {
        return;
    }
    for (size_t i = 0; i < out->fact_count; i++) {
        follow_fact(&out->facts[i]);
    }
    if (bao_core_digest(core) != bao_core_digest(replay.all.core)) {
        sim_fail(sim_current, "live state and replayed state differ");
    }
    if (++replay.steps % CHECK_STEPS == 0) {
        bao_core_check(core);
        bao_core_check(replay.all.core);
    }
}

void wrapped_step(struct bao_core *core,
                  uint64_t now_us,
                  const struct bao_command *command,
                  struct bao_out *out)
{
    real_step(core, now_us, command, out);
    follow(core, out);
}

void wrapped_tick(struct bao_core *core, uint64_t now_us, struct bao_out *out)
{
    real_tick(core, now_us, out);
    follow(core, out);
}

_Noreturn void wrapped_panic(const char *file, int line, const char *what)
{
    if (sim_current == NULL) {
        (void)fprintf(stderr, "panic: %s:%d: %s\n", file, line, what);
        abort();
    }
    sim_fail(sim_current, "assertion at %s:%d: %s", file, line, what);
}

void wrapped_log(enum bao_log_level level, const struct bao_log_field *fields)
{
    const char *why = "";
    for (const struct bao_log_field *at = fields; at->name != NULL; at++) {
        why = strcmp(at->name, "why") == 0 ? at->text : why;
    }
    sim_say(sim_current, SIM_BROKER, '=', "logs %s: %s", fields->text, why);
    bool expected = sim_current->disk != NULL && disk_fails(sim_current) &&
                    (strcmp(fields->text, "storage_failed") == 0 ||
                     strcmp(fields->text, "damaged") == 0);
    if (!expected &&
        (level == BAO_LOG_ERROR || strcmp(fields->text, "strike") == 0)) {
        sim_fail(sim_current,
                 "the broker has nothing to complain of, but logs %s: %s",
                 fields->text,
                 why);
    }
}

void wrapped_fill(void *data, size_t bytes)
{
    uint8_t *at = data;
    for (size_t i = 0; i < bytes; i++) {
        at[i] = (uint8_t)sim_number(sim_current);
    }
}

uint64_t wrapped_number(void)
{
    return sim_number(sim_current);
}
