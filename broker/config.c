/*
 * config.c - the table of options, the file, and the checks.
 */
#include "broker/config.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "broker/cgroup.h"
#include "broker/config_file.h"
#include "common/options.h"
#include "common/text.h"

#define PROGRAM          "baozi-broker"
#define DATA_DEFAULT     "./baozi-data"
#define TCP_DEFAULT      "tcp://127.0.0.1:22694"
#define CHECKPOINT_LEAST (16 << 10)
#define CHECKPOINT_MOST  (16ll << 30)
#define MEMORY_LEAST     (64 << 20)
#define MEMORY_FALLBACK  (UINT64_C(1) << 30)

/* What is written where, before it is checked. */
struct bao_config_values {
    struct bao_options options;
    const char *data;
    bool memory;
    struct bao_texts listen;
    const char *http;
    const char *file;
    bool insecure;
    uint64_t checkpoint_every;
    uint64_t memory_limit;
    uint64_t max_clients;
    uint64_t max_clients_per_address;
    uint64_t ban_after;
    struct bao_texts ipc_users;
    int edge;
    const char *cpu;
    const char *io_cpu;
    uint64_t grace_ms;
    uint64_t resume_grace_ms;
    int log;
    int format;
};

#define MEMBER(name) .offset = offsetof(struct bao_config_values, name)

static const struct bao_option table[] = {
    {.name = "data",
     .takes = BAO_TAKES_TEXT,
     .value = "DIR",
     MEMBER(data),
     .environment = "BAOZI_DATA",
     .help = "keep queues in DIR, made if it is not there; a restart finds "
             "them there (default: " DATA_DEFAULT ")"},
    {.name = "memory",
     MEMBER(memory),
     .environment = "BAOZI_MEMORY",
     .help = "keep everything in memory only"},
    {.name = "checkpoint-every",
     .takes = BAO_TAKES_SIZE,
     MEMBER(checkpoint_every),
     .least = CHECKPOINT_LEAST,
     .most = CHECKPOINT_MOST,
     .environment = "BAOZI_CHECKPOINT_EVERY",
     .help = "write an image of all queues when so much was logged since the "
             "last one (default: 32 MiB), or half as much again as that image "
             "had; a restart reads the image and what was logged since"},
    {.name = "listen",
     .takes = BAO_TAKES_TEXTS,
     .value = "URL",
     MEMBER(listen),
     .environment = "BAOZI_LISTEN",
     .help = "ipc://PATH, tcp://ADDRESS:PORT or tcp://ADDRESS:*; instead of "
             "the local socket and tcp://127.0.0.1:22694"},
    {.name = "http",
     .takes = BAO_TAKES_TEXT,
     .value = "ADDR:PORT|off",
     MEMBER(http),
     .initial = "off",
     .environment = "BAOZI_HTTP",
     .help = "metrics and dashboard (not in this version)"},
    {.name = "config",
     .takes = BAO_TAKES_TEXT,
     .value = "FILE",
     MEMBER(file),
     .environment = "BAOZI_CONFIG",
     .help = "read options from FILE, as `name = value` lines"},
    {.name = "insecure",
     MEMBER(insecure),
     .environment = "BAOZI_INSECURE",
     .help = "let anybody connect who reaches a tcp address"},
    {.name = "memory-limit",
     .takes = BAO_TAKES_SIZE,
     MEMBER(memory_limit),
     .least = MEMORY_LEAST,
     .most = INT64_MAX,
     .environment = "BAOZI_MEMORY_LIMIT",
     .help = "use at most this much (default: 60 % of what there is)"},
    {.name = "max-clients",
     .takes = BAO_TAKES_NUMBER,
     MEMBER(max_clients),
     .environment = "BAOZI_MAX_CLIENTS",
     .help = "at most this many connections (default: as descriptors allow)"},
    {.name = "max-clients-per-address",
     .takes = BAO_TAKES_NUMBER,
     MEMBER(max_clients_per_address),
     .environment = "BAOZI_MAX_CLIENTS_PER_ADDRESS",
     .help = "at most this many connections from one address of another "
             "machine (default: a quarter of what descriptors allow)"},
    {.name = "ban-after",
     .takes = BAO_TAKES_NUMBER,
     MEMBER(ban_after),
     .initial = "10",
     .most = 1000000,
     .environment = "BAOZI_BAN_AFTER",
     .help = "an address of another machine whose connections were cut so "
             "often in a minute is banned for a minute, the next time for "
             "two, and so on up to an hour; 0 = never"},
    {.name = "ipc-user",
     .takes = BAO_TAKES_TEXTS,
     .value = "USER",
     MEMBER(ipc_users),
     .environment = "BAOZI_IPC_USER",
     .help = "only this user, its own and root may use the local socket; a "
             "name or number (default: whoever the rights of its folder let "
             "in)"},
    {.name = "edge",
     .takes = BAO_TAKES_CHOICE,
     .choices = "own|libzmq",
     MEMBER(edge),
     .initial = "own",
     .environment = "BAOZI_EDGE",
     .help = "who speaks ZeroMQ's protocol: the broker's own thread, or the "
             "library with a thread of its own"},
    {.name = "cpu",
     .takes = BAO_TAKES_TEXT,
     .value = "LIST",
     MEMBER(cpu),
     .environment = "BAOZI_CPU",
     .help = "keep the thread that does the work to these processors, as "
             "`0` or `0-1,3` (default: where the system likes)"},
    {.name = "io-cpu",
     .takes = BAO_TAKES_TEXT,
     .value = "LIST",
     MEMBER(io_cpu),
     .environment = "BAOZI_IO_CPU",
     .help = "the same for the library's thread, with --edge libzmq"},
    {.name = "grace",
     .takes = BAO_TAKES_DURATION,
     MEMBER(grace_ms),
     .initial = "10s",
     .environment = "BAOZI_GRACE",
     .help = "when told to end, wait so long for leases to be settled"},
    {.name = "resume-grace",
     .takes = BAO_TAKES_DURATION,
     MEMBER(resume_grace_ms),
     .initial = "500ms",
     .least = 1,
     .most = 600000,
     .environment = "BAOZI_RESUME_GRACE",
     .help = "a session survives a lost connection for so long"},
    {.name = "log",
     .takes = BAO_TAKES_CHOICE,
     .choices = "text|json",
     MEMBER(log),
     .initial = "text",
     .environment = "BAOZI_LOG",
     .help = "how the log on stderr is written"},
    BAO_OPTION_FORMAT(struct bao_config_values, format),
    {0}};

