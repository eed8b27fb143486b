/*
 * story.c - carries a story out and compares what came of it.
 */
#include "tests/core/story.h"

#include <ctype.h>

#include "tests/core/command.h"
#include "tests/core/render.h"
#include "tests/core/story_text.h"
#include "tests/lib/unit.h"

#define REQUESTS_MAX 4096u

/* A request that was sent: how its answers are recognized and named. */
struct request {
    struct world_client *client;
    uint64_t first;
    uint64_t count;
    uint64_t verb;
    uint64_t answered; /* in the present step */
    char tag[16];
    char text[512];
    char resend[512]; /* its words, tag included */
};

struct story {
    struct world *world;
    struct text actual;
    struct text outcome; /* of the present line */
    struct text effects; /* of the present line */
    struct request *requests;
    size_t request_count;
    struct request *present; /* the line's own request, or NULL */
    const char *present_who; /* HELLO and the like have no request */
    const struct world_client *present_client;
    uint64_t shown_ms; /* time of the last [..] line */
    bool in_line;
};

/* --- hearing -----------------------------------------------------------------
 */

static struct request *find_request(struct story *story,
                                    const struct world_client *client,
                                    uint64_t rid)
{
    for (size_t i = story->request_count; i-- > 0;) {
        struct request *request = &story->requests[i];
        if (request->client == client && rid >= request->first &&
            rid < request->first + request->count) {
            return request;
        }
    }
    return NULL;
}

/* Which request this answer or notice is about; NULL if about none. */
static struct request *request_of(struct story *story,
                                  const struct world_heard *heard)
{
    const struct bao_operation *operation = heard->operation;
    if (operation == NULL || heard->client == NULL ||
        heard->peer != heard->client->peer) {
        return NULL;
    }
    if (bao_has(operation, BAO_BIT(TARGET))) {
        return find_request(story, heard->client, operation->target);
    }
    if (bao_is_answer(operation)) {
        return find_request(story, heard->client, operation->rid);
    }
    return NULL;
}

/* Is it the outcome of the line that is being carried out? */
static bool is_outcome(const struct story *story,
                       const struct world_heard *heard,
                       const struct request *request)
{
    const struct bao_operation *operation = heard->operation;
    if (!story->in_line || operation == NULL ||
        heard->client != story->present_client || heard->client == NULL ||
        heard->peer != heard->client->peer) {
        return false;
    }
    if (request != NULL) {
        return request == story->present && bao_is_answer(operation);
    }
    return story->present == NULL && (operation->verb == BAO_VERB_HELLO ||
                                      operation->verb == BAO_VERB_GONE);
}

static void add_effect(struct story *story,
                       const struct world_heard *heard,
                       const struct request *request)
{
    struct text *text = &story->effects;
    bool old = heard->client != NULL && heard->peer != heard->client->peer;
    text_add(text,
             "%s%s",
             heard->client == NULL ? "nobody" : heard->client->name,
             old ? " (old)" : "");
    if (request != NULL && request->tag[0] != '\0') {
        char verb[32];
        command_verb(request->text, verb, sizeof(verb));
        text_add(text, " %s #%s", verb, request->tag);
    } else if (request != NULL) {
        text_add(text, " %s", request->text);
    }
    text_add(text, " -> ");
    render_heard(
        text, story->world, heard, request == NULL ? "" : request->text);
    text_add(text, "\n");
}

static void listen(struct world *world, const struct world_heard *heard)
{
    struct story *story = world->context;
    const struct bao_operation *operation = heard->operation;
    /* Heartbeats would be on every other line; a test of their own asks. */
    if (operation != NULL && operation->verb == BAO_VERB_HEARTBEAT) {
        return;
    }
    struct request *request = request_of(story, heard);
    if (!is_outcome(story, heard, request)) {
        add_effect(story, heard, request);
        return;
    }
    if (story->outcome.bytes > 0) {
        text_add(&story->outcome, "; ");
    }
    render_heard(
        &story->outcome, world, heard, request == NULL ? "" : request->text);
    if (request != NULL && (operation->flags & BAO_FLAG_MORE) == 0) {
        request->answered +=
            bao_has(operation, BAO_BIT(COUNT)) && request->count > 1
                ? operation->count
                : 1;
    }
}

/* --- telling
 * ------------------------------------------------------------------ */

/* What happened before the present line, under times of its own. */
static void flush_effects(struct story *story)
{
    if (story->effects.bytes == 0) {
        return;
    }
    if (story->shown_ms != story->world->now_ms) {
        text_add(&story->actual,
                 "[%llu]\n",
                 (unsigned long long)story->world->now_ms);
        story->shown_ms = story->world->now_ms;
    }
    text_add(&story->actual, "%s", text_of(&story->effects));
    text_clear(&story->effects);
}

