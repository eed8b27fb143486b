/*
 * run_plugin.c - works through a shared object (common/baozi_plugin.h).
 *
 * The plugin is loaded in the child only; whatever it does to memory stays
 * there.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/baozi_plugin.h"
#include "worker/runner.h"

/* An item has at most 4 KiB of headers, so no more than this many. */
#define HEADERS_MAX (BAO_ITEM_HEADER_BYTES_MAX / 2u)

struct loaded {
    const struct bao_worker_settings *settings;
    void *library;
    const struct baozi_plugin *plugin;
    void *state; /* the plugin's */
    struct baozi_plugin_header headers[HEADERS_MAX];
};

typedef const struct baozi_plugin *entry_function(void);

/* Finds the plugin's description; NULL: `error` says why. */
static const struct baozi_plugin *
find_plugin(const char *path, void *library, char *error, size_t error_bytes)
{
    /* ISO C has no cast from an object pointer to a function */
    void *symbol = dlsym(library, "baozi_plugin");
    entry_function *entry = NULL;
    if (symbol == NULL) {
        (void)snprintf(error,
                       error_bytes,
                       "%s exports no baozi_plugin(); write one as "
                       "baozi_plugin.h says",
                       path);
        return NULL;
    }
    memcpy(&entry, &symbol, sizeof entry);
    const struct baozi_plugin *plugin = entry();
    if (plugin == NULL || plugin->version != BAOZI_PLUGIN_VERSION) {
        (void)snprintf(error,
                       error_bytes,
                       "%s is made for version %u of baozi_plugin.h, this "
                       "worker has %u; compile it anew",
                       path,
                       plugin == NULL ? 0 : plugin->version,
                       BAOZI_PLUGIN_VERSION);
        return NULL;
    }
    if (plugin->handle == NULL) {
        (void)snprintf(error,
                       error_bytes,
                       "%s has no handle(); it is what works on an item",
                       path);
        return NULL;
    }
    return plugin;
}

static int plugin_begin(const struct bao_worker_settings *settings,
                        void **state,
                        char *error,
                        size_t error_bytes)
{
    char path[4096];
    /* a name without a slash would be looked for among system libraries */
    (void)snprintf(path,
                   sizeof path,
                   "%s%s",
                   strchr(settings->plugin, '/') == NULL ? "./" : "",
                   settings->plugin);
    struct loaded *loaded = calloc(1, sizeof *loaded);
    if (loaded == NULL) {
        (void)snprintf(error, error_bytes, "memory ran out");
        return 1;
    }
    loaded->settings = settings;
    loaded->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (loaded->library == NULL) {
        const char *why = dlerror();
        (void)snprintf(error,
                       error_bytes,
                       "%s",
                       why == NULL ? "it cannot be loaded" : why);
        free(loaded);
        return 1;
    }
    loaded->plugin = find_plugin(path, loaded->library, error, error_bytes);
    if (loaded->plugin != NULL && loaded->plugin->init != NULL &&
        loaded->plugin->init(
            settings->argument, &loaded->state, error, error_bytes) != 0) {
        if (error[0] == '\0')
            (void)snprintf(error, error_bytes, "its init() refused");
        loaded->plugin = NULL;
    }
    if (loaded->plugin == NULL) {
        (void)dlclose(loaded->library);
        free(loaded);
        return 1;
    }
    *state = loaded;
    return 0;
}

static size_t take_headers(struct loaded *loaded, const struct bao_task *task)
{
    const char *at = task->headers;
    const char *end = at + task->header_bytes;
    size_t count = 0;
    while (at < end && count < HEADERS_MAX) {
        loaded->headers[count].key = at;
        at += strlen(at) + 1;
        loaded->headers[count].value = at;
        at += strlen(at) + 1;
        count++;
    }
    return count;
}

static void
plugin_run(void *state, const struct bao_task *task, struct bao_answer *answer)
{
    struct loaded *loaded = state;
    struct baozi_plugin_answer said = {.size = sizeof said};
    const struct baozi_plugin_item item = {
        .size = sizeof item,
        .queue = loaded->settings->queue,
        .id = task->id,
        .token = task->token,
        .deliveries = task->deliveries,
        .priority = task->priority,
        .group = task->group,
        .payload = task->payload,
        .bytes = task->bytes,
        .headers = loaded->headers,
        .header_count = take_headers(loaded, task),
    };
    enum baozi_plugin_outcome outcome =
        loaded->plugin->handle(loaded->state, &item, &said);
    switch (outcome) {
    case BAOZI_PLUGIN_DONE: answer->outcome = BAO_OUTCOME_DONE; break;
    case BAOZI_PLUGIN_RETRY: answer->outcome = BAO_OUTCOME_RETRY; break;
    case BAOZI_PLUGIN_RELEASE: answer->outcome = BAO_OUTCOME_RELEASE; break;
    case BAOZI_PLUGIN_REJECT: answer->outcome = BAO_OUTCOME_REJECT; break;
    default: /* a plugin may answer anything */
        answer->outcome = BAO_OUTCOME_RETRY;
        (void)snprintf(answer->error,
                       sizeof answer->error,
                       "the plugin answered %d, which is no outcome of "
                       "baozi_plugin.h; mend the plugin",
                       (int)outcome);
        return;
    }
    answer->has_result = said.result != NULL;
    answer->result = said.result;
    answer->result_bytes = said.result_bytes;
    if (said.delay_ms > 0)
        answer->delay_ms = said.delay_ms;
    if (said.error != NULL)
        (void)snprintf(answer->error, sizeof answer->error, "%s", said.error);
}

static void plugin_end(void *state)
{
    struct loaded *loaded = state;
    if (loaded->plugin->fini != NULL)
        loaded->plugin->fini(loaded->state);
    (void)dlclose(loaded->library);
    free(loaded);
}

const struct bao_handler bao_plugin_handler = {.begin = plugin_begin,
                                               .run = plugin_run,
                                               .end = plugin_end};
