/*
 * command.c - reads one command of a story.
 *
 * Words are split at spaces; '...' is one word, a payload ('x'*1000 repeats
 * it). What a word means stands in
 * command_words.h.
 */
#include "tests/core/command.h"

#include "tests/core/command_words.h"
#include "tests/lib/unit.h"

#define STORAGE_BYTES ((size_t)20 * 1024 * 1024)

/* --- words ---------------------------------------------------------------- */

static char *store(struct command *command, const char *data, size_t bytes)
{
    char *at = command->storage + command->storage_bytes;
    assert_true(bytes < STORAGE_BYTES - command->storage_bytes);
    command->storage_bytes += bytes + 1;
    memcpy(at, data, bytes);
    at[bytes] = '\0';
    return at;
}

/* Splits the text; quoted words keep their quotes. */
static void split(struct command *command, const char *text)
{
    while (*text != '\0') {
        while (*text == ' ') {
            text++;
        }
        const char *start = text;
        bool quoted = false;
        while (*text != '\0' && (quoted || *text != ' ')) {
            quoted = quoted != (*text == '\'');
            text++;
        }
        if (text == start) {
            return;
        }
        assert_true(command->word_count < COMMAND_WORDS_MAX);
        command->words[command->word_count++] =
            store(command, start, (size_t)(text - start));
    }
}

static bool is_number(const char *word)
{
    return *word >= '0' && *word <= '9';
}

static uint64_t number_of(const char *word)
{
    char *end;
    assert_true(is_number(word));
    uint64_t number = strtoull(word, &end, 10);
    if (*end != '\0') {
        fail_msg("'%s' is not a number", word);
    }
    return number;
}

/* The word without its quotes. */
static struct bao_span text_span(const char *word)
{
    size_t bytes = strlen(word);
    if (word[0] == '\'') {
        assert_true(bytes >= 2 && word[bytes - 1] == '\'');
        return bao_span_of(word + 1, bytes - 2);
    }
    return bao_span_of(word, bytes);
}

/* --- items ---------------------------------------------------------------- */

static uint64_t queue_of(const struct world *world, const char *name)
{
    for (unsigned i = world->judge.queue_count; i-- > 0;) {
        if (strcmp(world->judge.queues[i].name, name) == 0) {
            return world->judge.queues[i].queue;
        }
    }
    fail_msg("no queue '%s' was ever made", name);
    return 0;
}

static const struct world_lease *lease_of(const struct world_client *client,
                                          uint64_t number)
{
    uint64_t low = (UINT64_C(1) << BAO_ID_SHIFT) - 1;
    for (size_t i = client->lease_count; i-- > 0;) {
        if ((client->leases[i].id & low) == number) {
            return &client->leases[i];
        }
    }
    return NULL;
}

uint64_t command_item(const struct world *world,
                      const struct world_client *client,
                      const char *word)
{
    const char *slash = strchr(word, '/');
    if (slash != NULL) {
        char name[201] = {0};
        memcpy(name, word, (size_t)(slash - word));
        return queue_of(world, name) << BAO_ID_SHIFT |
               strtoull(slash + 1, NULL, 10);
    }
    uint64_t number = strtoull(word, NULL, 10);
    const struct world_lease *lease = lease_of(client, number);
    if (lease != NULL) {
        return lease->id;
    }
    assert_true(world->judge.queue_count > 0);
    return world->judge.queues[0].queue << BAO_ID_SHIFT | number;
}

/* "3", "cakes/3" or "3@7" (with that token). */
static void add_item(struct command *command,
                     const struct world *world,
                     const struct world_client *client,
                     const char *word)
{
    uint64_t id = command_item(world, client, word);
    uint64_t token = 0;
    const char *at = strchr(word, '@');
    if (at != NULL) {
        token = client->epoch << BAO_ID_SHIFT | number_of(at + 1);
    } else {
        for (size_t i = 0; i < client->lease_count; i++) {
            if (client->leases[i].id == id) {
                token = client->leases[i].token;
            }
        }
    }
    assert_true(command->id_count < BAO_OPERATION_ITEMS_MAX);
    bao_store64(command->ids + 8 * command->id_count, id);
    bao_store64(command->tokens + 8 * command->id_count, token);
    command->id_count++;
}

