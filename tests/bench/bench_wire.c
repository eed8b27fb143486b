/*
 * bench_wire.c - what encoding and decoding an operation costs.
 *
 * Prints nanoseconds for each operation and for each item, best of several
 * rounds, so that noise of the machine does not count. No thresholds: numbers
 * for people. As in life, 64 operations of one item share a message, and an
 * operation of 64 items has one of its own.
 *
 *   bench_wire fixed put|done|deliver COUNT    works so often, prints nothing
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/wire.h"

enum { ITEMS = 64, ROUNDS = 9, OPERATIONS = 64, REPEAT = 2000 };

static uint8_t ids[8 * ITEMS];
static uint8_t tokens[8 * ITEMS];
static uint8_t lengths[4 * ITEMS];

static double now_ns(void)
{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static struct bao_operation put_of(uint64_t rid, size_t items)
{
    struct bao_operation put = {0};
    BAO_SET(&put, VERB, verb, BAO_VERB_PUT);
    BAO_SET(&put, RID, rid, rid);
    BAO_SET(&put, QUEUE, queue, bao_span_text("thumbnails"));
    BAO_SET(&put, LENGTHS, lengths, bao_span_of(lengths, 4 * items));
    return put;
}

static struct bao_operation done_of(uint64_t rid, size_t items)
{
    struct bao_operation done = {0};
    BAO_SET(&done, VERB, verb, BAO_VERB_DONE);
    BAO_SET(&done, RID, rid, rid);
    BAO_SET(&done, IDS, ids, bao_span_of(ids, 8 * items));
    BAO_SET(&done, TOKENS, tokens, bao_span_of(tokens, 8 * items));
    return done;
}

static struct bao_operation deliver_of(uint64_t rid, size_t items)
{
    struct bao_operation deliver = {0};
    BAO_SET(&deliver, VERB, verb, BAO_VERB_DELIVER);
    BAO_SET(&deliver, TARGET, target, 7);
    BAO_SET(&deliver, SEQUENCE, sequence, rid);
    BAO_SET(&deliver, IDS, ids, bao_span_of(ids, 8 * items));
    BAO_SET(&deliver, TOKEN, token, (UINT64_C(3) << 40) + rid);
    BAO_SET(&deliver, LENGTHS, lengths, bao_span_of(lengths, 4 * items));
    BAO_SET(&deliver, LEASE_MS, lease_ms, 30000);
    return deliver;
}

static void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "bench_wire: %s\n", what);
        exit(1);
    }
}

static struct bao_span encode(struct bao_writer *writer,
                              uint8_t *memory,
                              const struct bao_operation *operations,
                              size_t count)
{
    bao_writer_open(writer, memory, BAO_HEADER_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        must(bao_writer_add(writer, &operations[i]) == BAOZI_OK, "full");
    }
    return bao_writer_close(writer);
}

static uint64_t decode(struct bao_span header, size_t count)
{
    struct bao_reader reader;
    struct bao_operation operation;
    uint64_t sum = 0;
    must(bao_reader_open(&reader, header) == BAOZI_OK, "not opened");
    for (size_t i = 0; i < count; i++) {
        must(bao_reader_next(&reader, &operation) == BAOZI_OK, reader.why);
        sum += operation.rid + operation.lengths.bytes;
    }
    return sum;
}

static void run(const char *name,
                const struct bao_operation *operations,
                size_t count,
                size_t items)
{
    static uint8_t memory[BAO_HEADER_BYTES_MAX];
    struct bao_writer writer;
    struct bao_span header = {0};
    double best_encode = 1e18;
    double best_decode = 1e18;
    uint64_t sink = 0;
    size_t repeat = REPEAT * (count == 1 ? 16 : 1);
    for (int round = 0; round < ROUNDS; round++) {
        double begin = now_ns();
        for (size_t i = 0; i < repeat; i++) {
            header = encode(&writer, memory, operations, count);
        }
        double middle = now_ns();
        for (size_t i = 0; i < repeat; i++) {
            sink += decode(header, count);
        }
        double end = now_ns();
        double each = (double)(repeat * count);
        double encoding = (middle - begin) / each;
        double decoding = (end - middle) / each;
        best_encode = encoding < best_encode ? encoding : best_encode;
        best_decode = decoding < best_decode ? decoding : best_decode;
    }
    must(sink != 0, "nothing was read");
    printf("%-12s %4zu B  encode %6.1f ns (%5.2f an item)  "
           "decode %6.1f ns (%5.2f an item)\n",
           name,
           header.bytes / count,
           best_encode,
           best_encode / (double)items,
           best_decode,
           best_decode / (double)items);
}

/* A known amount of work, for counting its instructions. */
static void run_fixed(const struct bao_operation *operation, unsigned count)
{
    static uint8_t memory[BAO_HEADER_BYTES_MAX];
    struct bao_writer writer;
    uint64_t sink = 0;
    for (unsigned i = 0; i < count; i++) {
        sink += decode(encode(&writer, memory, operation, 1), 1);
    }
    must(sink != 0, "nothing was read");
}

int main(int word_count, char **words)
{
    struct bao_operation puts[OPERATIONS];
    for (size_t i = 0; i < ITEMS; i++) {
        bao_store64(ids + 8 * i, (UINT64_C(1) << 40) + i);
        bao_store64(tokens + 8 * i, (UINT64_C(3) << 40) + i);
        bao_store32(lengths + 4 * i, (uint32_t)(100 + i));
    }
    for (size_t i = 0; i < OPERATIONS; i++) {
        puts[i] = put_of(1 + i, 1);
    }
    struct bao_operation put = put_of(1, ITEMS);
    struct bao_operation done = done_of(1, ITEMS);
    struct bao_operation deliver = deliver_of(1, ITEMS);
    if (word_count == 4 && strcmp(words[1], "fixed") == 0) {
        run_fixed(strcmp(words[2], "put") == 0    ? &put
                  : strcmp(words[2], "done") == 0 ? &done
                                                  : &deliver,
                  (unsigned)strtoul(words[3], NULL, 10));
        return 0;
    }
    run("PUT x1", puts, OPERATIONS, 1);
    run("PUT x64", &put, 1, ITEMS);
    run("DONE x64", &done, 1, ITEMS);
    run("DELIVER x64", &deliver, 1, ITEMS);
    printf("an operation in memory: %zu bytes\n", sizeof(struct bao_operation));
    return 0;
}
