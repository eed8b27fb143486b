/*
 * fuzz_zmtp.c - any bytes from whoever answers at a broker's address: the
 * client takes whole messages of them or ends the connection, and how the
 * network cuts the bytes into pieces makes no difference.
 *
 * The first byte of an input says whether the hands are shaken already, the
 * second how many of the next bytes are lengths of pieces (0 = 1); the rest is
 * what comes. What was taken is sent back as a message of our own, which a
 * third connection must take unchanged.
 */
#include "common/check.h"
#include "common/table.h"
#include "common/zmtp.h"
#include "tests/fuzz/fuzz.h"

#define SHAKEN_BYTES 107u

static const char shaken[] =
    "\xff\0\0\0\0\0\0\0\1\x7f\3\1NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    "\4\51\5READY\13Socket-Type\0\0\0\6ROUTER\10Identity\0\0\0\0";
_Static_assert(sizeof shaken - 1 == SHAKEN_BYTES,
               "a greeting, and READY behind it");

/* What a connection made of the bytes. */
struct outcome {
    uint64_t hash;
    size_t messages;
    bool ended;
};

static void feed(struct bao_zmtp *zmtp, const uint8_t *from, size_t bytes)
{
    while (bytes > 0) {
        uint8_t *room;
        size_t most;
        BAO_ASSERT(bao_zmtp_room(zmtp, &room, &most) == BAOZI_OK && most > 0);
        most = most < bytes ? most : bytes;
        memcpy(room, from, most);
        bao_zmtp_came(zmtp, most);
        from += most;
        bytes -= most;
    }
}

static uint64_t hash_of(const struct bao_message *message, uint64_t hash)
{
    hash = bao_hash_bytes(message->header, hash + 1);
    for (size_t i = 0; i < message->part_count; i++) {
        hash = bao_hash_bytes(message->parts[i], hash + 2);
    }
    return hash;
}

/* Takes what is whole; false if the connection ended. */
static bool take(struct bao_zmtp *zmtp, struct outcome *outcome)
{
    struct bao_received received;
    enum baozi_status status;
    while ((status = bao_zmtp_next(zmtp, &received)) == BAOZI_OK) {
        BAO_ASSERT(zmtp->state == BAO_ZMTP_OPEN);
        BAO_ASSERT(received.message.part_count < BAO_PARTS_MAX);
        outcome->hash = hash_of(&received.message, outcome->hash);
        outcome->messages++;
        bao_zmtp_release(zmtp, &received);
    }
    outcome->ended = status != BAOZI_EMPTY;
    BAO_ASSERT(status == BAOZI_EMPTY || status == BAOZI_CONNECTION_LOST);
    return !outcome->ended;
}

/* A message of `bytes`, split in parts: what is added comes out the same. */
static void repeat(struct bao_span bytes)
{
    struct bao_piece pieces[2] = {
        {.part = 0, .bytes = bao_span_of(bytes.data, bytes.bytes / 2)},
        {.part = 1,
         .bytes = bao_span_of(bytes.data + bytes.bytes / 2,
                              bytes.bytes - bytes.bytes / 2)},
    };
    const struct bao_outgoing outgoing = {
        .header = bytes, .part_count = 2, .pieces = pieces, .piece_count = 2};
    struct bao_zmtp ours;
    struct bao_zmtp theirs;
    struct bao_received received;
    BAO_ASSERT(bao_zmtp_open(&ours) == BAOZI_OK);
    BAO_ASSERT(bao_zmtp_open(&theirs) == BAOZI_OK);
    bao_zmtp_left(&ours, bao_buffer_view(&ours.out).bytes);
    BAO_ASSERT(bao_zmtp_add(&ours, &outgoing) == BAOZI_OK);
    struct bao_span out = bao_buffer_view(&ours.out);
    feed(&theirs, (const uint8_t *)shaken, SHAKEN_BYTES);
    feed(&theirs, out.data, out.bytes);
    BAO_ASSERT(bao_zmtp_next(&theirs, &received) == BAOZI_OK);
    BAO_ASSERT(received.message.part_count == 2);
    BAO_ASSERT(bao_span_equal(received.message.header, bytes));
    BAO_ASSERT(bao_span_equal(received.parts[0], pieces[0].bytes));
    BAO_ASSERT(bao_span_equal(received.parts[1], pieces[1].bytes));
    bao_zmtp_close(&theirs);
    bao_zmtp_close(&ours);
}

static struct outcome
play(struct bao_span pieces, struct bao_span bytes, bool is_shaken)
{
    struct outcome outcome = {0};
    struct bao_zmtp zmtp;
    BAO_ASSERT(bao_zmtp_open(&zmtp) == BAOZI_OK);
    if (is_shaken) {
        feed(&zmtp, (const uint8_t *)shaken, SHAKEN_BYTES);
    }
    bool good = take(&zmtp, &outcome);
    for (size_t at = 0, i = 0; good && at < bytes.bytes; i++) {
        size_t piece =
            pieces.bytes > 0 ? 1u + pieces.data[i % pieces.bytes] : bytes.bytes;
        piece = piece < bytes.bytes - at ? piece : bytes.bytes - at;
        feed(&zmtp, bytes.data + at, piece);
        good = take(&zmtp, &outcome);
        at += piece;
    }
    bao_zmtp_close(&zmtp);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    bool is_shaken = (fuzz_byte(&input) & 1) != 0;
    struct bao_span pieces = fuzz_bytes(&input, 1u + fuzz_byte(&input) % 16);
    struct bao_span bytes = bao_span_of(input.at, input.left);
    struct outcome whole = play((struct bao_span){0}, bytes, is_shaken);
    struct outcome pieced = play(pieces, bytes, is_shaken);
    BAO_ASSERT(whole.messages == pieced.messages);
    BAO_ASSERT(whole.hash == pieced.hash);
    BAO_ASSERT(whole.ended == pieced.ended);
    repeat(bytes);
    return 0;
}
