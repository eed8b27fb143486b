/*
 * spares.c - the lists of spares.h.
 */
#include "common/spares.h"

void bao_spares_init(struct bao_spares *spares,
                     const size_t bytes[BAO_SPARE_SIZES])
{
    for (unsigned i = 0; i < BAO_SPARE_SIZES; i++) {
        spares->bytes[i] = bytes[i];
        bao_list_init(&spares->kept[i]);
    }
}

uint8_t bao_spares_size(const struct bao_spares *spares, size_t bytes)
{
    for (unsigned i = 0; i < BAO_SPARE_SIZES; i++) {
        if (bytes <= spares->bytes[i]) {
            return (uint8_t)i;
        }
    }
    return BAO_SPARE_OTHER;
}

size_t
bao_spares_bytes(const struct bao_spares *spares, uint8_t size, size_t bytes)
{
    return size == BAO_SPARE_OTHER ? bytes : spares->bytes[size];
}

struct bao_link *bao_spares_take(struct bao_spares *spares, uint8_t size)
{
    return size == BAO_SPARE_OTHER ? NULL : bao_list_pop(&spares->kept[size]);
}

bool bao_spares_keep(struct bao_spares *spares,
                     uint8_t size,
                     struct bao_link *link)
{
    if (size == BAO_SPARE_OTHER ||
        spares->kept[size].count >= BAO_SPARES_KEPT) {
        return false;
    }
    bao_list_push_front(&spares->kept[size], link);
    return true;
}

struct bao_link *bao_spares_drain(struct bao_spares *spares)
{
    struct bao_link *link = NULL;
    for (unsigned i = 0; i < BAO_SPARE_SIZES && link == NULL; i++) {
        link = bao_list_pop(&spares->kept[i]);
    }
    return link;
}
