/*
 * crc32c.h - the checksum of everything on the disk (Castagnoli's polynomial,
 * as in iSCSI and ext4).
 *
 * Uses the processor's instruction where there is one, else tables; both are
 * compared when the program begins to use it (bao_crc32c_test()).
 */
#ifndef BAO_CRC32C_H
#define BAO_CRC32C_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The checksum of `data`; `before` is that of what came before it, 0 at the
 * beginning. */
uint32_t bao_crc32c(uint32_t before, const void *data, size_t bytes);

/* The same by tables, for machines without the instruction. */
uint32_t bao_crc32c_by_table(uint32_t before, const void *data, size_t bytes);

/* True if known answers come out right by either way. */
bool bao_crc32c_test(void);

#endif
