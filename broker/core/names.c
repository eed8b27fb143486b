/*
 * names.c - the skip list of names.h (Pugh, "Skip lists", CACM 1990).
 *
 * Invariant: level 0 holds every queue in byte order of its name; level k
 * holds about one in 4^k of them.
 */
#include "broker/core/names.h"

#include "broker/core/digest.h"
#include "broker/core/memory.h"
#include "broker/core/store.h"

static int compare(struct bao_span a, struct bao_span b)
{
    size_t bytes = a.bytes < b.bytes ? a.bytes : b.bytes;
    int order = bytes == 0 ? 0 : memcmp(a.data, b.data, bytes);
    if (order != 0) {
        return order;
    }
    return a.bytes < b.bytes ? -1 : a.bytes > b.bytes;
}

static unsigned height_of(uint64_t incarnation)
{
    uint64_t random = bao_digest_mix(incarnation ^ UINT64_C(0x6e616d6573));
    unsigned height = 1;
    while (height < BAO_NAME_LEVELS && (random & 3) == 0) {
        random >>= 2;
        height++;
    }
    return height;
}

/* Fills `places` with the links before `name` at each level. */
static void find_places(struct bao_core *core,
                        struct bao_span name,
                        struct bao_queue ***places)
{
    struct bao_queue **links = core->names;
    for (unsigned level = BAO_NAME_LEVELS; level-- > 0;) {
        while (links[level] != NULL &&
               compare(bao_text_span(links[level]->name), name) < 0) {
            links = links[level]->next_name;
        }
        places[level] = &links[level];
    }
}

void bao_names_add(struct bao_core *core, struct bao_queue *queue)
{
    struct bao_queue **places[BAO_NAME_LEVELS];
    find_places(core, bao_text_span(queue->name), places);
    unsigned height = height_of(queue->made_us ^ queue->incarnation);
    for (unsigned level = 0; level < height; level++) {
        queue->next_name[level] = *places[level];
        *places[level] = queue;
    }
}

void bao_names_remove(struct bao_core *core, struct bao_queue *queue)
{
    struct bao_queue **places[BAO_NAME_LEVELS];
    find_places(core, bao_text_span(queue->name), places);
    BAO_ASSERT(*places[0] == queue);
    for (unsigned level = 0; level < BAO_NAME_LEVELS; level++) {
        if (*places[level] == queue) {
            *places[level] = queue->next_name[level];
        }
    }
}

struct bao_queue *bao_queue_after(const struct bao_core *core,
                                  struct bao_span name)
{
    struct bao_queue *const *links = core->names;
    for (unsigned level = BAO_NAME_LEVELS; level-- > 0;) {
        while (links[level] != NULL &&
               compare(bao_text_span(links[level]->name), name) <= 0) {
            links = links[level]->next_name;
        }
    }
    return links[0];
}
