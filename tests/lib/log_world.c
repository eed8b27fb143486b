/*
 * log_world.c - the owner of log_world.h.
 */
#include "tests/lib/log_world.h"

#include <stdlib.h>

#include "common/check.h"

static uint64_t mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t log_world_draw(struct log_world *world, uint64_t below)
{
    world->random = mix(world->random);
    return world->random % below;
}

size_t log_entry_bytes(const struct log_world *world, uint64_t number)
{
    uint64_t draw = mix(number * 3 + 1);
    uint64_t large = world->large == 0 ? 64 : world->large;
    uint64_t bytes = draw % large == 0 ? world->bytes_max : 200;
    return 8 + (size_t)(mix(draw) %
                        (bytes < world->bytes_max ? bytes : world->bytes_max));
}

void log_entry_fill(uint64_t number, uint8_t *data, size_t bytes)
{
    uint64_t value = number;
    for (size_t i = 0; i < bytes; i++) {
        if (i % 8 == 0)
            value = i == 0 ? number : mix(value);
        data[i] = (uint8_t)(value >> 8 * (i % 8));
    }
}

void log_world_init(struct log_world *world,
                    uint64_t seed,
                    uint64_t segment_bytes)
{
    *world = (struct log_world){
        .liar = liar_new(seed),
        .random = seed,
        .next = 1,
        .bytes_max = segment_bytes / 4,
    };
    world->config = (struct bao_log_config){
        .storage = liar_storage(world->liar),
        .folder = "liar",
        .segment_bytes = segment_bytes,
        .segments_max = 256,
        .buffer_bytes = 4096,
    };
}

void log_world_fini(struct log_world *world)
{
    if (world->log != NULL)
        bao_log_abandon(world->log);
    liar_free(world->liar);
    free(world->lsns);
    free(world->config.executor.context);
}

void log_world_copy(const struct log_world *world, struct log_world *copy)
{
    BAO_ASSERT(world->log == NULL);
    *copy = *world;
    copy->liar = liar_copy(world->liar);
    copy->config.storage = liar_storage(copy->liar);
    copy->config.executor = (struct bao_log_executor){0};
    copy->lsns = NULL;
    copy->lsn_room = 0;
}

/* --- slow jobs --- */

struct slow {
    struct log_world *world;
    struct bao_log_job *job[BAO_LOG_LANE_COUNT]; /* taken */
    bool ran[BAO_LOG_LANE_COUNT];
};

static void step_lane(struct slow *slow, size_t lane)
{
    struct bao_log_jobs *jobs = slow->world->jobs;
    struct bao_log_job *job = slow->job[lane];
    if (job == NULL) {
        slow->job[lane] = bao_log_job_take(jobs, (enum bao_log_lane)lane);
        slow->ran[lane] = false;
    } else if (!slow->ran[lane]) {
        bao_log_job_run(job);
        slow->ran[lane] = true;
    } else {
        slow->job[lane] = NULL;
        bao_log_job_end(jobs, job);
    }
}

static int slow_start(void *context, struct bao_log_jobs *jobs)
{
    struct slow *slow = context;
    slow->world->jobs = jobs;
    memset(slow->job, 0, sizeof slow->job);
    return 0;
}

static void slow_wake(void *context, enum bao_log_lane lane)
{
    (void)context;
    (void)lane;
}

static void slow_wait(void *context, enum bao_log_lane lane)
{
    struct slow *slow = context;
    while (!bao_log_job_is_settled(slow->world->jobs, lane))
        step_lane(slow, lane);
}

static void slow_stop(void *context)
{
    struct slow *slow = context;
    for (size_t i = 0; i < BAO_LOG_LANE_COUNT; i++) {
        if (slow->job[i] != NULL) {
            if (!slow->ran[i])
                bao_log_job_run(slow->job[i]);
            bao_log_job_end(slow->world->jobs, slow->job[i]);
        }
    }
    slow->world->jobs = NULL;
}

