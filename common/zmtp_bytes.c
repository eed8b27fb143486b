/*
 * zmtp_bytes.c - the bytes of zmtp_bytes.h.
 */
#include "common/zmtp_bytes.h"

enum { FLAG_MORE = 1, FLAG_LONG = 2, FLAG_COMMAND = 4, FLAGS_KNOWN = 7 };

#define VERSION_AT         10u
#define MECHANISM_AT       12u
#define MECHANISM_BYTES    20u
#define PING_TTL_BYTES     2u
#define PING_CONTEXT_BYTES 16u

struct bao_span bao_zmtp_greeting(void)
{
    static const uint8_t greeting[BAO_ZMTP_GREETING_BYTES] = {
        0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 1, 'N', 'U', 'L', 'L'};
    return bao_span_of(greeting, sizeof greeting);
}

struct bao_span bao_zmtp_ready_of_router(void)
{
    static const char ready[] = "\4\34\5READY\13Socket-Type\0\0\0\6ROUTER";
    _Static_assert(sizeof ready - 1 == 2 + 28, "the length says the rest");
    return bao_span_of(ready, sizeof ready - 1);
}

/* As libzmq's DEALER says it, with an empty routing id: the last of the four
 * zeros of its length is the text's own. */
struct bao_span bao_zmtp_ready_of_dealer(void)
{
    static const char ready[] = "\4\51\5READY"
                                "\13Socket-Type\0\0\0\6DEALER"
                                "\10Identity\0\0\0";
    _Static_assert(sizeof ready == 2 + 41, "the length says the rest");
    return bao_span_of(ready, sizeof ready);
}

/* As much of it as is there: of a peer that speaks another protocol the first
 * byte will do. */
const char *bao_zmtp_check_greeting(struct bao_span bytes)
{
    static const uint8_t mechanism[MECHANISM_BYTES] = "NULL";
    if (bytes.bytes > 0 && bytes.data[0] != 0xff)
        return "it does not speak ZMTP";
    if (bytes.bytes > 9 && bytes.data[9] != 0x7f)
        return "it does not speak ZMTP";
    if (bytes.bytes > VERSION_AT && bytes.data[VERSION_AT] < 3)
        return "it speaks an old ZMTP";
    if (bytes.bytes >= MECHANISM_AT + MECHANISM_BYTES &&
        memcmp(bytes.data + MECHANISM_AT, mechanism, MECHANISM_BYTES) != 0)
        return "it asks for another security mechanism";
    return NULL;
}

/* --- commands --- */

/* Takes `count` bytes off the front; false if they are not there. */
static bool take(struct bao_span *rest, uint64_t count, struct bao_span *taken)
{
    if (count > rest->bytes)
        return false;
    *taken = bao_span_of(rest->data, (size_t)count);
    *rest = bao_span_of(rest->data + count, rest->bytes - (size_t)count);
    return true;
}

/* A text behind its length of one byte. */
static bool take_text(struct bao_span *rest, struct bao_span *text)
{
    struct bao_span length;
    return take(rest, 1, &length) && take(rest, length.data[0], text);
}

/* Bytes behind their length of four. */
static bool take_value(struct bao_span *rest, struct bao_span *value)
{
    struct bao_span length;
    if (!take(rest, 4, &length))
        return false;
    uint64_t bytes = (uint64_t)length.data[0] << 24 |
                     (uint64_t)length.data[1] << 16 |
                     (uint64_t)length.data[2] << 8 | length.data[3];
    return take(rest, bytes, value);
}

static int lower(int letter)
{
    return letter >= 'A' && letter <= 'Z' ? letter - 'A' + 'a' : letter;
}

/* Names of properties are ASCII, in whatever case. */
static bool is_named(struct bao_span name, const char *word)
{
    bool same = name.bytes == strlen(word);
    for (size_t i = 0; same && i < name.bytes; i++)
        same = lower(name.data[i]) == lower((unsigned char)word[i]);
    return same;
}

static bool may_talk(struct bao_span type)
{
    return bao_span_equal(type, bao_span_text("DEALER")) ||
           bao_span_equal(type, bao_span_text("REQ")) ||
           bao_span_equal(type, bao_span_text("ROUTER"));
}

bool bao_zmtp_is_command(struct bao_span command, const char *name)
{
    struct bao_span found;
    return take_text(&command, &found) &&
           bao_span_equal(found, bao_span_text(name));
}

const char *bao_zmtp_check_ready(struct bao_span command,
                                 struct bao_zmtp_socket *socket)
{
    static const char *malformed = "its READY is malformed";
    struct bao_span rest = command;
    struct bao_span name;
    struct bao_span value;
    bool typed = false;
    *socket = (struct bao_zmtp_socket){0};
    if (!bao_zmtp_is_command(command, "READY") || !take_text(&rest, &name))
        return "it does not say READY";
    while (rest.bytes > 0) {
        if (!take_text(&rest, &name) || !take_value(&rest, &value))
            return malformed;
        if (is_named(name, "Socket-Type")) {
            if (!may_talk(value))
                return "its socket may not talk to a broker";
            socket->is_router = bao_span_equal(value, bao_span_text("ROUTER"));
            typed = true;
        }
        if (is_named(name, "Identity") && value.bytes > 0)
            socket->is_named = true;
    }
    return typed ? NULL : malformed;
}

size_t bao_zmtp_pong(struct bao_span command,
                     uint8_t to[BAO_ZMTP_PONG_BYTES_MAX])
{
    struct bao_span rest = command;
    struct bao_span name;
    struct bao_span ttl;
    if (!take_text(&rest, &name) ||
        !bao_span_equal(name, bao_span_text("PING")) ||
        !take(&rest, PING_TTL_BYTES, &ttl) || rest.bytes > PING_CONTEXT_BYTES)
        return 0;
    to[0] = FLAG_COMMAND;
    to[1] = (uint8_t)(5 + rest.bytes);
    memcpy(to + 2, "\4PONG", 5);
    if (rest.bytes > 0)
        memcpy(to + 7, rest.data, rest.bytes);
    return 7 + rest.bytes;
}

/* --- frames --- */

size_t bao_zmtp_head_read(struct bao_span bytes, struct bao_zmtp_head *head)
{
    if (bytes.bytes == 0)
        return 0;
    const uint8_t flags = bytes.data[0];
    *head = (struct bao_zmtp_head){
        .more = (flags & FLAG_MORE) != 0,
        .command = (flags & FLAG_COMMAND) != 0,
    };
    head->bad = (flags & ~FLAGS_KNOWN) != 0 || (head->more && head->command);
    const bool is_long = (flags & FLAG_LONG) != 0;
    const size_t all = is_long ? 9 : 2;
    if (head->bad)
        return 1;
    if (bytes.bytes < all)
        return 0;
    if (!is_long) {
        head->bytes = bytes.data[1];
        return all;
    }
    for (size_t i = 1; i < all; i++)
        head->bytes = head->bytes << 8 | bytes.data[i];
    return all;
}

size_t bao_zmtp_head_write(uint8_t *to, uint64_t bytes, bool more)
{
    to[0] = more ? FLAG_MORE : 0;
    if (bytes <= UINT8_MAX) {
        to[1] = (uint8_t)bytes;
        return 2;
    }
    to[0] |= FLAG_LONG;
    for (unsigned i = 0; i < 8; i++)
        to[1 + i] = (uint8_t)(bytes >> (56 - 8 * i));
    return 9;
}
