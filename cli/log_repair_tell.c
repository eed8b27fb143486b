/*
 * log_repair_tell.c - what a repair says of itself, as text and as JSON.
 */
#include <stdio.h>

#include "cli/log_repair_inner.h"

static int tell_json(const struct log_repair *repair)
{
    const struct log_payloads *lost = &repair->payloads;
    json_t *queues = json_array();
    json_t *payloads = json_array();
    json_t *files = json_array();
    for (size_t i = 0; i < repair->queue_count; i++)
        (void)json_array_append_new(queues, cli_json_number(repair->queues[i]));
    for (size_t i = 0; i < repair->file_count; i++)
        (void)json_array_append_new(files, log_damage_json(&repair->files[i]));
    for (size_t i = 0; i < lost->count; i++) {
        const struct log_damage damage =
            log_payload_damage(lost, &lost->list[i]);
        (void)json_array_append_new(payloads, log_damage_json(&damage));
    }
    return cli_print_json(
        repair->cli,
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s}",
                  "last_lsn",
                  cli_json_number(repair->kept_lsn),
                  "lost_first_lsn",
                  cli_json_number(repair->lost_first),
                  "lost_last_lsn",
                  cli_json_number(repair->lost_last),
                  "lost_entries",
                  cli_json_number(repair->lost_entries),
                  "queues",
                  queues,
                  "kept_copies",
                  cli_json_number(repair->kept_copies),
                  "payloads",
                  payloads,
                  "files",
                  files,
                  "heads",
                  cli_json_number(repair->heads),
                  "filled",
                  cli_json_number(repair->gaps.count),
                  "quarantine",
                  repair->aside),
        false);
}

static void tell_cut(const struct log_repair *repair)
{
    (void)printf("cut at lsn %llu: %s, offset %llu: %s\n",
                 (unsigned long long)repair->damage.lsn,
                 repair->damage.file,
                 (unsigned long long)repair->damage.offset,
                 repair->damage.why);
    (void)printf("lost: %llu entries that were readable, lsn %llu to %llu, "
                 "and what is damaged; queue numbers:",
                 (unsigned long long)repair->lost_entries,
                 (unsigned long long)repair->lost_first,
                 (unsigned long long)repair->lost_last);
    for (size_t i = 0; i < repair->queue_count; i++)
        (void)printf(" %llu", (unsigned long long)repair->queues[i]);
    (void)printf("%s\nkept: all up to lsn %llu, and %llu moved payloads\n",
                 repair->queue_count == LOG_REPAIR_QUEUES_MAX ? " ..." : "",
                 (unsigned long long)repair->kept_lsn,
                 (unsigned long long)repair->kept_copies);
}

int log_repair_tell(const struct log_repair *repair)
{
    const struct log_payloads *lost = &repair->payloads;
    if (cli_json(repair->cli))
        return tell_json(repair);
    if (log_repair_is_cut(repair))
        tell_cut(repair);
    for (size_t i = 0; i < repair->file_count; i++) {
        (void)printf("given up: ");
        log_damage_print(&repair->files[i]);
        (void)printf("; the next start ends items as purged whose payloads "
                     "were there\n");
    }
    for (size_t i = 0; i < lost->count; i++) {
        const struct log_damage damage =
            log_payload_damage(lost, &lost->list[i]);
        (void)printf("given up: ");
        log_damage_print(&damage);
        (void)putchar('\n');
    }
    if (repair->heads > 0)
        (void)printf("made anew: %zu heads of segments\n", repair->heads);
    if (repair->gaps.count > 0)
        (void)printf("filled: %zu damaged places that a start only steps "
                     "over; no fact was lost there\n",
                     repair->gaps.count);
    if (lost->count > 0)
        (void)printf("%llu payloads were given up: the next start ends their "
                     "items as purged%s\n",
                     (unsigned long long)lost->count,
                     log_repair_is_cut(repair) ? "" : "; all else is kept");
    (void)printf("set aside: %s/%s\n", repair->folder->path, repair->aside);
    return BAO_EXIT_OK;
}
