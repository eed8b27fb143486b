/*
 * demo_verdict.c - what the demo says at its end, and whether all of it is as
 * it must be: from the lines that were seen and from the broker's own counts.
 */
#include <stdio.h>
#include <sys/wait.h>

#include "cli/demo.h"

struct verdict {
    unsigned made, eaten, twice, lost; /* different items */
    bool joined;  /* no cook returned before the last task_done */
    bool settled; /* the broker says so too */
    bool killed;  /* all that --kill promises, or it was not asked for */
    bool good;
};

static bool cook_was_right(const struct demo_cook *cook)
{
    return cook->returned && cook->uneaten == 0 && !cook->early &&
           cook->process.pid == 0 && WIFEXITED(cook->process.status) &&
           WEXITSTATUS(cook->process.status) == 0;
}

static struct verdict judge(struct demo *demo)
{
    struct verdict verdict = {.joined = true};
    struct baozi_queue_stat stat = {.size = sizeof stat};
    /* The bun lies in the basket until the other eater has finished its
     * own. */
    uint64_t most_us = 1000000 + (demo->real_time ? 3000000u : 300000u);
    for (size_t i = 0; i < demo->item_count; i++) {
        const struct demo_item *item = &demo->items[i];
        verdict.made += item->made == 1 ? 1 : 0;
        verdict.eaten += item->eaten > 0 ? 1 : 0;
        verdict.twice += item->eaten > 1 ? 1 : 0;
        verdict.lost += item->eaten == 0 ? 1 : 0;
    }
    for (size_t i = 0; i < DEMO_COOKS; i++)
        verdict.joined = verdict.joined && cook_was_right(&demo->cooks[i]);
    unsigned all = DEMO_COOKS * DEMO_EACH;
    verdict.settled =
        baozi_stat(demo->cli->client, demo->queue, &stat) == BAOZI_OK &&
        stat.unfinished == 0 && stat.done == all && stat.dead == 0;
    bool killing = demo->kill != DEMO_KILL_OFF;
    verdict.killed =
        !killing || (demo->kill == DEMO_KILL_TAKEN &&
                     demo->returned_us < 1000000 && demo->taken_us < most_us);
    verdict.good = verdict.made == all && verdict.eaten == all &&
                   demo->item_count == all && verdict.lost == 0 &&
                   demo->made == all && (killing || verdict.twice == 0) &&
                   demo->strange == 0 && verdict.joined && verdict.settled &&
                   verdict.killed;
    return verdict;
}

static void say_killed(const struct demo *demo)
{
    if (demo->kill != DEMO_KILL_TAKEN) {
        (void)printf("no eater was seen to die and to be replaced\n");
        return;
    }
    (void)printf("%s came back %llu ms after its eater was killed, and "
                 "another eater had it after %llu ms\n",
                 demo->bun,
                 (unsigned long long)(demo->returned_us / 1000),
                 (unsigned long long)(demo->taken_us / 1000));
}

int demo_verdict(struct demo *demo)
{
    struct verdict verdict = judge(demo);
    bool killing = demo->kill != DEMO_KILL_OFF;
    int exit_code = verdict.good ? BAO_EXIT_OK : BAO_EXIT_NEGATIVE;
    if (cli_json(demo->cli)) {
        json_t *object = json_pack("{s:i,s:i,s:i,s:i,s:b,s:b}",
                                   "made",
                                   (int)verdict.made,
                                   "eaten",
                                   (int)verdict.eaten,
                                   "eaten_twice",
                                   (int)verdict.twice,
                                   "lost",
                                   (int)verdict.lost,
                                   "joined",
                                   verdict.joined,
                                   "good",
                                   verdict.good);
        if (killing)
            (void)json_object_set_new(
                object, "handed_on_ms", cli_json_number(demo->taken_us / 1000));
        int printed = cli_print_json(demo->cli, object, false);
        return printed != BAO_EXIT_OK ? printed : exit_code;
    }
    if (killing)
        say_killed(demo);
    (void)printf("%u made, %u eaten, %u lost, %u eaten twice\n",
                 verdict.made,
                 verdict.eaten,
                 verdict.lost,
                 verdict.twice);
    (void)printf("%s\n",
                 verdict.joined && verdict.settled
                     ? "every cook returned from join after the last task_done"
                     : "NOT every cook returned from join as it must");
    if (!verdict.good)
        (void)bao_complain(demo->cli->name,
                           exit_code,
                           "the kitchen did not do what it must",
                           "the counts above are not those of the tutorial",
                           "run it again with --format json, and tell us");
    return exit_code;
}
