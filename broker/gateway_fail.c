/*
 * gateway_fail.c - the disk failed: nobody is told OK any more.
 *
 * What waited for a mark was never confirmed. Its answers are taken back and
 * STORAGE_FAILED said instead; notices (items pushed, marks of joins) are
 * dropped. Then the core tells those who still wait there.
 */
#include "broker/gateway_inner.h"
#include "common/check.h"
#include "common/log.h"

static const struct bao_need now = {.at = {0}};

/* The operation of a reply, as it was encoded; false if it cannot be read. */
static bool read_reply(struct bao_gateway *gateway,
                       struct bao_reply *reply,
                       struct bao_operation *operation)
{
    struct bao_writer writer;
    struct bao_reader reader;
    bao_writer_open(&writer, gateway->header, sizeof gateway->header);
    memcpy(writer.data + writer.bytes,
           bao_reply_operation(reply),
           reply->operation_bytes);
    writer.bytes += reply->operation_bytes;
    writer.operations = 1;
    return bao_reader_open(&reader, bao_writer_close(&writer)) == BAOZI_OK &&
           bao_reader_next(&reader, operation) == BAOZI_OK;
}

static void take_back(struct bao_gateway *gateway,
                      struct bao_gateway_peer *peer,
                      struct bao_reply *reply)
{
    struct bao_operation told;
    struct bao_operation answer = {0};
    const bool answers =
        read_reply(gateway, reply, &told) &&
        bao_has(&told, BAO_BIT(RID) | BAO_BIT(STATUS)) &&
        !(bao_has(&told, BAO_BIT(FLAGS)) && (told.flags & BAO_FLAG_MORE) != 0);
    bao_reply_free(&gateway->outbox, reply);
    if (!answers)
        return;
    BAO_SET(&answer, VERB, verb, told.verb);
    BAO_SET(&answer, RID, rid, told.rid);
    BAO_SET(&answer, STATUS, status, BAOZI_STORAGE_FAILED);
    if (told.verb != BAO_VERB_REDRIVE && bao_has(&told, BAO_BIT(COUNT)))
        BAO_SET(&answer, COUNT, count, told.count);
    BAO_SET(&answer,
            ERROR,
            error,
            bao_span_text("the broker's disk failed and it ends; this was "
                          "not confirmed"));
    bao_gateway_reply(gateway, peer, &answer, &now);
}

/* What was to be handed out or moved cannot be read. */
static void tell_damage(const struct bao_gateway *gateway)
{
    uint64_t id = 0;
    uint64_t address = 0;
    uint64_t offset = 0;
    char file[BAO_SEGMENT_NAME_BYTES] = "";
    const char *why = bao_bodies_damage(gateway->bodies, &id, &address);
    if (why == NULL)
        return;
    bao_log_name_place(gateway->journal->log, address, file, &offset);
    BAO_LOG(BAO_LOG_ERROR,
            bao_event("damaged"),
            bao_text("file", file),
            bao_number("offset", offset),
            bao_number("queue", id >> BAO_ID_SHIFT),
            bao_number("item", id & ((UINT64_C(1) << BAO_ID_SHIFT) - 1)),
            bao_text("why", why),
            bao_text("meaning",
                     "a payload is damaged on the disk, and the broker ends "
                     "rather than serve it or drop it; `baozi log verify` "
                     "names all such, `baozi log repair --quarantine` ends "
                     "these items and keeps all others"));
}

void bao_gateway_fail(struct bao_gateway *gateway)
{
    const struct bao_command command = {.kind = BAO_COMMAND_STORAGE_FAILED};
    gateway->failed = true;
    tell_damage(gateway);
    BAO_LOG(BAO_LOG_ERROR,
            bao_event("storage_failed"),
            bao_text("why",
                     gateway->journal->log == NULL
                         ? ""
                         : bao_log_failure(gateway->journal->log)),
            bao_text("meaning",
                     "nothing more is confirmed; the broker ends, and the "
                     "next start recovers what was"));
    for (uint32_t i = 0; i < gateway->peer_slots; i++) {
        struct bao_gateway_peer *peer = gateway->peers[i];
        struct bao_link *link;
        if (peer == NULL)
            continue;
        while ((link = bao_list_first(&peer->box.waiting)) != NULL)
            take_back(gateway, peer, BAO_OF(link, struct bao_reply, own));
    }
    uint64_t before;
    do {
        before = bao_core_waiting(gateway->core);
        bao_gateway_command(gateway, gateway->now_us, &command);
    } while (bao_core_waiting(gateway->core) < before);
}
