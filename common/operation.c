/*
 * operation.c - what the three tables of operation.h say, as functions.
 *
 * Every function is made from a table, so a new row is a new name, a new
 * default and a new rule at once. Pure: the broker's core links this.
 */
#include "common/operation.h"

uint64_t bao_operation_requests(const struct bao_operation *operation)
{
    if (!bao_has(operation, BAO_BIT(RID))) {
        return 0;
    }
    size_t entries = 1;
    switch (operation->verb) {
    case BAO_VERB_PUT:
        if ((operation->flags & BAO_FLAG_ATOMIC) == 0) {
            entries = bao_column32_count(operation->lengths);
        }
        break;
    case BAO_VERB_DONE:
    case BAO_VERB_RETRY:
    case BAO_VERB_RELEASE:
    case BAO_VERB_REJECT: entries = bao_column64_count(operation->ids); break;
    default: break;
    }
    return entries == 0 ? 1 : entries;
}

const char *bao_verb_name(uint64_t verb)
{
    switch (verb) {
#define X(number, NAME, required, optional, answer) \
    case (number): return #NAME;
        BAO_VERB_TABLE(X)
#undef X
    default: return "?";
    }
}

const char *bao_state_name(uint64_t state)
{
    switch (state) {
    case BAO_STATE_NONE: return "none";
    case BAO_STATE_READY: return "ready";
    case BAO_STATE_DELAYED: return "delayed";
    case BAO_STATE_LEASED: return "leased";
    case BAO_STATE_DEAD: return "dead";
    case BAO_STATE_TAKEN: return "taken";
    case BAO_STATE_DONE: return "done";
    case BAO_STATE_EXPIRED: return "expired";
    case BAO_STATE_CANCELLED: return "cancelled";
    case BAO_STATE_DROPPED: return "dropped";
    case BAO_STATE_PURGED: return "purged";
    default: return "?";
    }
}

const char *bao_key_name(unsigned key)
{
    switch (key) {
#define X(number, NAME, field, type, max) \
    case (number): return #field;
        BAO_KEY_TABLE(X)
#undef X
#define X(number, NAME, field, fallback, max) \
    case (number): return #field;
        BAO_OPTION_TABLE(X)
#undef X
#define X(number, NAME, field) \
    case (number): return #field;
        BAO_READING_TABLE(X)
#undef X
    default: return "?";
    }
}

bool bao_verb_keys(uint64_t verb,
                   uint64_t *required,
                   uint64_t *optional,
                   uint64_t *answer)
{
    static const struct {
        uint64_t required;
        uint64_t optional;
        uint64_t answer;
        bool known;
    } verbs[] = {
#define X(number, NAME, required_, optional_, answer_) \
    [number] = {(required_), (optional_), (answer_), true},
        BAO_VERB_TABLE(X)
#undef X
    };
    if (verb >= sizeof(verbs) / sizeof(verbs[0]) || !verbs[verb].known) {
        return false;
    }
    *required = verbs[verb].required;
    *optional = verbs[verb].optional;
    *answer = verbs[verb].answer;
    return true;
}

struct bao_queue_options bao_queue_options_default(void)
{
    return (struct bao_queue_options){
#define X(number, NAME, field, fallback, max) .field = (uint64_t)(fallback),
        BAO_OPTION_TABLE(X)
#undef X
    };
}

uint32_t bao_version_choose(struct bao_versions ours,
                            struct bao_versions theirs)
{
    if (theirs.least == 0) {
        theirs.least = theirs.most;
    }
    if (ours.least > ours.most || theirs.least > theirs.most) {
        return 0;
    }
    uint64_t most = ours.most < theirs.most ? ours.most : theirs.most;
    uint64_t least = ours.least > theirs.least ? ours.least : theirs.least;
    return most >= least && most <= UINT32_MAX ? (uint32_t)most : 0;
}
