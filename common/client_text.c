/*
 * client_text.c - what baozi_explain() tells.
 *
 * Each thread's last failure on a client is kept in a table of 256 places;
 * when more threads than that fail, the oldest failure is forgotten. Three
 * lines: what (with the queue and the broker's own words), why, what to do.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/client_inside.h"
#include "common/text.h"

void bao_copy_text(char *target, size_t bytes, struct bao_span text)
{
    size_t count = text.bytes < bytes - 1 ? text.bytes : bytes - 1;
    if (count > 0) {
        memcpy(target, text.data, count);
    }
    target[count] = '\0';
}

/* This thread's place, else a free one, else the oldest; NULL without
 * memory. */
static struct bao_failure *place_for(struct bao_engine *e)
{
    pthread_t self = pthread_self();
    struct bao_failure *oldest = NULL;
    for (size_t i = 0; i < BAO_FAILURES; i++) {
        struct bao_failure *at = e->failures[i];
        if (at == NULL) {
            e->failures[i] = calloc(1, sizeof *at);
            return e->failures[i];
        }
        if (pthread_equal(at->thread, self)) {
            return at;
        }
        if (oldest == NULL || at->number < oldest->number) {
            oldest = at;
        }
    }
    return oldest;
}

/* What is called in question may be any bytes: it stays one line. */
static void
name_call(struct bao_failure *failure, const char *verb, struct bao_span queue)
{
    char name[sizeof failure->what - 40];
    (void)bao_write_escaped(name, sizeof name, queue.data, queue.bytes);
    (void)snprintf(failure->what,
                   sizeof failure->what,
                   queue.bytes > 0 ? "%.32s on queue '%s'" : "%.32s",
                   verb,
                   name);
}

enum baozi_status bao_note(struct baozi *client,
                           enum baozi_status status,
                           const char *verb,
                           struct bao_span queue,
                           const char *detail)
{
    /* A client that is being closed has nobody left to ask. */
    bool worth = status != BAOZI_OK && status != BAOZI_CLOSED;
    struct bao_engine *e = worth ? bao_pin(client) : NULL;
    if (e == NULL) {
        return status;
    }
    (void)pthread_mutex_lock(&e->failures_lock);
    struct bao_failure *failure = place_for(e);
    if (failure != NULL) {
        failure->thread = pthread_self();
        failure->number = ++e->failure_number;
        failure->status = status;
        name_call(failure, verb, queue);
        /* The broker's words may quote a name. */
        (void)bao_write_escaped(
            failure->detail, sizeof failure->detail, detail, strlen(detail));
    }
    (void)pthread_mutex_unlock(&e->failures_lock);
    bao_unpin(e);
    return status;
}

void bao_failures_free(struct bao_engine *e)
{
    for (size_t i = 0; i < BAO_FAILURES; i++) {
        free(e->failures[i]);
    }
}

static void write_failure(const struct bao_failure *failure,
                          const char *url,
                          char *text,
                          size_t bytes)
{
    bool has_detail = failure->detail[0] != '\0';
    bool names_broker = failure->status == BAOZI_CONNECTION_LOST;
    (void)snprintf(text,
                   bytes,
                   "%s%s%s: %s%s%s\n%s\n%s",
                   failure->what,
                   names_broker ? " at " : "",
                   names_broker ? url : "",
                   baozi_status_name(failure->status),
                   has_detail ? ": " : "",
                   failure->detail,
                   baozi_status_text(failure->status),
                   baozi_status_remedy(failure->status));
}

const char *baozi_explain(const struct baozi *client, char *text, size_t bytes)
{
    if (bytes == 0) {
        return text;
    }
    text[0] = '\0';
    struct bao_engine *e = client == NULL ? NULL : bao_pin(client);
    if (e == NULL) {
        return text;
    }
    (void)pthread_mutex_lock(&e->failures_lock);
    for (size_t i = 0; i < BAO_FAILURES && e->failures[i] != NULL; i++) {
        if (pthread_equal(e->failures[i]->thread, pthread_self())) {
            write_failure(e->failures[i], client->settings.url, text, bytes);
        }
    }
    (void)pthread_mutex_unlock(&e->failures_lock);
    bao_unpin(e);
    return text;
}

const char *baozi_state_name(enum baozi_state state)
{
    return bao_state_name((uint64_t)state);
}
