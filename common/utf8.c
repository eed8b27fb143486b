/*
 * utf8.c - one decoder of one character; the rest are loops over it.
 */
#include "common/utf8.h"

/* How many bytes the character at the beginning of `text` has, and its code;
 * 0 if no valid character begins there. The table is RFC 3629's: the second
 * byte's range is what keeps overlong forms and surrogates out. */
static size_t character(struct bao_span text, uint32_t *code)
{
    const uint8_t *at = text.data;
    uint8_t first = at[0];
    if (first < 0x80) {
        *code = first;
        return 1;
    }
    if (first < 0xc2 || first > 0xf4) {
        return 0;
    }
    size_t bytes = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (text.bytes < bytes) {
        return 0;
    }
    uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high) {
        return 0;
    }
    *code = first & (0x7fu >> bytes);
    for (size_t i = 1; i < bytes; i++) {
        if ((at[i] & 0xc0u) != 0x80) {
            return 0;
        }
        *code = *code << 6 | (at[i] & 0x3fu);
    }
    return bytes;
}

static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

bool bao_text_valid(struct bao_span text)
{
    while (text.bytes > 0) {
        uint32_t code = 0;
        size_t bytes = character(text, &code);
        if (bytes == 0 || code == 0) {
            return false;
        }
        text.data += bytes;
        text.bytes -= bytes;
    }
    return true;
}

/* True if eight bytes are all of ' ' to '~'. */
static bool are_plain(const uint8_t *at)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t eight;
    memcpy(&eight, at, sizeof eight);
    uint64_t high = eight & 0x80 * each;
    /* With no high bit set, no byte borrows from or carries into another. */
    uint64_t below = ((eight | 0x80 * each) - 0x20 * each) ^ 0x80 * each;
    uint64_t above = eight + each;
    return high == 0 && ((below | above) & 0x80 * each) == 0;
}

bool bao_name_valid(struct bao_span name, size_t bytes_max)
{
    if (name.bytes == 0 || name.bytes > bytes_max) {
        return false;
    }
    bool is_long = name.bytes >= 8;
    const uint8_t *last = is_long ? name.data + name.bytes - 8 : NULL;
    while (name.bytes >= 8 && are_plain(name.data)) {
        name.data += 8;
        name.bytes -= 8;
    }
    if (is_long && name.bytes < 8 && are_plain(last)) {
        return true;
    }
    while (name.bytes > 0) {
        uint32_t code = *name.data;
        bool plain = code >= 0x20 && code < 0x7f; /* nearly always */
        size_t bytes = plain ? 1 : character(name, &code);
        if (bytes == 0 || is_control(code)) {
            return false;
        }
        name.data += bytes;
        name.bytes -= bytes;
    }
    return true;
}

void bao_text_clean(uint8_t *text, size_t bytes)
{
    size_t i = 0;
    while (i < bytes) {
        uint32_t code = 0;
        size_t valid = character(bao_span_of(text + i, bytes - i), &code);
        if (valid == 0 || code == 0) {
            text[i] = '?';
            valid = 1;
        }
        i += valid;
    }
}

struct bao_span bao_text_cut(struct bao_span text, size_t bytes_max)
{
    if (text.bytes <= bytes_max) {
        return text;
    }
    while (bytes_max > 0 && (text.data[bytes_max] & 0xc0u) == 0x80) {
        bytes_max--;
    }
    return bao_span_of(text.data, bytes_max);
}
