/*
 * nats.c - JetStream: publish with an answer for each, a pull consumer, and
 * acknowledgements that are answered too. The stream is a work queue.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/compare/driver.h"
#include "tests/bench/compare/stream.h"

static struct stream stream;
static uint64_t pulling;  /* items asked for and not here yet */
static uint64_t settling; /* acknowledgements without an answer */

/* One protocol line, "MSG subject sid [reply] bytes" or with HMSG and the
 * bytes of headers, and what follows it. */
struct message {
    char subject[128];
    char reply[256]; /* "" if none */
    const char *data;
    size_t bytes;
    size_t header_bytes;
};

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Splits the line; its words, at most 7. */
static int split(char *line, char **words)
{
    int count = 0;
    char *rest = NULL;
    char *word = strtok_r(line, " \r", &rest);
    while (word != NULL && count < 7) {
        words[count++] = word;
        word = strtok_r(NULL, " \r", &rest);
    }
    return count;
}

/* The next message. 1: there is one, *whole bytes long; 0: not here yet;
 * -1: failed. Other lines are passed over. */
static int next(struct message *message, size_t *whole)
{
    char text[512];
    char *words[7];
    long length;
    while ((length = stream_line(&stream, 0)) >= 0) {
        size_t head = (size_t)length + 2;
        snprintf(text,
                 sizeof text,
                 "%.*s",
                 (int)length,
                 stream_look(&stream, 0, head));
        if (begins(text, "-ERR")) {
            driver_fail("%s", text);
            return -1;
        }
        bool headers = begins(text, "HMSG ");
        if (!headers && !begins(text, "MSG ")) {
            if (begins(text, "PING")) {
                stream_print(&stream, "PONG\r\n");
            }
            stream_consume(&stream, head);
            continue;
        }
        int count = split(text, words);
        int least = headers ? 5 : 4;
        if (count < least) {
            driver_fail("a short message line");
            return -1;
        }
        snprintf(message->subject, sizeof message->subject, "%s", words[1]);
        snprintf(message->reply,
                 sizeof message->reply,
                 "%s",
                 count > least ? words[3] : "");
        message->bytes = strtoull(words[count - 1], NULL, 10);
        message->header_bytes =
            headers ? strtoull(words[count - 2], NULL, 10) : 0;
        message->data = stream_look(&stream, head, message->bytes + 2);
        *whole = head + message->bytes + 2;
        return message->data != NULL;
    }
    return 0;
}

static bool connect_to(const struct driver *driver)
{
    if (!stream_open(&stream, driver->url)) {
        return false;
    }
    stream_print(&stream,
                 "CONNECT {\"verbose\":false,\"headers\":true,"
                 "\"no_responders\":true,\"pedantic\":false}\r\n"
                 "SUB r.%s.%d.* 1\r\nSUB i.%s.%d 2\r\n",
                 driver->queue,
                 (int)getpid(),
                 driver->queue,
                 (int)getpid());
    return stream_flush(&stream);
}

/* A request of the server's own interface; its answer must have no error. */
static bool
request(const struct driver *driver, const char *subject, const char *json)
{
    struct message message;
    size_t whole;
    int found;
    bool any;
    stream_print(&stream,
                 "PUB %s r.%s.%d.x %zu\r\n%s\r\n",
                 subject,
                 driver->queue,
                 (int)getpid(),
                 strlen(json),
                 json);
    if (!stream_flush(&stream)) {
        return false;
    }
    while ((found = next(&message, &whole)) == 0) {
        if (!stream_fill(&stream, -1, &any)) {
            return false;
        }
    }
    bool good = found > 0 &&
                memmem(message.data, message.bytes, "\"error\"", 7) == NULL;
    if (found > 0 && !good) {
        driver_fail("%.*s", (int)message.bytes, message.data);
    }
    stream_consume(&stream, found > 0 ? whole : 0);
    return good;
}

