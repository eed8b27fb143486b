/*
 * bench_report.c - what `baozi bench` found, as a table, JSON or CSV.
 */
#include <stdio.h>
#include <string.h>

#include "cli/bench.h"
#include "common/progress.h"
#include "common/text.h"

static const struct {
    const char *name;
    unsigned permille;
} percentiles[] = {{"p50", 500}, {"p90", 900}, {"p99", 990}, {"p999", 999}};

#define PERCENTILES (sizeof percentiles / sizeof percentiles[0])

/* --- adding up --- */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void bench_add_up(const struct bench *bench, struct bench_result *result)
{
    const struct bench_shared *shared = bench->shared;
    uint32_t producers = (uint32_t)bench->settings->producers;
    uint64_t put_us = shared->begin_us; /* the last confirmation */
    uint64_t taken_us = 0;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < producers; i++) {
        const struct bench_side *side = &shared->sides[i];
        result->put += side->put;
        result->confirmed += side->count;
        result->failed += side->failed;
        result->late += side->late;
        put_us = later(put_us, side->end_us);
        seen += bench_seen_count(&shared->seen, i, side->put);
        bao_histogram_add(&result->confirm, &side->latency);
    }
    for (uint32_t i = 0; i < bench->settings->consumers; i++) {
        const struct bench_side *side = &shared->sides[producers + i];
        result->taken += side->count;
        result->doubled += side->doubled;
        result->altered += side->altered;
        taken_us = later(taken_us, side->end_us);
        bao_histogram_add(&result->delivery, &side->latency);
    }
    result->missing = result->put - seen;
    result->put_seconds = (double)(put_us - shared->begin_us) * 1e-6;
    result->seconds =
        (double)(later(taken_us, put_us) - shared->begin_us) * 1e-6;
}

static double per_second(uint64_t count, double seconds)
{
    return seconds > 0 ? (double)count / seconds : 0;
}

/* --- as one flat object, which is also the columns of CSV --- */

static void add_number(json_t *object, const char *name, uint64_t number)
{
    (void)json_object_set_new(object, name, cli_json_number(number));
}

static void add_real(json_t *object, const char *name, double number)
{
    (void)json_object_set_new(object, name, json_real(number));
}

/* "put_p50_us" and so on. */
static void add_latency(json_t *object,
                        const char *what,
                        const struct bao_histogram *histogram)
{
    char name[32];
    for (size_t i = 0; i < PERCENTILES; i++) {
        (void)snprintf(
            name, sizeof name, "%s_%s_us", what, percentiles[i].name);
        add_number(object,
                   name,
                   bao_histogram_value(histogram, percentiles[i].permille));
    }
    (void)snprintf(name, sizeof name, "%s_max_us", what);
    add_number(object, name, histogram->most);
    (void)snprintf(name, sizeof name, "%s_mean_us", what);
    add_real(object, name, bao_histogram_mean(histogram));
}

static json_t *flat(const struct bench *bench,
                    const struct bench_result *result)
{
    const struct bench_settings *settings = bench->settings;
    json_t *object = json_object();
    add_number(object, "producers", settings->producers);
    add_number(object, "consumers", settings->consumers);
    add_number(object, "item_bytes", settings->item_bytes);
    add_number(object, "window", settings->window);
    add_number(object, "rate_asked", settings->rate);
    add_number(object, "maxsize", settings->maxsize);
    (void)json_object_set_new(
        object,
        "durability",
        json_string(
            cli_durability((enum baozi_durability)settings->durability)));
    add_real(object, "seconds", result->seconds);
    add_number(object, "put", result->confirmed);
    add_real(object,
             "put_per_second",
             per_second(result->confirmed, result->put_seconds));
    add_latency(object, "put", &result->confirm);
    add_number(object, "taken", result->taken);
    add_real(
        object, "taken_per_second", per_second(result->taken, result->seconds));
    add_latency(object, "delivery", &result->delivery);
    add_number(object, "late", result->late);
    add_number(object, "missing", result->missing);
    add_number(object, "doubled", result->doubled);
    add_number(object, "altered", result->altered);
    return object;
}

