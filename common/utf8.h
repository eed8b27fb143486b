/*
 * utf8.h - which bytes are a text, and which are a name.
 *
 * A text is valid UTF-8 (no surrogates, no overlong forms, nothing above
 * U+10FFFF) without NUL. A name (queue, group) has at least one byte and no
 * control characters (U+0000-U+001F, U+007F-U+009F) besides.
 *
 * Pure.
 */
#ifndef BAO_UTF8_H
#define BAO_UTF8_H

#include "common/span.h"

bool bao_text_valid(struct bao_span text);
bool bao_name_valid(struct bao_span name, size_t bytes_max);

/*
 * Makes any bytes a text, in place: what cannot be one becomes '?'. For what
 * comes from elsewhere, such as a child's error output, before it is sent.
 */
void bao_text_clean(uint8_t *text, size_t bytes);

/* The longest beginning of a valid text that has at most `bytes_max` bytes
 * and does not cut a character. */
struct bao_span bao_text_cut(struct bao_span text, size_t bytes_max);

#endif