/* Lets time pass; what falls due is told moment by moment. */
static void pass_until(struct story *story, uint64_t ms)
{
    while (story->world->now_ms < ms) {
        uint64_t next = world_next(story->world);
        world_run(story->world, next < ms ? next : ms);
        if (story->world->now_ms < ms) {
            flush_effects(story);
        }
    }
}

/* --- carrying out
 * ---------------------------------------------------------------- */

struct target {
    struct story *story;
    const struct world_client *client;
};

static struct request *find_tag(struct story *story,
                                const struct world_client *client,
                                const char *tag)
{
    for (size_t i = story->request_count; i-- > 0;) {
        struct request *request = &story->requests[i];
        if (request->client == client && strcmp(request->tag, tag) == 0) {
            return request;
        }
    }
    fail_msg("%s has no request #%s", client->name, tag);
    return NULL;
}

/* "#1", "#1+2" (its third), or "next": the request that comes next. */
static uint64_t target_of(void *context, const char *word)
{
    const struct target *target = context;
    if (strcmp(word, "next") == 0) {
        return target->client->next_rid;
    }
    assert_true(word[0] == '#');
    char tag[16] = {0};
    size_t bytes = strcspn(word + 1, "+");
    assert_true(bytes < sizeof(tag));
    memcpy(tag, word + 1, bytes);
    uint64_t more =
        word[1 + bytes] == '+' ? strtoull(word + 2 + bytes, NULL, 10) : 0;
    return find_tag(target->story, target->client, tag)->first + more;
}

static struct request *add_request(struct story *story,
                                   struct world_client *client,
                                   const struct command *command,
                                   const char *words)
{
    assert_true(story->request_count < REQUESTS_MAX);
    struct request *request = &story->requests[story->request_count++];
    *request = (struct request){.client = client, .first = client->next_rid};
    request->count = bao_operation_requests(&command->operation);
    request->verb = command->operation.verb;
    client->next_rid += request->count;
    memcpy(request->tag, command->tag, sizeof(request->tag));
    memcpy(request->text, command->text, sizeof(request->text));
    (void)snprintf(request->resend, sizeof(request->resend), "%s", words);
    return request;
}

/* The operation's LENGTHS as world_send will set them: for counting. */
static void set_count(struct command *command)
{
    if (command->payload_count > 0) {
        static const uint8_t zeros[4 * WORLD_PAYLOADS_MAX];
        BAO_SET(&command->operation,
                LENGTHS,
                lengths,
                bao_span_of(zeros, 4 * command->payload_count));
    }
}

/* Sends the words as a request; `again` is the one that they repeat. */
static void send_words(struct story *story,
                       struct world_client *client,
                       const char *words,
                       struct request *again,
                       uint64_t peer)
{
    static struct command command;
    struct target target = {story, client};
    uint64_t required = 0;
    uint64_t optional = 0;
    uint64_t answer = 0;
    command_read(&command, story->world, client, words, target_of, &target);
    set_count(&command);
    assert_true(
        bao_verb_keys(command.operation.verb, &required, &optional, &answer));
    if ((required & BAO_BIT(RID)) != 0) {
        BAO_SET(&command.operation,
                RID,
                rid,
                again == NULL ? client->next_rid : again->first);
        story->present =
            again != NULL ? again : add_request(story, client, &command, words);
        story->present->answered = 0;
    }
    world_send(story->world,
               peer,
               &command.operation,
               command.payloads,
               command.payload_count);

    const struct request *present = story->present;
    if (present != NULL && present->answered < present->count) {
        if (present->answered > 0) {
            text_add(&story->outcome,
                     "; %llu wait",
                     (unsigned long long)(present->count - present->answered));
        } else if (story->outcome.bytes == 0) {
            text_add(&story->outcome, "waits");
        }
    }
}

/* Declares a queue that no line has declared. */
static void declare_silently(struct story *story,
                             struct world_client *client,
                             const char *words)
{
    char verb[32];
    command_verb(words, verb, sizeof(verb));
    const char *at = strchr(words, ' ');
    static const char *const verbs[] = {
        "put",
        "get",
        "subscribe",
        "join",
        "stat",
        "browse",
        "peek",
        "pause",
        "resume",
        "shutdown",
        "purge",
        "done_next",
        "configure",
    };
    bool needs = false;
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        needs = needs || strcmp(verbs[i], verb) == 0;
    }
    if (!needs || at == NULL) {
        return;
    }
    char name[201] = {0};
    at += strspn(at, " ");
    memcpy(name, at, strcspn(at, " "));
    const struct judge *judge = &story->world->judge;
    for (unsigned i = 0; i < judge->queue_count; i++) {
        if (strcmp(judge->queues[i].name, name) == 0) {
            return;
        }
    }
    if (strcmp(name, "nowhere") != 0) {
        world_declare(story->world, client, name);
    }
}

