/*
 * place.c - where the local broker's ipc socket is.
 */
#include "common/place.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_absolute(const char *path)
{
    return path != NULL && path[0] == '/';
}

/* False if the path is too long. */
static bool fill(struct bao_place *place, const char *parent, const char *child)
{
    int n =
        snprintf(place->folder, sizeof place->folder, "%s%s", parent, child);
    int m = snprintf(place->socket,
                     sizeof place->socket,
                     "%s%s/%s",
                     parent,
                     child,
                     BAO_PLACE_SOCKET);
    (void)snprintf(place->url, sizeof place->url, "ipc://%s", place->socket);
    if (n > 0 && m > 0 && (size_t)m < sizeof place->socket) {
        return true;
    }
    (void)snprintf(place->why,
                   sizeof place->why,
                   "the path %.100s...: longer than the %d bytes that a "
                   "socket may have: set BAOZI_RUNTIME_DIR to a shorter one",
                   parent,
                   BAO_PLACE_PATH_BYTES - 1);
    return false;
}

static bool fill_temporary(struct bao_place *place)
{
    const char *parent = getenv("TMPDIR");
    char child[32];
    (void)snprintf(child, sizeof child, "/baozi-%lu", (unsigned long)geteuid());
    return fill(place, is_absolute(parent) ? parent : "/tmp", child);
}

/* $XDG_RUNTIME_DIR if it is a folder of this user (after `su` it may be
 * somebody else's), else NULL. */
static const char *xdg_folder(void)
{
    const char *parent = getenv("XDG_RUNTIME_DIR");
    struct stat is;
    if (!is_absolute(parent) || stat(parent, &is) != 0 ||
        !S_ISDIR(is.st_mode) || is.st_uid != geteuid()) {
        return NULL;
    }
    return parent;
}

static bool is_ours_alone(const char *folder)
{
    struct stat is;
    return lstat(folder, &is) == 0 && S_ISDIR(is.st_mode) &&
           is.st_uid == geteuid() && (is.st_mode & 077) == 0;
}

static bool has_socket(const struct bao_place *place)
{
    struct stat is;
    return stat(place->socket, &is) == 0 && S_ISSOCK(is.st_mode);
}

static enum baozi_status refuse_folder(struct bao_place *place)
{
    (void)snprintf(place->why,
                   sizeof place->why,
                   "the folder %s: it is not a folder of this user alone "
                   "(0700): remove it, or set BAOZI_RUNTIME_DIR",
                   place->folder);
    return BAOZI_DENIED;
}

/* An operator's own folder may be shared with a group; it is taken as it is.
 * All others must be ours alone. */
static enum baozi_status make_folder(struct bao_place *place, bool given)
{
    if (mkdir(place->folder, 0700) != 0 && errno != EEXIST) {
        (void)snprintf(place->why,
                       sizeof place->why,
                       "the folder %s: %s: make it, or set BAOZI_RUNTIME_DIR",
                       place->folder,
                       strerrordesc_np(errno));
        return BAOZI_DENIED;
    }
    struct stat is;
    bool good = given ? stat(place->folder, &is) == 0 && S_ISDIR(is.st_mode)
                      : is_ours_alone(place->folder);
    return good ? BAOZI_OK : refuse_folder(place);
}

enum baozi_status bao_place_make(struct bao_place *place)
{
    *place = (struct bao_place){0};
    const char *given = getenv("BAOZI_RUNTIME_DIR");
    const char *xdg = xdg_folder();
    bool fits;
    if (given != NULL && given[0] != '\0') {
        fits = fill(place, given, "");
    } else if (xdg != NULL) {
        fits = fill(place, xdg, "/baozi");
        given = NULL;
    } else {
        fits = fill_temporary(place);
        given = NULL;
    }
    return fits ? make_folder(place, given != NULL) : BAOZI_TOO_BIG;
}

enum baozi_status bao_place_find(struct bao_place *place)
{
    *place = (struct bao_place){0};
    const char *given = getenv("BAOZI_RUNTIME_DIR");
    if (given != NULL && given[0] != '\0') {
        return fill(place, given, "") ? BAOZI_OK : BAOZI_TOO_BIG;
    }
    const char *xdg = xdg_folder();
    if (xdg != NULL && fill(place, xdg, "/baozi") && has_socket(place)) {
        return BAOZI_OK;
    }
    if (!fill_temporary(place)) {
        return BAOZI_TOO_BIG;
    }
    struct stat is;
    bool alone = is_ours_alone(place->folder);
    if (alone && has_socket(place)) {
        return BAOZI_OK;
    }
    if (xdg == NULL && !alone && lstat(place->folder, &is) == 0) {
        return refuse_folder(place);
    }
    if (xdg == NULL) {
        return BAOZI_OK;
    }
    return fill(place, xdg, "/baozi") ? BAOZI_OK : BAOZI_TOO_BIG;
}
