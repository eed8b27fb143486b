/*
 * test_disk.c - what lies on the disk: checksums, heads, cells, manifests,
 * blocks and the walk over records. Every single flipped bit is seen.
 */
#include "common/crc32c.h"
#include "common/disk_manifest.h"
#include "common/disk_scan.h"
#include "tests/lib/unit.h"

static void test_disk__crc32c_has_the_known_answers(void **state)
{
    (void)state;
    uint8_t data[300];
    assert_true(bao_crc32c_test());
    assert_int_equal(bao_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(bao_crc32c_by_table(0, "123456789", 9), 0xe3069283);
    assert_int_equal(bao_crc32c(0, NULL, 0), 0);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 37 + 11);
    for (size_t from = 0; from < 9; from++) {
        for (size_t bytes = 0; bytes + from < sizeof data; bytes += 7) {
            uint32_t whole = bao_crc32c(0, data + from, bytes);
            uint32_t half = bao_crc32c(0, data + from, bytes / 3);
            assert_int_equal(whole, bao_crc32c_by_table(0, data + from, bytes));
            assert_int_equal(
                whole,
                bao_crc32c(half, data + from + bytes / 3, bytes - bytes / 3));
        }
    }
}

static void test_disk__heads_come_back_and_show_every_flip(void **state)
{
    (void)state;
    uint8_t bytes[BAO_RECORD_HEAD_BYTES];
    struct bao_record_head head = {
        .kind = BAO_RECORD_ENTRY,
        .bytes = 123456,
        .lsn = 0x1122334455667788,
        .salt = 0xcafebabe,
        .group = 7,
        .index = 0x99aabbccddeeff00,
        .term = 5,
        .queue = UINT64_MAX,
        .data_crc = 42,
    };
    struct bao_record_head back;
    bao_record_encode(&head, bytes);
    uint8_t again[BAO_RECORD_HEAD_BYTES];
    assert_true(bao_record_decode(bytes, &back));
    assert_int_equal(back.lsn, head.lsn);
    assert_int_equal(back.queue, head.queue);
    bao_record_encode(&back, again);
    assert_memory_equal(bytes, again, sizeof bytes);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(bao_record_decode(bytes, &back));
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(bao_record_bytes(0), 56);
    assert_int_equal(bao_record_bytes(1), 64);
    assert_int_equal(bao_record_bytes(8), 64);
}

