/*
 * client_item.c - items that were taken: one block of memory each, with the
 * lease in it and the bytes behind it.
 */
#include <msgpack.h>
#include <stdlib.h>

#include "common/client_inside.h"
#include "common/wire.h"

struct bao_holder *bao_holder_make(struct baozi *client,
                                   struct bao_engine *engine,
                                   const struct bao_item_in *item,
                                   uint32_t lease_ms)
{
    struct bao_span header = item->letter.header;
    struct bao_span payload = item->letter.payload;
    size_t bytes = sizeof(struct bao_holder) + item->group.bytes + 1 +
                   header.bytes + payload.bytes;
    uint8_t size = bao_spares_size(&engine->holders, bytes);
    struct bao_link *spare = bao_spares_take(&engine->holders, size);
    struct bao_holder *holder =
        spare != NULL ? BAO_OF(spare, struct bao_holder, link)
                      : malloc(bao_spares_bytes(&engine->holders, size, bytes));
    if (holder == NULL) {
        return NULL;
    }
    bao_clear(holder, sizeof *holder);
    holder->size = size;
    holder->lease.id = item->id;
    holder->lease.token = item->token;
    holder->lease.lease_ms = lease_ms;
    holder->client = client;
    holder->engine = engine;
    holder->priority = item->priority;
    holder->deliveries = item->deliveries;
    bao_store64(holder->id_column, item->id);
    bao_store64(holder->token_column, item->token);
    uint8_t *at = holder->bytes;
    if (payload.bytes > 0) {
        memcpy(at, payload.data, payload.bytes);
    }
    holder->payload = bao_span_of(at, payload.bytes);
    at += payload.bytes;
    if (header.bytes > 0) {
        memcpy(at, header.data, header.bytes);
    }
    holder->header = bao_span_of(at, header.bytes);
    at += header.bytes;
    if (item->group.bytes > 0) {
        memcpy(at, item->group.data, item->group.bytes);
        holder->group = (const char *)at;
    }
    at[item->group.bytes] = '\0';
    return holder;
}

void bao_holder_free(struct bao_holder *holder)
{
    free(holder->headers);
    free(holder);
}

void bao_holder_give(struct bao_engine *e, struct bao_holder *holder)
{
    free(holder->headers);
    if (!bao_spares_keep(&e->holders, holder->size, &holder->link)) {
        free(holder);
    }
}

void bao_holders_init(struct bao_engine *e)
{
    static const size_t bytes[BAO_SPARE_SIZES] = {
        sizeof(struct bao_holder) + 64,
        sizeof(struct bao_holder) + 320,
        sizeof(struct bao_holder) + 1344};
    bao_spares_init(&e->holders, bytes);
}

void bao_holders_free(struct bao_engine *e)
{
    struct bao_link *link;
    while ((link = bao_spares_drain(&e->holders)) != NULL) {
        free(BAO_OF(link, struct bao_holder, link));
    }
}

void bao_holder_show(struct bao_holder *holder, struct baozi_item *item)
{
    *item = (struct baozi_item){.id = holder->lease.id,
                                .token = holder->lease.token,
                                .payload = holder->payload.data,
                                .bytes = holder->payload.bytes,
                                .deliveries = holder->deliveries,
                                .priority = holder->priority,
                                .group = holder->group,
                                .hidden = holder};
}

void baozi_item_free(struct baozi_item *item)
{
    if (item == NULL || item->hidden == NULL) {
        return;
    }
    struct bao_holder *holder = item->hidden;
    struct bao_engine *e = bao_pin(holder->client);
    if (e != NULL && e == holder->engine) {
        (void)pthread_mutex_lock(&e->lock);
        bao_dialogue_drop(e->dialogue, &holder->lease);
        (void)pthread_mutex_unlock(&e->lock);
    }
    bao_unpin(e);
    bao_holder_free(holder);
    *item = (struct baozi_item){0};
}

int baozi_item_cancel_asked(const struct baozi_item *item)
{
    const struct bao_holder *holder = item->hidden;
    if (holder == NULL) {
        return 0;
    }
    struct bao_engine *e = bao_pin(holder->client);
    bool asked = false;
    if (e != NULL && e == holder->engine) {
        (void)pthread_mutex_lock(&e->lock);
        asked = holder->lease.cancel_asked;
        (void)pthread_mutex_unlock(&e->lock);
    }
    bao_unpin(e);
    return asked ? 1 : 0;
}

/* --- headers ------------------------------------------------------------ */

static char *copy_str(const msgpack_object *text, char **at)
{
    char *copy = *at;
    memcpy(copy, text->via.str.ptr, text->via.str.size);
    copy[text->via.str.size] = '\0';
    *at += text->via.str.size + 1;
    return copy;
}

/* Decodes the header bytes into one block of pairs and texts. They were
 * valid when they were put; what is not is as good as none. */
static void decode_headers(struct bao_holder *holder)
{
    msgpack_unpacked unpacked;
    if (holder->headers != NULL || holder->header.bytes == 0 ||
        !bao_item_header_valid(holder->header)) {
        return;
    }
    msgpack_unpacked_init(&unpacked);
    size_t offset = 0;
    if (msgpack_unpack_next(&unpacked,
                            (const char *)holder->header.data,
                            holder->header.bytes,
                            &offset) == MSGPACK_UNPACK_SUCCESS &&
        unpacked.data.type == MSGPACK_OBJECT_MAP) {
        const msgpack_object_map *map = &unpacked.data.via.map;
        /* Each text loses a length of at least one byte for its NUL. */
        size_t bytes =
            map->size * sizeof(struct baozi_header) + holder->header.bytes + 1;
        struct baozi_header *headers = malloc(bytes);
        char *at = (char *)(headers + map->size);
        for (uint32_t i = 0; headers != NULL && i < map->size; i++) {
            headers[i].key = copy_str(&map->ptr[i].key, &at);
            headers[i].value = copy_str(&map->ptr[i].val, &at);
        }
        holder->headers = headers;
        holder->header_count = headers == NULL ? 0 : map->size;
    }
    msgpack_unpacked_destroy(&unpacked);
}

int baozi_item_header_at(const struct baozi_item *item,
                         size_t i,
                         struct baozi_header *header)
{
    struct bao_holder *holder = item->hidden;
    if (holder == NULL) {
        return 0;
    }
    decode_headers(holder);
    if (i >= holder->header_count) {
        return 0;
    }
    *header = holder->headers[i];
    return 1;
}

const char *baozi_item_header(const struct baozi_item *item, const char *key)
{
    struct baozi_header header;
    for (size_t i = 0; baozi_item_header_at(item, i, &header) != 0; i++) {
        if (strcmp(header.key, key) == 0) {
            return header.value;
        }
    }
    return NULL;
}
