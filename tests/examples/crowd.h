/*
 * crowd.h - many clients at once, spread over processes and threads.
 *
 * Each member of the crowd is a client with a connection and a session of its
 * own. All connect; when all have, a gate opens and all act at once.
 */
#ifndef CROWD_H
#define CROWD_H

#include <pthread.h>

#include "kitchen.h"

#define CROWD_EACH 25 /* clients a process */

struct member {
    struct baozi *client;
    int number;
    bool (*act)(struct baozi *client, int number);
    bool good;
};

static struct {
    int ready[2]; /* pipe: one byte for each process that has connected */
    int gate[2];  /* pipe: closed when all may go */
    bool (*act)(struct baozi *client, int number);
} crowd;

static void *run_member(void *context)
{
    struct member *member = context;
    member->good = member->act(member->client, member->number);
    return NULL;
}

/* One process of the crowd; its exit code is how many members failed. */
static int run_group(int group)
{
    struct member members[CROWD_EACH];
    pthread_t threads[CROWD_EACH];
    char byte = 0;
    int failed = 0;
    close(crowd.gate[1]);
    for (int i = 0; i < CROWD_EACH; i++) {
        members[i] =
            (struct member){.number = group * CROWD_EACH + i, .act = crowd.act};
        members[i].client = open_client();
    }
    if (write(crowd.ready[1], "r", 1) != 1 || read(crowd.gate[0], &byte, 1))
        return CROWD_EACH;
    for (int i = 0; i < CROWD_EACH; i++)
        if (pthread_create(&threads[i], NULL, run_member, &members[i]) != 0)
            _exit(CROWD_EACH);
    for (int i = 0; i < CROWD_EACH; i++) {
        pthread_join(threads[i], NULL);
        failed += !members[i].good;
        baozi_close(members[i].client);
    }
    return failed;
}

/* Starts a crowd of groups * CROWD_EACH clients; returns when all have
 * connected and wait at the gate. */
static inline void
gather(pid_t *pids, int groups, bool (*act)(struct baozi *client, int number))
{
    char byte;
    crowd.act = act;
    if (pipe(crowd.ready) != 0 || pipe(crowd.gate) != 0)
        must(BAOZI_NO_MEMORY, "pipe");
    for (int i = 0; i < groups; i++)
        pids[i] = start_child(run_group, i);
    close(crowd.gate[0]);
    close(crowd.ready[1]);
    for (int i = 0; i < groups; i++)
        if (read(crowd.ready[0], &byte, 1) != 1)
            must(BAOZI_CONNECTION_LOST, "a group of the crowd");
}

static inline void open_gate(void)
{
    close(crowd.gate[1]);
}

/* Waits for all to end; returns how many members failed. */
static inline int wait_crowd(const pid_t *pids, int groups)
{
    int failed = 0;
    for (int i = 0; i < groups; i++) {
        int code = wait_child(pids[i]);
        failed += code < 0 ? CROWD_EACH : code;
    }
    close(crowd.ready[0]);
    return failed;
}

#endif
