/*
 * progress.c - one line on a terminal that says how far the work is.
 *
 * The line is put together by a pure function that knows the width, so that
 * tests compare text; the rest decides when to draw and never writes to
 * anything but a terminal.
 */
#include "common/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/text.h"
#include "common/time.h"

#define BAR_CELLS_MAX 30u
#define BAR_CELLS_MIN 8u
#define COLUMNS_MAX   240u
#define COLOUR_ON     "\033[32m"
#define COLOUR_OFF    "\033[0m"

char *bao_write_grouped(char *text, size_t bytes, uint64_t number)
{
    char digits[24];
    int count =
        snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    size_t used = 0;
    for (int i = 0; i < count && used + 2 < bytes; i++) {
        if (i > 0 && (count - i) % 3 == 0)
            text[used++] = ',';
        text[used++] = digits[i];
    }
    if (bytes > 0)
        text[used] = '\0';
    return text;
}

/* Columns of a UTF-8 text, counting each character as one. */
static size_t columns_of(const char *text)
{
    size_t columns = 0;
    for (; *text != '\0'; text++)
        columns += ((unsigned char)*text & 0xc0u) != 0x80u;
    return columns;
}

/* "41,214/100,000  41%" */
static void write_count(char *text, size_t bytes, const struct bao_bar *bar)
{
    char done[32];
    char total[32];
    (void)bao_write_grouped(done, sizeof done, bar->done);
    if (bar->total == 0) {
        (void)snprintf(text, bytes, "%s", done);
        return;
    }
    (void)bao_write_grouped(total, sizeof total, bar->total);
    uint64_t shown = bar->done < bar->total ? bar->done : bar->total;
    double percent = 100.0 * (double)shown / (double)bar->total;
    (void)snprintf(text,
                   bytes,
                   "%s/%s %3.0f%%",
                   done,
                   total,
                   percent > 99 && shown < bar->total ? 99.0 : percent);
}

static void write_rate(char *text, size_t bytes, double rate)
{
    char count[BAO_TEXT_BYTES];
    if (rate < 0)
        text[0] = '\0';
    else if (rate < 10)
        (void)snprintf(text, bytes, "  %.1f/s", rate);
    else if (rate < 1e18)
        (void)snprintf(text,
                       bytes,
                       "  %s/s",
                       bao_write_count(count, sizeof count, (uint64_t)rate));
}

static void write_eta(char *text, size_t bytes, const struct bao_bar *bar)
{
    text[0] = '\0';
    if (bar->total == 0 || bar->rate <= 0 || bar->done >= bar->total)
        return;
    double left = (double)(bar->total - bar->done) / bar->rate;
    char duration[BAO_TEXT_BYTES];
    if (left < 1e9)
        (void)snprintf(text,
                       bytes,
                       "  eta %s",
                       bao_write_duration(
                           duration, sizeof duration, (uint64_t)(left * 1000)));
}

/* The bar itself, `cells` columns wide. */
static void
write_bar(char *text, size_t bytes, const struct bao_bar *bar, size_t cells)
{
    static const char *const eighths[] = {
        "", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    uint64_t shown = bar->done < bar->total ? bar->done : bar->total;
    double part = (double)shown / (double)bar->total;
    size_t steps = (size_t)(part * (double)cells * 8.0);
    size_t used = 0;
    size_t filled = 0;
    for (; filled < steps / 8 && used + 8 < bytes; filled++)
        used += (size_t)snprintf(
            text + used, bytes - used, "%s", bar->blocks ? "█" : "#");
    if (bar->blocks && steps % 8 != 0 && used + 8 < bytes) {
        used += (size_t)snprintf(
            text + used, bytes - used, "%s", eighths[steps % 8]);
        filled++;
    }
    for (; filled < cells && used + 2 < bytes; filled++)
        text[used++] = bar->blocks ? ' ' : '.';
    text[used] = '\0';
}

char *bao_progress_line(char *text, const struct bao_bar *bar)
{
    char count[96];
    char rate[64] = "";
    char eta[64];
    char note[256] = "";
    char cells_text[BAR_CELLS_MAX * 4 + 16] = "";
    size_t room = bar->columns > 1 ? bar->columns - 1 : 1;
    if (room > COLUMNS_MAX)
        room = COLUMNS_MAX;

    write_count(count, sizeof count, bar);
    write_rate(rate, sizeof rate, bar->rate);
    write_eta(eta, sizeof eta, bar);
    if (bar->note != NULL && bar->note[0] != '\0')
        (void)snprintf(note, sizeof note, "  %.200s", bar->note);

    size_t base = columns_of(bar->label) + 1 + strlen(count);
    if (base + strlen(rate) > room)
        rate[0] = '\0';
    base += strlen(rate);
    if (base + strlen(eta) > room)
        eta[0] = '\0';
    base += strlen(eta);
    if (base + columns_of(note) > room)
        note[0] = '\0';
    base += columns_of(note);
    if (bar->total != 0 && room >= base + BAR_CELLS_MIN + 1) {
        size_t cells = room - base - 1;
        write_bar(cells_text,
                  sizeof cells_text,
                  bar,
                  cells < BAR_CELLS_MAX ? cells : BAR_CELLS_MAX);
    }
    bool bar_there = cells_text[0] != '\0';
    (void)snprintf(text,
                   BAO_PROGRESS_LINE_BYTES,
                   "%s %s%s%s%s%s%s%s%s",
                   bar->label,
                   bar->colour && bar_there ? COLOUR_ON : "",
                   cells_text,
                   bar->colour && bar_there ? COLOUR_OFF : "",
                   bar_there ? " " : "",
                   count,
                   rate,
                   eta,
                   note);
    if (!bar_there && columns_of(text) > room)
        text[room < BAO_PROGRESS_LINE_BYTES ? room : 0] = '\0';
    return text;
}

bool bao_progress_may_colour(int fd)
{
    const char *none = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return isatty(fd) == 1 && (none == NULL || none[0] == '\0') &&
           (term == NULL || strcmp(term, "dumb") != 0);
}

static bool speaks_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && value[0] != '\0')
            return strstr(value, "UTF-8") != NULL ||
                   strstr(value, "utf8") != NULL ||
                   strstr(value, "utf-8") != NULL;
    }
    return false;
}

