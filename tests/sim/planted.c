/*
 * planted.c - which bug is planted; only the flavour `planted` has any.
 */
#include "tests/sim/planted.h"

#include <string.h>

#include "common/planted.h"

#ifdef BAO_PLANT
unsigned bao_planted;

static const char *const names[] = {"NONE",
#define X(NAME, text) #NAME,
                                    BAO_PLANTED_TABLE(X)
#undef X
};
static const char *const texts[] = {"nothing",
#define X(NAME, text) text,
                                    BAO_PLANTED_TABLE(X)
#undef X
};

unsigned planted_count(void)
{
    return BAO_PLANTED_COUNT;
}

bool planted_choose(const char *name)
{
    for (unsigned i = 0; i < BAO_PLANTED_COUNT; i++) {
        if (strcmp(names[i], name) == 0) {
            bao_planted = i;
            return true;
        }
    }
    return false;
}

const char *planted_name(unsigned number)
{
    return names[number];
}

const char *planted_text(unsigned number)
{
    return texts[number];
}
#else
unsigned planted_count(void)
{
    return 0;
}

bool planted_choose(const char *name)
{
    (void)name;
    return false;
}

const char *planted_name(unsigned number)
{
    (void)number;
    return "";
}

const char *planted_text(unsigned number)
{
    (void)number;
    return "";
}
#endif
