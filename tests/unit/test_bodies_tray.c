/*
 * test_bodies_tray.c - a tray against an array of what each number must have,
 * and the rack that trays stand on.
 */
#include "broker/bodies_inner.h"
#include "tests/unit/model.h"

#define READERS  8u
#define ALL_GATE ((size_t)1 << 40) /* so much waste that none is borne */

/* What a number of the tray has. */
struct model {
    uint32_t bytes;
    uint8_t fill;
    bool live;
    bool cold;
    uint64_t address;
};

/* Somebody who keeps bytes of it, whatever becomes of the entry. */
struct reader {
    struct bao_chunk *chunk;
    const uint8_t *data;
    uint32_t bytes;
    uint8_t fill;
};

static struct world {
    struct bao_bodies *bodies;
    struct bao_tray *tray;
    struct model slots[BAO_TRAY_SLOTS];
    struct reader readers[READERS];
    unsigned next; /* the first number that may come */
    bool logged;
    unsigned far_addresses;
    unsigned repacks;
} world;

static void check_bytes(const uint8_t *data, uint32_t bytes, uint8_t fill)
{
    for (uint32_t i = 0; i < bytes; i++)
        assert_int_equal(data[i], fill);
}

static void check_all(void)
{
    unsigned alive = 0;
    for (unsigned slot = 0; slot < BAO_TRAY_SLOTS; slot++) {
        const struct model *model = &world.slots[slot];
        struct bao_payload payload;
        if (!model->live)
            continue;
        alive++;
        assert_true((world.tray->live >> slot & 1) != 0);
        bao_tray_find(world.tray, bao_tray_rank(world.tray, slot), &payload);
        assert_int_equal(payload.bytes, model->bytes);
        assert_int_equal(payload.address, model->address);
        assert_int_equal(payload.crc, world.logged ? model->bytes : 0);
        assert_int_equal(payload.chunk == NULL, model->cold);
        if (!model->cold)
            check_bytes(payload.data, model->bytes, model->fill);
    }
    for (unsigned i = 0; i < READERS; i++)
        check_bytes(world.readers[i].data,
                    world.readers[i].bytes,
                    world.readers[i].fill);
    if (world.tray == NULL)
        return;
    assert_int_equal(world.tray->alive, alive);
    bao_tray_check(world.tray);
}

/* Mostly near the others, as the log writes them; some days later. */
static uint64_t some_address(void)
{
    static const uint64_t segment = UINT64_C(64) << 20;
    if (model_random(12) == 0)
        return segment + model_random(UINT64_C(1) << 50);
    return (1 + model_random(40)) * segment + model_random(1000);
}

static uint32_t some_bytes(void)
{
    return 1 + (uint32_t)model_random(model_random(8) == 0 ? 4000 : 200);
}

static void move(unsigned slot, uint64_t address)
{
    const unsigned rank = bao_tray_rank(world.tray, slot);
    world.tray = bao_tray_place(world.bodies, world.tray, rank, address);
    world.slots[slot].address = address;
    world.far_addresses += world.tray->address_bytes == sizeof(uint64_t);
}

static void enter(unsigned slot, unsigned rank, struct model model)
{
    world.slots[slot] = model;
    if (!world.logged)
        return;
    bao_tray_set_crc(world.tray, rank, model.bytes);
    move(slot, some_address());
}

