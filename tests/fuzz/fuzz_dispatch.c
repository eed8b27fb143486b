/*
 * fuzz_dispatch.c - whatever four peers say, and whenever: the gateway and the
 * core answer, and stay right.
 *
 * An input is a list of acts. The first byte of each:
 *
 *   bits 0-2  0, 1 a message of composed operations   2 a raw message
 *             3 time passes    4 a peer comes, goes, reads or does not
 *             5 a command      6, 7 a composed message of the usual verbs
 *   bits 3-4  which peer       bit 7  the turn goes on
 *   bits 5-6  composed: operations - 1
 */
#include "common/check.h"
#include "common/wire.h"
#include "tests/fuzz/broker_world.h"

enum { ACTS_MAX = 400 };

static struct fuzz_broker broker;
static uint8_t header[BAO_HEADER_BYTES_MAX];

/* --- messages ------------------------------------------------------------ */

/* Verbs that make a queue live. */
static uint64_t usual_verb(struct fuzz_input *input)
{
    static const uint8_t verbs[] = {
        BAO_VERB_HELLO,     BAO_VERB_DECLARE, BAO_VERB_PUT,
        BAO_VERB_PUT,       BAO_VERB_GET,     BAO_VERB_GET,
        BAO_VERB_SUBSCRIBE, BAO_VERB_DONE,    BAO_VERB_DONE,
        BAO_VERB_RETRY,     BAO_VERB_RELEASE, BAO_VERB_REJECT,
        BAO_VERB_TOUCH,     BAO_VERB_JOIN,    BAO_VERB_ACK,
        BAO_VERB_CANCEL,    BAO_VERB_STARTED, BAO_VERB_DONE_NEXT,
        BAO_VERB_WAIT,      BAO_VERB_REDRIVE, BAO_VERB_CONFIGURE,
    };
    return verbs[fuzz_byte(input) % sizeof verbs];
}

/* The rids that it used are gone, and what waits may be spoken of. */
static void used_rids(struct fuzz_known *known,
                      const struct bao_operation *operation)
{
    uint64_t requests = bao_operation_requests(operation);
    if (operation->rid != known->rid || known->rid > UINT32_MAX) {
        return;
    }
    known->rid += requests;
    if (operation->verb == BAO_VERB_SUBSCRIBE ||
        operation->verb == BAO_VERB_GET || operation->verb == BAO_VERB_PUT ||
        operation->verb == BAO_VERB_JOIN) {
        known->target = operation->rid;
    }
}

static void say_composed(struct fuzz_input *input,
                         struct fuzz_peer *peer,
                         unsigned count,
                         bool usual)
{
    static struct fuzz_memory memory;
    struct bao_operation operation;
    struct bao_writer writer;
    size_t sizes[BAO_PARTS_MAX] = {0};
    uint32_t big = 0;
    bao_writer_open(&writer, header, sizeof header);
    for (; count > 0; count--) {
        uint64_t verb = usual ? usual_verb(input) : fuzz_verb(input);
        size_t small_bytes = 0;
        size_t big_bytes[BAO_BIG_FRAMES_MAX] = {0};
        fuzz_compose(input, &peer->known, verb, false, &memory, &operation);
        uint32_t more = fuzz_body_sizes(&operation, &small_bytes, big_bytes);
        if (big + more > BAO_BIG_FRAMES_MAX ||
            bao_writer_add(&writer, &operation) != BAOZI_OK) {
            break;
        }
        sizes[0] += small_bytes;
        memcpy(sizes + 1 + big, big_bytes, more * sizeof big_bytes[0]);
        big += more;
        used_rids(&peer->known, &operation);
    }
    fuzz_peer_says(&broker,
                   peer,
                   bao_writer_close(&writer),
                   sizes,
                   sizes[0] > 0 || big > 0 ? 1 + big : 0);
}

/* Two bytes of length, the header, the number of frames, their sizes. */
static void say_raw(struct fuzz_input *input, struct fuzz_peer *peer)
{
    size_t sizes[BAO_PARTS_MAX] = {0};
    struct bao_span bytes = fuzz_bytes(input, fuzz_two_bytes(input));
    uint32_t count = fuzz_byte(input) % BAO_PARTS_MAX;
    for (uint32_t i = 0; i < count; i++) {
        sizes[i] = fuzz_two_bytes(input);
        sizes[i] += i > 0 ? BAO_BIG_BYTES - 32u : 0;
    }
    broker.raw = true;
    fuzz_peer_says(&broker, peer, bytes, sizes, count);
}

/* --- the rest ------------------------------------------------------------- */

static void pass_time(struct fuzz_input *input)
{
    static const uint32_t steps_ms[] = {1,
                                        5,
                                        20,
                                        99,
                                        100,
                                        250,
                                        500,
                                        1000,
                                        1500,
                                        3001,
                                        10000,
                                        30000,
                                        61000,
                                        300001,
                                        600000,
                                        3700000};
    broker.now_us += UINT64_C(1000) * steps_ms[fuzz_byte(input) & 15u];
}

static void disturb(struct fuzz_input *input, struct fuzz_peer *peer)
{
    switch (fuzz_byte(input) & 7u) {
    case 0: fuzz_peer_close(&broker, peer, true); return;
    case 1:
    case 2: fuzz_peer_close(&broker, peer, false); return;
    case 3: peer->sends = BAO_PARKED; return;
    case 4: peer->sends = BAO_GONE; return;
    case 5: fuzz_peer_writable(&broker, peer); return;
    case 6: /* a new client in its place */
        fuzz_peer_close(&broker, peer, false);
        peer->known.client[0]++;
        peer->known.rid = 1;
        break;
    default: break;
    }
    fuzz_peer_open(&broker, peer);
}

static void command(struct fuzz_input *input)
{
    struct bao_command drain = {.kind = BAO_COMMAND_DRAIN};
    struct bao_command jump = {.kind = BAO_COMMAND_WALL_JUMPED};
    struct bao_command failed = {.kind = BAO_COMMAND_STORAGE_FAILED};
    uint8_t byte = fuzz_byte(input);
    switch (byte & 15u) {
    case 0: fuzz_broker_command(&broker, &drain); return;
    case 2:
    case 3:
    case 4: fuzz_broker_image(&broker); return;
    case 1: do { fuzz_broker_command(&broker, &failed);
        } while (bao_core_waiting(broker.core) > 0);
        return;
    default:
        jump.wall_offset_us =
            INT64_C(1700000000000000) + (int64_t)byte * 60000000;
        fuzz_broker_command(&broker, &jump);
        return;
    }
}

static void act(struct fuzz_input *input)
{
    uint8_t first = fuzz_byte(input);
    struct fuzz_peer *peer = &broker.peers[first >> 3 & 3u];
    unsigned kind = first & 7u;
    switch (kind) {
    case 2: say_raw(input, peer); break;
    case 3: pass_time(input); break;
    case 4: disturb(input, peer); break;
    case 5: command(input); break;
    default:
        say_composed(input, peer, 1u + (first >> 5 & 3u), kind >= 6);
        break;
    }
    if ((first & 0x80u) == 0) {
        fuzz_broker_turn(&broker);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {.at = data, .left = size};
    fuzz_broker_open(&broker);
    for (unsigned i = 0; i < FUZZ_PEERS; i++) {
        fuzz_peer_open(&broker, &broker.peers[i]);
    }
    for (unsigned acts = 0; input.left > 0 && acts < ACTS_MAX; acts++) {
        act(&input);
    }
    fuzz_broker_close(&broker);
    return 0;
}
