/*
 * repair_verbs.h - `baozi log verify` and `baozi log repair`, as a user calls
 * them, in this process.
 */
#ifndef BAO_TESTS_FUZZ_REPAIR_VERBS_H
#define BAO_TESTS_FUZZ_REPAIR_VERBS_H

#include <stdbool.h>

/* What is printed from here on is kept; until this. True if `word` was among
 * it. */
void repair_mute(void);
bool repair_unmute(const char *word);

/* True if verify says that the folder is good; flaws may be there. */
bool repair_verify(const char *folder);
/* repair --quarantine: its exit code; *changed: it did something. */
int repair_mend(const char *folder, bool *changed);

#endif
