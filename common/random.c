/*
 * random.c - the only randomness of the edges.
 */
#include "common/random.h"

#include <errno.h>
#include <sys/random.h>

#include "common/check.h"

void bao_random_fill(void *data, size_t bytes)
{
    uint8_t *at = data;
    while (bytes > 0) {
        ssize_t got = getrandom(at, bytes, 0);
        if (got < 0) {
            BAO_ASSERT(errno == EINTR);
            continue;
        }
        at += got;
        bytes -= (size_t)got;
    }
}

uint64_t bao_random_number(void)
{
    uint64_t number;
    bao_random_fill(&number, sizeof number);
    return number;
}
