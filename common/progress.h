/*
 * progress.h - one line on a terminal that says how far the work is.
 *
 *     put  ██████████▌          41,214/100,000  41%  12.3 k/s  eta 4.8 s  ...
 *
 * The line goes to stderr and only to a terminal: anywhere else, under
 * TERM=dumb, or when told to be quiet, nothing is ever written. It is redrawn
 * at most ten times a second with a carriage return and spaces; the only
 * escape sequences are colours, and NO_COLOR turns those off. The
 * width of the terminal is read at each redraw.
 *
 * One thread uses a struct bao_progress at a time.
 */
#ifndef BAO_PROGRESS_H
#define BAO_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BAO_PROGRESS_LINE_BYTES 1024u
#define BAO_PROGRESS_REDRAW_US  100000u

/* What one line says; all texts are lent for the call. */
struct bao_bar {
    const char *label; /* "put" */
    uint64_t done;
    uint64_t total;   /* 0 = not known: no bar, no percent, no ETA */
    double rate;      /* a second; below 0: not known */
    const char *note; /* "blocked 0.3 s"; NULL or "" = none */
    size_t columns;   /* of the terminal; the line has at most one less */
    bool blocks;      /* the terminal shows Unicode blocks; else # */
    bool colour;
};

/*
 * Writes the line (no carriage return, no newline) and returns `text`, which
 * has BAO_PROGRESS_LINE_BYTES bytes. What does not fit goes, in this order:
 * the bar, the note, the ETA, the rate.
 */
char *bao_progress_line(char *text, const struct bao_bar *bar);

struct bao_progress {
    const char *label; /* lent while the progress runs */
    uint64_t total;
    uint64_t drawn_us;   /* last redraw */
    uint64_t sampled_us; /* last sample of the rate */
    uint64_t sampled_done;
    uint64_t begin_us;
    double rate;
    int fd;
    bool shows;  /* fd is a terminal that wants this */
    bool blocks; /* as in struct bao_bar */
    bool colour;
    bool visible; /* a line stands on the terminal now */
};

/* Begins a line for `total` things (0 = not known yet; may be set later by
 * writing the member). Draws nothing yet. */
void bao_progress_begin(struct bao_progress *progress,
                        const char *label,
                        uint64_t total,
                        bool quiet);

/* Draws, if the last redraw is long enough ago. `note` may be NULL. */
void bao_progress_draw(struct bao_progress *progress,
                       uint64_t done,
                       const char *note);

/* Wipes the line, so that something else may be written to the terminal; the
 * next draw brings it back at once. */
void bao_progress_hide(struct bao_progress *progress);

/* Ends: the last state stays on the terminal as a line of its own, if any
 * was ever drawn. */
void bao_progress_end(struct bao_progress *progress,
                      uint64_t done,
                      const char *note);

/* True if ANSI colours may be written to `fd`. */
bool bao_progress_may_colour(int fd);

/* "1,234,567". Returns `text`; 27 bytes hold every number. */
char *bao_write_grouped(char *text, size_t bytes, uint64_t number);

#endif
