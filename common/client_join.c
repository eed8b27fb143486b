/*
 * client_join.c - join, wait for an outcome, cancel an item.
 */
#include <stdlib.h>

#include "common/client_inside.h"
#include "common/texts.h"
#include "common/utf8.h"

/* --- join --------------------------------------------------------------- */

static void take_counts(struct bao_engine *e,
                        struct bao_call *call,
                        const struct bao_operation *answer,
                        const struct bao_message *message)
{
    (void)e;
    (void)message;
    struct baozi_counts *counts = call->result;
    if (counts == NULL) {
        return;
    }
    *counts = (struct baozi_counts){.unfinished = answer->unfinished,
                                    .done = answer->done,
                                    .dead = answer->dead,
                                    .expired = answer->expired,
                                    .cancelled = answer->cancelled,
                                    .dropped = answer->dropped,
                                    .purged = answer->purged};
    size_t offset = 0;
    struct bao_span text;
    while (bao_has(answer, BAO_BIT(ERRORS)) &&
           counts->error_count < BAO_JOIN_ERRORS_MAX &&
           bao_texts_next(answer->errors, &offset, &text)) {
        char *error = counts->errors[counts->error_count++];
        bao_copy_text(error, sizeof counts->errors[0], bao_text_cut(text, 255));
    }
}

static const char *check_join(const char *queue,
                              enum baozi_scope scope,
                              const char *group,
                              int64_t wait_ms)
{
    const char *why = bao_check_queue(queue);
    why = why != NULL ? why : bao_check_wait(wait_ms);
    if (why == NULL && (unsigned)scope > BAOZI_SCOPE_UP_TO) {
        why = "there is no such scope";
    }
    if (why == NULL && (scope == BAOZI_SCOPE_GROUP) != (group != NULL)) {
        why = "a group is given for the scope of a group, and only then";
    }
    if (why == NULL && group != NULL &&
        !bao_name_valid(bao_span_text(group), BAO_GROUP_NAME_BYTES_MAX)) {
        why = "a group's name has 1 to 200 bytes of UTF-8 and no control "
              "characters";
    }
    return why;
}

enum baozi_status baozi_join(struct baozi *client,
                             const char *queue,
                             enum baozi_scope scope,
                             const char *group,
                             int64_t wait_ms,
                             struct baozi_counts *counts)
{
    struct bao_call call;
    const char *why = check_join(queue, scope, group, wait_ms);
    bao_call_init(&call, BAO_VERB_JOIN, "join", why == NULL ? queue : NULL);
    if (why != NULL) {
        return bao_client_refuse(client, &call, why);
    }
    struct bao_operation *op = &call.request.operation;
    if (scope != BAOZI_SCOPE_QUEUE) {
        BAO_SET(op, SCOPE, scope, (uint64_t)scope);
    }
    if (group != NULL) {
        BAO_SET(op, GROUP, group, bao_span_text(group));
    }
    call.take = take_counts;
    call.result = counts;
    return bao_call_run(client, &call, wait_ms);
}

/* --- wait --------------------------------------------------------------- */

static void take_outcome(struct bao_engine *e,
                         struct bao_call *call,
                         const struct bao_operation *answer,
                         const struct bao_message *message)
{
    (void)e;
    struct baozi_outcome *outcome = call->result;
    struct bao_letter letter;
    if (call->status != BAOZI_OK) {
        return;
    }
    outcome->state = (enum baozi_state)answer->state;
    if (bao_has(answer, BAO_BIT(ERROR))) {
        bao_copy_text(outcome->error, sizeof outcome->error, answer->error);
    }
    if (!bao_message_letter(message, answer, &letter)) {
        call->status = BAOZI_CONNECTION_LOST;
        return;
    }
    if (letter.payload.bytes == 0) {
        return;
    }
    void *result = malloc(letter.payload.bytes);
    if (result == NULL) {
        call->status = BAOZI_NO_MEMORY;
        return;
    }
    memcpy(result, letter.payload.data, letter.payload.bytes);
    outcome->result = result;
    outcome->bytes = letter.payload.bytes;
}

enum baozi_status baozi_wait(struct baozi *client,
                             uint64_t id,
                             int64_t wait_ms,
                             struct baozi_outcome *outcome)
{
    struct bao_call call;
    const char *why = bao_check_wait(wait_ms);
    *outcome = (struct baozi_outcome){0};
    bao_call_init(&call, BAO_VERB_WAIT, "wait", NULL);
    if (why != NULL) {
        return bao_client_refuse(client, &call, why);
    }
    BAO_SET(&call.request.operation, ID, id, id);
    call.take = take_outcome;
    call.result = outcome;
    return bao_call_run(client, &call, wait_ms);
}

void baozi_outcome_free(struct baozi_outcome *outcome)
{
    union {
        const void *lent;
        void *owned;
    } result = {.lent = outcome->result};
    free(result.owned);
    outcome->result = NULL;
    outcome->bytes = 0;
}

/* --- cancel ------------------------------------------------------------- */

static void take_asked(struct bao_engine *e,
                       struct bao_call *call,
                       const struct bao_operation *answer,
                       const struct bao_message *message)
{
    (void)e;
    (void)message;
    int *asked = call->result;
    if (asked != NULL) {
        *asked = bao_has(answer, BAO_BIT(FLAGS)) &&
                         (answer->flags & BAO_FLAG_ASKED) != 0
                     ? 1
                     : 0;
    }
    /* "The item is cancelled" is what was wanted. */
    if (answer->status == BAOZI_CANCELLED &&
        call->request.cancel == BAO_CANCEL_NONE) {
        call->status = BAOZI_OK;
    }
}

enum baozi_status baozi_cancel(struct baozi *client, uint64_t id, int *asked)
{
    struct bao_call call;
    bao_call_init(&call, BAO_VERB_CANCEL_ITEM, "cancel", NULL);
    BAO_SET(&call.request.operation, ID, id, id);
    call.take = take_asked;
    call.result = asked;
    return bao_call_run(client, &call, BAOZI_FOREVER);
}