void log_world_slow(struct log_world *world, uint32_t laziness)
{
    struct slow *slow = calloc(1, sizeof *slow);
    BAO_ASSERT(slow != NULL && world->config.executor.context == NULL);
    slow->world = world;
    world->laziness = laziness;
    world->config.executor = (struct bao_log_executor){
        .context = slow,
        .start = slow_start,
        .wake = slow_wake,
        .wait = slow_wait,
        .stop = slow_stop,
    };
}

static void run_slow(struct log_world *world)
{
    struct slow *slow = world->config.executor.context;
    uint32_t steps = world->steps == 0 ? 1 : world->steps;
    for (size_t i = 0; slow != NULL && i < BAO_LOG_LANE_COUNT; i++) {
        if (log_world_draw(world, world->laziness) != 0)
            continue;
        for (uint32_t k = 0; k < steps; k++)
            step_lane(slow, i);
    }
}

/* --- what comes back --- */

static bool
is_right(const struct log_world *world, uint64_t number, struct bao_span data)
{
    size_t bytes = log_entry_bytes(world, number);
    uint8_t *want = malloc(bytes);
    BAO_ASSERT(want != NULL);
    log_entry_fill(number, want, bytes);
    bool right = bao_span_equal(data, bao_span_of(want, bytes));
    free(want);
    return right;
}

static enum baozi_status take_record(void *context,
                                     const struct bao_log_record *record)
{
    struct log_world *world = context;
    if (record->kind == BAO_RECORD_COPY) {
        world->copies++;
        return BAOZI_OK;
    }
    if (record->index <= world->loaded)
        return BAOZI_OK; /* in the image */
    BAO_ASSERT(record->index == world->replayed + 1);
    BAO_ASSERT(is_right(world, record->index, record->data));
    world->replayed = record->index;
    return BAOZI_OK;
}

static enum baozi_status take_piece(void *context, struct bao_span piece)
{
    struct log_world *world = context;
    BAO_ASSERT(piece.bytes >= 8);
    uint64_t number = bao_load64(piece.data);
    BAO_ASSERT(number == world->loaded + 1);
    world->loaded = number;
    return BAOZI_OK;
}

static void move_nothing(void *context, const struct bao_log_record *record)
{
    (void)context;
    (void)record;
}

static void hear_damage(void *context, const struct bao_log_report *report)
{
    (void)context;
    BAO_ASSERT(report == NULL); /* nobody damaged anything */
}

enum baozi_status log_world_open(struct log_world *world)
{
    BAO_ASSERT(world->log == NULL);
    world->config.seed = log_world_draw(world, UINT64_MAX);
    world->replayed = 0;
    world->loaded = 0;
    world->copies = 0;
    enum baozi_status status =
        bao_log_open(&world->config, &world->log, &world->report);
    if (status != BAOZI_OK) {
        world->log = NULL;
        return status;
    }
    status =
        bao_log_checkpoint_load(world->log, take_piece, world, &world->report);
    world->replayed = world->loaded;
    if (status == BAOZI_OK)
        status = bao_log_replay(world->log, take_record, world, &world->report);
    if (status != BAOZI_OK) {
        bao_log_abandon(world->log);
        world->log = NULL;
        return status;
    }
    /* The promise. */
    BAO_ASSERT(world->replayed >= world->safe);
    BAO_ASSERT(world->replayed < world->next);
    world->safe = world->replayed;
    world->next = world->replayed + 1;
    bao_log_serve(world->log,
                  &(struct bao_log_owner){.context = world,
                                          .move = move_nothing,
                                          .damaged = hear_damage},
                  world->now_us);
    return BAOZI_OK;
}

/* --- doing --- */

static void remember(struct log_world *world, uint64_t number, uint64_t lsn)
{
    if (number > world->lsn_room) {
        world->lsn_room = number * 2 + 64;
        world->lsns =
            realloc(world->lsns, world->lsn_room * sizeof *world->lsns);
        BAO_ASSERT(world->lsns != NULL);
    }
    world->lsns[number - 1] = lsn;
}

