/*
 * options_put.c - the options of items that are put.
 */
#include "common/options_put.h"

#include <string.h>

/* K=V texts become pairs. */
static bool make_pairs(struct bao_put_settings *settings,
                       struct bao_options *options,
                       struct bao_problem *problem)
{
    const struct bao_texts *headers = &settings->headers;
    size_t bytes = 0;
    if (headers->count == 0)
        return true;
    settings->pairs =
        bao_options_memory(options, headers->count * sizeof *settings->pairs);
    for (size_t i = 0; i < headers->count; i++) {
        const char *text = headers->texts[i];
        const char *equals = strchr(text, '=');
        if (equals == NULL || equals == text)
            return bao_problem_usage(
                problem,
                "--header: this is no K=V",
                "a header has a name, an equals sign and a value",
                "say for example --header content-type=text/plain");
        size_t length = (size_t)(equals - text);
        char *key = bao_options_memory(options, length + 1);
        if (settings->pairs == NULL || key == NULL)
            return bao_options_no_memory(problem);
        memcpy(key, text, length);
        key[length] = '\0';
        bytes += strlen(text);
        settings->pairs[i] =
            (struct baozi_header){.key = key, .value = equals + 1};
    }
    if (bytes > BAO_ITEM_HEADER_BYTES_MAX)
        return bao_problem_usage(
            problem,
            "--header: the headers are too large",
            "all headers of an item may have 4 KiB together",
            "put large values into the payload");
    return true;
}

bool bao_put_settings_check(struct bao_put_settings *settings,
                            struct bao_options *options,
                            struct bao_problem *problem)
{
    const bool window = bao_options_given(options, "dedup-window");
    if (settings->dedup_key == NULL && !settings->unique && window)
        return bao_problem_usage(
            problem,
            "--dedup-window without --dedup-key",
            "it says how long that key holds",
            "add --dedup-key '{}' to use the payload as the key");
    if (settings->unique && window)
        return bao_problem_usage(problem,
                                 "--unique together with --dedup-window",
                                 "a unique key holds until its item is settled",
                                 "leave out one of them");
    return make_pairs(settings, options, problem);
}

/* The dedup key of a payload; false: it is none, or too long for one. */
static bool write_key(const char *pattern,
                      const void *payload,
                      size_t bytes,
                      char key[BAO_KEY_BYTES_MAX],
                      size_t *key_bytes)
{
    const char *at = pattern == NULL ? "{}" : pattern;
    size_t used = 0;
    while (*at != '\0') {
        bool place = at[0] == '{' && at[1] == '}';
        size_t length = place ? bytes : 1;
        if (length > BAO_KEY_BYTES_MAX - used)
            return false;
        if (length > 0)
            memcpy(key + used, place ? payload : at, length);
        used += length;
        at += place ? 2 : 1;
    }
    *key_bytes = used;
    return used > 0;
}

bool bao_put_settings_apply(const struct bao_put_settings *settings,
                            const void *payload,
                            size_t bytes,
                            char key[BAO_KEY_BYTES_MAX],
                            struct baozi_put_options *put)
{
    *put = (struct baozi_put_options){
        .size = sizeof *put,
        .priority = (int32_t)settings->priority,
        .delay_ms = settings->delay_ms,
        .ttl_ms = settings->ttl_ms,
        .group = settings->group,
        .dedup_window_ms = settings->dedup_window_ms,
        .unique = settings->unique,
        .headers = settings->pairs,
        .header_count = settings->headers.count,
    };
    if (settings->dedup_key == NULL && !settings->unique)
        return true;
    put->dedup_key = key;
    return write_key(
        settings->dedup_key, payload, bytes, key, &put->dedup_key_bytes);
}
