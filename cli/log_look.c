/*
 * log_look.c - `baozi log verify`, `stat` and `dump`: a data folder looked at
 * without a broker.
 */
#include <stdio.h>
#include <string.h>

#include "cli/log_payloads.h"
#include "common/text.h"

static struct values {
    struct cli_common common;
    const char *folder;
    uint64_t from;
    bool data;
} values = {.folder = "baozi-data"};

#define AT(member) .offset = offsetof(struct values, member)

static const struct bao_operand operands[] = {
    {.name = "DIR",
     AT(folder),
     .optional = true,
     .help = "the broker's --data (default: ./baozi-data)"},
    {0},
};

/* --- verify --- */

struct verdict {
    json_t *places;      /* NULL: text is wanted */
    uint64_t replay_lsn; /* where a start begins to read */
    unsigned damages;    /* a broker does not start */
    unsigned payloads;   /* it starts, and ends later */
    unsigned flaws;
};

static void note(void *context, const struct log_damage *found)
{
    struct verdict *verdict = context;
    struct log_damage damage = *found;
    if (log_damage_is_unread(found, verdict->replay_lsn))
        damage.harmless = true;
    if (damage.harmless)
        verdict->flaws++;
    else if (damage.item != 0)
        verdict->payloads++;
    else
        verdict->damages++;
    if (verdict->places != NULL) {
        (void)json_array_append_new(verdict->places, log_damage_json(&damage));
        return;
    }
    (void)printf(damage.harmless ? "flaw: " : "DAMAGE: ");
    log_damage_print(&damage);
    (void)printf(log_damage_is_unread(found, verdict->replay_lsn)
                     ? " (a start does not read it)\n"
                     : "\n");
}

static void check_manifests(const struct log_folder *folder,
                            struct verdict *verdict)
{
    for (int i = 0; i < 2; i++) {
        struct log_damage damage = {
            .why = !folder->has_copy[i] ? "this copy is not there"
                   : folder->copies[i] == BAO_MANIFEST_NEWER
                       ? "it is of a newer format"
                       : "this copy is damaged",
            .harmless = folder->has_manifest,
        };
        (void)snprintf(damage.file, sizeof damage.file, "manifest.%d", i);
        if (folder->copies[i] != BAO_MANIFEST_GOOD)
            note(verdict, &damage);
    }
}

static void check_checkpoints(const struct log_folder *folder,
                              struct verdict *verdict)
{
    const struct bao_manifest *manifest = &folder->manifest;
    unsigned good = 0;
    struct log_damage damage;
    for (uint32_t i = 0; i < manifest->checkpoint_count; i++) {
        if (log_checkpoint_check(folder, &manifest->checkpoints[i], &damage))
            good++;
        else
            note(verdict, &damage);
    }
    verdict->replay_lsn = log_replay_lsn(folder);
    if (log_order_is_whole(folder, &damage))
        return;
    if (manifest->checkpoint_count > 0 && good == 0)
        damage.why = "no checkpoint is whole, and older records went";
    note(verdict, &damage);
}

/* What items need, and a start does not read. */
static void check_payloads(const struct log_folder *folder,
                           struct verdict *verdict)
{
    struct log_payloads found;
    const bool read = log_payloads_find(folder, &found);
    for (size_t i = 0; i < found.count; i++) {
        const struct log_damage damage =
            log_payload_damage(&found, &found.list[i]);
        note(verdict, &damage);
    }
    if (!read) {
        struct log_damage damage = {
            .why = found.no_memory ? "memory ran out; not all was looked at"
                                   : "it has no addresses that can be read"};
        bao_checkpoint_name(folder->manifest.checkpoints[0].number,
                            damage.file);
        note(verdict, &damage);
    }
    log_payloads_free(&found);
}

static void tell_outcome(const struct verdict *verdict)
{
    if (verdict->damages > 0)
        (void)printf("damaged: a broker will not start here\n");
    else if (verdict->payloads > 0)
        (void)printf("damaged: a broker starts here, and ends when it is to "
                     "hand out such an item;\n`baozi log repair --quarantine "
                     "%s` gives these up, and nothing else\n",
                     values.folder);
    else
        (void)printf(verdict->flaws > 0 ? "a broker starts here\n" : "good\n");
}

