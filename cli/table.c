/*
 * table.c - aligned tables of text.
 *
 * Cells are kept until the end, because the widest one decides; a memory
 * failure leaves cells empty rather than ending the program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "common/check.h"
#include "common/text.h"

#define CELL_BYTES_MAX 512u
#define SHOWN_BYTES    48u /* of bytes that may be anything */

void cli_table_init(struct cli_table *table, const char *const *titles)
{
    *table = (struct cli_table){.titles = titles};
    while (titles[table->columns] != NULL)
        table->columns++;
}

/* Adds a cell; the text is printable already, and copied. */
static void add_cell(struct cli_table *table, const char *safe)
{
    if (table->count == table->room) {
        size_t room = table->room == 0 ? 256 : table->room * 2;
        char **cells = realloc(table->cells, room * sizeof *cells);
        if (cells == NULL)
            return;
        table->cells = cells;
        table->room = room;
    }
    table->cells[table->count++] = strdup(safe);
}

void cli_table_add(struct cli_table *table, const char *text)
{
    char safe[CELL_BYTES_MAX];
    bao_write_escaped(safe, sizeof safe, text, strlen(text));
    add_cell(table, safe);
}

void cli_table_bytes(struct cli_table *table, const void *data, size_t bytes)
{
    char safe[SHOWN_BYTES + 1];
    bao_write_escaped(safe, sizeof safe, data, bytes);
    add_cell(table, safe);
}

void cli_table_number(struct cli_table *table, uint64_t number)
{
    char text[BAO_TEXT_BYTES];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    cli_table_add(table, text);
}

/* Reads one character of valid UTF-8 and moves behind it. */
static uint32_t next_character(const unsigned char **at)
{
    const unsigned char *text = *at;
    unsigned more = text[0] < 0xc0   ? 0
                    : text[0] < 0xe0 ? 1
                    : text[0] < 0xf0 ? 2
                                     : 3;
    uint32_t value = more == 0 ? text[0] : text[0] & (0x3fu >> more);
    for (unsigned i = 1; i <= more && text[i] != '\0'; i++)
        value = value << 6 | (text[i] & 0x3fu);
    text++;
    while (more-- > 0 && *text != '\0')
        text++;
    *at = text;
    return value;
}

/* Chinese, Japanese, Korean and pictures take two columns. */
static bool is_wide(uint32_t c)
{
    static const uint32_t ranges[][2] = {
        {0x1100, 0x115f},
        {0x2e80, 0xa4cf},
        {0xac00, 0xd7a3},
        {0xf900, 0xfaff},
        {0xfe30, 0xfe6f},
        {0xff00, 0xff60},
        {0xffe0, 0xffe6},
        {0x1f300, 0x1faff},
        {0x20000, 0x3fffd},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (c >= ranges[i][0] && c <= ranges[i][1])
            return true;
    }
    return false;
}

size_t cli_width(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t width = 0;
    while (*at != '\0') {
        uint32_t character = next_character(&at);
        bool joins = character >= 0x300 && character <= 0x36f;
        width += is_wide(character) ? 2 : joins ? 0 : 1;
    }
    return width;
}

static void print_cell(const char *text, size_t width, bool right, bool last)
{
    size_t used = cli_width(text);
    int gap = used < width ? (int)(width - used) : 0;
    if (right)
        (void)printf("%*s%s", gap, "", text);
    else
        (void)printf("%s%*s", text, last ? 0 : gap, "");
    (void)fputs(last ? "\n" : "  ", stdout);
}

static const char *cell_at(const struct cli_table *table, size_t i)
{
    return i < table->count && table->cells[i] != NULL ? table->cells[i] : "";
}

void cli_table_free(struct cli_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct cli_table){0};
}

void cli_table_print(struct cli_table *table)
{
    size_t widths[CLI_COLUMNS_MAX] = {0};
    size_t columns = table->columns;
    BAO_ASSERT(columns > 0 && columns <= CLI_COLUMNS_MAX);
    for (size_t i = 0; i < columns; i++)
        widths[i] =
            cli_width(table->titles[i]) - (table->titles[i][0] == '>' ? 1 : 0);
    for (size_t i = 0; i < table->count; i++) {
        size_t width = cli_width(cell_at(table, i));
        if (width > widths[i % columns])
            widths[i % columns] = width;
    }
    for (size_t i = 0; i < columns; i++) {
        bool right = table->titles[i][0] == '>';
        print_cell(table->titles[i] + (right ? 1 : 0),
                   widths[i],
                   right,
                   i + 1 == columns);
    }
    for (size_t i = 0; i < table->count; i++) {
        size_t column = i % columns;
        print_cell(cell_at(table, i),
                   widths[column],
                   table->titles[column][0] == '>',
                   column + 1 == columns);
    }
    cli_table_free(table);
}
