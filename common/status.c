/*
 * status.c - names, texts and exit codes, made from the one table.
 *
 * A number that is not in the table came from a newer peer: it is "?", and a
 * program that ends with it says so with the exit code of a protocol fault.
 */
#include "common/baozi.h"

enum { EXIT_UNKNOWN_STATUS = 76 };

const char *baozi_status_name(enum baozi_status status)
{
    switch (status) {
#define X(number, NAME, exit_code, what, remedy) \
    case BAOZI_##NAME: return #NAME;
        BAOZI_STATUS_TABLE(X)
#undef X
    }
    return "?";
}

const char *baozi_status_text(enum baozi_status status)
{
    switch (status) {
#define X(number, NAME, exit_code, what, remedy) \
    case BAOZI_##NAME: return what;
        BAOZI_STATUS_TABLE(X)
#undef X
    }
    return "the broker answered with a status that this version does not know";
}

const char *baozi_status_remedy(enum baozi_status status)
{
    switch (status) {
#define X(number, NAME, exit_code, what, remedy) \
    case BAOZI_##NAME: return remedy;
        BAOZI_STATUS_TABLE(X)
#undef X
    }
    return "upgrade the client";
}

int baozi_status_exit_code(enum baozi_status status)
{
    switch (status) {
#define X(number, NAME, exit_code, what, remedy) \
    case BAOZI_##NAME: return exit_code;
        BAOZI_STATUS_TABLE(X)
#undef X
    }
    return EXIT_UNKNOWN_STATUS;
}