/* Some of the numbers that follow, at once. */
static void add(void)
{
    unsigned slots[BAO_TRAY_SLOTS];
    uint32_t bytes[BAO_TRAY_SLOTS];
    uint32_t sum = 0;
    unsigned count = 0;
    const unsigned most = 1 + (unsigned)model_random(20);
    for (unsigned slot = world.next; slot < BAO_TRAY_SLOTS && count < most;
         slot++) {
        if (model_random(4) == 0)
            continue; /* it has an empty body */
        slots[count] = slot;
        bytes[count] = some_bytes();
        sum += bytes[count++];
    }
    if (count == 0)
        return;
    world.tray = bao_tray_reserve(
        world.bodies, world.tray, slots[0], count, world.logged);
    uint8_t *to =
        bao_tray_room(world.bodies, world.tray, sum, slots[count - 1]);
    for (unsigned i = 0; i < count; i++) {
        const uint8_t fill = (uint8_t)model_random(256);
        memset(to, fill, bytes[i]);
        to += bytes[i];
        const unsigned rank = bao_tray_add(world.tray, slots[i], bytes[i]);
        enter(slots[i],
              rank,
              (struct model){.bytes = bytes[i], .fill = fill, .live = true});
    }
    world.next = slots[count - 1] + 1;
}

/* While a log is read: any number, also one that had been there. */
static void add_cold(void)
{
    const unsigned slot = (unsigned)model_random(BAO_TRAY_SLOTS);
    if (!world.logged || world.slots[slot].live ||
        (world.tray != NULL && world.tray->chunk != NULL))
        return;
    const uint32_t bytes = some_bytes();
    world.tray = bao_tray_reserve(world.bodies, world.tray, 0, 1, true);
    const unsigned rank =
        bao_tray_add_cold(world.bodies, world.tray, slot, bytes);
    enter(
        slot, rank, (struct model){.bytes = bytes, .live = true, .cold = true});
    world.next = slot >= world.next ? slot + 1 : world.next;
}

static void kill(unsigned slot)
{
    struct model *model = &world.slots[slot];
    struct bao_death death;
    const uint64_t placed = world.tray->placed;
    const bool last = world.tray->alive == 1;
    model->live = false;
    world.tray = bao_tray_kill(world.bodies, world.tray, slot, &death);
    assert_int_equal(death.bytes, model->bytes);
    assert_int_equal(death.address, model->address);
    assert_int_equal(death.hot, !model->cold);
    assert_int_equal(world.tray == NULL, last);
    if (world.tray != NULL)
        world.repacks += world.tray->placed != placed;
}

static void cool(void)
{
    uint32_t bytes = 0;
    bool logged = true;
    for (unsigned slot = 0; slot < BAO_TRAY_SLOTS; slot++) {
        const struct model *model = &world.slots[slot];
        if (!model->live || model->cold)
            continue;
        bytes += model->bytes;
        logged = logged && model->address != 0;
    }
    assert_int_equal(bao_tray_cool(world.bodies, world.tray),
                     logged ? bytes : 0);
    for (unsigned slot = 0; logged && slot < BAO_TRAY_SLOTS; slot++)
        world.slots[slot].cold = world.slots[slot].live;
}

static void read_or_let_go(unsigned slot)
{
    struct reader *reader = &world.readers[model_random(READERS)];
    struct bao_payload payload;
    if (reader->chunk != NULL)
        bao_chunk_drop(world.bodies, reader->chunk);
    *reader = (struct reader){.chunk = NULL};
    bao_tray_find(world.tray, bao_tray_rank(world.tray, slot), &payload);
    if (payload.chunk == NULL || model_random(2) == 0)
        return;
    payload.chunk->references++;
    *reader = (struct reader){.chunk = payload.chunk,
                              .data = payload.data,
                              .bytes = payload.bytes,
                              .fill = world.slots[slot].fill};
}

static void something(void)
{
    const unsigned slot = (unsigned)model_random(BAO_TRAY_SLOTS);
    const uint64_t what = model_random(100);
    if (what < 15)
        add();
    else if (what < 18)
        add_cold();
    else if (world.tray == NULL)
        return;
    else if (what < 20)
        cool();
    else if (what < 22)
        world.tray = bao_tray_trim(world.bodies, world.tray);
    else if (!world.slots[slot].live)
        return;
    else if (what < 50)
        kill(slot);
    else if (what < 70)
        read_or_let_go(slot);
    else if (world.logged)
        move(slot, model_random(30) == 0 ? 0 : some_address());
}

