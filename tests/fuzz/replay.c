/*
 * replay.c - runs a target over its corpus, without a fuzzer: the inputs that
 * once found something, and those that reach far. Speaks TAP.
 *
 *     fuzz_NAME               every file of tests/fuzz/corpus/NAME
 *     fuzz_NAME FILE...       these files
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/fuzz/fuzz.h"

struct run {
    unsigned count;
    unsigned failed; /* files that could not be read */
    double slowest_ms;
    char slowest[512];
    size_t slowest_bytes;
};

static double now_ms(void)
{
    struct timespec now;
    (void)timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* All of a file in a block of exactly its size; NULL if it cannot be read. */
static uint8_t *read_file(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "re");
    uint8_t *data = NULL;
    long size = -1;
    if (file != NULL && fseek(file, 0, SEEK_END) == 0) {
        size = ftell(file);
        rewind(file);
    }
    if (size >= 0) {
        data = malloc((size_t)size + (size == 0 ? 1 : 0));
    }
    if (data != NULL && fread(data, 1, (size_t)size, file) != (size_t)size) {
        free(data);
        data = NULL;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    *bytes = size < 0 ? 0 : (size_t)size;
    return data;
}

static void replay(struct run *run, const char *path)
{
    size_t bytes = 0;
    uint8_t *data = read_file(path, &bytes);
    if (data == NULL) {
        printf("# cannot read %s\n", path);
        run->failed++;
        return;
    }
    /* The last such line before a crash names the input. */
    printf("# %s\n", path);
    (void)fflush(stdout);
    double begin_ms = now_ms();
    (void)LLVMFuzzerTestOneInput(data, bytes);
    double took_ms = now_ms() - begin_ms;
    free(data);
    run->count++;
    if (took_ms > run->slowest_ms) {
        run->slowest_ms = took_ms;
        run->slowest_bytes = bytes;
        (void)snprintf(run->slowest, sizeof run->slowest, "%s", path);
    }
}

static int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void replay_folder(struct run *run, const char *folder)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, not_hidden, alphasort);
    for (int i = 0; i < count; i++) {
        char path[1024];
        (void)snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        replay(run, path);
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    struct run run = {0};
    const char *name = strrchr(argv[0], '/');
    name = name == NULL ? argv[0] : name + 1;
    if (strncmp(name, "fuzz_", 5) == 0) {
        name += 5;
    }
    printf("1..1\n");
    for (int i = 1; i < argc; i++) {
        replay(&run, argv[i]);
    }
    if (argc < 2) {
        char folder[256];
        (void)snprintf(folder, sizeof folder, "tests/fuzz/corpus/%s", name);
        replay_folder(&run, folder);
    }
    bool good = run.count > 0 && run.failed == 0;
    printf("# slowest: %.2f ms for %zu bytes, %s\n",
           run.slowest_ms,
           run.slowest_bytes,
           run.slowest);
    printf("%sok 1 - %s: %u inputs of its corpus\n",
           good ? "" : "not ",
           name,
           run.count);
    return good ? 0 : 1;
}