/* --- payloads ---------------------------------------------------------------
 */

/* A msgpack map of one text to one text: {k=v} behind the quotes. */
static size_t write_header(const char *word, char *to)
{
    const char *open = strchr(strrchr(word, '\''), '{');
    if (open == NULL) {
        return 0;
    }
    const char *equal = strchr(open, '=');
    const char *close = strchr(open, '}');
    assert_true(equal != NULL && close != NULL && equal < close);
    size_t key = (size_t)(equal - open - 1);
    size_t value = (size_t)(close - equal - 1);
    assert_true(key < 32 && value < 32);
    to[0] = (char)0x81;
    to[1] = (char)(0xa0 | key);
    memcpy(to + 2, open + 1, key);
    to[2 + key] = (char)(0xa0 | value);
    memcpy(to + 3 + key, equal + 1, value);
    return 3 + key + value;
}

static void add_payload(struct command *command, const char *word)
{
    const char *last = strrchr(word, '\'');
    size_t bytes = (size_t)(last - word - 1);
    uint64_t times = last[1] == '*' ? strtoull(last + 2, NULL, 10) : 1;
    char *to = command->storage + command->storage_bytes;
    assert_true(times * bytes + 100 < STORAGE_BYTES - command->storage_bytes);
    size_t header_bytes = write_header(word, to);
    for (uint64_t i = 0; i < times; i++) {
        memcpy(to + header_bytes + i * bytes, word + 1, bytes);
    }
    size_t total = header_bytes + times * bytes;
    command->storage_bytes += total + 1;
    assert_true(command->payload_count < WORLD_PAYLOADS_MAX);
    command->payloads[command->payload_count++] = (struct world_payload){
        (const uint8_t *)to, (uint32_t)total, (uint32_t)header_bytes};
}

/* --- keywords ----------------------------------------------------------------
 */

static void *field_of(struct command *command, const struct keyword *keyword)
{
    command->operation.present |= keyword->bit;
    return (uint8_t *)&command->operation + keyword->offset;
}

static bool read_option(struct command *command, size_t *at)
{
    for (size_t i = 0; i < COUNT(options); i++) {
        if (strcmp(options[i].name, command->words[*at]) != 0) {
            continue;
        }
        const char *word = command->words[++*at];
        uint64_t value = 0;
        bool known = is_number(word);
        if (known) {
            value = number_of(word);
        }
        for (size_t j = 0; j < COUNT(values) && !known; j++) {
            known = strcmp(values[j].word, word) == 0;
            value = values[j].value;
        }
        assert_true(known);
        memcpy((uint8_t *)&command->options + options[i].offset,
               &value,
               sizeof(value));
        command->options.present |= options[i].bit;
        command->operation.options = &command->options;
        return true;
    }
    return false;
}

static bool read_flag(struct command *command, const char *word)
{
    for (size_t i = 0; i < COUNT(flags); i++) {
        if (strcmp(flags[i].word, word) == 0) {
            BAO_SET(&command->operation,
                    FLAGS,
                    flags,
                    command->operation.flags | flags[i].flag);
            return true;
        }
    }
    return false;
}

/* Words with a number or a text behind them. */
static bool read_pair(struct command *command, size_t *at)
{
    const char *word = command->words[*at];
    bool last = *at + 1 >= command->word_count;
    for (size_t i = 0; i < COUNT(numbers) && !last; i++) {
        if (strcmp(numbers[i].word, word) == 0) {
            uint64_t value = number_of(command->words[++*at]);
            memcpy(field_of(command, &numbers[i]), &value, sizeof(value));
            return true;
        }
    }
    for (size_t i = 0; i < COUNT(texts) && !last; i++) {
        if (strcmp(texts[i].word, word) == 0) {
            struct bao_span value = text_span(command->words[++*at]);
            memcpy(field_of(command, &texts[i]), &value, sizeof(value));
            return true;
        }
    }
    return false;
}

