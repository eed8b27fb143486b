/*
 * test_buffer.c - the buffer against a naive model: two counters of a known
 * stream of bytes.
 */
#include <string.h>

#include "common/buffer.h"
#include "tests/unit/model.h"

#define STREAM 70000u

static uint8_t stream_at(uint64_t offset)
{
    return (uint8_t)(offset * 31 + offset / 251);
}

static void
check_view(const struct bao_buffer *buffer, uint64_t head, uint64_t tail)
{
    struct bao_span view = bao_buffer_view(buffer);
    assert_int_equal(view.bytes, tail - head);
    for (size_t i = 0; i < view.bytes; i++)
        assert_int_equal(view.data[i], stream_at(head + i));
    assert_true(buffer->capacity <= 2 * buffer->bytes_max);
    assert_true(buffer->start + buffer->bytes <= buffer->capacity);
}

static void run_model(uint64_t seed)
{
    uint8_t piece[3000];
    struct bao_buffer buffer;
    size_t bytes_max = 1 + model_random(8000);
    uint64_t head = 0;
    uint64_t tail = 0;
    (void)seed;
    bao_buffer_init(&buffer, bytes_max);

    for (unsigned step = 0; step < 5000; step++) {
        size_t bytes = model_random(model_random(8) == 0 ? 3000 : 200);
        for (size_t i = 0; i < bytes; i++)
            piece[i] = stream_at(tail + i);
        bool fits = tail - head + bytes <= bytes_max;
        enum baozi_status status = BAOZI_OK;
        uint8_t *room = NULL;
        switch (model_random(5)) {
        case 0:
        case 1:
            status = bao_buffer_append(&buffer, bao_span_of(piece, bytes));
            assert_int_equal(status, fits ? BAOZI_OK : BAOZI_FULL);
            tail += fits ? bytes : 0;
            break;
        case 2:
            status = bao_buffer_reserve(&buffer, bytes, &room);
            assert_int_equal(status, fits ? BAOZI_OK : BAOZI_FULL);
            if (fits && bytes > 0) {
                memcpy(room, piece, bytes / 2);
                bao_buffer_commit(&buffer, bytes / 2);
                tail += bytes / 2;
            }
            break;
        case 3:
            bytes = model_random(tail - head + 1);
            bao_buffer_consume(&buffer, bytes);
            head += bytes;
            break;
        default:
            if (model_random(40) == 0) {
                bao_buffer_clear(&buffer);
                head = tail;
                assert_true(buffer.capacity <= 4096);
            }
            break;
        }
        check_view(&buffer, head, tail);
    }
    bao_buffer_fini(&buffer);
    bao_buffer_fini(&buffer);
    assert_int_equal(bao_buffer_view(&buffer).bytes, 0);
}

static void test_buffer__agrees_with_a_naive_model(void **state)
{
    (void)state;
    model_each_seed("buffer", run_model);
}

static void test_buffer__never_holds_more_than_its_maximum(void **state)
{
    (void)state;
    uint8_t bytes[64] = {0};
    struct bao_buffer buffer;
    bao_buffer_init(&buffer, 100);
    assert_int_equal(bao_buffer_append(&buffer, bao_span_of(bytes, 64)),
                     BAOZI_OK);
    assert_int_equal(bao_buffer_append(&buffer, bao_span_of(bytes, 37)),
                     BAOZI_FULL);
    assert_int_equal(bao_buffer_view(&buffer).bytes, 64);
    assert_int_equal(bao_buffer_append(&buffer, bao_span_of(bytes, 36)),
                     BAOZI_OK);
    assert_int_equal(bao_buffer_append(&buffer, bao_span_of(bytes, 1)),
                     BAOZI_FULL);
    uint8_t *room;
    assert_int_equal(bao_buffer_reserve(&buffer, SIZE_MAX, &room), BAOZI_FULL);
    bao_buffer_fini(&buffer);
}

/* A full buffer that lives on byte by byte moves each byte a few times. */
static void test_buffer__a_full_one_slides_once_in_a_while(void **state)
{
    (void)state;
    struct bao_buffer buffer;
    uint8_t piece[512];
    uint64_t head = 0;
    uint64_t tail = 0;
    unsigned slides = 0;
    bao_buffer_init(&buffer, 512);
    while (tail < STREAM) {
        size_t start = buffer.start;
        piece[0] = stream_at(tail);
        if (bao_buffer_append(&buffer, bao_span_of(piece, 1)) == BAOZI_OK)
            tail++;
        if (buffer.start < start)
            slides++;
        if (tail - head == 512) {
            bao_buffer_consume(&buffer, 1);
            head++;
        }
    }
    check_view(&buffer, head, tail);
    assert_true(slides <= STREAM / 256);
    bao_buffer_fini(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buffer__agrees_with_a_naive_model),
        cmocka_unit_test(test_buffer__never_holds_more_than_its_maximum),
        cmocka_unit_test(test_buffer__a_full_one_slides_once_in_a_while),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("buffer", tests, NULL, NULL);
}
