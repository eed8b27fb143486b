/*
 * image_facts.c - see image_facts.h.
 */
#include "tests/core/image_facts.h"

#include "common/poison.h"
#include "tests/lib/unit.h"

#define DAY_US (UINT64_C(86400) * 1000 * 1000)

/* A core in memory of its own, used again and again. */
struct bao_core *image_core(unsigned which)
{
    static void *memories[2];
    struct bao_core *core = NULL;
    struct bao_core_config config = world_config();
    if (memories[which] == NULL) {
        memories[which] = aligned_alloc(4096, IMAGE_CORE_BYTES);
        assert_non_null(memories[which]);
    }
    BAO_UNPOISON(memories[which], IMAGE_CORE_BYTES);
    config.memory = memories[which];
    config.memory_bytes = IMAGE_CORE_BYTES;
    assert_int_equal(bao_core_open(&config, &core), BAOZI_OK);
    return core;
}

/* --- something of everything ---------------------------------------------- */

void image_say(struct bao_core *core, struct bao_fact fact)
{
    static uint64_t rid = 100;
    fact.time_us = fact.time_us == 0 ? T0_US + 5000 : fact.time_us;
    if (fact.verb != 0) {
        fact.rid = fact.rid == 0 ? rid : fact.rid;
        rid += 10;
    }
    fact_log_pass(&fact, core);
}

void image_make_queue(struct bao_core *core,
                      uint64_t incarnation,
                      const char *name,
                      void (*change)(struct bao_queue_options *options))
{
    struct bao_queue_options options = bao_queue_options_default();
    options.durability = BAO_LEVEL_DISK;
    change(&options);
    image_say(core,
              (struct bao_fact){.kind = BAO_FACT_QUEUE_MADE,
                                .queue = incarnation,
                                .session = 1,
                                .verb = BAO_VERB_DECLARE,
                                .name = bao_span_text(name),
                                .options = &options});
}

void image_fifo(struct bao_queue_options *options)
{
    options->dedup_window_ms = 5000;
}

static void as_priority(struct bao_queue_options *options)
{
    options->kind = BAO_KIND_PRIORITY;
    options->overflow = BAO_OVERFLOW_DROP_OLDEST;
    options->dead_ttl_ms = 1000;
}

static void as_counted(struct bao_queue_options *options)
{
    options->accounting = BAO_ACCOUNTING_COUNT;
}

static void as_memory(struct bao_queue_options *options)
{
    options->durability = BAO_LEVEL_MEMORY;
}

void image_open_sessions(struct bao_core *core)
{
    static const uint8_t names[3][BAO_CLIENT_ID_BYTES] = {"p1", "w1", "w2"};
    for (unsigned i = 0; i < 3; i++) {
        struct bao_span client = bao_span_of(names[i], BAO_CLIENT_ID_BYTES);
        image_say(core,
                  (struct bao_fact){.kind = BAO_FACT_SESSION_OPENED,
                                    .session = i + 1,
                                    .client = client,
                                    .secret = client,
                                    .host = bao_span_text("kitchen"),
                                    .name = bao_span_text("cook"),
                                    .pid = 40 + i});
    }
}

/* Five items of `fact`, whose first id is n. */
static void put(struct bao_core *core, struct bao_fact fact, uint64_t n)
{
    static const struct bao_put_item items[5] = {
        {.body = {.bytes = 100}, .priority = 0},
        {.body = {.bytes = 100}, .priority = -3},
        {.body = {.bytes = 120, .header_bytes = 20}, .priority = 7},
        {.body = {.bytes = 0}, .priority = INT32_MIN},
        {.body = {.bytes = 70000}, .priority = 7},
    };
    fact.kind = BAO_FACT_ITEM_PUT;
    fact.session = 1;
    fact.verb = BAO_VERB_PUT;
    fact.count = 5;
    fact.items = items;
    fact.first_id = ID(fact.queue, n);
    image_say(core, fact);
}

static void put_all(struct bao_core *core)
{
    put(core, (struct bao_fact){.queue = FIFO}, 1);
    put(core,
        (struct bao_fact){.queue = FIFO,
                          .group = bao_span_text("steamed"),
                          .dedup_key = bao_span_text("k1"),
                          .dedup_until_us = T0_US + DAY_US,
                          .flags = BAO_FLAG_UNIQUE | BAO_FLAG_WANT_RESULT},
        6);
    put(core,
        (struct bao_fact){.queue = FIFO,
                          .due_us = T0_US + 70000,
                          .ttl_us = T0_US + 900000,
                          .dedup_key = bao_span_text("k2"),
                          .flags = BAO_FLAG_UNIQUE,
                          .fairness_key = bao_span_text("tenant 7")},
        11);
    put(core,
        (struct bao_fact){.queue = FIFO,
                          .due_us = UINT64_C(1800000005000000),
                          .flags = BAO_FACT_WALL},
        16);
    put(core,
        (struct bao_fact){.queue = PRIORITY, .group = bao_span_text("fried")},
        1);
    put(core, (struct bao_fact){.queue = COUNTED, .flags = 0}, 1);
    put(core, (struct bao_fact){.queue = COUNTED}, 6);
}

