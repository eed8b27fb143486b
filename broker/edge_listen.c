/*
 * edge_listen.c - addresses, the lock of an ipc path, pause and resume.
 */
#include "broker/edge_listen.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SIDE_PATH_BYTES (BAO_PLACE_PATH_BYTES + 16u)

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* --- addresses --- */

/* Reads one number of an IPv4 address and steps behind it. */
static bool read_octet(const char **at)
{
    unsigned value = 0;
    const char *begin = *at;
    while (**at >= '0' && **at <= '9' && *at - begin < 3)
        value = value * 10 + (unsigned)(*(*at)++ - '0');
    return *at > begin && value < 256;
}

bool bao_url_is_local(const char *url)
{
    if (!starts_with(url, "tcp://"))
        return true;
    const char *host = url + strlen("tcp://");
    if (starts_with(host, "[::1]:"))
        return true;
    /* 127.a.b.c:port and nothing that only begins like it. */
    if (!starts_with(host, "127"))
        return false;
    host += strlen("127");
    for (int i = 0; i < 3; i++) {
        if (*host++ != '.' || !read_octet(&host))
            return false;
    }
    return *host == ':' && strchr(host + 1, ':') == NULL;
}

static bool refuse(struct bao_problem *problem,
                   const char *url,
                   const char *why,
                   const char *remedy)
{
    *problem = (struct bao_problem){.exit_code = BAO_EXIT_CONFIGURATION};
    bao_problem_what(problem, "cannot listen on %s", url);
    bao_problem_why(problem, "%s", why);
    bao_problem_remedy(problem, "%s", remedy);
    return false;
}

static bool refuse_errno(struct bao_problem *problem,
                         const char *url,
                         const char *call,
                         int error)
{
    char text[128];
    *problem = (struct bao_problem){.exit_code = BAO_EXIT_IO};
    bao_problem_what(problem, "cannot listen on %s", url);
    bao_problem_why(
        problem, "%s: %s", call, strerror_r(error, text, sizeof text));
    bao_problem_remedy(problem, "mend that, or listen somewhere else");
    return false;
}

static bool port_is_good(const char *port)
{
    if (strcmp(port, "*") == 0 || strcmp(port, "0") == 0)
        return true; /* the system picks one */
    char *end;
    unsigned long number = strtoul(port, &end, 10);
    return port[0] >= '1' && port[0] <= '9' && *end == '\0' && number <= 65535;
}

bool bao_url_check(const char *url, struct bao_problem *problem)
{
    const char *form = "write ipc:///PATH, tcp://ADDRESS:PORT or "
                       "tcp://ADDRESS:*";
    if (strlen(url) >= BAO_ADDRESS_BYTES)
        return refuse(problem, url, "the address is too long", form);
    if (starts_with(url, "ipc://")) {
        const char *path = url + strlen("ipc://");
        if (path[0] == '\0' || path[0] == '*')
            return refuse(problem, url, "it names no file", form);
        if (path[0] == '@')
            return refuse(problem,
                          url,
                          "an abstract socket has no owner and no rights: "
                          "every user may connect",
                          "use a file in a folder of your own");
        /* Room for the names beside it. */
        if (strlen(path) + strlen(".paused") >= BAO_PLACE_PATH_BYTES)
            return refuse(problem,
                          url,
                          "the path is too long for a socket",
                          "use a path of less than 100 bytes");
        return true;
    }
    if (starts_with(url, "tcp://")) {
        const char *port = strrchr(url + strlen("tcp://"), ':');
        if (port == NULL || port == url + strlen("tcp://") ||
            !port_is_good(port + 1))
            return refuse(problem, url, "host or port is missing or bad", form);
        return true;
    }
    return refuse(problem, url, "it is neither ipc:// nor tcp://", form);
}

/* --- the lock of an ipc path --- */

static void side_path(char *side, const char *path, const char *suffix)
{
    (void)snprintf(side, SIDE_PATH_BYTES, "%s%s", path, suffix);
}

/* Locks PATH.lock. Its last holder removes it, so what we locked may no
 * longer be what stands there: then once more. -1 and errno if not. */
