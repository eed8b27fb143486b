/*
 * baozi_plugin.h - how to write a plugin for baozi-worker.
 *
 *     baozi-worker QUEUE --plugin ./word_count.so --argument TEXT
 *
 * A plugin is a shared object that exports one function, baozi_plugin(). It
 * needs nothing but this header, which is #include <baozi_plugin.h> where
 * baozi is installed:
 *
 *     cc -shared -fPIC $(pkg-config --cflags baozi) -o mine.so mine.c
 *
 * This is a whole one, which answers with the item itself:
 *
 *     #include <baozi_plugin.h>
 *
 *     static enum baozi_plugin_outcome
 *     echo(void *state,
 *          const struct baozi_plugin_item *item,
 *          struct baozi_plugin_answer *answer)
 *     {
 *         (void)state;
 *         answer->result = item->payload;
 *         answer->result_bytes = item->bytes;
 *         return BAOZI_PLUGIN_DONE;
 *     }
 *
 *     const struct baozi_plugin *baozi_plugin(void)
 *     {
 *         static const struct baozi_plugin mine = {
 *             .version = BAOZI_PLUGIN_VERSION, .name = "mine", .handle = echo};
 *         return &mine;
 *     }
 *
 * Each child process of the worker loads the plugin for itself: it calls
 * init() once, handle() for one item after another, and fini() before it
 * ends in peace. There is one thread, so a plugin needs no locks, and what
 * it keeps in its state is never shared.
 *
 * A plugin that crashes, hangs (--timeout) or is killed costs one delivery
 * of the one item it had; another child takes its place. Memory that leaks
 * is bounded by --max-tasks. Standard input is empty; standard output and
 * error are the worker's. SIGTERM, SIGINT and SIGHUP are ignored in the
 * child: the worker lets it finish, or kills it when the time is over.
 *
 * worker/plugins/word_count.c is an example with a state and an argument.
 */
#ifndef BAOZI_PLUGIN_H
#define BAOZI_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The worker refuses a plugin made for another version. Members are only
 * ever added at the end of the structs within one version. */
#define BAOZI_PLUGIN_VERSION 1u

/* How an item ended. */
enum baozi_plugin_outcome {
    BAOZI_PLUGIN_DONE = 0,    /* task_done, with the answer's result if any */
    BAOZI_PLUGIN_RETRY = 1,   /* a failed delivery, counted; see `error` */
    BAOZI_PLUGIN_RELEASE = 2, /* not now: try again later, not counted */
    BAOZI_PLUGIN_REJECT = 3   /* never: straight to the dead; see `error` */
};

struct baozi_plugin_header {
    const char *key;
    const char *value;
};

/* One item. Everything is lent until the next call of handle() or fini(). */
struct baozi_plugin_item {
    size_t size; /* sizeof of the worker's struct */
    const char *queue;
    uint64_t id;
    uint64_t token;      /* only grows: the fencing token */
    uint32_t deliveries; /* 1 = never handed out before */
    int32_t priority;
    const char *group;   /* NULL if none */
    const void *payload; /* never NULL; not ended by NUL */
    size_t bytes;
    const struct baozi_plugin_header *headers;
    size_t header_count;
};

/*
 * What handle() says besides its outcome; zeroed before each call. Pointers
 * must stay valid until the next call of handle() or fini().
 */
struct baozi_plugin_answer {
    size_t size;
    const void *result;  /* of a done item; NULL = none */
    size_t result_bytes; /* more than 1 MiB is kept out */
    const char *error;   /* why it was retried or rejected; NULL = none */
    int64_t delay_ms;    /* retry and release: not before; 0 = the usual */
};

struct baozi_plugin {
    uint32_t version; /* BAOZI_PLUGIN_VERSION */
    const char *name; /* shown in the log */

    /*
     * Prepares one child. `argument` is the text of --argument ("" if there
     * is none); *state is handed to the other calls. 0: ready. Else the
     * worker prints `error` (write at most error_bytes with the NUL) and
     * takes no item for this child. May be NULL.
     */
    int (*init)(const char *argument,
                void **state,
                char *error,
                size_t error_bytes);

    /* Works on one item. Must not be NULL. */
    enum baozi_plugin_outcome (*handle)(void *state,
                                        const struct baozi_plugin_item *item,
                                        struct baozi_plugin_answer *answer);

    /* Ends. May be NULL. Not called when the child is killed. */
    void (*fini)(void *state);
};

/* The one function a plugin exports; what it returns lives for ever. */
#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
const struct baozi_plugin *
baozi_plugin(void);

#ifdef __cplusplus
}
#endif

#endif