static bool read_state(struct command *command, const char *word)
{
    uint64_t verb = command->operation.verb;
    if (verb == BAO_VERB_BROWSE) {
        for (size_t i = 0; i < COUNT(states); i++) {
            if (strcmp(states[i].word, word) == 0) {
                BAO_SET(&command->operation, STATE, state, states[i].state);
                return true;
            }
        }
    }
    if (verb == BAO_VERB_PAUSE || verb == BAO_VERB_RESUME) {
        for (size_t i = 0; i < COUNT(values); i++) {
            if (strcmp(values[i].word, word) == 0) {
                BAO_SET(&command->operation, STATE, state, values[i].value);
                return true;
            }
        }
    }
    return false;
}

/* What is special: signs, the wall clock, marks. */
static bool read_special(struct command *command,
                         const struct world *world,
                         const struct world_client *client,
                         size_t *at)
{
    struct bao_operation *operation = &command->operation;
    const char *word = command->words[*at];
    bool last = *at + 1 >= command->word_count;
    if (strcmp(word, "try") == 0) {
        BAO_SET(operation, WAIT_MS, wait_ms, 0);
    } else if (strcmp(word, "priority") == 0 && !last) {
        long value = strtol(command->words[++*at], NULL, 10);
        BAO_SET(operation, PRIORITY, priority, value);
    } else if (strcmp(word, "priorities") == 0 && !last) {
        for (char *next = command->words[++*at];; next++) {
            int32_t value = (int32_t)strtol(next, &next, 10);
            bao_store32(command->priorities + 4 * command->priority_count++,
                        (uint32_t)value);
            if (*next != ',') {
                break;
            }
        }
        BAO_SET(operation,
                PRIORITIES,
                priorities,
                bao_span_of(command->priorities, 4 * command->priority_count));
    } else if (strcmp(word, "not_before") == 0 && !last) {
        /* wall clock, in the story's milliseconds */
        uint64_t value = number_of(command->words[++*at]) + WORLD_BASE_MS +
                         (uint64_t)(world->config.wall_offset_us / 1000);
        BAO_SET(operation, NOT_BEFORE_MS, not_before_ms, value);
    } else if (strcmp(word, "mine") == 0) {
        BAO_SET(operation, SCOPE, scope, BAO_SCOPE_MINE);
    } else if (strcmp(word, "up_to") == 0) {
        BAO_SET(operation, SCOPE, scope, BAO_SCOPE_UP_TO);
    } else if (strcmp(word, "mark") == 0 && !last) {
        uint64_t id = command_item(world, client, command->words[++*at]);
        BAO_SET(operation, MARK, mark, id);
    } else if (strcmp(word, "from") == 0 && !last) {
        uint64_t id = command_item(world, client, command->words[++*at]);
        BAO_SET(operation, ID, id, id);
    } else {
        return false;
    }
    return true;
}

/* A bare number: how many, or which item. */
static bool read_number(struct command *command,
                        const struct world *world,
                        const struct world_client *client,
                        const char *word)
{
    struct bao_operation *operation = &command->operation;
    bool item = is_number(word) || strchr(word, '/') != NULL;
    if (!item) {
        return false;
    }
    switch (operation->verb) {
    case BAO_VERB_GET:
    case BAO_VERB_CREDIT:
        BAO_SET(operation, LIMIT, limit, number_of(word));
        return true;
    case BAO_VERB_WAIT:
    case BAO_VERB_CANCEL_ITEM:
    case BAO_VERB_PEEK:
        BAO_SET(operation, ID, id, command_item(world, client, word));
        return true;
    default: add_item(command, world, client, word); return true;
    }
}

static bool is_reading(const struct command *command, const char *word)
{
    if (command->operation.verb != BAO_VERB_STAT) {
        return false;
    }
    for (unsigned key = 64; key < 128; key++) {
        if (strcmp(bao_key_name(key), word) == 0) {
            return true;
        }
    }
    return false;
}

/* "3-5" for ACK. */
static bool read_range(struct command *command, const char *word)
{
    if (command->operation.verb != BAO_VERB_ACK) {
        return false;
    }
    char *end;
    uint64_t first = strtoull(word, &end, 10);
    uint64_t last = *end == '-' ? strtoull(end + 1, NULL, 10) : first;
    uint8_t *to = command->ranges + 16 * command->range_count++;
    bao_store64(to, first);
    bao_store64(to + 8, last);
    return true;
}