/* Words of the client itself, not of the protocol: true if it was one. */
static bool
do_client(struct story *story, struct world_client *client, const char *words)
{
    struct world *world = story->world;
    struct bao_command command = {.peer = client->peer};
    if (strcmp(words, "hello") == 0) {
        world_hello(world, client, false, BAO_PROTOCOL_VERSION);
    } else if (strcmp(words, "hello resume") == 0) {
        world_hello(world, client, true, BAO_PROTOCOL_VERSION);
    } else if (strcmp(words, "hello forged") == 0) {
        client->secret[3] ^= 1;
        world_hello(world, client, true, BAO_PROTOCOL_VERSION);
        client->secret[3] ^= 1;
    } else if (strcmp(words, "hello version 9") == 0) {
        world_hello(world, client, false, 9);
    } else if (strcmp(words, "hello again") == 0) {
        world_hello_again(world, client);
    } else if (strcmp(words, "old closes") == 0) {
        command.kind = BAO_COMMAND_PEER_CLOSED;
        command.peer = client->old_peer;
        world_command(world, &command);
    } else if (strcmp(words, "closes") == 0) {
        command.kind = BAO_COMMAND_PEER_CLOSED;
        client->connected = false;
        world_command(world, &command);
    } else if (strcmp(words, "crashes") == 0) {
        command.kind = BAO_COMMAND_PROCESS_GONE;
        client->connected = false;
        world_command(world, &command);
    } else if (strcmp(words, "falls silent") == 0) {
        client->silent = true;
    } else if (strcmp(words, "wakes") == 0) {
        client->silent = false;
    } else if (strcmp(words, "forgets its leases") == 0) {
        client->lease_count = 0;
    } else {
        return false;
    }
    return true;
}

static void do_broker(struct story *story, const char *words)
{
    struct world *world = story->world;
    struct bao_command command = {.kind = BAO_COMMAND_DRAIN};
    if (strcmp(words, "drains") == 0) {
        world_command(world, &command);
    } else if (strcmp(words, "storage fails") == 0) {
        command.kind = BAO_COMMAND_STORAGE_FAILED;
        world_command(world, &command);
    } else if (strncmp(words, "log room ", 9) == 0) {
        char *end = NULL;
        const uint64_t puts = strtoull(words + 9, &end, 10);
        const uint64_t leases =
            *end == '\0' ? UINT64_MAX : strtoull(end, NULL, 10);
        bao_core_log_room(world->core, puts, leases);
    } else if (strncmp(words, "finds damage at ", 16) == 0) {
        bao_core_damaged(world->core, words + 16);
    } else if (strncmp(words, "wall jumps ", 11) == 0) {
        world->config.wall_offset_us += strtoll(words + 11, NULL, 10) * 1000;
        command.kind = BAO_COMMAND_WALL_JUMPED;
        command.wall_offset_us = world->config.wall_offset_us;
        world_command(world, &command);
    } else if (strncmp(words, "loses ", 6) == 0) {
        world_lose(world, words + 6);
    } else if (strncmp(words, "lags ", 5) == 0) {
        world_lag(world, strtoull(words + 5, NULL, 10));
    } else if (strcmp(words, "dies") == 0) {
        world_die(world);
    } else if (strcmp(words, "restarts") == 0) {
        world_restart(world);
    } else {
        fail_msg("the broker does not know '%s'", words);
    }
}

static void carry_out(struct story *story, const char *who, const char *words)
{
    struct world *world = story->world;
    if (strcmp(who, "broker") == 0) {
        story->present_client = NULL;
        do_broker(story, words);
        return;
    }
    struct world_client *client = world_client(world, who);
    story->present_client = client;
    if (client->peer == 0 && strncmp(words, "hello", 5) != 0) {
        world->listen = NULL;
        world_hello(world, client, false, BAO_PROTOCOL_VERSION);
        assert_true(client->session != 0);
        world->listen = listen;
    }
    if (do_client(story, client, words)) {
        return;
    }
    if (strncmp(words, "resend #", 8) == 0) {
        char again[1100];
        char tag[16] = {0};
        memcpy(tag, words + 8, strcspn(words + 8, " "));
        struct request *request = find_tag(story, client, tag);
        (void)snprintf(again,
                       sizeof(again),
                       "%s %s",
                       request->resend,
                       words + 8 + strlen(tag));
        send_words(story, client, again, request, client->peer);
        return;
    }
    bool old = strncmp(words, "old ", 4) == 0;
    words += old ? 4 : 0;
    declare_silently(story, client, words);
    send_words(
        story, client, words, NULL, old ? client->old_peer : client->peer);
    if (strcmp(words, "bye") == 0) {
        client->connected = false;
    }
}

