/*
 * tally.h - who counts what: the ledger of a queue, a group, or a session.
 *
 * A join waits at a ledger; it is answered at the moment when `unfinished`
 * becomes 0, whatever comes in behind it (SPEC S4.2).
 */
#ifndef BAO_CORE_TALLY_H
#define BAO_CORE_TALLY_H

#include "broker/core/state.h"

/* `weight` tells it from all others in the digest. */
void bao_ledger_init(struct bao_ledger *ledger, uint64_t weight);
void bao_ledger_fini(struct bao_core *core, struct bao_ledger *ledger);
void bao_ledger_accept(struct bao_core *core,
                       struct bao_ledger *ledger,
                       uint64_t count);
void bao_ledger_settle(struct bao_core *core,
                       struct bao_ledger *ledger,
                       enum bao_ending ending);
/* Keeps one of the first errors. */
void bao_ledger_error(struct bao_core *core,
                      struct bao_ledger *ledger,
                      struct bao_text *text);
void bao_errors_add(struct bao_core *core,
                    struct bao_errors **errors,
                    struct bao_text *text);
/* Remembers it among the last ones of the queue. */
void bao_errors_recent(struct bao_core *core,
                       struct bao_queue *queue,
                       struct bao_text *text);
void bao_errors_drop(struct bao_core *core, struct bao_errors *errors);

/* The tally of a session in a queue; `find` may be NULL, `get` makes one. */
struct bao_tally *bao_tally_find(const struct bao_core *core,
                                 uint64_t session,
                                 const struct bao_queue *queue);
struct bao_tally *bao_tally_get(struct bao_core *core,
                                struct bao_session *session,
                                struct bao_queue *queue);
/* Makes one; `session` is NULL if it is forgotten. */
struct bao_tally *bao_tally_new(struct bao_core *core,
                                struct bao_session *session,
                                uint64_t session_number,
                                struct bao_queue *queue);
/* Ends it if nothing needs it any more. */
void bao_tally_tidy(struct bao_core *core, struct bao_tally *tally);
/* The session is dead (or forgotten, or back): results run out. */
void bao_tally_ended(struct bao_core *core,
                     struct bao_tally *tally,
                     uint64_t ended_us);
/* One more or less use: a lease or a waiting get. */
void bao_tally_use(struct bao_tally *tally);
void bao_tally_unuse(struct bao_tally *tally);

struct bao_group *bao_group_find(const struct bao_core *core,
                                 const struct bao_queue *queue,
                                 struct bao_span name);
struct bao_group *bao_group_make(struct bao_core *core,
                                 struct bao_queue *queue,
                                 struct bao_span name);
void bao_group_accept(struct bao_core *core,
                      struct bao_group *group,
                      uint64_t count);
void bao_group_settle(struct bao_core *core,
                      struct bao_group *group,
                      enum bao_ending ending);
/* It has no open items since then: it stays for group_ttl. It is in neither
 * list of its queue. */
void bao_group_finish(struct bao_core *core,
                      struct bao_group *group,
                      uint64_t finished_us);
void bao_group_forget(struct bao_core *core, struct bao_group *group);

#endif
