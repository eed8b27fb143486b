/*
 * fake_core.h - a core that notes what it is asked, in fake_core, and answers
 * with what the test wrote down there.
 *
 * It takes the place of the real one, so the test program itself holds it:
 * from an archive the linker might take the real one. One file of a program
 * includes it.
 */
#ifndef BAO_TESTS_FAKE_CORE_H
#define BAO_TESTS_FAKE_CORE_H

#include "tests/lib/gateway_world.h"

static void hand_out(struct bao_out *out)
{
    *out = (struct bao_out){.facts = fake_core.facts,
                            .fact_count = fake_core.fact_count,
                            .effects = fake_core.effects,
                            .effect_count = fake_core.effect_count};
    fake_core.fact_count = 0;
    fake_core.effect_count = 0;
}

void bao_core_step(struct bao_core *core,
                   uint64_t now_us,
                   const struct bao_command *command,
                   struct bao_out *out)
{
    (void)now_us;
    core->steps++;
    core->last_kind = command->kind;
    core->last_peer = command->peer;
    core->last_hold = command->hold;
    core->last_random = false;
    for (size_t i = 0; i < sizeof command->random; i++)
        core->last_random |= command->random[i] != 0;
    if (command->operation != NULL) {
        core->last_verb = command->operation->verb;
        core->last_flags = command->operation->flags;
        /* A test's facts and effects name the hold of this very step. */
        for (size_t i = 0; i < core->effect_count; i++)
            core->effects[i].hold = command->hold;
    }
    hand_out(out);
}

void bao_core_tick(struct bao_core *core, uint64_t now_us, struct bao_out *out)
{
    (void)now_us;
    core->ticks++;
    hand_out(out);
}

uint64_t bao_core_waiting(const struct bao_core *core)
{
    (void)core;
    return 0;
}

uint64_t bao_core_deadline(const struct bao_core *core)
{
    (void)core;
    return 100;
}

#endif
