/*
 * session.h - a client's life: hello, resume, heartbeats, bye and death; its
 * window of requests.
 */
#ifndef BAO_CORE_SESSION_H
#define BAO_CORE_SESSION_H

#include "broker/core/out.h"

void bao_hello(struct bao_core *core,
               const struct bao_command *command,
               struct bao_session *already);
void bao_bye(struct bao_core *core, const struct bao_call *call);
void bao_heartbeat(struct bao_core *core, const struct bao_call *call);
void bao_ack(struct bao_core *core, const struct bao_call *call);
void bao_held(struct bao_core *core, const struct bao_call *call);
void bao_cancel(struct bao_core *core, const struct bao_call *call);

/* Gives it an address, or takes that away. */
void bao_session_bind(struct bao_core *core,
                      struct bao_session *session,
                      uint64_t peer);
void bao_session_unbind(struct bao_core *core, struct bao_session *session);
bool bao_session_has_waiters(const struct bao_session *session);
struct bao_session *bao_session_at(struct bao_core *core, uint64_t peer);
/* Its connection is gone: the grace begins. */
void bao_session_closed(struct bao_core *core, struct bao_session *session);
/* It is dead now: its leases go back, its window stays for an hour. */
void bao_session_die(struct bao_core *core, struct bao_session *session);
/* Its timer is due. */
void bao_session_due(struct bao_core *core, struct bao_session *session);
/* It was granted something: heartbeats come faster while it holds leases. */
void bao_session_beat(struct bao_core *core, struct bao_session *session);
/* A slice of what its end, or its return, leaves to do. True when done. */
bool bao_session_work(struct bao_core *core, struct bao_session *session);
/* Forgets dead sessions beyond the limits. */
void bao_session_forget(struct bao_core *core);
/* Tells those who wait that the disk failed, as many as a step can tell. */
void bao_session_fail(struct bao_core *core);
/* After a replay: all have ten seconds to come back. */
void bao_session_restart(struct bao_core *core);

/* The kept answer, again, for requests [rid, rid + count) of it. False: a get
 * of which nothing is left, so the request is new. */
bool bao_answer_again(struct bao_core *core,
                      const struct bao_call *call,
                      struct bao_answer *answer);
/* Forgets a kept get of which nothing is left. */
void bao_answer_renew(struct bao_core *core, const struct bao_call *call);
/* True if a CANCEL for `rid` came before it; it is forgotten with that. */
bool bao_cancel_remembered(struct bao_session *session, uint64_t rid);
/* The smallest rid from `rid` on that a CANCEL came for; UINT64_MAX: none. */
uint64_t bao_cancel_next(const struct bao_session *session, uint64_t rid);

#endif