const struct bao_program bao_broker_program = {
    .name = PROGRAM,
    .purpose = "the broker: it owns the queues",
    .options = table,
    .examples =
        "  baozi-broker\n"
        "  baozi-broker --listen 'tcp://127.0.0.1:*' --memory-limit 256MiB\n",
    .notes =
        "With no options it keeps queues in " DATA_DEFAULT " and listens on "
        "the local socket\n"
        "and on " TCP_DEFAULT ".\n"
        "SIGTERM ends it once leases are settled or --grace is over, a second "
        "one ends it at once;\n"
        "SIGHUP reads --grace and --log again.",
    .exits = "0 it was told to end and did",
};

static bool
refuse(int *exit_code, const char *what, const char *why, const char *remedy)
{
    *exit_code =
        bao_complain(PROGRAM, BAO_EXIT_CONFIGURATION, what, why, remedy);
    return false;
}

static bool
read_file(struct bao_options *options, const char *path, int *exit_code)
{
    struct bao_problem problem;
    if (bao_config_file_read(options, path, &problem))
        return true;
    *exit_code = bao_problem_print(&problem, PROGRAM);
    return false;
}

/* --- memory --- */

uint64_t bao_config_memory_default(void)
{
    struct sysinfo info;
    uint64_t all = MEMORY_FALLBACK;
    if (sysinfo(&info) == 0)
        all = (uint64_t)info.totalram * info.mem_unit;
    uint64_t share = bao_cgroup_memory(all) / 10 * 6;
    return share < MEMORY_LEAST ? MEMORY_LEAST : share;
}

/* --- checks --- */

/* What is an issue of its own is refused, with the way out. */
static bool check_versions(const struct bao_config_values *values,
                           int *exit_code)
{
    if (values->data != NULL && values->memory)
        return refuse(exit_code,
                      "--data and --memory exclude each other",
                      "queues are either kept in a directory or in memory "
                      "only",
                      "leave one of them out");
    if (strcmp(values->http, "off") != 0)
        return refuse(exit_code,
                      "--http is not possible yet",
                      "this version has no metrics and no dashboard",
                      "say --http off; `baozi stats` shows the queues");
    return true;
}

static bool
check_url(const struct bao_config *config, const char *url, int *exit_code)
{
    struct bao_problem problem;
    if (!bao_url_check(url, &problem)) {
        *exit_code = bao_problem_print(&problem, PROGRAM);
        return false;
    }
    if (config->values->insecure || bao_url_is_local(url))
        return true;
    char what[BAO_ADDRESS_BYTES + 32];
    (void)snprintf(what, sizeof what, "will not listen on %s", url);
    return refuse(exit_code,
                  what,
                  "other machines can reach it, and this version cannot yet "
                  "tell friend from foe there",
                  "listen on 127.0.0.1, or say --insecure if everybody who "
                  "reaches it may do everything");
}