static bool put_one(struct log_world *world)
{
    size_t bytes = log_entry_bytes(world, world->next);
    uint8_t *data = malloc(bytes);
    struct bao_log_place place;
    BAO_ASSERT(data != NULL);
    log_entry_fill(world->next, data, bytes);
    size_t first = bytes / 3;
    struct bao_span spans[2] = {bao_span_of(data, first),
                                bao_span_of(data + first, bytes - first)};
    enum baozi_status status =
        bao_log_append(world->log,
                       &(struct bao_log_entry){.kind = BAO_RECORD_ENTRY,
                                               .group = 7,
                                               .index = world->next,
                                               .term = 3,
                                               .queue = 5,
                                               .spans = spans,
                                               .span_count = 2},
                       &place);
    free(data);
    if (status != BAOZI_OK)
        return false;
    remember(world, world->next++, place.lsn);
    return true;
}

bool log_world_put(struct log_world *world, uint64_t count)
{
    bool good = true;
    for (uint64_t i = 0; i < count && good; i++)
        good = put_one(world);
    return good;
}

void log_world_turn(struct log_world *world, uint64_t us)
{
    bao_log_write(world->log, world->now_us, false);
    world->now_us += us;
    run_slow(world);
    bao_log_turn(world->log, world->now_us);
    (void)bao_log_look(world->log, world->now_us);
    uint64_t synced = bao_log_marks(world->log).synced;
    while (world->safe + 1 < world->next && world->lsns[world->safe] <= synced)
        world->safe++;
}

bool log_world_checkpoint(struct log_world *world)
{
    uint8_t piece[600] = {0};
    enum bao_log_checkpoint_state state = BAO_LOG_CHECKPOINT_WRITING;
    enum baozi_status status = BAOZI_QUOTA;
    for (int i = 0; i < 1000 && status == BAOZI_QUOTA; i++) {
        status = bao_log_checkpoint_begin(world->log, world->next - 1);
        if (status == BAOZI_QUOTA)
            log_world_turn(world, 1000); /* the ballast is under way */
    }
    if (status != BAOZI_OK)
        return false;
    for (uint64_t i = 1; i < world->next; i++) {
        size_t bytes = 8 + mix(i) % 500;
        while (bao_log_checkpoint_room(world->log) < bytes &&
               state == BAO_LOG_CHECKPOINT_WRITING) {
            log_world_turn(world, 1000);
            state = bao_log_checkpoint_state(world->log);
        }
        if (state != BAO_LOG_CHECKPOINT_WRITING || bao_log_failed(world->log))
            break;
        bao_store64(piece, i);
        bao_log_checkpoint_write(world->log, bao_span_of(piece, bytes));
    }
    if (state == BAO_LOG_CHECKPOINT_WRITING)
        bao_log_checkpoint_end(world->log);
    for (int i = 0;
         i < 1000 && state != BAO_LOG_CHECKPOINT_NONE &&
         state != BAO_LOG_CHECKPOINT_GIVEN_UP && !bao_log_failed(world->log);
         i++) {
        log_world_turn(world, 1000);
        state = bao_log_checkpoint_state(world->log);
    }
    return state == BAO_LOG_CHECKPOINT_NONE;
}

enum baozi_status log_world_close(struct log_world *world)
{
    enum baozi_status status = bao_log_close(world->log);
    world->log = NULL;
    if (status == BAOZI_OK)
        world->safe = world->next - 1;
    return status;
}

void log_world_kill(struct log_world *world)
{
    if (world->log != NULL)
        bao_log_abandon(world->log);
    world->log = NULL;
    liar_kill(world->liar);
}

void log_world_cut(struct log_world *world, enum liar_cut cut)
{
    if (world->log != NULL)
        bao_log_abandon(world->log);
    world->log = NULL;
    liar_cut_power(world->liar, cut);
}