/* --- lines
 * ---------------------------------------------------------------------- */

/* "broker answers_max 4 ...": before anything else. */
static void configure(struct bao_core_config *config, const char *words)
{
    char name[40];
    unsigned long long value;
    int used;
    while (sscanf(words, " %39s %llu%n", name, &value, &used) == 2) {
        words += used;
        if (strcmp(name, "answers_max") == 0) {
            config->answers_max = (uint32_t)value;
        } else if (strcmp(name, "waiting_max") == 0) {
            config->waiting_max = (uint32_t)value;
        } else if (strcmp(name, "parked_bytes_max") == 0) {
            config->parked_bytes_max = value;
        } else if (strcmp(name, "body_bytes_max") == 0) {
            config->body_bytes_max = value;
        } else if (strcmp(name, "sessions_max") == 0) {
            config->sessions_max = (uint32_t)value;
        } else if (strcmp(name, "queues_max") == 0) {
            config->queues_max = (uint32_t)value;
        } else if (strcmp(name, "first_n") == 0) {
            config->first_n = value;
        } else if (strcmp(name, "level") == 0) {
            config->level = (enum bao_level)value;
        } else {
            fail_msg("the broker has no '%s'", name);
        }
    }
}

/* An assertion inside the core ends the program: with BAO_STORY=1 the lines
 * that led there are shown as they are carried out. */
static void tell_progress(const struct story *story)
{
    if (getenv("BAO_STORY") != NULL) {
        const char *last = strrchr(text_of(&story->actual), '\n');
        (void)fprintf(
            stderr, "%s\n", last == NULL ? text_of(&story->actual) : last + 1);
    }
}

/* One [ms] line, without its outcome: "[ 10] w1 get buns". */
static void do_line(struct story *story, const char *line)
{
    char *end;
    uint64_t ms = strtoull(line + 1, &end, 10);
    assert_true(*end == ']');
    assert_true(ms >= story->world->now_ms);
    const char *words = end + 1 + strspn(end + 1, " ");
    pass_until(story, ms);
    if (*words != '\0') {
        flush_effects(story);
    }
    char who[24] = {0};
    assert_true(strcspn(words, " ") < sizeof(who));
    memcpy(who, words, strcspn(words, " "));
    words += strlen(who);
    words += strspn(words, " ");
    text_add(&story->actual, "[%llu]", (unsigned long long)ms);
    story->shown_ms = ms;
    if (who[0] != '\0') {
        text_add(&story->actual, " %s %s", who, words);
        tell_progress(story);
        story->in_line = true;
        story->present = NULL;
        story->present_client = NULL;
        carry_out(story, who, words);
        story->in_line = false;
    }
    if (story->outcome.bytes > 0) {
        text_add(&story->actual,
                 " %s %s",
                 strcmp(text_of(&story->outcome), "waits") == 0 ? ".." : "->",
                 text_of(&story->outcome));
    }
    text_add(&story->actual, "\n");
    text_clear(&story->outcome);
    flush_effects(story);
}

/* Carries the story out; true if it went as told. */
static bool tell(const char *story_text, bool aloud)
{
    struct story story = {0};
    struct bao_core_config config = world_config();
    char *expected = story_normalize(story_text);
    const char *line = expected;

    story.requests = calloc(REQUESTS_MAX, sizeof(*story.requests));
    assert_non_null(story.requests);
    if (strncmp(line, "broker ", 7) == 0) {
        char *words = story_command_part(line, strcspn(line, "\n"));
        configure(&config, words + 7);
        text_add(&story.actual, "%s\n", words);
        free(words);
        line += strcspn(line, "\n") + 1;
    }
    story.world = world_open(&config);
    story.world->listen = listen;
    story.world->context = &story;
    while (*line != '\0') {
        size_t bytes = strcspn(line, "\n");
        if (line[0] == '[') {
            char *words = story_command_part(line, bytes);
            do_line(&story, words);
            free(words);
        }
        line += bytes + (line[bytes] == '\n' ? 1 : 0);
    }
    char *actual = story_normalize(text_of(&story.actual));
    bool same = strcmp(expected, actual) == 0;
    if (!same && aloud) {
        story_report(expected, actual);
    }
    if (same || !aloud) {
        world_close(story.world);
    }
    free(actual);
    free(expected);
    free(story.requests);
    text_fini(&story.actual);
    text_fini(&story.outcome);
    text_fini(&story.effects);
    return same;
}

void world_says(const char *story)
{
    assert_true(tell(story, true));
}

bool world_agrees(const char *story)
{
    return tell(story, false);
}
