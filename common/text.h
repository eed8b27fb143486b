/*
 * text.h - numbers, durations and sizes as people write and read them.
 *
 * Readers take the whole text or refuse it; what does not fit in the result
 * is refused, never wrapped. Writers always end with NUL and return `text`.
 */
#ifndef BAO_TEXT_H
#define BAO_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "17" */
bool bao_read_number(const char *text, uint64_t *value);
/* "-17", "+17" */
bool bao_read_integer(const char *text, int64_t *value);
/* "4096", "64KiB", "64k", "1.5MiB", "2G": powers of 1024; "2kB": 1000 */
bool bao_read_size(const char *text, uint64_t *bytes);
/* "500ms", "1.5s", "30" (seconds), "5m", "1h30m", "2d" */
bool bao_read_duration(const char *text, uint64_t *ms);
/* yes no true false on off 1 0 */
bool bao_read_flag(const char *text, bool *value);

#define BAO_TEXT_BYTES 32u /* room enough for each of these */
/* 950, 12.3 k, 4.56 M */
char *bao_write_count(char *text, size_t bytes, uint64_t count);
/* 0 B, 64 MiB, 1.5 KiB */
char *bao_write_size(char *text, size_t bytes, uint64_t size);
/* 0 ms, 350 ms, 1.5 s, 2 m 5 s, 1 h 30 m, 3 d 4 h */
char *bao_write_duration(char *text, size_t bytes, uint64_t ms);
/* The shortest text that bao_read_duration() reads back as `ms`: 30s, 1h */
char *bao_write_duration_exact(char *text, size_t bytes, uint64_t ms);

/*
 * Writes at most bytes - 1 characters of data so that it is one printable
 * line: valid UTF-8 stays, control characters become \n, \t or \x1b, and what
 * does not fit is cut at a character and ends with "...".
 */
char *
bao_write_escaped(char *text, size_t bytes, const void *data, size_t length);

#endif
