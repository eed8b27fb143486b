/*
 * cgroup.c - see cgroup.h.
 *
 * /proc/self/cgroup names the group as the system sees it. In a container that
 * path is not there, but then the root of what is mounted is the container's
 * own group; so every part of the path is looked at, and the root.
 */
#include "broker/cgroup.h"

#include <stdio.h>
#include <string.h>

#include "common/text.h"

#define V2_ROOT     "/sys/fs/cgroup"
#define V1_ROOT     "/sys/fs/cgroup/memory"
#define PATH_LENGTH 1024u

/* A number in a file of the kernel; `fallback` if there is none. */
static uint64_t read_limit(const char *path, uint64_t fallback)
{
    char text[64] = "";
    uint64_t value;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return fallback;
    bool good = fgets(text, sizeof text, file) != NULL;
    (void)fclose(file);
    text[strcspn(text, "\n")] = '\0';
    return good && bao_read_number(text, &value) ? value : fallback;
}

/* `group` is shortened to nothing. */
static uint64_t
least(const char *root, char *group, const char *limit, uint64_t all)
{
    char path[sizeof V1_ROOT + PATH_LENGTH + 64];
    for (;;) {
        int length = snprintf(path, sizeof path, "%s%s/%s", root, group, limit);
        if (length > 0 && (size_t)length < sizeof path) {
            uint64_t found = read_limit(path, all);
            all = found < all ? found : all;
        }
        char *slash = strrchr(group, '/');
        if (slash == NULL)
            return all;
        *slash = '\0';
    }
}

/* A line of /proc/self/cgroup: "number:controllers:path". */
static uint64_t look(char *line, uint64_t all)
{
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (group == NULL)
        return all;
    *group++ = '\0';
    if (strcmp(controllers, ":") == 0)
        return least(V2_ROOT, group, "memory.max", all);
    if (strstr(controllers, "memory") != NULL)
        return least(V1_ROOT, group, "memory.limit_in_bytes", all);
    return all;
}

uint64_t bao_cgroup_memory(uint64_t all)
{
    char line[PATH_LENGTH];
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (file == NULL)
        return all;
    while (fgets(line, sizeof line, file) != NULL)
        all = look(line, all);
    (void)fclose(file);
    return all;
}
