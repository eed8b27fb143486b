/*
 * log_image.h - the addresses of payloads in a checkpoint: read, and written
 * anew without some.
 */
#ifndef BAO_CLI_LOG_IMAGE_H
#define BAO_CLI_LOG_IMAGE_H

#include "cli/log_folder.h"
#include "common/disk_payload.h"

/* False: this one is not wanted in the new checkpoint. */
typedef bool log_take_payload(void *context,
                              const struct bao_disk_payload *payload);

/* Hands out every address. False if it is damaged. */
bool log_image_read(const struct log_folder *folder,
                    const struct bao_manifest_checkpoint *checkpoint,
                    log_take_payload *take,
                    void *context);

/* The bytes of the same checkpoint without the addresses that `take` does not
 * want, whose owner frees them. NULL if memory ran out or it is damaged. */
uint8_t *log_image_write(const struct log_folder *folder,
                         const struct bao_manifest_checkpoint *checkpoint,
                         log_take_payload *take,
                         void *context,
                         size_t *bytes);

#endif