/* "1000", or a name that the system knows. */
static bool find_user(const char *text, uint32_t *user)
{
    char buffer[1024];
    struct passwd entry;
    struct passwd *found = NULL;
    uint64_t number;
    if (bao_read_number(text, &number) && number < UINT32_MAX) {
        *user = (uint32_t)number;
        return true;
    }
    if (getpwnam_r(text, &entry, buffer, sizeof buffer, &found) != 0 ||
        found == NULL)
        return false;
    *user = found->pw_uid;
    return true;
}

/* `text` NULL: wherever the system likes. */
static bool choose_cpus(const char *option,
                        const char *text,
                        struct bao_cpus *cpus,
                        int *exit_code)
{
    char what[300];
    if (text == NULL)
        return true;
    (void)snprintf(what, sizeof what, "%s %s is not possible", option, text);
    if (!bao_cpus_read(text, cpus))
        return refuse(exit_code,
                      what,
                      "it is no list of processors",
                      "write numbers from 0 to 1023, as 0 or 0-1,3");
    if (!bao_cpus_possible(cpus))
        return refuse(exit_code,
                      what,
                      "this machine has none of them",
                      "name processors that `nproc --all` counts, from 0 on");
    return true;
}

static bool choose_users(struct bao_config *config, int *exit_code)
{
    const struct bao_texts *named = &config->values->ipc_users;
    if (named->count > BAO_USERS_MAX)
        return refuse(exit_code,
                      "too many --ipc-user",
                      "a broker knows at most 16 of them",
                      "let a group use the folder of the socket instead");
    for (size_t i = 0; i < named->count; i++) {
        char what[300];
        (void)snprintf(
            what, sizeof what, "--ipc-user %s is nobody", named->texts[i]);
        if (!find_user(named->texts[i],
                       &config->users.ids[config->users.count++]))
            return refuse(exit_code,
                          what,
                          "this system knows no user of that name",
                          "write a name that `getent passwd` shows, or a "
                          "number");
    }
    return true;
}

static bool choose_urls(struct bao_config *config, int *exit_code)
{
    const struct bao_texts *listen = &config->values->listen;
    if (listen->count > BAO_LISTENERS_MAX)
        return refuse(exit_code,
                      "too many --listen",
                      "a broker listens on at most 16 addresses",
                      "leave some out");
    for (size_t i = 0; i < listen->count; i++) {
        config->urls[config->url_count++] = listen->texts[i];
        if (!check_url(config, listen->texts[i], exit_code))
            return false;
    }
    if (listen->count > 0)
        return true;
    if (bao_place_make(&config->place) != BAOZI_OK)
        return refuse(exit_code,
                      "no place for the local socket",
                      config->place.why,
                      "set BAOZI_RUNTIME_DIR to a folder of your own, or name "
                      "the address with --listen");
    config->urls[config->url_count++] = config->place.url;
    config->urls[config->url_count++] = TCP_DEFAULT;
    return true;
}

bool bao_config_open(struct bao_config *config,
                     int argc,
                     char *const *argv,
                     int *exit_code)
{
    *config = (struct bao_config){0};
    struct bao_config_values *values = calloc(1, sizeof *values);
    if (values == NULL) {
        *exit_code = bao_complain_errno(
            PROGRAM, BAO_EXIT_IO, "cannot read options", ENOMEM);
        return false;
    }
    config->values = values;
    bao_options_init(&values->options, &bao_broker_program, values);
    bool good =
        bao_options_run(&values->options, argc, argv, exit_code) &&
        (values->file == NULL ||
         read_file(&values->options, values->file, exit_code)) &&
        check_versions(values, exit_code) && choose_users(config, exit_code) &&
        choose_cpus("--cpu", values->cpu, &config->cpus, exit_code) &&
        choose_cpus("--io-cpu", values->io_cpu, &config->io_cpus, exit_code) &&
        choose_urls(config, exit_code);
    if (!good) {
        bao_config_close(config);
        return false;
    }
    config->memory_bytes = values->memory_limit != 0
                               ? values->memory_limit
                               : bao_config_memory_default();
    config->checkpoint_bytes = values->checkpoint_every;
    config->data = values->data != NULL ? values->data : DATA_DEFAULT;
    if (values->memory)
        config->data = NULL;
    config->clients_max = values->max_clients;
    config->strikes_max = values->ban_after;
    config->clients_address_max = values->max_clients_per_address;
    config->grace_ms = values->grace_ms;
    config->resume_grace_ms = values->resume_grace_ms;
    config->edge = (enum bao_edge_kind)values->edge;
    config->log = (enum bao_log_format)values->log;
    config->json = values->format == BAO_FORMAT_JSON;
    return true;
}

void bao_config_close(struct bao_config *config)
{
    if (config->values == NULL)
        return;
    bao_options_fini(&config->values->options);
    free(config->values);
    config->values = NULL;
}