static bool make(struct driver *driver)
{
    char subject[256];
    char json[512];
    if (!connect_to(driver)) {
        return false;
    }
    snprintf(
        subject, sizeof subject, "$JS.API.STREAM.CREATE.%s", driver->queue);
    snprintf(json,
             sizeof json,
             "{\"name\":\"%s\",\"subjects\":[\"%s\"],"
             "\"retention\":\"workqueue\",\"storage\":\"%s\","
             "\"num_replicas\":1,\"max_msgs\":-1,\"max_bytes\":-1}",
             driver->queue,
             driver->queue,
             strcmp(driver->mode, "file") == 0 ? "file" : "memory");
    if (!request(driver, subject, json)) {
        return false;
    }
    snprintf(subject,
             sizeof subject,
             "$JS.API.CONSUMER.DURABLE.CREATE.%s.c",
             driver->queue);
    snprintf(json,
             sizeof json,
             "{\"stream_name\":\"%s\",\"config\":{\"durable_name\":\"c\","
             "\"ack_policy\":\"explicit\",\"max_ack_pending\":100000,"
             "\"deliver_policy\":\"all\",\"ack_wait\":60000000000}}",
             driver->queue);
    return request(driver, subject, json);
}

static bool start(struct driver *driver, bool takes)
{
    (void)takes;
    return connect_to(driver);
}

static bool put(struct driver *driver, const uint8_t *data, size_t bytes)
{
    stream_print(&stream,
                 "PUB %s r.%s.%d.p %zu\r\n",
                 driver->queue,
                 driver->queue,
                 (int)getpid(),
                 bytes);
    stream_add(&stream, data, bytes);
    stream_add(&stream, "\r\n", 2);
    return true;
}

static bool confirm(struct driver *driver)
{
    struct message message;
    size_t whole;
    int found;
    bool any;
    if (!stream_flush(&stream) || !stream_fill(&stream, -1, &any)) {
        return false;
    }
    while ((found = next(&message, &whole)) > 0) {
        if (memmem(message.data, message.bytes, "\"seq\"", 5) == NULL) {
            return driver_fail(
                "a put was refused: %.*s", (int)message.bytes, message.data);
        }
        stream_consume(&stream, whole);
        driver_confirmed(driver, 1);
    }
    return found == 0;
}

static bool take_messages(struct driver *driver)
{
    struct message message;
    size_t whole;
    int found;
    while ((found = next(&message, &whole)) > 0) {
        if (begins(message.subject, "r.")) { /* an acknowledgement's answer */
            settling--;
            driver_confirmed(driver, 1);
        } else if (message.header_bytes > 0) { /* "408": the pull is over */
            pulling = 0;
        } else {
            driver_took(driver, (const uint8_t *)message.data, message.bytes);
            stream_print(&stream,
                         "PUB %s r.%s.%d.a 4\r\n+ACK\r\n",
                         message.reply,
                         driver->queue,
                         (int)getpid());
            settling++;
            pulling -= pulling > 0;
        }
        stream_consume(&stream, whole);
    }
    return found == 0;
}

static bool take(struct driver *driver)
{
    bool any;
    uint64_t half = driver->window > 1 ? driver->window / 2 : 1;
    if (pulling + settling + half <= driver->window) {
        char json[64];
        snprintf(json,
                 sizeof json,
                 "{\"batch\":%llu,\"expires\":100000000}",
                 (unsigned long long)half);
        stream_print(&stream,
                     "PUB $JS.API.CONSUMER.MSG.NEXT.%s.c i.%s.%d %zu\r\n%s\r\n",
                     driver->queue,
                     driver->queue,
                     (int)getpid(),
                     strlen(json),
                     json);
        pulling += half;
    }
    return stream_flush(&stream) &&
           stream_fill(&stream, DRIVER_IDLE_MS, &any) && take_messages(driver);
}

static bool finish(struct driver *driver)
{
    bool good = stream_flush(&stream);
    while (good && settling > 0) {
        bool any;
        good = stream_fill(&stream, -1, &any) && take_messages(driver);
    }
    return good;
}

const struct system bench_system = {.name = "nats",
                                    .make = make,
                                    .open = start,
                                    .put = put,
                                    .confirm = confirm,
                                    .take = take,
                                    .finish = finish};