static void read_word(struct command *command,
                      const struct world *world,
                      const struct world_client *client,
                      size_t *at)
{
    const char *word = command->words[*at];
    uint64_t verb = command->operation.verb;
    bool with_options = verb == BAO_VERB_DECLARE || verb == BAO_VERB_CONFIGURE;
    if (word[0] == '\'') {
        add_payload(command, word);
        return;
    }
    bool read = (with_options && read_option(command, at)) ||
                is_reading(command, word) || read_state(command, word) ||
                read_special(command, world, client, at) ||
                read_pair(command, at) || read_flag(command, word) ||
                read_range(command, word) ||
                read_number(command, world, client, word);
    if (!read) {
        fail_msg("what does '%s' mean in '%s'?", word, command->text);
    }
}

/* --- the whole
 * ---------------------------------------------------------------- */

static uint64_t verb_of(const char *word)
{
    for (uint64_t verb = 1; verb < 64; verb++) {
        const char *name = bao_verb_name(verb);
        size_t i = 0;
        while (name[i] != '\0' && word[i] != '\0' &&
               (name[i] | 0x20) == (word[i] == '_' ? 0x7f : word[i])) {
            i++;
        }
        if (name[i] == '\0' && word[i] == '\0') {
            return verb;
        }
    }
    fail_msg("'%s' is no verb", word);
    return 0;
}

void command_verb(const char *text, char *verb, size_t bytes)
{
    size_t count = strcspn(text, " ");
    assert_true(count < bytes);
    memcpy(verb, text, count);
    verb[count] = '\0';
}

/* Takes the tag out and writes the rest as the request's name. */
static void name_command(struct command *command)
{
    size_t bytes = 0;
    size_t kept = 0;
    for (size_t i = 0; i < command->word_count; i++) {
        char *word = command->words[i];
        bool tag = word[0] == '#' && i > 1;
        if (tag) {
            (void)snprintf(command->tag, sizeof(command->tag), "%s", word + 1);
            continue;
        }
        command->words[kept++] = word;
        if (bytes < sizeof(command->text)) {
            bytes += (size_t)snprintf(command->text + bytes,
                                      sizeof(command->text) - bytes,
                                      "%s%s",
                                      i == 0 ? "" : " ",
                                      word);
        }
    }
    command->word_count = kept;
}

static void set_columns(struct command *command)
{
    struct bao_operation *operation = &command->operation;
    if (command->id_count > 0) {
        BAO_SET(operation,
                IDS,
                ids,
                bao_span_of(command->ids, 8 * command->id_count));
        if (operation->verb != BAO_VERB_REDRIVE) {
            BAO_SET(operation,
                    TOKENS,
                    tokens,
                    bao_span_of(command->tokens, 8 * command->id_count));
        }
    }
    if (command->range_count > 0) {
        BAO_SET(operation,
                RANGES,
                ranges,
                bao_span_of(command->ranges, 16 * command->range_count));
    }
    if (operation->verb == BAO_VERB_JOIN &&
        bao_has(operation, BAO_BIT(GROUP))) {
        BAO_SET(operation, SCOPE, scope, BAO_SCOPE_GROUP);
    }
}

/* Words and payloads of the command that was read last. */
static char storage[STORAGE_BYTES];

void command_read(struct command *command,
                  const struct world *world,
                  const struct world_client *client,
                  const char *text,
                  command_target *target_of,
                  void *context)
{
    uint64_t required = 0;
    uint64_t optional = 0;
    uint64_t answer = 0;
    *command = (struct command){0};
    command->storage = storage;
    split(command, text);
    name_command(command);

    uint64_t verb = verb_of(command->words[0]);
    BAO_SET(&command->operation, VERB, verb, verb);
    assert_true(bao_verb_keys(verb, &required, &optional, &answer));
    size_t at = 1;
    if ((required & BAO_BIT(QUEUE)) != 0) {
        assert_true(command->word_count > 1);
        BAO_SET(
            &command->operation, QUEUE, queue, text_span(command->words[at++]));
    }
    if ((required & BAO_BIT(TARGET)) != 0) {
        assert_true(command->word_count > 1);
        BAO_SET(&command->operation,
                TARGET,
                target,
                target_of(context, command->words[at++]));
    }
    for (; at < command->word_count; at++) {
        read_word(command, world, client, &at);
    }
    set_columns(command);
}
