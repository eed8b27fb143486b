/*
 * zmq_frames.h - what the bare ZeroMQ broker and its clients say: a frame of
 * u32 numbers and, with items, a frame of their bodies.
 *
 *     producer  PUT count lengths...    answered  OK count
 *     consumer  CREDIT count            answered  ITEMS count (id length)...
 *     consumer  DONE count ids...       answered  OK count; it is also credit
 *
 * The same work as baozi's in as few bytes: no queue names, sessions,
 * repetition, leases, limits or deadlines.
 */
#ifndef BAO_BENCH_ZMQ_FRAMES_H
#define BAO_BENCH_ZMQ_FRAMES_H

#include <stdint.h>

enum { FRAME_PUT, FRAME_OK, FRAME_CREDIT, FRAME_ITEMS, FRAME_DONE };

#define FRAME_NUMBERS_MAX 4096u

struct frame {
    uint32_t count;
    uint32_t numbers[FRAME_NUMBERS_MAX];
};

#endif
