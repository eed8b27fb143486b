/*
 * image_row.c - see image_row.h.
 */
#include "broker/core/image_row.h"

struct shape {
    uint8_t numbers;
    uint8_t texts;
};

static const struct shape shapes[BAO_IMAGE_KINDS] = {
    [BAO_IMAGE_CORE] = {BAO_CORE_NUMBERS, 0},
    [BAO_IMAGE_SESSION] = {BAO_SESSION_NUMBERS, BAO_SESSION_TEXTS},
    [BAO_IMAGE_ANSWER] = {BAO_ANSWER_NUMBERS, 1},
    [BAO_IMAGE_QUEUE] = {BAO_QUEUE_NUMBERS, 1},
    [BAO_IMAGE_GROUP] = {BAO_GROUP_NUMBERS, 1},
    [BAO_IMAGE_DEDUP] = {BAO_DEDUP_NUMBERS, 1},
    [BAO_IMAGE_TALLY] = {BAO_TALLY_NUMBERS, 0},
    [BAO_IMAGE_OUTCOME] = {BAO_OUTCOME_NUMBERS, 1},
    [BAO_IMAGE_ITEM] = {BAO_ITEM_NUMBERS, BAO_ITEM_TEXTS},
    [BAO_IMAGE_END] = {BAO_END_NUMBERS, 0},
    [BAO_IMAGE_PROGRESS] = {BAO_PROGRESS_NUMBERS, 0},
};

void bao_image_past_init(struct bao_image_past *past)
{
    memset(past, 0, sizeof(*past));
}

void bao_image_expect(struct bao_image_past *past, enum bao_image_kind kind)
{
    uint64_t *numbers = past->rows[kind].numbers;
    if (kind != BAO_IMAGE_ITEM) {
        return;
    }
    numbers[BAO_ITEM_ID]++;
    if (numbers[BAO_ITEM_STATE] == BAO_STATE_LEASED) {
        numbers[BAO_ITEM_TOKEN]++;
        numbers[BAO_ITEM_ORDER]++;
    }
}

static uint64_t bits_of(const struct bao_image_row *row,
                        const struct bao_image_row *old,
                        struct shape shape)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < shape.numbers; i++) {
        bits |= (uint64_t)(row->numbers[i] != old->numbers[i]) << i;
    }
    for (unsigned i = 0; i < shape.texts; i++) {
        const bool same = bao_span_equal(row->texts[i], old->texts[i]);
        bits |= (uint64_t)!same << (shape.numbers + i);
    }
    return bits;
}

void bao_image_pack(struct bao_packer *packer,
                    struct bao_image_past *past,
                    enum bao_image_kind kind,
                    const struct bao_image_row *row)
{
    const struct shape shape = shapes[kind];
    struct bao_image_row *old = &past->rows[kind];
    uint64_t bits = bits_of(row, old, shape);
    bao_pack_number(packer, (uint64_t)kind);
    bao_pack_number(packer, bits);
    for (; bits != 0; bits &= bits - 1) {
        const unsigned i = (unsigned)__builtin_ctzll(bits);
        if (i < shape.numbers) {
            bao_pack_number(packer,
                            bao_zigzag(row->numbers[i] - old->numbers[i]));
            old->numbers[i] = row->numbers[i];
            continue;
        }
        struct bao_span text = row->texts[i - shape.numbers];
        bao_pack_span(packer, text);
        if (packer->full) {
            return;
        }
        text.data = packer->at - text.bytes;
        old->texts[i - shape.numbers] = text;
    }
    bao_image_expect(past, kind);
}

void bao_image_unpack(struct bao_unpacker *unpacker,
                      struct bao_image_past *past,
                      enum bao_image_kind kind)
{
    const struct shape shape = shapes[kind];
    struct bao_image_row *row = &past->rows[kind];
    uint64_t bits = bao_unpack_number(unpacker);
    if (bits >> (shape.numbers + shape.texts) != 0) {
        unpacker->bad = true;
        return;
    }
    for (; bits != 0; bits &= bits - 1) {
        const unsigned i = (unsigned)__builtin_ctzll(bits);
        if (i < shape.numbers) {
            row->numbers[i] += bao_unzigzag(bao_unpack_number(unpacker));
        } else {
            row->texts[i - shape.numbers] =
                bao_unpack_span(unpacker, BAO_IMAGE_TEXT_BYTES_MAX);
        }
    }
}
