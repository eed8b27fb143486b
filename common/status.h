/*
 * status.h - every outcome baozi knows, in one table.
 *
 * A row is: number, name, exit code of the programs, what happened, what to
 * do. Numbers are part of the protocol and never change or come back. The
 * first section are expected answers, the second faults. `enum baozi_status`
 * in baozi.h is made from this table; nothing else repeats it.
 */
#ifndef BAOZI_STATUS_H
#define BAOZI_STATUS_H

/* clang-format off */
#define BAOZI_STATUS_TABLE(X) \
    /* expected answers */ \
    X(0,  OK,              0,  "done", \
      "nothing to do") \
    X(1,  FULL,            75, "the queue is at its bound", \
      "wait longer, add workers, or raise maxsize or max_bytes") \
    X(2,  EMPTY,           1,  "no item came in time", \
      "wait longer, or check that producers run and the queue is not paused") \
    X(3,  TIMEOUT,         1,  "the time was over before it happened", \
      "wait longer; the work itself goes on") \
    X(4,  SHUTDOWN,        1,  "the queue is shut down", \
      "stop, or ask an operator to reopen the queue") \
    X(5,  CANCELLED,       1,  "the request was cancelled while it waited", \
      "nothing to do; it had no effect") \
    X(6,  STALE,           1,  "the lease is no longer yours", \
      "drop the work: the item was or will be handed to another worker") \
    X(7,  TOO_MANY,        1,  "task_done was called too often", \
      "call task_done once for each item taken") \
    X(8,  NOT_FOUND,       1,  "there is no such queue, item or outcome", \
      "check the name or id; declare the queue first") \
    X(9,  EXISTS,          1,  "the queue exists with other options", \
      "use its options, or change them with configure") \
    /* faults */ \
    X(20, DENIED,          77, "this client may not do that", \
      "ask the operator for the role, or use another key") \
    X(21, QUOTA,           75, "a limit of the broker or session is reached", \
      "settle or acknowledge what is open, then repeat; or raise the limit") \
    X(22, TOO_BIG,         65, "this can never fit", \
      "send less at once, or raise the item or queue limit") \
    X(23, LOST,            74, "what this was about was lost in a restart", \
      "start the work again, or use a durable queue") \
    X(24, SESSION_GONE,    74, "the broker no longer knows this session", \
      "the outcome is unknown: check before repeating") \
    X(25, STORAGE_FULL,    75, "the broker's disk is full", \
      "make room; getting and settling still work") \
    X(26, STORAGE_FAILED,  74, "the broker's disk failed", \
      "replace the disk and restore; nothing was confirmed") \
    X(27, NOT_LEADER,      75, "another broker leads", \
      "follow the hint to the leader") \
    X(28, DRAINING,        75, "the broker is shutting down", \
      "try again when it is back, or use another broker") \
    X(29, BAD_REQUEST,     64, "the request makes no sense", \
      "mend the call as the text says") \
    X(30, BAD_VERSION,     76, "client and broker share no protocol version", \
      "upgrade the older one") \
    X(31, CONNECTION_LOST, 69, "the broker did not answer", \
      "the outcome is unknown; check that the broker runs and its address") \
    X(32, INTERRUPTED,     130, "a signal handler asked the call to return", \
      "call again to go on") \
    X(33, CLOSED,          64, "the client handle is closed", \
      "open a client first") \
    X(34, NO_MEMORY,       74, "memory ran out", \
      "free memory, then repeat")
/* clang-format on */

#endif
