/*
 * check.h - assertions about our own code; they stay on in every build.
 *
 * A peer can never cause one: what comes from outside is refused by status.
 */
#ifndef BAO_CHECK_H
#define BAO_CHECK_H

/* Prints what was false and aborts. The pure core links only against this;
 * the programs and tests bring it (common/check.c). */
_Noreturn void bao_panic(const char *file, int line, const char *what);

#define BAO_ASSERT(condition) \
    ((condition) ? (void)0 : bao_panic(__FILE__, __LINE__, #condition))

/* A place that one test must reach; counted in test builds only. */
#ifdef BAO_MARKS
#include <stdint.h>
void bao_mark(const char *name);
uint64_t bao_mark_count(const char *name); /* how often it was reached */
#define BAO_MARK(name) bao_mark(name)
#else
#define BAO_MARK(name) ((void)0)
#endif

#endif
