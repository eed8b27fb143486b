/*
 * operation_check.c - the rules between keys, one function a rule.
 *
 * Each returns NULL or what is wrong; bao_operation_check() asks them in the
 * order in which a reader of the text would want to know.
 */
#include "common/operation_check.h"

#include "common/baozi.h"
#include "common/texts.h"

/* Every answer may have these, whatever its verb. */
#define ANSWER_KEYS                                                    \
    (BAO_BIT(VERB) | BAO_BIT(RID) | BAO_BIT(STATUS) | BAO_BIT(FLAGS) | \
     BAO_BIT(ERROR) | BAO_BIT(COUNT))

/* One entry of these for each item. */
#define COLUMN_KEYS                                                        \
    (BAO_BIT(IDS) | BAO_BIT(TOKENS) | BAO_BIT(LENGTHS) |                   \
     BAO_BIT(HEADER_LENGTHS) | BAO_BIT(PRIORITIES) | BAO_BIT(DELIVERIES) | \
     BAO_BIT(GROUPS))

static const char *check_request_keys(const struct bao_operation *operation,
                                      uint64_t required,
                                      uint64_t optional)
{
    uint64_t needed = required & ~BAO_OPTIONS_OK;
    if (!bao_has(operation, needed)) {
        return "a key that the verb needs is missing";
    }
    if ((operation->present & ~(needed | optional | BAO_BIT(VERB))) != 0) {
        return "a key does not belong to the verb";
    }
    if (operation->options != NULL && (required & BAO_OPTIONS_OK) == 0) {
        return "the verb takes no queue options";
    }
    if (operation->readings != NULL) {
        return "readings are for answers";
    }
    if (operation->verb == BAO_VERB_HELD &&
        bao_has(operation, BAO_BIT(IDS)) !=
            bao_has(operation, BAO_BIT(TOKENS))) {
        return "ids and tokens come together";
    }
    return NULL;
}

static const char *check_answer_keys(const struct bao_operation *operation,
                                     uint64_t required,
                                     uint64_t answer)
{
    if ((required & BAO_BIT(RID)) == 0) {
        return "the verb has no answer";
    }
    if (!bao_has(operation, BAO_BIT(RID))) {
        return "an answer needs rid";
    }
    uint64_t allowed = ANSWER_KEYS | (answer & ~BAO_READINGS_OK);
    if ((operation->present & ~allowed) != 0) {
        return "a key does not belong to the verb's answer";
    }
    if ((operation->options != NULL || operation->readings != NULL) &&
        (answer & BAO_READINGS_OK) == 0) {
        return "the verb's answer has no options or readings";
    }
    return NULL;
}

/* Whoever reads an answer's items needs all three; a row has one body. */
static const char *check_answer_items(const struct bao_operation *operation)
{
    const uint64_t items = BAO_BIT(IDS) | BAO_BIT(TOKEN) | BAO_BIT(LENGTHS);
    if (operation->verb == BAO_VERB_GET) {
        bool some =
            (operation->present & items) != 0 || operation->status == BAOZI_OK;
        return some && !bao_has(operation, items)
                   ? "ids, token and lengths come together"
                   : NULL;
    }
    return bao_has(operation, BAO_BIT(LENGTHS)) &&
                   bao_column32_count(operation->lengths) != 1
               ? "the answer has one length"
               : NULL;
}

static bool is_vector(uint64_t verb)
{
    return verb == BAO_VERB_PUT || verb == BAO_VERB_DONE ||
           verb == BAO_VERB_RETRY || verb == BAO_VERB_RELEASE ||
           verb == BAO_VERB_REJECT;
}

const char *bao_operation_check_rid(const struct bao_operation *operation)
{
    if (!bao_has(operation, BAO_BIT(RID))) {
        return NULL;
    }
    if ((operation->rid == 0) != (operation->verb == BAO_VERB_HELLO)) {
        return "rid is 0 for HELLO and only for HELLO";
    }
    uint64_t requests = bao_operation_requests(operation);
    if (bao_is_answer(operation)) {
        requests = 1;
        if (is_vector(operation->verb) && bao_has(operation, BAO_BIT(COUNT))) {
            requests = operation->count;
        }
        if (requests == 0 || requests > BAO_OPERATION_ITEMS_MAX) {
            return "count is not a number of requests";
        }
    }
    if (operation->rid > UINT64_MAX - requests) {
        return "rid is too large";
    }
    return NULL;
}

