/*
 * demo.c - `baozi demo`: the tutorials' bun kitchen with real processes, and
 * a summary of what was really seen.
 *
 * The cooks are baozi-producer, the eaters baozi-worker, the broker is
 * baozi-broker, all found beside this program. The main program waits for
 * the cooks only; the eaters end with it.
 */
#include "cli/demo.h"

#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/progress.h"
#include "common/time.h"

#define FOLDER_BYTES_MAX 80u /* so that the socket's path fits */

static struct values {
    struct cli_common common;
    bool kill;
    bool real_time;
} values;

#define AT(member) .offset = offsetof(struct values, member)

static const struct bao_option options[] = {
    {.name = "kill",
     .letter = 'k',
     AT(kill),
     .help = "kill an eater in mid-bun: another one gets the bun"},
    {.name = "real-time",
     AT(real_time),
     .help = "cook and eat 1 to 3 s, as in the tutorials (default: a tenth)"},
    CLI_COMMON_OPTIONS(struct values),
    {0},
};

static const struct bao_program program = {
    .name = "baozi demo",
    .purpose = "show the bun kitchen: three cooks, two eaters, a broker",
    .options = options,
    .examples = "  baozi demo\n  baozi demo --kill\n",
    .notes = "Without --url or BAOZI_URL it starts a broker of its own, and "
             "nothing stays behind.",
    .exits = "0 everything was made, eaten and joined as it must be; 1 it "
             "was not",
};

/* Buns, bones and slops. */
static const char *const foods[DEMO_COOKS] = {
    "\xe5\x8c\x85\xe5\xad\x90",
    "\xe9\xaa\xa8\xe5\xa4\xb4",
    "\xe6\xb3\x94\xe6\xb0\xb4",
};

/* --- what was seen --- */

struct demo_item *demo_item_find(struct demo *demo, const char *name)
{
    for (size_t i = 0; i < demo->item_count; i++) {
        if (strcmp(demo->items[i].name, name) == 0)
            return &demo->items[i];
    }
    if (demo->item_count == DEMO_ITEMS ||
        strlen(name) >= sizeof demo->items[0].name)
        return NULL;
    struct demo_item *item = &demo->items[demo->item_count++];
    *item = (struct demo_item){.cook = DEMO_COOKS};
    memcpy(item->name, name, strlen(name) + 1);
    return item;
}

/* What happens goes to stdout; beside JSON it is no data. */
void demo_say(const struct demo *demo, const char *text, bool eater)
{
    FILE *out = cli_json(demo->cli) ? stderr : stdout;
    if (demo->colour)
        (void)fprintf(out, "\033[%dm%s\033[0m\n", eater ? 34 : 32, text);
    else
        (void)fprintf(out, "%s\n", text);
    (void)fflush(out);
}

/* "PID makes ITEM" -> ITEM; NULL if the line is not that. */
static struct demo_item *read_line(struct demo *demo, const char *text)
{
    char *end;
    (void)strtol(text, &end, 10);
    if (end == text || *end != ' ')
        return NULL;
    const char *item = strchr(end + 1, ' ');
    return item == NULL || item == end + 1 ? NULL
                                           : demo_item_find(demo, item + 1);
}

static void
cook_says(void *context, struct demo_process *process, const char *text)
{
    struct demo *demo = context;
    struct demo_item *item = read_line(demo, text);
    demo_say(demo, text, false);
    if (item == NULL) {
        demo->strange++;
        return;
    }
    demo->made++;
    item->made++;
    for (size_t i = 0; i < DEMO_COOKS; i++) {
        if (&demo->cooks[i].process == process)
            item->cook = i;
    }
}

static void
eater_says(void *context, struct demo_process *process, const char *text)
{
    struct demo *demo = context;
    struct demo_item *item = read_line(demo, text);
    for (size_t i = 0; i < DEMO_EATERS; i++) {
        if (&demo->eaters[i] == process)
            demo->mouths[i] = (int)strtol(text, NULL, 10);
    }
    demo_say(demo, text, true);
    if (item == NULL) {
        demo->strange++;
        return;
    }
    demo->eaten++;
    item->eaten++;
}

static void read_eaters(struct demo *demo)
{
    for (size_t i = 0; i < DEMO_EATERS; i++)
        (void)demo_read(&demo->eaters[i], eater_says, demo);
}

/*
 * A cook's join has returned. An eater prints before it settles, so whatever
 * join waited for is in the eaters' pipes by now.
 */
