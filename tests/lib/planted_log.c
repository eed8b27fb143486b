/*
 * planted_log.c - which bug of the durable log is planted: BAOZI_PLANTED in
 * the environment names it. Only the flavour `planted` has any.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/planted.h"

#ifdef BAO_PLANT
unsigned bao_planted;

static const char *const names[] = {
#define X(NAME, text) #NAME,
    BAO_PLANTED_LOG_TABLE(X)
#undef X
};

/* Before main(); a name that is not there ends the program. */
__attribute__((constructor)) static void choose(void)
{
    const char *name = getenv("BAOZI_PLANTED");
    if (name == NULL)
        return;
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0) {
            bao_planted = BAO_PLANTED_COUNT + 1 + i;
            return;
        }
    }
    (void)fprintf(stderr, "planted: there is no bug %s\n", name);
    exit(70);
}
#endif
