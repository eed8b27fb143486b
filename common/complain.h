/*
 * complain.h - the one way programs say that something went wrong.
 *
 * A message has three parts and goes to stderr:
 *
 *     baozi-worker: unknown option --exce
 *       why: baozi-worker has no such option
 *       do: did you mean --exec?
 *
 * Whoever complains also learns the exit code of SPEC S11.
 */
#ifndef BAO_COMPLAIN_H
#define BAO_COMPLAIN_H

#include <stdbool.h>

#include "common/baozi.h"

enum bao_exit {
    BAO_EXIT_OK = 0,
    BAO_EXIT_NEGATIVE = 1,     /* Empty, timed out, joined with dead items */
    BAO_EXIT_USAGE = 64,       /* the call itself is wrong */
    BAO_EXIT_DATA = 65,        /* bad payload */
    BAO_EXIT_UNREACHABLE = 69, /* no broker */
    BAO_EXIT_IO = 74,          /* a file, a disk, memory */
    BAO_EXIT_AGAIN = 75,       /* Full, draining: try again */
    BAO_EXIT_PROTOCOL = 76,
    BAO_EXIT_DENIED = 77,
    BAO_EXIT_CONFIGURATION = 78,
    BAO_EXIT_SIGNAL = 128 /* + the number of the signal */
};

/* A complaint not yet printed. Texts are cut where they are too long. */
struct bao_problem {
    int exit_code; /* enum bao_exit */
    char what[512];
    char why[512];    /* "" = left out */
    char remedy[512]; /* "" = left out */
};

/* Each writes one part, as printf. */
__attribute__((format(printf, 2, 3))) void
bao_problem_what(struct bao_problem *problem, const char *format, ...);
__attribute__((format(printf, 2, 3))) void
bao_problem_why(struct bao_problem *problem, const char *format, ...);
__attribute__((format(printf, 2, 3))) void
bao_problem_remedy(struct bao_problem *problem, const char *format, ...);

/* Fills all three parts of a complaint about usage; returns false. */
bool bao_problem_usage(struct bao_problem *problem,
                       const char *what,
                       const char *why,
                       const char *remedy);

/* Prints it as one write; control characters are escaped. Returns its exit
 * code. */
int bao_problem_print(const struct bao_problem *problem, const char *program);

/* Prints a message of three given parts (why and remedy may be NULL) and
 * returns `exit_code`. */
int bao_complain(const char *program,
                 int exit_code,
                 const char *what,
                 const char *why,
                 const char *remedy);

/* As above with errno's text as the reason; the remedy is to mend that. */
int bao_complain_errno(const char *program,
                       int exit_code,
                       const char *what,
                       int error);

/*
 * Prints what baozi_explain() knows of the calling thread's last failure on
 * `client` (NULL: only `status` is known) and returns the exit code of
 * `status`. Where the broker said more than the status does ("it is paused;
 * resume it"), its words are the reason and the remedy. INTERRUPTED prints
 * nothing.
 */
int bao_complain_status(const char *program,
                        const struct baozi *client,
                        enum baozi_status status);

/* Prints why baozi_open() refused `url` (NULL: BAOZI_URL, else the local
 * broker) and returns the exit code of `status`. */
int bao_complain_open(const char *program,
                      const char *url,
                      enum baozi_status status);

#endif