static size_t columns_now(int fd)
{
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    const char *columns = getenv("COLUMNS");
    uint64_t value;
    if (columns != NULL && bao_read_number(columns, &value) && value > 0 &&
        value < COLUMNS_MAX)
        return (size_t)value;
    return 80;
}

void bao_progress_begin(struct bao_progress *progress,
                        const char *label,
                        uint64_t total,
                        bool quiet)
{
    const char *term = getenv("TERM");
    *progress = (struct bao_progress){
        .label = label, .total = total, .rate = -1, .fd = STDERR_FILENO};
    progress->shows = !quiet && isatty(progress->fd) == 1 &&
                      (term == NULL || strcmp(term, "dumb") != 0);
    progress->blocks = speaks_utf8();
    progress->colour = bao_progress_may_colour(progress->fd);
    progress->begin_us = bao_time_monotonic_us();
    progress->sampled_us = progress->begin_us;
}

/* The rate of the last seconds: a sample every half second, old ones fade. */
static void
sample_rate(struct bao_progress *progress, uint64_t done, uint64_t now_us)
{
    uint64_t passed_us = now_us - progress->sampled_us;
    if (passed_us < 500000 || done < progress->sampled_done)
        return;
    double rate =
        (double)(done - progress->sampled_done) * 1e6 / (double)passed_us;
    progress->rate =
        progress->rate < 0 ? rate : 0.7 * progress->rate + 0.3 * rate;
    progress->sampled_us = now_us;
    progress->sampled_done = done;
}

static void
draw_now(struct bao_progress *progress, uint64_t done, const char *note)
{
    char line[BAO_PROGRESS_LINE_BYTES];
    char whole[BAO_PROGRESS_LINE_BYTES + 300];
    size_t columns = columns_now(progress->fd);
    struct bao_bar bar = {.label = progress->label,
                          .done = done,
                          .total = progress->total,
                          .rate = progress->rate,
                          .note = note,
                          .columns = columns,
                          .blocks = progress->blocks,
                          .colour = progress->colour};
    (void)bao_progress_line(line, &bar);
    size_t shown = columns_of(line);
    if (progress->colour && strstr(line, COLOUR_ON) != NULL)
        shown -= strlen(COLOUR_ON) + strlen(COLOUR_OFF);
    size_t limit = columns - 1 < COLUMNS_MAX ? columns - 1 : COLUMNS_MAX;
    size_t spaces = shown < limit ? limit - shown : 0;
    int bytes = snprintf(whole, sizeof whole, "\r%s%*s", line, (int)spaces, "");
    if (bytes > 0 && write(progress->fd, whole, (size_t)bytes) < 0)
        progress->shows = false; /* nobody looks any more */
    progress->visible = true;
}

void bao_progress_draw(struct bao_progress *progress,
                       uint64_t done,
                       const char *note)
{
    if (!progress->shows)
        return;
    uint64_t now_us = bao_time_monotonic_us();
    if (now_us - progress->drawn_us < BAO_PROGRESS_REDRAW_US)
        return;
    progress->drawn_us = now_us;
    sample_rate(progress, done, now_us);
    draw_now(progress, done, note);
}

void bao_progress_hide(struct bao_progress *progress)
{
    if (!progress->visible)
        return;
    char blank[COLUMNS_MAX + 8];
    size_t columns = columns_now(progress->fd) - 1;
    int bytes = snprintf(blank,
                         sizeof blank,
                         "\r%*s\r",
                         (int)(columns < COLUMNS_MAX ? columns : COLUMNS_MAX),
                         "");
    if (bytes > 0 && write(progress->fd, blank, (size_t)bytes) < 0)
        progress->shows = false;
    progress->visible = false;
    progress->drawn_us = 0;
}

void bao_progress_end(struct bao_progress *progress,
                      uint64_t done,
                      const char *note)
{
    if (!progress->shows || progress->drawn_us == 0)
        return;
    uint64_t passed_us = bao_time_monotonic_us() - progress->begin_us;
    if (passed_us > 0) /* the last line tells the average */
        progress->rate = (double)done * 1e6 / (double)passed_us;
    draw_now(progress, done, note);
    if (write(progress->fd, "\n", 1) < 0)
        progress->shows = false;
    progress->visible = false;
}