static void end_tray(void)
{
    for (unsigned slot = 0; slot < BAO_TRAY_SLOTS; slot++) {
        if (world.slots[slot].live)
            kill(slot);
    }
    assert_null(world.tray);
}

static void run_seed(uint64_t seed)
{
    world = (struct world){.bodies = NULL};
    assert_int_equal(bao_bodies_open(64u << 20, &world.bodies), BAOZI_OK);
    const size_t used = bao_bodies_used(world.bodies);
    const size_t borne = seed % 2 == 0 ? 0 : ALL_GATE;
    world.bodies->waste_bytes = borne;
    for (unsigned tray = 0; tray < 100; tray++) {
        memset(world.slots, 0, sizeof world.slots);
        world.next = (unsigned)model_random(BAO_TRAY_SLOTS);
        world.logged = model_random(3) > 0;
        for (unsigned step = 0; step < 300; step++) {
            something();
            check_all();
        }
        end_tray();
        assert_int_equal(world.bodies->waste_bytes, borne);
    }
    for (unsigned i = 0; i < READERS; i++) {
        if (world.readers[i].chunk != NULL)
            bao_chunk_drop(world.bodies, world.readers[i].chunk);
    }
    assert_int_equal(bao_bodies_used(world.bodies), used);
    assert_true(world.far_addresses > 0);
    assert_true(borne == 0 || world.repacks > 0);
    bao_bodies_close(world.bodies);
}

static void test_bodies_tray__agrees_with_a_naive_model(void **state)
{
    (void)state;
    model_each_seed("bodies_tray", run_seed);
}

/* --- the rack --- */

#define KEYS 40u

static void check_rack(const struct bao_rack *rack, struct bao_tray **model)
{
    struct bao_tree_entry last = {0, NULL};
    uint64_t from = 0;
    for (uint64_t key = 0; key < KEYS; key++) {
        assert_ptr_equal(bao_rack_find(rack, key), model[key]);
        if (model[key] == NULL)
            continue;
        const struct bao_tree_entry entry = bao_rack_first(rack, from);
        assert_int_equal(entry.key, key);
        assert_ptr_equal(entry.value, model[key]);
        last = entry;
        from = key + 1;
    }
    assert_null(bao_rack_first(rack, from).value);
    assert_ptr_equal(bao_rack_last(rack).value, last.value);
}

/* From few to many and back, some times. */
static void run_rack(uint64_t seed)
{
    static struct bao_tray trays[2 * KEYS];
    struct bao_tray *model[KEYS] = {NULL};
    struct bao_rack rack;
    void *memory;
    struct bao_arena *arena = model_arena(&memory, 1u << 20);
    bao_rack_init(&rack, arena);
    for (unsigned step = 0; step < 4000; step++) {
        const uint64_t key = model_random(KEYS);
        struct bao_tray *tray = &trays[model_random(2 * KEYS)];
        const bool grows = (step / 200 + seed) % 2 == 0;
        if (model[key] == NULL && grows)
            bao_rack_put(&rack, key, model[key] = tray);
        else if (model[key] != NULL)
            bao_rack_replace(&rack, key, model[key] = grows ? tray : NULL);
        if (step % 8 == 0)
            check_rack(&rack, model);
    }
    for (uint64_t key = 0; key < KEYS; key++) {
        if (model[key] != NULL)
            bao_rack_replace(&rack, key, NULL);
    }
    model_arena_end(arena, memory);
}

static void test_bodies_rack__agrees_with_a_naive_model(void **state)
{
    (void)state;
    model_each_seed("bodies_rack", run_rack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies_tray__agrees_with_a_naive_model),
        cmocka_unit_test(test_bodies_rack__agrees_with_a_naive_model),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("bodies_tray", tests, NULL, NULL);
}
