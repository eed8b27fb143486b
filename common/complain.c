/*
 * complain.c - three-part messages and the exit codes that go with them.
 */
#include "common/complain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

/* Adds "lead: text\n" unless the text is empty. */
static void
add_part(char *message, size_t bytes, const char *lead, const char *text)
{
    size_t used = strlen(message);
    char safe[600];
    if (text == NULL || text[0] == '\0')
        return;
    (void)bao_write_escaped(safe, sizeof safe, text, strlen(text));
    (void)snprintf(message + used, bytes - used, "%s: %s\n", lead, safe);
}

/* Prints everything at once so that messages of several processes do not mix.
 */
static void print_parts(const char *program,
                        const char *what,
                        const char *why,
                        const char *remedy)
{
    char message[2048] = "";
    add_part(message, sizeof message, program, what);
    add_part(message, sizeof message, "  why", why);
    add_part(message, sizeof message, "  do", remedy);
    size_t bytes = strlen(message);
    size_t done = 0;
    while (done < bytes) {
        ssize_t wrote = write(STDERR_FILENO, message + done, bytes - done);
        if (wrote <= 0)
            return; /* there is nobody left to tell */
        done += (size_t)wrote;
    }
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
    print_parts(program, what, text, NULL);
    return exit_code;
}

int bao_complain_status(const char *program,
                        const struct baozi *client,
                        enum baozi_status status)
{
    char text[1536] = "";
    if (status == BAOZI_INTERRUPTED)
        return baozi_status_exit_code(status);
    if (client != NULL) {
        (void)baozi_explain(client, text, sizeof text);
        char *why = strstr(text, "\n");
        if (why != NULL)
            *why = '\0';
    }
    print_parts(program,
                text[0] != '\0' ? text : baozi_status_name(status),
                baozi_status_text(status),
                baozi_status_remedy(status));
    return baozi_status_exit_code(status);
}
