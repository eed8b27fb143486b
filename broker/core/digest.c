/*
 * digest.c - the hash of each kind of record.
 *
 * A kind has a salt of its own, so that two records of different kinds with
 * equal members do not cancel each other out.
 */
#include "broker/core/digest.h"

#include "broker/core/shelf.h"

#define K1 UINT64_C(0x9e3779b97f4a7c15)
#define K2 UINT64_C(0xc2b2ae3d27d4eb4f)
#define K3 UINT64_C(0x165667b19e3779f9)
#define K4 UINT64_C(0xe7037ed1a0b428db)
#define K5 UINT64_C(0x8ebc6af09c88c6e3)
#define K6 UINT64_C(0x589965cc75374cc3)
#define K7 UINT64_C(0x1d8e4e27c47d124f)
#define K8 UINT64_C(0xeb44accab455d165)

static uint64_t hash_text(const struct bao_text *text)
{
    return text == NULL
               ? 0
               : bao_hash_bytes(bao_span_of(text->data, text->bytes), K3);
}

uint64_t bao_digest_item(const struct bao_item *item)
{
    const uint8_t durable = (uint8_t)(item->flags & ~BAO_ITEM_FLAGS_VOLATILE);
    uint64_t sum = item->id * K1;
    sum += (item->accepted_us ^ (uint64_t)item->deliveries << 44) * K2;
    sum += item->due_us * K3;
    sum += item->expires_us * K4;
    sum += ((uint64_t)item->bytes << 32 | item->header_bytes) * K5;
    sum += item->history * K6;
    sum += ((uint64_t)(uint32_t)item->priority << 16 |
            (uint64_t)item->state << 8 | durable) *
           K7;
    if (item->lease != NULL) {
        sum += (item->lease->token + item->lease->since_us) * K8;
        sum += (item->lease->tally->session_number + item->lease->rid +
                item->lease->flags + item->lease->sequence) *
               K2;
    }
    if (item->tally != NULL) {
        sum += item->tally->ledger.weight;
    }
    if (item->group != NULL) {
        sum += item->group->ledger.weight;
    }
    if (item->note != NULL) {
        sum += (item->note->origin + item->note->wall_us) * K1;
    }
    return bao_digest_mix(sum ^ K8);
}

uint64_t bao_digest_resting(uint64_t id,
                            const struct bao_run *run,
                            uint32_t bytes,
                            uint32_t header_bytes)
{
    uint64_t sum = id * K1 + run->accepted_us * K2;
    sum += ((uint64_t)bytes << 32 | header_bytes) * K5;
    sum += ((uint64_t)BAO_STATE_READY << 8) * K7;
    if (run->tally != NULL) {
        sum += run->tally->ledger.weight;
    }
    return bao_digest_mix(sum ^ K8);
}

uint64_t bao_digest_session(const struct bao_session *session)
{
    uint64_t sum = session->number * K2;
    sum += bao_load64(session->client) * K3;
    sum += bao_load64(session->client + 8) * K4;
    sum += bao_load64(session->secret) * K5;
    sum += session->state * K6;
    sum += session->ended_us * K7;
    sum +=
        hash_text(session->host) + hash_text(session->program) + session->pid;
    return bao_digest_mix(sum ^ K1);
}

uint64_t bao_digest_answer(const struct bao_answer *answer)
{
    uint64_t sum = answer->session->number * K3;
    sum += answer->request.first * K4;
    sum += answer->request.count * K5;
    sum += answer->first_id * K6;
    sum += answer->number * K7;
    sum += ((uint64_t)answer->flags << 32 | (uint64_t)answer->verb << 16 |
            answer->status) *
           K8;
    sum += answer->queue * K1 + hash_text(answer->extra);
    return bao_digest_mix(sum ^ K2);
}

uint64_t bao_digest_progress(const struct bao_progress *progress)
{
    uint64_t sum = progress->session->number * K3 + progress->rid * K4;
    sum += progress->queue * K1 + progress->mark * K6 + progress->moved * K7;
    return bao_digest_mix(sum ^ K5);
}

uint64_t bao_digest_queue(const struct bao_queue *queue)
{
    uint64_t sum = queue->incarnation * K4 + hash_text(queue->name);
    sum += queue->shut * K5 + queue->made_us * K6;
    uint64_t factor = K1;
#define X(number, NAME, field, fallback, max) \
    sum += queue->options.field * factor;     \
    factor = factor * K2 + 2;
    BAO_OPTION_TABLE(X)
#undef X
    return bao_digest_mix(sum ^ K3);
}

uint64_t bao_digest_dedup(const struct bao_dedup *dedup)
{
    uint64_t sum = hash_text(dedup->key) + dedup->queue->incarnation * K5;
    sum += dedup->first_id * K6 + dedup->until_us * K7 + dedup->live * K8;
    return bao_digest_mix(sum ^ K4);
}

uint64_t bao_digest_group(const struct bao_group *group)
{
    return bao_digest_mix(group->ledger.weight ^ K5);
}

uint64_t bao_digest_outcome(const struct bao_outcome *outcome)
{
    uint64_t sum = outcome->id * K6 + outcome->state * K7;
    sum += outcome->result_bytes * K8 + (outcome->result ? K1 : 0);
    if (outcome->owner != NULL) {
        sum += outcome->owner->session_number * K2;
    }
    return bao_digest_mix(sum ^ K6);
}

uint64_t bao_digest_ledger(const struct bao_ledger *ledger)
{
    uint64_t sum = ledger->accepted;
    for (unsigned i = 0; i < BAO_ENDINGS; i++) {
        sum += ledger->settled[i] << (7 * (i + 1));
    }
    return sum * ledger->weight;
}

uint64_t bao_digest_counts(const struct bao_queue *queue)
{
    uint64_t sum = queue->last + (queue->prepaid << 16);
    sum += (queue->retried << 32) + (queue->redelivered << 40);
    return sum * queue->weight;
}

uint64_t bao_digest_core(const struct bao_core *core)
{
    uint64_t sum = core->epoch * K1 + core->token * K2;
    sum += core->last_incarnation * K3 + core->last_session * K4;
    return bao_digest_mix(sum ^ K7);
}
