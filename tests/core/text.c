/*
 * text.c - printf at the end of a growing text.
 */
#include "tests/core/text.h"

#include "tests/lib/unit.h"

void text_add(struct text *text, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int bytes = vsnprintf(NULL, 0, format, list);
    va_end(list);
    assert_true(bytes >= 0);

    size_t needed = text->bytes + (size_t)bytes + 1;
    if (needed > text->capacity) {
        text->capacity = needed * 2;
        text->data = realloc(text->data, text->capacity);
        assert_non_null(text->data);
    }
    va_start(list, format);
    (void)vsnprintf(
        text->data + text->bytes, text->capacity - text->bytes, format, list);
    va_end(list);
    text->bytes += (size_t)bytes;
}

void text_clear(struct text *text)
{
    text->bytes = 0;
    if (text->data != NULL) {
        text->data[0] = '\0';
    }
}

void text_fini(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}

const char *text_of(const struct text *text)
{
    return text->data == NULL ? "" : text->data;
}