static int tell_verdict(const struct cli *cli,
                        const struct verdict *verdict,
                        const struct log_walk *walk)
{
    const unsigned bad = verdict->damages + verdict->payloads;
    int exit_code = bad + verdict->flaws > 0 ? BAO_EXIT_NEGATIVE : BAO_EXIT_OK;
    if (verdict->places != NULL) {
        int printed =
            cli_print_json(cli,
                           json_pack("{s:b, s:o, s:o, s:o, s:o, s:o, s:o}",
                                     "good",
                                     bad == 0,
                                     "places",
                                     verdict->places,
                                     "records",
                                     cli_json_number(walk->records),
                                     "batches",
                                     cli_json_number(walk->batches),
                                     "last_lsn",
                                     cli_json_number(walk->whole_lsn),
                                     "durable_lsn",
                                     cli_json_number(walk->durable_lsn),
                                     "torn_records",
                                     cli_json_number(walk->torn_records)),
                           false);
        return printed != BAO_EXIT_OK ? printed : exit_code;
    }
    (void)printf("%llu records in %llu batches, up to lsn %llu, known to be "
                 "synced up to %llu",
                 (unsigned long long)walk->records,
                 (unsigned long long)walk->batches,
                 (unsigned long long)walk->whole_lsn,
                 (unsigned long long)walk->durable_lsn);
    if (walk->torn_records > 0 && verdict->damages == 0)
        (void)printf("; %llu records behind the end were never synced and do "
                     "not count",
                     (unsigned long long)walk->torn_records);
    (void)putchar('\n');
    tell_outcome(verdict);
    return exit_code;
}

static int run_verify(struct cli *cli)
{
    struct log_folder folder;
    struct verdict verdict = {.places = cli_json(cli) ? json_array() : NULL};
    struct log_walk walk = {.context = &verdict, .damage = note};
    int exit_code = BAO_EXIT_OK;
    if (!log_folder_open(cli, values.folder, false, &folder, &exit_code))
        return exit_code;
    check_manifests(&folder, &verdict);
    if (folder.has_manifest) {
        check_checkpoints(&folder, &verdict);
        log_folder_walk(&folder, &walk);
        check_payloads(&folder, &verdict);
    }
    exit_code = tell_verdict(cli, &verdict, &walk);
    log_folder_close(&folder);
    return exit_code;
}

static const struct bao_option options[] = {
    CLI_COMMON_OPTIONS(struct values),
    {0},
};

static const struct bao_program verify_program = {
    .name = "baozi log verify",
    .purpose = "check every byte of a broker's data folder",
    .options = options,
    .operands = operands,
    .examples = "  baozi log verify\n"
                "  baozi log verify /var/lib/baozi --format json\n",
    .notes = "A flaw is what a broker copes with by itself: one damaged copy\n"
             "of the manifest, one damaged checkpoint, or a damaged record\n"
             "that no start reads and no item needs. An item whose payload\n"
             "is named may have ended since the last checkpoint.\n",
    .exits = "0 good; 1 flaws or damage",
};
const struct cli_command cli_log_verify = {.program = &verify_program,
                                           .values = &values,
                                           .run = run_verify};

/* --- stat --- */

static const char *state_of(const struct log_folder *folder,
                            const struct log_segment *segment)
{
    if (!segment->has_head)
        return "no head";
    if (segment->listed)
        return segment->seal.closed ? "closed" : "open";
    return segment->number < folder->manifest.tail_first ? "unused" : "ahead";
}