static size_t entries_of(const struct bao_operation *operation, uint64_t column)
{
    switch (column) {
    case BAO_BIT(IDS): return bao_column64_count(operation->ids);
    case BAO_BIT(TOKENS): return bao_column64_count(operation->tokens);
    case BAO_BIT(LENGTHS): return bao_column32_count(operation->lengths);
    case BAO_BIT(HEADER_LENGTHS):
        return bao_column32_count(operation->header_lengths);
    case BAO_BIT(PRIORITIES): return bao_column32_count(operation->priorities);
    case BAO_BIT(DELIVERIES): return bao_column32_count(operation->deliveries);
    default: return bao_texts_count(operation->groups);
    }
}

/* Sets *entries to what all columns that are there have. */
static const char *check_columns(const struct bao_operation *operation,
                                 size_t *entries)
{
    uint64_t columns = operation->present & COLUMN_KEYS;
    *entries = entries_of(operation, columns & (~columns + 1));
    for (columns &= columns - 1; columns != 0; columns &= columns - 1) {
        if (entries_of(operation, columns & (~columns + 1)) != *entries) {
            return "columns differ in length";
        }
    }
    return NULL;
}

/* The sum of an operation's lengths is at most 2^10 * 2^25: no overflow. What
 * a whole message may have is the reader's business. */
static const char *check_lengths(const struct bao_operation *operation,
                                 size_t entries)
{
    uint32_t any = 0;
    bool too_long = false;
    for (size_t i = 0; i < entries; i++) {
        uint32_t length = bao_column32(operation->lengths, i);
        any |= length;
        too_long |= (length & ~BAO_BIG_BIT) > BAO_ITEM_BYTES_MAX;
    }
    if (too_long) {
        return "an item is too long";
    }
    if ((any & BAO_BIG_BIT) != 0 && operation->verb == BAO_VERB_PUT &&
        (operation->flags & BAO_FLAG_NO_BODY) != 0) {
        return "a put without bodies has plain lengths";
    }
    return NULL;
}

static const char *check_header_lengths(const struct bao_operation *operation,
                                        size_t entries)
{
    if (!bao_has(operation, BAO_BIT(LENGTHS))) {
        return "header_lengths need lengths";
    }
    for (size_t i = 0; i < entries; i++) {
        uint32_t bytes = bao_column32(operation->header_lengths, i);
        uint32_t length = bao_column32(operation->lengths, i) & ~BAO_BIG_BIT;
        if (bytes > length || bytes > BAO_ITEM_HEADER_BYTES_MAX) {
            return "an item header is too long";
        }
    }
    return NULL;
}

static const char *check_ranges(struct bao_span ranges)
{
    uint64_t previous = 0;
    size_t numbers = bao_column64_count(ranges);
    if (numbers % 2 != 0) {
        return "ranges are pairs";
    }
    for (size_t i = 0; i < numbers; i += 2) {
        uint64_t first = bao_column64(ranges, i);
        uint64_t last = bao_column64(ranges, i + 1);
        if (first <= previous || last < first) {
            return "ranges are not in order";
        }
        previous = last;
    }
    return NULL;
}

static const char *check_vectors(const struct bao_operation *operation)
{
    size_t entries = 0;
    const char *why = check_columns(operation, &entries);
    if (why == NULL && bao_has(operation, BAO_BIT(LENGTHS))) {
        why = check_lengths(operation, entries);
    }
    if (why == NULL && bao_has(operation, BAO_BIT(HEADER_LENGTHS))) {
        why = check_header_lengths(operation, entries);
    }
    if (why == NULL && operation->token > UINT64_MAX - entries) {
        why = "token is too large";
    }
    return why;
}

const char *bao_operation_check(const struct bao_operation *operation)
{
    uint64_t required = 0;
    uint64_t optional = 0;
    uint64_t answer = 0;
    if (!bao_has(operation, BAO_BIT(VERB))) {
        return "the verb is missing";
    }
    if (!bao_verb_keys(operation->verb, &required, &optional, &answer)) {
        return "there is no such verb";
    }
    const char *why = bao_is_answer(operation)
                          ? check_answer_keys(operation, required, answer)
                          : check_request_keys(operation, required, optional);
    if (why == NULL) {
        why = bao_operation_check_rid(operation);
    }
    if (why == NULL && bao_is_answer(operation)) {
        why = check_answer_items(operation);
    }
    if (why == NULL && (operation->present & COLUMN_KEYS) != 0) {
        why = check_vectors(operation);
    }
    if (why == NULL && bao_has(operation, BAO_BIT(RANGES))) {
        why = check_ranges(operation->ranges);
    }
    return why;
}
