/*
 * test_log_threads.c - the durable log with its real threads on a real disk:
 * jobs are run, waited for, and told of; a second holder is kept out.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include "broker/log.h"
#include "broker/log_threads.h"
#include "common/time.h"
#include "tests/lib/log_world.h"
#include "tests/lib/unit.h"

#define SEGMENT_BYTES (64u * 1024u)
#define READS         16u

struct disk {
    char folder[64];
    struct bao_storage storage;
    struct bao_log_threads *threads;
    struct bao_log *log;
    struct bao_log_report report;
    uint64_t index;  /* of the last entry */
    uint64_t safe;   /* last index that was synced in the life before */
    uint64_t loaded; /* the last that came back */
    uint64_t lsn;
    uint64_t address[4096];
    uint64_t reads_done;
};

static int setup(void **state)
{
    struct disk *disk = calloc(1, sizeof *disk);
    assert_non_null(disk);
    (void)snprintf(disk->folder, sizeof disk->folder, "/tmp/baozi-log-XXXXXX");
    assert_non_null(mkdtemp(disk->folder));
    *state = disk;
    return 0;
}

static int teardown(void **state)
{
    struct disk *disk = *state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", disk->folder);
    int answer = system(command);
    free(disk);
    return answer;
}

static void entry_of(uint64_t index, uint8_t data[200])
{
    log_entry_fill(index, data, 200);
}

static enum baozi_status take(void *context,
                              const struct bao_log_record *record)
{
    struct disk *disk = context;
    uint8_t want[200];
    entry_of(record->index, want);
    assert_int_equal(record->index, disk->loaded + 1);
    assert_int_equal(record->data.bytes, sizeof want);
    assert_memory_equal(record->data.data, want, sizeof want);
    disk->loaded = record->index;
    return BAOZI_OK;
}

static void move(void *context, const struct bao_log_record *record)
{
    (void)context;
    (void)record;
}

static void damaged(void *context, const struct bao_log_report *report)
{
    (void)context;
    fail_msg("%s", report->problem.what);
}

static void open_disk(struct disk *disk)
{
    struct bao_problem problem;
    assert_int_equal(bao_storage_open(disk->folder, &disk->storage, &problem),
                     BAOZI_OK);
    assert_int_equal(bao_log_threads_open(&disk->threads), BAOZI_OK);
    struct bao_log_config config = {
        .storage = &disk->storage,
        .folder = disk->folder,
        .executor = bao_log_threads_executor(disk->threads),
        .segment_bytes = SEGMENT_BYTES,
        .segments_max = 1024,
        .seed = bao_time_wall_us(),
    };
    disk->loaded = 0;
    assert_int_equal(bao_log_open(&config, &disk->log, &disk->report),
                     BAOZI_OK);
    assert_int_equal(bao_log_replay(disk->log, take, disk, &disk->report),
                     BAOZI_OK);
    assert_true(disk->loaded >= disk->safe);
    disk->index = disk->loaded;
    struct bao_log_owner owner = {
        .context = disk, .move = move, .damaged = damaged};
    bao_log_serve(disk->log, &owner, bao_time_monotonic_us());
}

static void close_disk(struct disk *disk, bool in_order)
{
    if (in_order)
        assert_int_equal(bao_log_close(disk->log), BAOZI_OK);
    else
        bao_log_abandon(disk->log);
    bao_log_threads_close(disk->threads);
    bao_storage_close(&disk->storage);
}

static void append(struct disk *disk)
{
    uint8_t data[200];
    struct bao_log_place place;
    entry_of(++disk->index, data);
    struct bao_span span = bao_span_of(data, sizeof data);
    struct bao_log_entry entry = {.kind = BAO_RECORD_ENTRY,
                                  .index = disk->index,
                                  .spans = &span,
                                  .span_count = 1};
    assert_int_equal(bao_log_append(disk->log, &entry, &place), BAOZI_OK);
    disk->lsn = place.lsn;
    disk->address[disk->index % 4096] = place.address;
}

/* A turn of the loop: sleeps until a job has ended or it is time. */
static void turn(struct disk *disk, int sleep_ms)
{
    struct pollfd fd = {.fd = bao_log_threads_pollfd(disk->threads),
                        .events = POLLIN};
    bao_log_write(disk->log, bao_time_monotonic_us(), false);
    (void)poll(&fd, 1, sleep_ms);
    bao_log_threads_clear(disk->threads);
    bao_log_turn(disk->log, bao_time_monotonic_us());
    assert_string_equal(bao_log_failure(disk->log), "");
}