static json_t *stat_json(const struct log_folder *folder)
{
    const struct bao_manifest *manifest = &folder->manifest;
    json_t *segments = json_array();
    json_t *checkpoints = json_array();
    for (size_t i = 0; i < folder->count; i++) {
        const struct log_segment *segment = &folder->segments[i];
        (void)json_array_append_new(
            segments,
            json_pack("{s:o, s:s, s:o, s:o, s:o, s:o}",
                      "number",
                      cli_json_number(segment->number),
                      "state",
                      state_of(folder, segment),
                      "bytes",
                      cli_json_number(segment->bytes.bytes),
                      "sealed_bytes",
                      cli_json_number(segment->seal.bytes),
                      "first_lsn",
                      cli_json_number(segment->seal.first_lsn),
                      "last_lsn",
                      cli_json_number(segment->seal.last_lsn)));
    }
    for (uint32_t i = 0; i < manifest->checkpoint_count; i++)
        (void)json_array_append_new(
            checkpoints,
            json_pack("{s:o, s:o, s:o, s:o}",
                      "number",
                      cli_json_number(manifest->checkpoints[i].number),
                      "index",
                      cli_json_number(manifest->checkpoints[i].index),
                      "replay_lsn",
                      cli_json_number(manifest->checkpoints[i].replay_lsn),
                      "bytes",
                      cli_json_number(manifest->checkpoints[i].bytes)));
    return json_pack("{s:i, s:o, s:b, s:o, s:o, s:o}",
                     "format",
                     (int)manifest->format,
                     "generation",
                     cli_json_number(manifest->generation),
                     "clean",
                     manifest->clean,
                     "durable_lsn",
                     cli_json_number(manifest->durable_lsn),
                     "checkpoints",
                     checkpoints,
                     "segments",
                     segments);
}

static void stat_text(const struct log_folder *folder)
{
    static const char *const titles[] = {"SEGMENT",
                                         "STATE",
                                         ">BYTES",
                                         ">SEALED",
                                         ">FIRST LSN",
                                         ">LAST LSN",
                                         NULL};
    const struct bao_manifest *manifest = &folder->manifest;
    struct cli_table table;
    char text[BAO_TEXT_BYTES];
    cli_table_init(&table, titles);
    for (size_t i = 0; i < folder->count; i++) {
        const struct log_segment *segment = &folder->segments[i];
        (void)snprintf(
            text, sizeof text, "%llx", (unsigned long long)segment->number);
        cli_table_add(&table, text);
        cli_table_add(&table, state_of(folder, segment));
        cli_table_number(&table, segment->bytes.bytes);
        cli_table_number(&table, segment->seal.bytes);
        cli_table_number(&table, segment->seal.first_lsn);
        cli_table_number(&table, segment->seal.last_lsn);
    }
    cli_table_print(&table);
    for (uint32_t i = 0; i < manifest->checkpoint_count; i++)
        (void)printf("checkpoint %llx: up to index %llu, replay from lsn "
                     "%llu, %llu bytes\n",
                     (unsigned long long)manifest->checkpoints[i].number,
                     (unsigned long long)manifest->checkpoints[i].index,
                     (unsigned long long)manifest->checkpoints[i].replay_lsn,
                     (unsigned long long)manifest->checkpoints[i].bytes);
    (void)printf("format %u, manifest generation %llu, synced up to lsn %llu "
                 "at least%s\n",
                 manifest->format,
                 (unsigned long long)manifest->generation,
                 (unsigned long long)manifest->durable_lsn,
                 manifest->clean ? ", closed in order" : "");
}

static int run_stat(struct cli *cli)
{
    struct log_folder folder;
    int exit_code = BAO_EXIT_OK;
    if (!log_folder_open(cli, values.folder, false, &folder, &exit_code))
        return exit_code;
    if (!folder.has_manifest)
        exit_code = bao_complain(cli->name,
                                 BAO_EXIT_IO,
                                 "no copy of the manifest is whole",
                                 NULL,
                                 "baozi log verify tells more");
    else if (cli_json(cli))
        exit_code = cli_print_json(cli, stat_json(&folder), false);
    else
        stat_text(&folder);
    log_folder_close(&folder);
    return exit_code;
}

static const struct bao_program stat_program = {
    .name = "baozi log stat",
    .purpose = "show the segments and checkpoints of a data folder",
    .options = options,
    .operands = operands,
    .examples = "  baozi log stat /var/lib/baozi\n",
};
const struct cli_command cli_log_stat = {.program = &stat_program,
                                         .values = &values,
                                         .run = run_stat};

/* --- dump --- */

