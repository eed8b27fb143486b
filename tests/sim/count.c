/*
 * count.c - counts of one run, and their sums over a suite.
 */
#include "tests/sim/count.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/core/fact.h"
#include "common/baozi.h"

#define NUMBERS_MAX 64u

struct sim_counts {
    uint64_t rows[SIM_COUNT_KINDS][NUMBERS_MAX];
};

static struct sim_counts sums;

/* What no run can reach: verbs and statuses that need a disk, keys, another
 * version, or a program around the dialogue. */
static const uint8_t never_statuses[] = {BAOZI_DENIED,
                                         BAOZI_STORAGE_FULL,
                                         BAOZI_STORAGE_FAILED,
                                         BAOZI_NOT_LEADER,
                                         BAOZI_BAD_VERSION,
                                         BAOZI_INTERRUPTED,
                                         BAOZI_CLOSED,
                                         BAOZI_NO_MEMORY};

struct sim_counts *sim_counts_open(void)
{
    struct sim_counts *counts = calloc(1, sizeof *counts);
    if (counts == NULL) {
        abort();
    }
    return counts;
}

void sim_count(struct sim *sim, enum sim_count_kind kind, uint64_t number)
{
    if (number < NUMBERS_MAX) {
        sim->counts->rows[kind][number]++;
    }
}

void sim_counts_gather(const struct sim *sim)
{
    for (unsigned kind = 0; kind < SIM_COUNT_KINDS; kind++) {
        for (unsigned i = 0; i < NUMBERS_MAX; i++) {
            sums.rows[kind][i] += sim->counts->rows[kind][i];
        }
    }
}

/* --- what must have happened ---------------------------------------------- */

struct report {
    bool all; /* print every row, not only what is missing */
    bool durable;
    bool good;
};

static void row(struct report *report, const char *name, uint64_t count)
{
    if (count == 0) {
        report->good = false;
        (void)printf("# never happened: %s\n", name);
    } else if (report->all) {
        (void)printf("# %10" PRIu64 "  %s\n", count, name);
    }
}

static void rows_named(struct report *report)
{
    static const char *const names[] = {
#define X(NAME, text) text,
        SIM_COUNT_TABLE(X)
#undef X
    };
    unsigned end = report->durable ? SIM_LAST_DURABLE : SIM_LAST_COUNT;
    for (unsigned i = 0; i < end; i++) {
        if (i != SIM_LAST_COUNT) {
            row(report, names[i], sums.rows[SIM_COUNT_NAMED][i]);
        }
    }
}

static void rows_verbs(struct report *report)
{
    static const uint64_t verbs[] = {
#define X(number, NAME, required, optional, answer) number,
        BAO_VERB_TABLE(X)
#undef X
    };
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        char name[80];
        uint64_t required;
        uint64_t optional;
        uint64_t answer;
        (void)bao_verb_keys(verbs[i], &required, &optional, &answer);
        bool asked = verbs[i] < BAO_VERB_DELIVER;
        bool told = !asked || (required & BAO_BIT(RID)) != 0;
        if (asked) {
            (void)snprintf(
                name, sizeof name, "%s asked", bao_verb_name(verbs[i]));
            row(report, name, sums.rows[SIM_COUNT_ASKED][verbs[i]]);
        }
        /* A subscription ends with everything but OK. */
        if (told && verbs[i] != BAO_VERB_SUBSCRIBE) {
            (void)snprintf(
                name, sizeof name, "%s told", bao_verb_name(verbs[i]));
            row(report, name, sums.rows[SIM_COUNT_TOLD][verbs[i]]);
        }
    }
}

static bool is_storage(uint8_t status)
{
    return status == BAOZI_STORAGE_FULL || status == BAOZI_STORAGE_FAILED;
}

static void rows_statuses(struct report *report)
{
    static const uint8_t statuses[] = {
#define X(number, NAME, exit, happened, advice) (number),
        BAOZI_STATUS_TABLE(X)
#undef X
    };
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        bool never = false;
        for (size_t k = 0; k < sizeof never_statuses; k++) {
            never |= never_statuses[k] == statuses[i];
        }
        never = never && !(report->durable && is_storage(statuses[i]));
        if (!never) {
            row(report,
                baozi_status_name((enum baozi_status)statuses[i]),
                sums.rows[SIM_COUNT_STATUS][statuses[i]]);
        }
    }
}

static void rows_facts(struct report *report)
{
    static const struct {
        uint8_t cause;
        const char *name;
    } causes[] = {{BAO_CAUSE_RELEASED, "items released"},
                  {BAO_CAUSE_BYE, "items returned by BYE"},
                  {BAO_CAUSE_CANCELLED, "items returned by a cancelled get"},
                  {BAO_CAUSE_UNSTARTED, "items returned unstarted"},
                  {BAO_CAUSE_RETRIED, "items retried"},
                  {BAO_CAUSE_LEASE_ENDED, "leases that ran out"},
                  {BAO_CAUSE_DIED, "items returned by a death"},
                  {BAO_CAUSE_REJECTED, "items rejected"},
                  {BAO_CAUSE_SHUTDOWN, "items dead by a shutdown"}};
    static const struct {
        uint8_t kind;
        const char *name;
    } kinds[] = {{BAO_FACT_SESSION_REVIVED, "sessions revived"},
                 {BAO_FACT_SESSION_FORGOTTEN, "sessions forgotten"},
                 {BAO_FACT_ITEM_READY, "delays that ran out"},
                 {BAO_FACT_ITEM_TAKEN, "items taken by BYE"},
                 {BAO_FACT_ITEM_DEAD, "items dead"},
                 {BAO_FACT_DEAD_FORGOTTEN, "dead items forgotten"},
                 {BAO_FACT_CANCEL_ASKED, "cancels asked of a holder"},
                 {BAO_FACT_PREPAID, "task_dones ahead of their item"},
                 {BAO_FACT_OUTCOME_FORGOTTEN, "outcomes forgotten"},
                 {BAO_FACT_GROUP_FORGOTTEN, "groups forgotten"},
                 {BAO_FACT_DEDUP_FORGOTTEN, "dedup keys forgotten"}};
    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
        row(report,
            causes[i].name,
            sums.rows[SIM_COUNT_CAUSE][causes[i].cause]);
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        row(report, kinds[i].name, sums.rows[SIM_COUNT_FACT][kinds[i].kind]);
    }
}

bool sim_counts_print(bool all, bool durable)
{
    struct report report = {.all = all, .durable = durable, .good = true};
    rows_named(&report);
    rows_verbs(&report);
    rows_statuses(&report);
    rows_facts(&report);
    return report.good;
}
