/*
 * run_builtin.c - small ways to work that need nothing: the tutorial's eater,
 * an echo, upper case, sleep.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/text.h"
#include "worker/runner.h"

struct builtin {
    const struct bao_worker_settings *settings;
    uint8_t *result; /* of upper */
};

static int builtin_begin(const struct bao_worker_settings *settings,
                         void **state,
                         char *error,
                         size_t error_bytes)
{
    struct builtin *builtin = calloc(1, sizeof *builtin);
    if (builtin == NULL) {
        (void)snprintf(error, error_bytes, "memory ran out");
        return 1;
    }
    builtin->settings = settings;
    *state = builtin;
    return 0;
}

static void builtin_end(void *state)
{
    struct builtin *builtin = state;
    free(builtin->result);
    free(builtin);
}

static void sleep_ms(uint64_t ms)
{
    struct timespec rest = {.tv_sec = (time_t)(ms / 1000),
                            .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&rest, &rest) != 0)
        ;
}

/* The tutorial's consumer: sleeps, then says what was eaten. */
static void eat(const struct builtin *builtin, const struct bao_task *task)
{
    char what[256];
    char line[320];
    sleep_ms(bao_range_draw(builtin->settings->takes));
    (void)bao_write_escaped(what, sizeof what, task->payload, task->bytes);
    int bytes =
        snprintf(line, sizeof line, "%d eats %s\n", (int)getpid(), what);
    if (bytes > 0 && write(STDOUT_FILENO, line, (size_t)bytes) < 0)
        (void)fprintf(stderr, "%s", line); /* it was eaten all the same */
}

/* Sleeps as long as the payload says, else as --sleep says. */
static void sleep_for(const struct builtin *builtin,
                      const struct bao_task *task)
{
    char text[32] = "";
    uint64_t ms;
    if (task->bytes < sizeof text)
        memcpy(text, task->payload, task->bytes);
    sleep_ms(bao_read_duration(text, &ms)
                 ? ms
                 : bao_range_draw(builtin->settings->takes));
}

static void upper(struct builtin *builtin,
                  const struct bao_task *task,
                  struct bao_answer *answer)
{
    free(builtin->result);
    builtin->result = malloc(task->bytes + 1);
    if (builtin->result == NULL) {
        answer->outcome = BAO_OUTCOME_RETRY;
        (void)snprintf(answer->error,
                       sizeof answer->error,
                       "no upper case: memory ran out; use smaller items");
        return;
    }
    for (size_t i = 0; i < task->bytes; i++)
        builtin->result[i] = (uint8_t)toupper(task->payload[i]);
    answer->has_result = 1;
    answer->result = builtin->result;
    answer->result_bytes = task->bytes;
}

static void
builtin_run(void *state, const struct bao_task *task, struct bao_answer *answer)
{
    struct builtin *builtin = state;
    switch ((enum bao_builtin)builtin->settings->builtin) {
    case BAO_BUILTIN_EATER: eat(builtin, task); break;
    case BAO_BUILTIN_ECHO:
        answer->has_result = 1;
        answer->result = task->payload;
        answer->result_bytes = task->bytes;
        break;
    case BAO_BUILTIN_UPPER: upper(builtin, task, answer); break;
    case BAO_BUILTIN_SLEEP: sleep_for(builtin, task); break;
    }
}

const struct bao_handler bao_builtin_handler = {.begin = builtin_begin,
                                                .run = builtin_run,
                                                .end = builtin_end};