static void print_csv(const json_t *object)
{
    const char *between = "";
    const char *name;
    json_t *value;
    /* The macro wants a pointer that it could write through. */
    json_t *all = json_copy((json_t *)(uintptr_t)object);
    json_object_foreach(all, name, value)
    {
        (void)printf("%s%s", between, name);
        between = ",";
    }
    between = "\n";
    json_object_foreach(all, name, value)
    {
        if (json_is_real(value))
            (void)printf("%s%.6g", between, json_real_value(value));
        else if (json_is_integer(value))
            (void)printf(
                "%s%lld", between, (long long)json_integer_value(value));
        else
            (void)printf("%s%s", between, json_string_value(value));
        between = ",";
    }
    (void)putchar('\n');
    json_decref(all);
}

/* --- as a table --- */

/* 850 us, 12.3 ms, 1.25 s */
static const char *write_us(char *text, size_t bytes, uint64_t us)
{
    if (us < 1000)
        (void)snprintf(text, bytes, "%llu us", (unsigned long long)us);
    else if (us < 1000000)
        (void)snprintf(text, bytes, "%.3g ms", (double)us * 1e-3);
    else
        (void)snprintf(text, bytes, "%.3g s", (double)us * 1e-6);
    return text;
}

static void add_row(struct cli_table *table,
                    const char *what,
                    uint64_t count,
                    double seconds,
                    const struct bao_histogram *histogram)
{
    char text[BAO_TEXT_BYTES];
    cli_table_add(table, what);
    cli_table_add(table, bao_write_grouped(text, sizeof text, count));
    cli_table_add(table,
                  bao_write_grouped(
                      text, sizeof text, (uint64_t)per_second(count, seconds)));
    for (size_t i = 0; i < PERCENTILES; i++)
        cli_table_add(
            table,
            write_us(text,
                     sizeof text,
                     bao_histogram_value(histogram, percentiles[i].permille)));
    cli_table_add(table, write_us(text, sizeof text, histogram->most));
}

static void print_table(const struct bench *bench,
                        const struct bench_result *result)
{
    static const char *const titles[] = {"",
                                         ">items",
                                         ">a second",
                                         ">p50",
                                         ">p90",
                                         ">p99",
                                         ">p99.9",
                                         ">most",
                                         NULL};
    const struct bench_settings *settings = bench->settings;
    struct cli_table table;
    (void)printf(
        "%llu producer%s, %llu consumer%s, items of %llu bytes, window %llu, "
        "%s\n\n",
        (unsigned long long)settings->producers,
        settings->producers == 1 ? "" : "s",
        (unsigned long long)settings->consumers,
        settings->consumers == 1 ? "" : "s",
        (unsigned long long)settings->item_bytes,
        (unsigned long long)settings->window,
        cli_durability((enum baozi_durability)settings->durability));
    cli_table_init(&table, titles);
    add_row(&table,
            "put until confirmed",
            result->confirmed,
            result->put_seconds,
            &result->confirm);
    add_row(&table,
            "put until handed over",
            result->taken,
            result->seconds,
            &result->delivery);
    cli_table_print(&table);
    if (result->late > 0)
        (void)printf("\n%llu puts left more than 1 ms after their moment\n",
                     (unsigned long long)result->late);
}

int bench_report(const struct bench *bench, const struct bench_result *result)
{
    char what[160];
    bool good =
        result->missing == 0 && result->doubled == 0 && result->altered == 0;
    int exit_code = BAO_EXIT_OK;
    if (cli_json(bench->cli)) {
        exit_code = cli_print_json(bench->cli, flat(bench, result), false);
    } else if (bench->settings->csv) {
        json_t *object = flat(bench, result);
        print_csv(object);
        json_decref(object);
    } else {
        print_table(bench, result);
        if (good)
            (void)printf("\nchecked: nothing missing, doubled or altered\n");
    }
    if (good || exit_code != BAO_EXIT_OK)
        return exit_code;
    (void)snprintf(what,
                   sizeof what,
                   "of %llu items %llu are missing, %llu doubled, %llu altered",
                   (unsigned long long)result->put,
                   (unsigned long long)result->missing,
                   (unsigned long long)result->doubled,
                   (unsigned long long)result->altered);
    return bao_complain(bench->cli->name,
                        BAO_EXIT_NEGATIVE,
                        what,
                        "an item that came twice was redelivered, which "
                        "at-least-once allows; the rest it does not",
                        "see the broker's log");
}
