/*
 * spares.h - blocks of a few sizes that are used again.
 *
 * It is quicker than the allocator, whose own quick lists end at about a
 * kilobyte, and which gives pages back that the next moment needs again.
 * The blocks are their owner's, who makes, links and frees them; what is here
 * only keeps those that nobody needs at the moment, the warmest in front.
 */
#ifndef BAO_COMMON_SPARES_H
#define BAO_COMMON_SPARES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/list.h"

#define BAO_SPARE_SIZES 3u
#define BAO_SPARE_OTHER UINT8_MAX /* larger than all sizes: never kept */
#define BAO_SPARES_KEPT 1024u     /* of each size */

struct bao_spares {
    size_t bytes[BAO_SPARE_SIZES]; /* growing */
    struct bao_list kept[BAO_SPARE_SIZES];
};

/* `bytes` are the sizes of blocks, growing. */
void bao_spares_init(struct bao_spares *spares,
                     const size_t bytes[BAO_SPARE_SIZES]);
/* The smallest size that `bytes` fit into, or BAO_SPARE_OTHER. */
uint8_t bao_spares_size(const struct bao_spares *spares, size_t bytes);
/* How many bytes a block for `bytes` is to have, being of this size. */
size_t
bao_spares_bytes(const struct bao_spares *spares, uint8_t size, size_t bytes);
/* A block that was kept, or NULL: the caller makes a new one. */
struct bao_link *bao_spares_take(struct bao_spares *spares, uint8_t size);
/* Keeps a block; false if it is the caller's to free. */
bool bao_spares_keep(struct bao_spares *spares,
                     uint8_t size,
                     struct bao_link *link);
/* One of those that are kept, to free it, or NULL. */
struct bao_link *bao_spares_drain(struct bao_spares *spares);

#endif
