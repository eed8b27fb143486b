/*
 * spawner_main.c - the life of the spawner: it forks, reaps, kills, tells.
 *
 * Invariant: `pids[slot]` is the child of that slot or 0; every other child
 * of this process was adopted from a child that died, and is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/reap.h"
#include "worker/runner.h"
#include "worker/spawner.h"

struct spawner {
    const struct bao_worker_settings *settings;
    int fd;
    int child_fd; /* readable when a child ended */
    pid_t pids[BAO_WORKER_CHILDREN_MAX];
};

static bool is_ours(void *context, pid_t pid)
{
    const struct spawner *spawner = context;
    for (size_t slot = 0; slot < BAO_WORKER_CHILDREN_MAX; slot++) {
        if (spawner->pids[slot] == pid)
            return true;
    }
    return false;
}

static void tell(const struct spawner *spawner,
                 const struct bao_spawn_message *message)
{
    ssize_t sent;
    do {
        sent = send(spawner->fd, message, sizeof *message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR); /* a lost peer is seen by recv */
}

/* Nothing is inherited but the standard files and the socket. */
static void close_others(int kept)
{
    if (close_range((unsigned)kept + 1, ~0u, 0) == 0)
        return;
    for (int fd = kept + 1; fd < 4096; fd++)
        (void)close(fd);
}

/* Kills the child's whole group; the ENDED follows when it is reaped. */
static void kill_child(const struct spawner *spawner, uint32_t slot, pid_t pid)
{
    if (slot < BAO_WORKER_CHILDREN_MAX && pid > 0 &&
        spawner->pids[slot] == pid) {
        (void)kill(-pid, SIGKILL);
        (void)kill(pid, SIGKILL); /* it may not lead its group yet */
    }
}

static void start_child(struct spawner *spawner, uint32_t slot, int fd)
{
    struct bao_spawn_message message = {.verb = BAO_SPAWN_STARTED,
                                        .slot = slot};
    pid_t self = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t none;
        (void)close(spawner->fd);
        (void)close(spawner->child_fd);
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        _exit(bao_runner(spawner->settings, fd, self));
    }
    if (pid > 0) {
        (void)setpgid(pid, pid);
        spawner->pids[slot] = pid;
        message.pid = pid;
    } else {
        message.verb = BAO_SPAWN_ENDED;
        message.status = errno;
    }
    tell(spawner, &message);
}

/* Reaps what ended; what a dead child left behind is killed first. */
static void reap(struct spawner *spawner)
{
    int status;
    pid_t pid;
    struct signalfd_siginfo info;
    while (read(spawner->child_fd, &info, sizeof info) > 0)
        ;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (uint32_t slot = 0; slot < BAO_WORKER_CHILDREN_MAX; slot++) {
            if (spawner->pids[slot] != pid)
                continue;
            spawner->pids[slot] = 0;
            bao_reap_strangers(is_ours, spawner);
            tell(spawner,
                 &(struct bao_spawn_message){.verb = BAO_SPAWN_ENDED,
                                             .slot = slot,
                                             .pid = pid,
                                             .status = status});
            break;
        }
    }
}

/* Does what the supervisor asks; false when it is gone. */
static bool obey(struct spawner *spawner)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct bao_spawn_message message;
    struct iovec part = {.iov_base = &message, .iov_len = sizeof message};
    struct msghdr whole = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof control.bytes};
    ssize_t got = recvmsg(spawner->fd, &whole, MSG_CMSG_CLOEXEC);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (got != (ssize_t)sizeof message)
        return false;
    int passed = -1;
    const struct cmsghdr *header = CMSG_FIRSTHDR(&whole);
    if (header != NULL && header->cmsg_type == SCM_RIGHTS)
        memcpy(&passed, CMSG_DATA(header), sizeof passed);
    if (message.verb == BAO_SPAWN_KILL)
        kill_child(spawner, message.slot, message.pid);
    else if (message.verb == BAO_SPAWN_START && passed >= 0 &&
             message.slot < BAO_WORKER_CHILDREN_MAX)
        start_child(spawner, message.slot, passed);
    if (passed >= 0)
        (void)close(passed);
    return true;
}

int bao_spawner_main(const struct bao_worker_settings *settings, int fd)
{
    static struct spawner spawner; /* too large for a stack; one process */
    sigset_t ends;
    spawner = (struct spawner){.settings = settings, .fd = fd};
    close_others(fd);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    (void)prctl(PR_SET_NAME, "baozi-spawner", 0, 0, 0);
    bao_reap_adopt();
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGQUIT, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &ends, NULL);
    spawner.child_fd = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
    struct pollfd polled[2] = {{.fd = fd, .events = POLLIN},
                               {.fd = spawner.child_fd, .events = POLLIN}};
    bool told = spawner.child_fd >= 0;
    while (told) {
        if (poll(polled, 2, -1) < 0)
            continue;
        if (polled[1].revents != 0)
            reap(&spawner);
        if (polled[0].revents != 0)
            told = obey(&spawner);
    }
    bao_reap_strangers(NULL, NULL);
    return 0;
}
