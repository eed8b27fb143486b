/*
 * tap.c - every message that is sent must be one of the protocol, and what it
 * carries is counted.
 */
#include "common/wire.h"
#include "tests/sim/count.h"
#include "tests/sim/network.h"

static void check_frames(struct sim *sim,
                         const struct sim_message *message,
                         const struct bao_reader *reader)
{
    size_t small = message->frame_count > 1 ? message->frames[1].bytes : 0;
    uint32_t big = message->frame_count > 2 ? message->frame_count - 2 : 0;
    if (small != reader->claimed.offset || big != reader->claimed.big) {
        sim_fail(sim,
                 "the %s sent bodies that its header does not claim",
                 message->up ? "client" : "broker");
    }
}

bool tap_sent(struct sim *sim, const struct sim_message *message)
{
    struct bao_reader reader;
    struct bao_operation operation;
    bool may_double = true;
    enum baozi_status status = bao_reader_open(&reader, message->frames[0]);
    if (status != BAOZI_OK) {
        sim_fail(sim, "a message is malformed: %s", reader.why);
    }
    check_frames(sim, message, &reader);
    while ((status = bao_reader_next(&reader, &operation)) == BAOZI_OK) {
        if (message->up) {
            may_double &= operation.rid == 0;
            sim_count(sim, SIM_COUNT_ASKED, operation.verb);
        } else if (!bao_is_answer(&operation) || operation.status == BAOZI_OK) {
            sim_count(sim, SIM_COUNT_TOLD, operation.verb);
        }
    }
    if (status != BAOZI_EMPTY) {
        sim_fail(sim, "an operation makes no sense: %s", reader.why);
    }
    return may_double;
}