static void dump_text(const struct log_segment *segment,
                      uint64_t offset,
                      const struct bao_record_head *head)
{
    (void)printf("%llu %s %llx+%llu bytes=%u",
                 (unsigned long long)head->lsn,
                 bao_record_kind_name((enum bao_record_kind)head->kind),
                 (unsigned long long)segment->number,
                 (unsigned long long)offset,
                 head->bytes);
    switch ((enum bao_record_kind)head->kind) {
    case BAO_RECORD_ENTRY:
    case BAO_RECORD_TRUNC:
        (void)printf(" group=%u index=%llu term=%llu queue=%llu",
                     head->group,
                     (unsigned long long)head->index,
                     (unsigned long long)head->term,
                     (unsigned long long)head->queue);
        break;
    case BAO_RECORD_COPY:
        (void)printf(" queue=%llu id=%llu%s",
                     (unsigned long long)head->queue,
                     (unsigned long long)head->index,
                     head->term != 0 ? " result" : "");
        break;
    case BAO_RECORD_SEAL:
        (void)printf(" next=%llx", (unsigned long long)head->index);
        (void)printf(" durable=%llu", (unsigned long long)head->term);
        break;
    case BAO_RECORD_BATCH_END:
        (void)printf(" records=%u", head->group);
        (void)printf(" durable=%llu", (unsigned long long)head->term);
        break;
    case BAO_RECORD_MARK:
        (void)printf(" durable=%llu", (unsigned long long)head->term);
        break;
    }
}

static void dump_record(void *context,
                        const struct log_segment *segment,
                        uint64_t offset,
                        const struct bao_record_head *head,
                        struct bao_span data)
{
    const struct cli *cli = context;
    char text[4096];
    if (head->lsn < values.from)
        return;
    if (cli_json(cli)) {
        json_t *object =
            json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                      "lsn",
                      cli_json_number(head->lsn),
                      "kind",
                      bao_record_kind_name((enum bao_record_kind)head->kind),
                      "segment",
                      cli_json_number(segment->number),
                      "offset",
                      cli_json_number(offset),
                      "bytes",
                      cli_json_number(head->bytes),
                      "group",
                      cli_json_number(head->group),
                      "index",
                      cli_json_number(head->index),
                      "term",
                      cli_json_number(head->term),
                      "queue",
                      cli_json_number(head->queue),
                      "salt",
                      cli_json_number(head->salt));
        if (values.data)
            cli_json_bytes(object, "data", data.data, data.bytes);
        (void)cli_print_json(cli, object, true);
        return;
    }
    dump_text(segment, offset, head);
    if (values.data && data.bytes > 0) {
        bao_write_escaped(text, sizeof text, data.data, data.bytes);
        (void)printf(" %s", text);
    }
    (void)putchar('\n');
}

static void dump_damage(void *context, const struct log_damage *damage)
{
    const struct cli *cli = context;
    (void)fprintf(stderr,
                  "%s: %s, offset %llu, lsn %llu: %s\n",
                  cli->name,
                  damage->file,
                  (unsigned long long)damage->offset,
                  (unsigned long long)damage->lsn,
                  damage->why);
}

static int run_dump(struct cli *cli)
{
    struct log_folder folder;
    struct log_walk walk = {
        .context = cli, .record = dump_record, .damage = dump_damage};
    int exit_code = BAO_EXIT_OK;
    if (!log_folder_open(cli, values.folder, false, &folder, &exit_code))
        return exit_code;
    log_folder_walk(&folder, &walk);
    log_folder_close(&folder);
    return BAO_EXIT_OK;
}

static const struct bao_option dump_options[] = {
    {.name = "from",
     .takes = BAO_TAKES_NUMBER,
     AT(from),
     .value = "LSN",
     .help = "records from this one on"},
    {.name = "data", AT(data), .help = "their bytes too"},
    CLI_COMMON_OPTIONS(struct values),
    {0},
};

static const struct bao_program dump_program = {
    .name = "baozi log dump",
    .purpose = "print the records of a data folder",
    .options = dump_options,
    .operands = operands,
    .examples = "  baozi log dump /var/lib/baozi --from 1200\n",
    .notes = "One line a record: lsn, kind, segment+offset, and what its head\n"
             "says (broker/JOURNAL.md).\n",
};
const struct cli_command cli_log_dump = {.program = &dump_program,
                                         .values = &values,
                                         .run = run_dump};