static void cook_returned(struct demo *demo, size_t which)
{
    struct demo_cook *cook = &demo->cooks[which];
    bool others_cook = false;
    unsigned uneaten = 0;
    read_eaters(demo);
    for (size_t i = 0; i < DEMO_COOKS; i++)
        others_cook = others_cook || (i != which && !demo->cooks[i].returned);
    for (size_t i = 0; i < demo->item_count; i++) {
        const struct demo_item *item = &demo->items[i];
        uneaten += item->made > 0 && item->eaten == 0 ? 1 : 0;
        if (item->cook == which && item->eaten == 0)
            cook->uneaten++;
    }
    cook->returned = true;
    cook->early = uneaten > 0 && !others_cook;
    (void)demo_reap(&cook->process, 5000);
}

/* --- running --- */

static void
add_poll(struct pollfd *polls, size_t *count, const struct demo_process *one)
{
    if (one->out >= 0)
        polls[(*count)++] = (struct pollfd){.fd = one->out, .events = POLLIN};
}

static bool cooks_cook(const struct demo *demo)
{
    for (size_t i = 0; i < DEMO_COOKS; i++) {
        if (!demo->cooks[i].returned)
            return true;
    }
    return false;
}

/* Until all cooks have returned, a signal came, or the kitchen fell apart. */
static void run_kitchen(struct demo *demo)
{
    while (cooks_cook(demo) && cli_signal() == 0) {
        struct pollfd polls[DEMO_COOKS + DEMO_EATERS];
        size_t count = 0;
        for (size_t i = 0; i < DEMO_COOKS; i++)
            add_poll(polls, &count, &demo->cooks[i].process);
        for (size_t i = 0; i < DEMO_EATERS; i++)
            add_poll(polls, &count, &demo->eaters[i]);
        (void)poll(polls, (nfds_t)count, demo_kill_poll_ms(demo));
        read_eaters(demo);
        for (size_t i = 0; i < DEMO_COOKS; i++) {
            struct demo_cook *cook = &demo->cooks[i];
            if (!cook->returned && !demo_read(&cook->process, cook_says, demo))
                cook_returned(demo, i);
        }
        demo_kill_step(demo);
        if (demo->eaters[0].out < 0 && demo->eaters[1].out < 0)
            return;
    }
}

static bool start_people(struct demo *demo)
{
    const char *sleep = demo->real_time ? "1s-3s" : "100ms-300ms";
    const char *eater[] = {"baozi-worker",
                           demo->queue,
                           "-c",
                           "1",
                           "--builtin",
                           "eater",
                           "--sleep",
                           sleep,
                           "--quiet",
                           "--url",
                           demo->url,
                           NULL};
    for (size_t i = 0; i < DEMO_EATERS; i++) {
        if (!demo_start(&demo->eaters[i], "baozi-worker", eater, NULL))
            return false;
    }
    for (size_t i = 0; i < DEMO_COOKS; i++) {
        const char *cook[] = {"baozi-producer",
                              demo->queue,
                              "--builtin",
                              "cook",
                              "--name",
                              foods[i],
                              "--count",
                              "10",
                              "--sleep",
                              sleep,
                              "--join",
                              "--quiet",
                              "--url",
                              demo->url,
                              NULL};
        if (!demo_start(&demo->cooks[i].process, "baozi-producer", cook, NULL))
            return false;
    }
    return true;
}

static void stop_people(struct demo *demo)
{
    for (size_t i = 0; i < DEMO_COOKS; i++)
        demo_stop(&demo->cooks[i].process, 2000);
    /* Both are told before either is waited for. */
    for (size_t i = 0; i < DEMO_EATERS; i++) {
        if (demo->eaters[i].pid != 0)
            (void)kill(demo->eaters[i].pid, SIGTERM);
    }
    for (size_t i = 0; i < DEMO_EATERS; i++)
        demo_stop(&demo->eaters[i], 5000);
}

/* --- a broker of our own --- */

static int remove_one(const char *path,
                      const struct stat *stat,
                      int kind,
                      struct FTW *walk)
{
    (void)stat;
    (void)kind;
    (void)walk;
    (void)remove(path);
    return 0;
}

/* Makes a folder for the broker's socket; false: errno. */
static bool make_folder(char *folder, size_t bytes)
{
    const char *base = getenv("TMPDIR");
    if (base == NULL || base[0] != '/' || strlen(base) > FOLDER_BYTES_MAX - 24)
        base = "/tmp";
    (void)snprintf(folder, bytes, "%s/baozi-demo-XXXXXX", base);
    return mkdtemp(folder) != NULL;
}

