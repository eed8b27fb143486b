/*
 * command.h - a story's words -> an operation.
 */
#ifndef BAO_TESTS_COMMAND_H
#define BAO_TESTS_COMMAND_H

#include "tests/core/world.h"

#define COMMAND_WORDS_MAX 2200u

struct command {
    struct bao_operation operation;
    struct bao_queue_options options;
    struct world_payload payloads[WORLD_PAYLOADS_MAX];
    size_t payload_count;
    uint8_t ids[8 * BAO_OPERATION_ITEMS_MAX];
    uint8_t tokens[8 * BAO_OPERATION_ITEMS_MAX];
    size_t id_count;
    uint8_t priorities[4 * BAO_OPERATION_ITEMS_MAX];
    size_t priority_count;
    uint8_t ranges[16 * BAO_RANGES_MAX];
    size_t range_count;
    char tag[16];   /* "" if none */
    char text[512]; /* normalized words, without the tag */
    char *words[COMMAND_WORDS_MAX];
    size_t word_count;
    char *storage; /* words and payloads */
    size_t storage_bytes;
};

/*
 * Reads "put buns 'a' wait 5 #1": verb and keys, not the rid. `target_of`
 * turns a tag into a request id. Fails the test if the words make no sense.
 * Valid until the next command is read.
 */
typedef uint64_t command_target(void *context, const char *tag);
void command_read(struct command *command,
                  const struct world *world,
                  const struct world_client *client,
                  const char *text,
                  command_target *target_of,
                  void *context);

/* The first word of a text, copied: the verb. */
void command_verb(const char *text, char *verb, size_t bytes);

/* An item's id from "3", "cakes/3" (the newest queue of that name). */
uint64_t command_item(const struct world *world,
                      const struct world_client *client,
                      const char *word);

#endif
