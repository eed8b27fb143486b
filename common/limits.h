/*
 * limits.h - every maximum in one place, with their relations asserted.
 *
 * Limits on the wire are part of the protocol; limits of a broker are the
 * defaults of its configuration.
 */
#ifndef BAO_LIMITS_H
#define BAO_LIMITS_H

#include <stdint.h>

/* On the wire (PROTOCOL.md). */
#define BAO_PROTOCOL_VERSION      1u
#define BAO_PROTOCOL_VERSION_MIN  1u
#define BAO_HEADER_BYTES_MAX      (64u * 1024u)
#define BAO_OPERATIONS_MAX        1024u /* in one message */
#define BAO_OPERATION_ITEMS_MAX   1024u /* items or requests of one op */
#define BAO_PARTS_MAX             17u   /* header, bodies, 15 big frames */
#define BAO_BIG_FRAMES_MAX        (BAO_PARTS_MAX - 2u)
#define BAO_BIG_BYTES             (64u * 1024u) /* a payload of its own */
#define BAO_BIG_BIT               0x80000000u   /* in `lengths` */
#define BAO_ITEM_BYTES_MAX        (32u * 1024u * 1024u)
#define BAO_ITEM_HEADER_BYTES_MAX (4u * 1024u)
#define BAO_ITEM_HEADERS_MAX      64u
#define BAO_BODIES_BYTES_MAX      (4u * 1024u * 1024u) /* the bodies frame */
#define BAO_QUEUE_NAME_BYTES_MAX  200u
#define BAO_GROUP_NAME_BYTES_MAX  200u
#define BAO_KEY_BYTES_MAX         256u /* dedup and fairness keys */
#define BAO_ERROR_BYTES_MAX       1024u
#define BAO_TEXT_BYTES_MAX        256u /* host, program, cursor, match */
#define BAO_JOIN_ERRORS_MAX       16u
#define BAO_DAMAGES_MAX           16u /* that BROKER tells of */
#define BAO_RANGES_MAX            1024u
#define BAO_DEPTH_MAX             4u
#define BAO_CLIENT_ID_BYTES       16u

/* A broker's defaults (SPEC S3.5, S5, S6, S7). */
#define BAO_ANSWERS_MAX          1024u /* unacknowledged, a session */
#define BAO_WAITING_MAX          4096u /* waiting requests, a session */
#define BAO_STEP_ITEMS_MAX       1024u /* items that one step may move */
#define BAO_ROWS_MAX             256u  /* rows of one browse or list */
#define BAO_SESSIONS_MAX         65536u
#define BAO_DEAD_SESSIONS_MAX    65536u
#define BAO_QUEUES_MAX           100000u
#define BAO_GROUPS_MAX           100000u
#define BAO_SUBSCRIPTIONS_MAX    1024u /* a session */
#define BAO_PARKED_SESSION_BYTES (64u * 1024u * 1024u)
#define BAO_DEAD_SESSION_MS      (60u * 60u * 1000u)
#define BAO_RESUME_GRACE_MS      500u
#define BAO_HEARTBEAT_LEASED_MS  1000u
#define BAO_HEARTBEAT_IDLE_MS    60000u
#define BAO_HEARTBEATS_MISSED    3u
#define BAO_ID_SHIFT             40u /* incarnation or epoch above it */
#define BAO_FOREVER_MS           UINT64_MAX

_Static_assert(BAO_ITEM_BYTES_MAX < BAO_BIG_BIT, "the big bit is free");
_Static_assert(BAO_BIG_BYTES <= BAO_BODIES_BYTES_MAX, "small bodies fit");
_Static_assert(BAO_OPERATION_ITEMS_MAX * 8u * 4u < BAO_HEADER_BYTES_MAX,
               "four u64 columns of a full operation fit in a header");
_Static_assert(BAO_ANSWERS_MAX >= BAO_OPERATION_ITEMS_MAX,
               "one full operation fits in the window");

#endif