static void until_synced(struct disk *disk)
{
    uint64_t end_us = bao_time_monotonic_us() + 20u * 1000000u;
    while (bao_log_marks(disk->log).synced < disk->lsn) {
        assert_true(bao_time_monotonic_us() < end_us);
        turn(disk, 100);
    }
    disk->safe = disk->index;
}

/* Everything that was told to be synced is there after an end of any kind. */
static void test_threads__sync_what_they_say(void **state)
{
    struct disk *disk = *state;
    for (int life = 0; life < 4; life++) {
        open_disk(disk);
        for (int i = 0; i < 150; i++) {
            for (int k = 0; k < 1 + i % 9; k++)
                append(disk);
            turn(disk, i % 3);
            if (i % 20 == 0)
                until_synced(disk);
        }
        until_synced(disk);
        append(disk);
        close_disk(disk, life % 2 == 0);
    }
    open_disk(disk);
    close_disk(disk, true);
}

static void read_done(struct bao_log_read *read, void *context)
{
    struct disk *disk = context;
    assert_int_equal(read->status, BAOZI_OK);
    disk->reads_done++;
}

/* Payloads are read beside all that. */
static void test_threads__read_while_they_write(void **state)
{
    static struct bao_log_read reads[READS];
    static uint8_t data[READS][200];
    struct disk *disk = *state;
    open_disk(disk);
    for (int i = 0; i < 100; i++)
        append(disk);
    turn(disk, 0);
    for (int round = 0; round < 20; round++) {
        disk->reads_done = 0;
        for (uint64_t i = 0; i < READS; i++) {
            uint64_t index = disk->index - i * 6;
            reads[i] = (struct bao_log_read){
                .address = disk->address[index % 4096],
                .bytes = 200,
                .data = data[i],
                .done = read_done,
                .context = disk,
            };
            bao_log_read(disk->log, &reads[i]);
            append(disk);
        }
        uint64_t last = disk->index - READS;
        while (disk->reads_done < READS)
            turn(disk, 100);
        for (uint64_t i = 0; i < READS; i++) {
            uint8_t want[200];
            entry_of(last + i - i * 6, want);
            assert_memory_equal(data[i], want, sizeof want);
        }
    }
    close_disk(disk, true);
}

/* [S11] One folder has one holder. */
static void test_threads__a_folder_has_one_holder(void **state)
{
    struct disk *disk = *state;
    struct bao_storage second;
    struct bao_problem problem;
    open_disk(disk);
    assert_int_equal(bao_storage_open(disk->folder, &second, &problem),
                     BAOZI_EXISTS);
    assert_non_null(strstr(problem.what, disk->folder));
    close_disk(disk, true);
    assert_int_equal(bao_storage_open(disk->folder, &second, &problem),
                     BAOZI_OK);
    bao_storage_close(&second);
}

/* [S9] What a backup reads is not overwritten, as long as it reads. */
static void test_threads__a_file_that_is_read_is_not_used_again(void **state)
{
    struct disk *disk = *state;
    struct bao_storage storage;
    struct bao_problem problem;
    char path[80];
    assert_int_equal(bao_storage_open(disk->folder, &storage, &problem),
                     BAOZI_OK);
    int file = storage.open(storage.context, "old", BAO_STORAGE_MAKE, NULL);
    assert_true(file >= 0);
    storage.close(storage.context, file);
    (void)snprintf(path, sizeof path, "%s/old", disk->folder);
    int reader = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(reader, LOCK_SH | LOCK_NB), 0);
    assert_int_equal(
        storage.open(storage.context, "old", BAO_STORAGE_REUSE, NULL), -EBUSY);
    file = storage.open(storage.context, "old", BAO_STORAGE_FIND, NULL);
    assert_true(file >= 0);
    storage.close(storage.context, file);
    (void)close(reader);
    file = storage.open(storage.context, "old", BAO_STORAGE_REUSE, NULL);
    assert_true(file >= 0);
    storage.close(storage.context, file);
    assert_int_equal(
        storage.open(storage.context, "none", BAO_STORAGE_REUSE, NULL),
        -ENOENT);
    bao_storage_close(&storage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_threads__sync_what_they_say, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_threads__read_while_they_write, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_threads__a_folder_has_one_holder, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_threads__a_file_that_is_read_is_not_used_again,
            setup,
            teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