static int take_lock(const char *path)
{
    char name[SIDE_PATH_BYTES];
    side_path(name, path, ".lock");
    for (;;) {
        struct stat ours;
        struct stat there;
        int lock = open(name, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (lock < 0)
            return -1;
        if (flock(lock, LOCK_EX | LOCK_NB) != 0 || fstat(lock, &ours) != 0) {
            int error = errno;
            (void)close(lock);
            errno = error;
            return -1;
        }
        if (stat(name, &there) == 0 && ours.st_ino == there.st_ino &&
            ours.st_dev == there.st_dev)
            return lock;
        (void)close(lock);
    }
}

/* True if a connection to the socket at `path` is accepted. */
static bool somebody_listens(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int try = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (try < 0)
        return false;
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int answer =
        connect(try, (const struct sockaddr *)&address, sizeof address);
    bool listens = answer == 0 || errno == EAGAIN;
    (void)close(try);
    return listens;
}

/* We hold the lock: what lies there is stale, unless it is not ours. */
static bool clear_path(struct bao_listener *listener,
                       struct bao_problem *problem)
{
    char paused[SIDE_PATH_BYTES];
    struct stat there;
    side_path(paused, listener->path, ".paused");
    if (lstat(paused, &there) == 0 && S_ISSOCK(there.st_mode))
        (void)unlink(paused);
    if (lstat(listener->path, &there) != 0) {
        if (errno == ENOENT)
            return true;
        return refuse_errno(problem, listener->url, "stat", errno);
    }
    if (!S_ISSOCK(there.st_mode))
        return refuse(problem,
                      listener->url,
                      "there is a file of that name that is no socket",
                      "remove it, or listen somewhere else");
    if (somebody_listens(listener->path))
        return refuse(problem,
                      listener->url,
                      "another program listens there",
                      "end it, or listen somewhere else");
    if (unlink(listener->path) != 0)
        return refuse_errno(problem, listener->url, "unlink", errno);
    return true;
}

bool bao_listener_open(struct bao_listener *listener,
                       const char *url,
                       struct bao_problem *problem)
{
    *listener = (struct bao_listener){.lock = -1, .descriptor = -1};
    if (!bao_url_check(url, problem))
        return false;
    (void)snprintf(listener->url, sizeof listener->url, "%s", url);
    if (!starts_with(url, "ipc://"))
        return true;
    listener->path = listener->url + strlen("ipc://");
    listener->lock = take_lock(listener->path);
    if (listener->lock < 0 && errno == EWOULDBLOCK)
        return refuse(problem,
                      url,
                      "another broker runs there and holds its lock",
                      "use that broker, end it, or listen somewhere else "
                      "(--listen, BAOZI_RUNTIME_DIR)");
    if (listener->lock < 0)
        return refuse_errno(problem, url, "opening its lock file", errno);
    if (!clear_path(listener, problem)) {
        bao_listener_close(listener);
        return false;
    }
    return true;
}

void bao_listener_close(struct bao_listener *listener)
{
    char name[SIDE_PATH_BYTES];
    if (listener->lock < 0)
        return;
    side_path(name, listener->path, listener->paused ? ".paused" : "");
    if (listener->bound)
        (void)unlink(name);
    side_path(name, listener->path, ".lock");
    (void)unlink(name);
    (void)close(listener->lock);
    listener->lock = -1;
}

/* --- pause and resume --- */

void bao_listener_pause(struct bao_listener *listener)
{
    if (listener->paused)
        return;
    listener->paused = true;
    if (listener->path != NULL) {
        char paused[SIDE_PATH_BYTES];
        side_path(paused, listener->path, ".paused");
        listener->paused = rename(listener->path, paused) == 0;
        return;
    }
    struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {.len = 1, .filter = &drop};
    listener->paused = setsockopt(listener->descriptor,
                                  SOL_SOCKET,
                                  SO_ATTACH_FILTER,
                                  &program,
                                  sizeof program) == 0;
}

void bao_listener_resume(struct bao_listener *listener)
{
    int nothing = 0;
    if (!listener->paused)
        return;
    listener->paused = false;
    if (listener->path != NULL) {
        char paused[SIDE_PATH_BYTES];
        side_path(paused, listener->path, ".paused");
        (void)rename(paused, listener->path);
        return;
    }
    (void)setsockopt(listener->descriptor,
                     SOL_SOCKET,
                     SO_DETACH_FILTER,
                     &nothing,
                     sizeof nothing);
}
