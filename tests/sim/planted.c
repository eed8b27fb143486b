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
                                        BAO_PLANTED_DISK_TABLE(X) "",
                                    BAO_PLANTED_LOG_TABLE(X)
#undef X
};
static const char *const texts[] = {"nothing",
#define X(NAME, text) text,
                                    BAO_PLANTED_TABLE(X)
                                        BAO_PLANTED_DISK_TABLE(X)
#undef X
};
/* Those before it are found without a disk. */
#define FIRST_OF_DISK BAO_PLANTED_EARLY_REPLY

unsigned planted_count(void)
{
    return BAO_PLANTED_COUNT;
}

bool planted_choose(const char *name)
{
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (i != BAO_PLANTED_COUNT && strcmp(names[i], name) == 0) {
            bao_planted = i;
            return true;
        }
    }
    return false;
}

bool planted_is_durable(void)
{
    return bao_planted >= FIRST_OF_DISK;
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

bool planted_is_durable(void)
{
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