static bool start_broker(struct demo *demo)
{
    const char *words[] = {"baozi-broker",
                           "--memory",
                           "--http",
                           "off",
                           "--listen",
                           demo->url,
                           NULL};
    return demo_start(&demo->broker, "baozi-broker", words, demo->log);
}

/* --- the whole --- */

static int refuse_start(const struct demo *demo, const char *what)
{
    return bao_complain_errno(
        demo->cli->name, BAO_EXIT_CONFIGURATION, what, errno);
}

/* What the broker of ours said on stderr, for one that did not start. */
static void print_log(const char *path)
{
    char part[4096];
    FILE *log = fopen(path, "r");
    if (log == NULL)
        return;
    size_t bytes = fread(part, 1, sizeof part, log);
    (void)fwrite(part, 1, bytes, stderr);
    (void)fclose(log);
}

/* Until the broker answers; a broker of ours that ended is not waited for. */
static enum baozi_status await_broker(struct demo *demo)
{
    enum baozi_status status = BAOZI_CONNECTION_LOST;
    for (int i = 0; i < 50 && status == BAOZI_CONNECTION_LOST; i++) {
        status = baozi_connect(demo->cli->client, 200);
        if (demo->broker.pid != 0 && demo_reap(&demo->broker, 0))
            break;
    }
    return status;
}

/* Opens the client, makes the queue, runs everything, judges. */
static int play(struct demo *demo)
{
    int exit_code = BAO_EXIT_OK;
    struct cli_common common = *demo->cli->common;
    common.url = demo->url;
    demo->cli->common = &common;
    if (!cli_open(demo->cli, 10000, &exit_code))
        return exit_code;
    enum baozi_status status = await_broker(demo);
    if (status != BAOZI_OK && demo->own_broker)
        print_log(demo->log);
    if (status == BAOZI_OK)
        status = baozi_declare(demo->cli->client, demo->queue, NULL);
    if (status != BAOZI_OK)
        return cli_fail(demo->cli, status);
    if (!start_people(demo)) {
        exit_code =
            refuse_start(demo, "cannot start baozi-worker and baozi-producer");
        stop_people(demo);
        return exit_code;
    }
    run_kitchen(demo);
    exit_code =
        cli_signal() != 0 ? BAO_EXIT_SIGNAL + cli_signal() : demo_verdict(demo);
    stop_people(demo);
    if (!demo->own_broker &&
        baozi_delete(demo->cli->client, demo->queue, 1) != BAOZI_OK)
        (void)fprintf(stderr, "queue %s stays\n", demo->queue);
    (void)baozi_close(demo->cli->client);
    demo->cli->client = NULL;
    return exit_code;
}

static int run(struct cli *cli)
{
    char folder[128] = "";
    char url[160];
    char log[160];
    char queue[64] = "kitchen";
    int exit_code;
    struct demo demo = {.cli = cli,
                        .url = values.common.url,
                        .queue = queue,
                        .real_time = values.real_time,
                        .colour = !cli_json(cli) &&
                                  bao_progress_may_colour(STDOUT_FILENO),
                        .kill = values.kill ? DEMO_KILL_WAITS : DEMO_KILL_OFF};
    demo.broker.out = -1;
    for (size_t i = 0; i < DEMO_EATERS; i++)
        demo.eaters[i].out = -1;
    for (size_t i = 0; i < DEMO_COOKS; i++)
        demo.cooks[i].process.out = -1;
    if (demo.url == NULL) {
        if (!make_folder(folder, sizeof folder))
            return refuse_start(&demo, "cannot make a folder for the broker");
        (void)snprintf(url, sizeof url, "ipc://%s/broker.sock", folder);
        (void)snprintf(log, sizeof log, "%s/broker.log", folder);
        demo.url = url;
        demo.log = log;
        demo.own_broker = true;
        if (!start_broker(&demo)) {
            exit_code = refuse_start(&demo, "cannot start baozi-broker");
            (void)rmdir(folder);
            return exit_code;
        }
    } else {
        (void)snprintf(queue, sizeof queue, "kitchen-%d", (int)getpid());
    }
    exit_code = play(&demo);
    demo_stop(&demo.broker, 5000);
    if (folder[0] != '\0')
        (void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return exit_code;
}

const struct cli_command cli_demo = {.program = &program,
                                     .values = &values,
                                     .run = run};
