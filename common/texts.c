/*
 * texts.c - lists of texts: an array with a 16-bit count that grows in place.
 */
#include "common/texts.h"

#include "common/check.h"
#include "common/msgpack_check.h"

enum {
    ARRAY16 = 0xdc, /* then the count, big-endian, then the texts */
    ARRAY16_BYTES = 3,
    STR16 = 0xda,
    FIXSTR = 0xa0,
    FIXSTR_MAX = 31,
};

bool bao_texts_next(struct bao_span texts,
                    size_t *offset,
                    struct bao_span *text)
{
    struct bao_msgpack cursor = bao_msgpack_of(texts);
    uint32_t count = 0;
    if (*offset == 0) {
        if (!bao_msgpack_array(&cursor, &count)) {
            return false;
        }
    } else {
        cursor.at += *offset;
    }
    if (!bao_msgpack_text(&cursor, text)) {
        return false;
    }
    *offset = (size_t)(cursor.at - texts.data);
    return true;
}

size_t bao_texts_count(struct bao_span texts)
{
    struct bao_msgpack cursor = bao_msgpack_of(texts);
    uint32_t count = 0;
    return bao_msgpack_array(&cursor, &count) ? count : 0;
}

enum baozi_status bao_texts_add(uint8_t *data,
                                size_t capacity,
                                size_t *bytes,
                                struct bao_span text)
{
    size_t begin = *bytes == 0 ? ARRAY16_BYTES : *bytes;
    size_t head = text.bytes <= FIXSTR_MAX ? 1 : 3;
    size_t count = *bytes == 0 ? 0 : (size_t)(data[1] << 8 | data[2]);
    BAO_ASSERT(begin >= ARRAY16_BYTES);
    if (text.bytes > UINT16_MAX || count == UINT16_MAX || capacity < begin ||
        capacity - begin < head + text.bytes) {
        return BAOZI_FULL;
    }
    if (head == 1) {
        data[begin] = (uint8_t)(FIXSTR | text.bytes);
    } else {
        data[begin] = STR16;
        data[begin + 1] = (uint8_t)(text.bytes >> 8);
        data[begin + 2] = (uint8_t)text.bytes;
    }
    if (text.bytes > 0) {
        memcpy(data + begin + head, text.data, text.bytes);
    }
    count++;
    data[0] = ARRAY16;
    data[1] = (uint8_t)(count >> 8);
    data[2] = (uint8_t)count;
    *bytes = begin + head + text.bytes;
    return BAOZI_OK;
}
