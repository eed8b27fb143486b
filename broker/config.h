/*
 * config.h - flags, environment and file, checked, in one struct.
 *
 * One table says what there is: a flag --key, the variable BAOZI_KEY, and
 * `key = value` in the file that --config names. A flag wins over the
 * environment, that over the file, that over the default. What this version
 * cannot do is refused with a reason and exit code 78, never ignored.
 */
#ifndef BAO_CONFIG_H
#define BAO_CONFIG_H

#include "broker/cpus.h"
#include "broker/edge_listen.h"
#include "broker/edge_open.h"
#include "common/log.h"

struct bao_config {
    const char *urls[BAO_LISTENERS_MAX]; /* lent by the two below */
    size_t url_count;
    const char *data;          /* the data directory; NULL = in memory */
    uint64_t checkpoint_bytes; /* logged between two images; 0 = default */
    uint64_t memory_bytes;
    uint64_t clients_max;         /* 0 = as many as descriptors allow */
    uint64_t clients_address_max; /* of one address; 0 = a quarter of that */
    uint64_t strikes_max;         /* of one address; 0 = no ban */
    struct bao_users users;       /* who may connect to a local socket */
    enum bao_edge_kind edge;
    struct bao_cpus cpus;    /* of the thread that does the work */
    struct bao_cpus io_cpus; /* of libzmq's */
    uint64_t grace_ms;
    uint64_t resume_grace_ms;
    enum bao_log_format log;
    bool json;                        /* the lines on stdout */
    struct bao_place place;           /* of the default ipc address */
    struct bao_config_values *values; /* as they were read */
};

/* The table of options (common/options.h), for those who look at it. */
struct bao_program;
extern const struct bao_program bao_broker_program;

/*
 * Reads everything. True: *config is checked and owned by the caller. False:
 * end with *exit_code; everything was said already (--help, or a message).
 */
bool bao_config_open(struct bao_config *config,
                     int argc,
                     char *const *argv,
                     int *exit_code);
void bao_config_close(struct bao_config *config);

/* 60 % of what this process may use: its control group's limit or the
 * machine's memory, whichever is less. */
uint64_t bao_config_memory_default(void);

#endif
