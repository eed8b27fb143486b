/*
 * complain.c - three-part messages and the exit codes that go with them.
 */
#include "common/complain.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/place.h"
#include "common/text.h"

void bao_problem_what(struct bao_problem *problem, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(problem->what, sizeof problem->what, format, arguments);
    va_end(arguments);
}

void bao_problem_why(struct bao_problem *problem, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(problem->why, sizeof problem->why, format, arguments);
    va_end(arguments);
}

void bao_problem_remedy(struct bao_problem *problem, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(problem->remedy, sizeof problem->remedy, format, arguments);
    va_end(arguments);
}

bool bao_problem_usage(struct bao_problem *problem,
                       const char *what,
                       const char *why,
                       const char *remedy)
{
    problem->exit_code = BAO_EXIT_USAGE;
    bao_problem_what(problem, "%s", what);
    bao_problem_why(problem, "%s", why);
    bao_problem_remedy(problem, "%s", remedy);
    return false;
}

/* A message as it grows. */
struct message {
    char bytes[2560];
    size_t used;
    bool safe; /* the parts are printable already */
};

/* Adds "lead: text\n" unless the text is empty. */
static void
add_part(struct message *message, const char *lead, const char *text)
{
    size_t left = sizeof message->bytes - message->used;
    char line[800];
    if (text == NULL || text[0] == '\0')
        return;
    if (message->safe)
        (void)snprintf(line, sizeof line, "%s", text);
    else
        (void)bao_write_escaped(line, sizeof line, text, strlen(text));
    int bytes =
        snprintf(message->bytes + message->used, left, "%s: %s\n", lead, line);
    if (bytes > 0)
        message->used += (size_t)bytes < left ? (size_t)bytes : left - 1;
}

static void write_message(const struct message *message)
{
    size_t done = 0;
    while (done < message->used) {
        ssize_t wrote =
            write(STDERR_FILENO, message->bytes + done, message->used - done);
        if (wrote <= 0)
            return; /* there is nobody left to tell */
        done += (size_t)wrote;
    }
}

/* Prints everything at once so that messages of several processes do not mix.
 */
static void print_parts(const char *program,
                        const char *what,
                        const char *why,
                        const char *remedy)
{
    struct message message = {.used = 0};
    add_part(&message, program, what);
    add_part(&message, "  why", why);
    add_part(&message, "  do", remedy);
    write_message(&message);
}

int bao_problem_print(const struct bao_problem *problem, const char *program)
{
    print_parts(program, problem->what, problem->why, problem->remedy);
    return problem->exit_code;
}

int bao_complain(const char *program,
                 int exit_code,
                 const char *what,
                 const char *why,
                 const char *remedy)
{
    print_parts(program, what, why, remedy);
    return exit_code;
}

int bao_complain_errno(const char *program,
                       int exit_code,
                       const char *what,
                       int error)
{
    char reason[128];
    /* The GNU form: the text may be elsewhere. */
    const char *text = strerror_r(error, reason, sizeof reason);
    print_parts(program, what, text, "mend that, then try again");
    return exit_code;
}

/* The three parts of a failure; each points into `text` or is fixed. */
struct told {
    const char *what;
    const char *why;
    const char *remedy;
};

/*
 * Takes the broker's own words out of "put on queue 'q': FULL: queue 'q': it
 * is paused; resume it". Changes `text`.
 */
static void take_words(struct told *told, char *text, enum baozi_status status)
{
    char mark[40];
    (void)snprintf(mark, sizeof mark, ": %s: ", baozi_status_name(status));
    char *at = strstr(text, mark);
    if (at == NULL)
        return;
    char *words = at + strlen(mark);
    *(words - 2) = '\0'; /* the second colon */
    const char *queue = strstr(text, "queue '");
    size_t bytes = queue == NULL ? 0 : (size_t)(at - queue);
    if (bytes > 0 && strncmp(words, queue, bytes) == 0 &&
        strncmp(words + bytes, ": ", 2) == 0)
        words += bytes + 2; /* it was named before */
    told->why = words;
    char *remedy = strstr(words, "; ");
    if (remedy != NULL) {
        *remedy = '\0';
        told->remedy = remedy + 2;
    }
}

int bao_complain_status(const char *program,
                        const struct baozi *client,
                        enum baozi_status status)
{
    char text[1536] = "";
    struct told told = {.what = baozi_status_name(status),
                        .why = baozi_status_text(status),
                        .remedy = baozi_status_remedy(status)};
    if (status == BAOZI_INTERRUPTED)
        return baozi_status_exit_code(status);
    if (client != NULL) {
        (void)baozi_explain(client, text, sizeof text);
        char *why = strstr(text, "\n");
        if (why != NULL)
            *why = '\0';
    }
    if (text[0] != '\0') {
        told.what = text;
        take_words(&told, text, status);
    }
    struct message message = {.safe = true}; /* baozi_explain() sees to it */
    add_part(&message, program, told.what);
    add_part(&message, "  why", told.why);
    add_part(&message, "  do", told.remedy);
    write_message(&message);
    return baozi_status_exit_code(status);
}

int bao_complain_open(const char *program,
                      const char *url,
                      enum baozi_status status)
{
    char what[512];
    if (url == NULL)
        url = getenv("BAOZI_URL");
    if (status == BAOZI_BAD_REQUEST && url != NULL) {
        (void)snprintf(
            what, sizeof what, "cannot use the address '%.400s'", url);
        return bao_complain(program,
                            BAO_EXIT_USAGE,
                            what,
                            "it is neither ipc://PATH nor tcp://HOST:PORT",
                            "mend --url or BAOZI_URL");
    }
    struct bao_place place = {.why = ""};
    if (url == NULL && bao_place_find(&place) != BAOZI_OK)
        return bao_complain(program,
                            baozi_status_exit_code(status),
                            "the local broker cannot be looked for",
                            place.why,
                            "set BAOZI_RUNTIME_DIR to the folder of its "
                            "socket, or say --url");
    return bao_complain_status(program, NULL, status);
}
