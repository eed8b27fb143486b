/*
 * tell.c - what clients ask and are told, in words.
 */
#include "tests/sim/tell.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/queues.h"

#define NUMBER_MASK ((UINT64_C(1) << 20) - 1)

struct line {
    char text[240];
    size_t bytes;
};

static void __attribute__((format(printf, 2, 3)))
add(struct line *line, const char *format, ...)
{
    va_list list;
    size_t left = sizeof line->text - line->bytes;
    va_start(list, format);
    int more = vsnprintf(line->text + line->bytes, left, format, list);
    va_end(list);
    line->bytes += (size_t)more < left ? (size_t)more : left - 1;
}

/* Ids and tokens begin anew in each life of the broker: life.number. */
const char *tell_id(uint64_t id)
{
    static char text[4][40];
    static unsigned at;
    uint64_t number = id & ((UINT64_C(1) << BAO_ID_SHIFT) - 1);
    at = (at + 1) % 4;
    (void)snprintf(text[at],
                   sizeof text[at],
                   "%llu/%llu.%llu",
                   (unsigned long long)(id >> BAO_ID_SHIFT),
                   (unsigned long long)(number >> 20),
                   (unsigned long long)(number & NUMBER_MASK));
    return text[at];
}

static void lower(struct line *line, const char *name)
{
    for (; *name != '\0'; name++) {
        add(line, "%c", *name >= 'A' && *name <= 'Z' ? *name + 32 : *name);
    }
}

static void add_number(struct line *line, const char *word, uint64_t number)
{
    if (number != 0) {
        add(line, " %s %llu", word, (unsigned long long)number);
    }
}

static void add_flags(struct line *line, const struct history_op *op)
{
    static const struct {
        uint64_t flag;
        const char *word;
    } words[] = {{BAO_FLAG_ATOMIC, "many"},
                 {BAO_FLAG_UNIQUE, "unique"},
                 {BAO_FLAG_WANT_RESULT, "want_result"},
                 {BAO_FLAG_AUTO, "auto"},
                 {BAO_FLAG_FORCE, "force"},
                 {BAO_FLAG_IMMEDIATE, "immediate"},
                 {BAO_FLAG_DEAD, "with_dead"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if ((op->flags & words[i].flag) != 0) {
            add(line, " %s", words[i].word);
        }
    }
}

void tell_asked(struct sim *sim, uint64_t index)
{
    static const char *const scopes[] = {"queue", "group", "mine", "up_to"};
    const struct history_op *op = &sim->history->ops[index];
    struct line line = {.bytes = 0};
    add(&line, "#%llu ", (unsigned long long)index);
    lower(&line, bao_verb_name(op->verb));
    if (op->queue < SIM_QUEUES) {
        add(&line, " %s", sim_queues[op->queue].name);
    }
    if (op->count > 0) {
        add(&line, " p%llu", (unsigned long long)op->first_payload);
        if (op->count > 1) {
            add(&line,
                "..%llu",
                (unsigned long long)(op->first_payload + op->count - 1));
        }
    }
    if (op->id != 0) {
        add(&line, " %s", tell_id(op->id));
    }
    if (op->token != 0) {
        add(&line, " token %s", tell_id(op->token));
    }
    if (op->verb == BAO_VERB_JOIN) {
        add(&line, " %s", scopes[op->scope]);
    }
    add_flags(&line, op);
    add_number(&line, "group g", op->group);
    add_number(&line, "key", op->key);
    add_number(&line, "delay", op->delay_ms);
    add_number(&line, "ttl", op->ttl_ms);
    add_number(&line, "limit", op->limit);
    add_number(&line, "lease", op->lease_ms);
    if (op->priority != 0) {
        add(&line, " priority %d", (int)op->priority);
    }
    if (op->wait_ms == 0) {
        add(&line, " try");
    } else if (op->wait_ms != SIM_NEVER) {
        add_number(&line, "wait", op->wait_ms);
    }
    sim_say(sim, SIM_PARTY(op->client), '>', "%s", line.text);
}

static void add_answer(struct line *line, const struct history_op *op)
{
    switch (op->verb) {
    case BAO_VERB_PUT: add(line, " %s", tell_id(op->told_id)); break;
    case BAO_VERB_JOIN:
        add(line,
            " done %llu dead %llu expired %llu cancelled %llu dropped %llu "
            "purged %llu",
            (unsigned long long)op->counts[0],
            (unsigned long long)op->counts[1],
            (unsigned long long)op->counts[2],
            (unsigned long long)op->counts[3],
            (unsigned long long)op->counts[4],
            (unsigned long long)op->counts[5]);
        break;
    case BAO_VERB_WAIT: add(line, " %s", bao_state_name(op->told_state)); break;
    case BAO_VERB_STAT:
        if (op->stat != NULL) {
            add(line,
                " ready %llu leased %llu delayed %llu dead %llu unfinished "
                "%llu accepted %llu",
                (unsigned long long)op->stat->ready,
                (unsigned long long)op->stat->leased,
                (unsigned long long)op->stat->delayed,
                (unsigned long long)op->stat->dead,
                (unsigned long long)op->stat->unfinished,
                (unsigned long long)op->stat->accepted);
        }
        break;
    case BAO_VERB_REDRIVE: add_number(line, "moved", op->told_count); break;
    case BAO_VERB_DONE_NEXT:
        if (op->told_id != 0) {
            add(line, " %s", tell_id(op->told_id));
        }
        break;
    default: break;
    }
}

void tell_told(struct sim *sim, uint64_t index)
{
    const struct history_op *op = &sim->history->ops[index];
    struct line line = {.bytes = 0};
    add(&line, "#%llu ", (unsigned long long)index);
    lower(&line, bao_verb_name(op->verb));
    add(&line, " %s", baozi_status_name((enum baozi_status)op->status));
    if (op->status == BAOZI_OK) {
        add_answer(&line, op);
    }
    if ((op->told_flags & BAO_FLAG_DUPLICATE) != 0) {
        add(&line, " duplicate");
    }
    if ((op->told_flags & BAO_FLAG_ASKED) != 0) {
        add(&line, " asked");
    }
    sim_say(sim, SIM_PARTY(op->client), '<', "%s", line.text);
}

void tell_delivered(struct sim *sim, uint64_t index)
{
    const struct history_delivery *delivery = &sim->history->deliveries[index];
    sim_say(sim,
            SIM_PARTY(delivery->client),
            '<',
            "#%llu gets %s p%llu token %s, %u. time",
            (unsigned long long)delivery->op,
            tell_id(delivery->id),
            (unsigned long long)delivery->payload,
            tell_id(delivery->token),
            delivery->deliveries);
}