static void lease(struct bao_core *core,
                  uint64_t queue,
                  const uint64_t *ids,
                  uint32_t count,
                  uint16_t verb)
{
    static uint64_t token;
    struct bao_fact fact = {.kind = BAO_FACT_ITEM_LEASED,
                            .queue = queue,
                            .session = verb == BAO_VERB_GET ? 2 : 3,
                            .ids = ids,
                            .count = count,
                            .until_us = T0_US + 35000,
                            .verb = verb,
                            .rid = verb == BAO_VERB_GET ? 0 : 7};
    if (queue == COUNTED) {
        fact.until_us = UINT64_MAX;
    }
    if (verb == BAO_VERB_SUBSCRIBE) {
        fact.first_id = 1;
    }
    fact.token = (UINT64_C(1) << BAO_ID_SHIFT) | (token + 1);
    token += count;
    image_say(core, fact);
}

static void
end(struct bao_core *core, uint64_t id, enum bao_fact_kind kind, uint16_t cause)
{
    image_say(
        core,
        (struct bao_fact){
            .kind = kind,
            .queue = id >> BAO_ID_SHIFT,
            .session = 2,
            .ids = &id,
            .count = 1,
            .cause = cause,
            .verb =
                cause == BAO_CAUSE_RETRIED ? BAO_VERB_RETRY : BAO_VERB_REJECT,
            .flags = kind == BAO_FACT_ITEM_DEAD ? BAO_FLAG_WANT_RESULT : 0,
            .error = bao_span_text("the bun fell on the floor")});
}

static void settle(struct bao_core *core, uint64_t id, uint16_t state)
{
    struct bao_fact fact = {.kind = BAO_FACT_ITEM_SETTLED,
                            .queue = id >> BAO_ID_SHIFT,
                            .session = 2,
                            .ids = &id,
                            .count = 1,
                            .state = state,
                            .verb = BAO_VERB_DONE};
    if (id == ID(FIFO, 6)) {
        fact.flags = BAO_FLAG_WANT_RESULT;
        fact.result.hold = 1;
        fact.result.bytes = 9;
    }
    image_say(core, fact);
}

static void answer(struct bao_core *core)
{
    static const uint64_t counts[7] = {1, 2, 3, 4, 5, 6, 7};
    struct bao_fact fact = {.kind = BAO_FACT_ANSWERED,
                            .session = 1,
                            .queue = FIFO,
                            .verb = BAO_VERB_JOIN,
                            .ids = counts,
                            .count = 7};
    image_say(core, fact);
    fact.verb = BAO_VERB_WAIT;
    fact.ids = NULL;
    fact.count = 0;
    fact.first_id = ID(FIFO, 6);
    fact.state = BAO_STATE_DONE;
    image_say(core, fact);
}

/* A redrive moves one, and is not answered yet. */
static void redrive(struct bao_core *core, uint64_t id)
{
    static const struct bao_put_item item = {.body = {.bytes = 0}};
    image_say(core,
              (struct bao_fact){.kind = BAO_FACT_ITEM_PUT,
                                .queue = id >> BAO_ID_SHIFT,
                                .session = 1,
                                .rid = 1000,
                                .count = 1,
                                .items = &item,
                                .first_id = ID(id >> BAO_ID_SHIFT, 6),
                                .origin = id});
}

struct bao_core *image_core_with_everything(void)
{
    struct bao_core *core = image_core(0);
    struct bao_out out;
    const uint64_t gone = ID(COUNTED, 2);
    image_say(core, (struct bao_fact){.kind = BAO_FACT_EPOCH, .epoch = 1});
    image_open_sessions(core);
    image_make_queue(core, FIFO, "buns", image_fifo);
    image_make_queue(core, PRIORITY, "cakes", as_priority);
    image_make_queue(core, COUNTED, "dumplings", as_counted);
    image_make_queue(core, MEMORY, "bowls", as_memory);
    put_all(core);
    lease(core, FIFO, (const uint64_t[]){1 | ID(FIFO, 0)}, 1, BAO_VERB_GET);
    lease(core,
          FIFO,
          (const uint64_t[]){ID(FIFO, 6), ID(FIFO, 7), ID(FIFO, 8)},
          3,
          BAO_VERB_GET);
    lease(core,
          PRIORITY,
          (const uint64_t[]){ID(PRIORITY, 4), ID(PRIORITY, 2)},
          2,
          BAO_VERB_SUBSCRIBE);
    lease(core,
          COUNTED,
          (const uint64_t[]){ID(COUNTED, 1), ID(COUNTED, 2)},
          2,
          BAO_VERB_GET);
    settle(core, ID(FIFO, 6), BAO_STATE_DONE);
    end(core, ID(FIFO, 7), BAO_FACT_ITEM_DEAD, BAO_CAUSE_REJECTED);
    end(core, ID(FIFO, 1), BAO_FACT_ITEM_RETURNED, BAO_CAUSE_RETRIED);
    lease(core, FIFO, (const uint64_t[]){ID(FIFO, 1)}, 1, BAO_VERB_GET);
    end(core, ID(PRIORITY, 4), BAO_FACT_ITEM_DEAD, BAO_CAUSE_REJECTED);
    redrive(core, ID(PRIORITY, 4));
    image_say(core,
              (struct bao_fact){.kind = BAO_FACT_ITEM_TAKEN,
                                .queue = COUNTED,
                                .ids = &gone,
                                .count = 1});
    image_say(core,
              (struct bao_fact){.kind = BAO_FACT_PREPAID,
                                .queue = COUNTED,
                                .count = 1,
                                .session = 2,
                                .verb = BAO_VERB_DONE_NEXT});
    answer(core);
    image_say(core,
              (struct bao_fact){.kind = BAO_FACT_SESSION_ENDED,
                                .session = 3,
                                .cause = BAO_CAUSE_DIED});
    bao_core_recovered(core, T0_US + 6000, 1);
    bao_core_tick(core, T0_US + 6000, &out);
    bao_core_check(core);
    return core;
}