static void test_disk__segments_have_names_and_addresses(void **state)
{
    (void)state;
    static uint8_t bytes[BAO_SEGMENT_HEAD_BYTES];
    char name[BAO_SEGMENT_NAME_BYTES];
    uint64_t number = 0;
    struct bao_segment_head back;
    struct bao_segment_head head = {.format = BAO_DISK_FORMAT,
                                    .salt = 3,
                                    .directory = 4,
                                    .number = 0xabc,
                                    .bytes = 65536,
                                    .stride_bytes = 65536};
    bao_segment_encode(&head, bytes);
    assert_true(bao_segment_decode(bytes, &back));
    assert_memory_equal(&head, &back, sizeof head);
    for (size_t bit = 0; bit < 8 * (size_t)64; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(bao_segment_decode(bytes, &back));
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    bao_segment_name(0xabc, name);
    assert_string_equal(name, "segment-0000000000000abc");
    assert_true(bao_segment_number(name, &number));
    assert_int_equal(number, 0xabc);
    static const char *const others[] = {"segment-0000000000000000",
                                         "segment-000000000000abc",
                                         "segment-0000000000000abC",
                                         "segment-0000000000000abcd",
                                         "checkpoint-0000000000000abc",
                                         ""};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(bao_segment_number(others[i], &number));
    assert_int_equal(bao_address_of(65536, 2, 4096), 2 * 65536 + 4096);
}

static void test_disk__cells_show_every_flip(void **state)
{
    (void)state;
    uint8_t cell[40] = {0};
    struct bao_span payload;
    memcpy(cell + BAO_CELL_HEAD_BYTES, "headpayload", 11);
    bao_cell_encode(bao_span_of(cell + 8, 4), bao_span_of(cell + 12, 7), cell);
    assert_int_equal(bao_cell_bytes(11), 24);
    assert_true(bao_cell_check(bao_span_of(cell, 24), &payload));
    assert_int_equal(payload.bytes, 11);
    assert_memory_equal(payload.data, "headpayload", 11);
    assert_false(bao_cell_check(bao_span_of(cell, 18), &payload));
    assert_false(bao_cell_check(bao_span_of(cell, 7), &payload));
    for (size_t bit = 0; bit < 8 * (size_t)19; bit++) {
        cell[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(bao_cell_check(bao_span_of(cell, 24), &payload));
        cell[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void test_disk__manifests_come_back_and_show_every_flip(void **state)
{
    (void)state;
    static uint8_t bytes[4096];
    struct bao_manifest_segment segments[3] = {
        {.number = 4,
         .first_lsn = 1,
         .last_lsn = 9,
         .bytes = 5000,
         .file_bytes = 65536,
         .salt = 8,
         .closed = true},
        {.number = 7,
         .first_lsn = 10,
         .last_lsn = 12,
         .bytes = 4200,
         .file_bytes = 65536,
         .salt = 9},
    };
    struct bao_manifest_segment found[3] = {{0}};
    struct bao_manifest back = {.segments = found};
    struct bao_manifest manifest = {
        .format = BAO_DISK_FORMAT,
        .clean = true,
        .directory = 1,
        .generation = 2,
        .stride_bytes = 65536,
        .tail_first = 8,
        .next_number = 11,
        .durable_lsn = 12,
        .epoch_floor = 77,
        .checkpoint_count = 1,
        .segment_count = 2,
        .checkpoints = {{.number = 3, .index = 4, .replay_lsn = 5, .bytes = 6}},
        .segments = segments,
    };
    size_t size = bao_manifest_bytes(2);
    bao_manifest_encode(&manifest, bytes);
    struct bao_span whole = bao_span_of(bytes, sizeof bytes);
    assert_int_equal(bao_manifest_decode(whole, &back, 3), BAO_MANIFEST_GOOD);
    assert_int_equal(back.generation, 2);
    assert_int_equal(back.durable_lsn, 12);
    assert_int_equal(back.epoch_floor, 77);
    assert_true(back.clean && found[0].closed && !found[1].closed);
    assert_int_equal(found[1].salt, 9);
    assert_memory_equal(
        back.checkpoints, manifest.checkpoints, sizeof manifest.checkpoints);
    assert_int_equal(bao_manifest_decode(whole, &back, 1), BAO_MANIFEST_MANY);
    assert_int_equal(
        bao_manifest_decode(bao_span_of(bytes, size - 1), &back, 3),
        BAO_MANIFEST_DAMAGED);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(bao_manifest_decode(whole, &back, 3),
                         BAO_MANIFEST_DAMAGED);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    manifest.format = BAO_DISK_FORMAT + 1;
    bao_manifest_encode(&manifest, bytes);
    assert_int_equal(bao_manifest_decode(whole, &back, 3), BAO_MANIFEST_NEWER);
}

static void test_disk__blocks_keep_their_pieces_apart(void **state)
{
    (void)state;
    static uint8_t bytes[BAO_BLOCK_BYTES];
    struct bao_block block;
    struct bao_block_trailer trailer = {
        .index = 9, .replay_lsn = 8, .blocks = 1, .crc = 7};
    struct bao_block_trailer back;
    struct bao_span piece;
    size_t fill = 0;
    for (uint32_t i = 0; i < 5; i++) {
        uint8_t *at = bytes + BAO_BLOCK_HEAD_BYTES + fill;
        bao_store32(at, i);
        memset(at + 4, (int)i, i);
        fill += bao_piece_bytes(i);
    }
    (void)bao_block_seal(bytes, fill, 3, 5);
    struct bao_span whole = bao_span_of(bytes, sizeof bytes);
    assert_false(bao_block_decode(whole, 2, &block));
    assert_true(bao_block_decode(whole, 3, &block));
    assert_false(block.last);
    for (uint32_t i = 0; i < 5; i++) {
        assert_true(bao_block_next(&block.body, &piece));
        assert_int_equal(piece.bytes, i);
        for (uint32_t k = 0; k < i; k++)
            assert_int_equal(piece.data[k], i);
    }
    assert_false(bao_block_next(&block.body, &piece));
    assert_int_equal(bao_block_trailer_encode(&trailer, bytes), 48);
    assert_true(bao_block_decode(whole, 1, &block));
    assert_true(bao_block_trailer_decode(&block, &back));
    assert_int_equal(back.index, 9);
    assert_int_equal(back.replay_lsn, 8);
    assert_int_equal(back.crc, 7);
}

/* --- the walk --- */

struct writer {
    uint8_t bytes[4096];
    size_t at;
    uint64_t lsn;
    uint64_t batch_lsn;
    uint32_t batch_count;
    uint32_t batch_crc;
};

static void
write_record(struct writer *writer, enum bao_record_kind kind, const char *data)
{
    size_t bytes = strlen(data);
    struct bao_record_head head = {
        .kind = (uint8_t)kind,
        .bytes = (uint32_t)bytes,
        .lsn = ++writer->lsn,
        .salt = 5,
        .term = writer->lsn - 1,
        .data_crc = bao_crc32c(0, data, bytes),
    };
    if (kind == BAO_RECORD_BATCH_END) {
        head.group = writer->batch_count;
        head.index = writer->batch_lsn;
        head.data_crc = writer->batch_crc;
    }
    uint8_t *to = writer->bytes + writer->at;
    bao_record_encode(&head, to);
    memcpy(to + BAO_RECORD_HEAD_BYTES, data, bytes);
    writer->at += bao_record_bytes(bytes);
    if (kind == BAO_RECORD_BATCH_END) {
        writer->batch_count = 0;
        writer->batch_crc = 0;
        return;
    }
    if (writer->batch_count++ == 0)
        writer->batch_lsn = head.lsn;
    writer->batch_crc = bao_batch_crc(writer->batch_crc, &head);
}

static void test_disk__a_walk_ends_where_a_batch_is_not_whole(void **state)
{
    (void)state;
    static struct writer writer;
    struct bao_record_head head;
    struct bao_span data;
    struct bao_scan scan;
    for (int i = 0; i < 3; i++) {
        write_record(&writer, BAO_RECORD_ENTRY, "first");
        write_record(&writer, BAO_RECORD_ENTRY, "the second one");
        write_record(&writer, BAO_RECORD_BATCH_END, "");
    }
    for (size_t cut = 0; cut <= writer.at; cut++) {
        uint64_t seen = 0;
        bao_scan_begin(&scan, 1);
        bao_scan_enter(&scan, bao_span_of(writer.bytes, cut), 5, 0);
        while (bao_scan_next(&scan, &head, &data) == BAO_SCAN_RECORD)
            seen++;
        assert_true(scan.whole_lsn % 3 == 0 && scan.whole_lsn <= seen);
        assert_true(cut < writer.at || scan.whole_lsn == 9);
    }
    bao_scan_begin(&scan, 2); /* within a batch: its trailer is believed */
    bao_scan_enter(&scan, bao_span_of(writer.bytes, writer.at), 5, 64);
    for (uint64_t lsn = 2; lsn <= 9; lsn++)
        assert_int_equal(bao_scan_next(&scan, &head, &data), BAO_SCAN_RECORD);
    assert_int_equal(bao_scan_next(&scan, &head, &data), BAO_SCAN_NO_RECORD);
}

static void test_disk__statements_are_found_behind_damage(void **state)
{
    (void)state;
    static struct writer writer;
    struct bao_statement statement;
    for (int i = 0; i < 3; i++) {
        write_record(&writer, BAO_RECORD_ENTRY, "first");
        write_record(&writer, BAO_RECORD_BATCH_END, "");
    }
    struct bao_span bytes = bao_span_of(writer.bytes, sizeof writer.bytes);
    bao_scan_find_statement(bytes, 1, 5, 3, &statement);
    assert_int_equal(statement.records, 4);
    assert_int_equal(statement.durable, 5);
    bao_scan_find_statement(bytes, 0, 0, 1, &statement);
    assert_int_equal(statement.records, 6);
    bao_scan_find_statement(bytes, 0, 6, 1, &statement); /* another salt */
    assert_int_equal(statement.records, 0);
    assert_int_equal(statement.durable, 0);
    bao_scan_find_statement(bytes, 0, 5, 7, &statement);
    assert_int_equal(statement.records, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disk__crc32c_has_the_known_answers),
        cmocka_unit_test(test_disk__heads_come_back_and_show_every_flip),
        cmocka_unit_test(test_disk__segments_have_names_and_addresses),
        cmocka_unit_test(test_disk__cells_show_every_flip),
        cmocka_unit_test(test_disk__manifests_come_back_and_show_every_flip),
        cmocka_unit_test(test_disk__blocks_keep_their_pieces_apart),
        cmocka_unit_test(test_disk__a_walk_ends_where_a_batch_is_not_whole),
        cmocka_unit_test(test_disk__statements_are_found_behind_damage),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
