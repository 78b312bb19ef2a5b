/* A program around llhttp that writes all it is told into a log: for each callback a letter, the length of
 * the text in four bytes, and the text. It copies the text, because the input comes in pieces. The
 * `llhttp_callbacks.c` of `benches/h1` has other callbacks: they copy nothing, because their time is
 * measured. */

#include <stdlib.h>
#include <string.h>
#include "llhttp.h"

struct log {
    llhttp_t parser;
    llhttp_settings_t settings;
    int to_head;
    unsigned char *bytes;
    size_t length, room;
};

static int note(llhttp_t *parser, char letter, const void *text, size_t length) {
    struct log *log = parser->data;
    uint32_t count = length;
    size_t needed = log->length + 1 + sizeof count + length;
    if (needed > log->room) {
        log->room = 2 * needed;
        log->bytes = realloc(log->bytes, log->room);
        if (log->bytes == NULL) abort();
    }
    log->bytes[log->length] = letter;
    memcpy(log->bytes + log->length + 1, &count, sizeof count);
    if (length > 0) memcpy(log->bytes + log->length + 1 + sizeof count, text, length);
    log->length = needed;
    return 0;
}

static int on_message_begin(llhttp_t *p) { return note(p, 'B', NULL, 0); }
static int on_method(llhttp_t *p, const char *at, size_t length) { return note(p, 'm', at, length); }
static int on_target(llhttp_t *p, const char *at, size_t length) { return note(p, 't', at, length); }
static int on_name(llhttp_t *p, const char *at, size_t length) { return note(p, 'n', at, length); }
static int on_value(llhttp_t *p, const char *at, size_t length) { return note(p, 'v', at, length); }
static int on_field_complete(llhttp_t *p) { return note(p, 'F', NULL, 0); }
static int on_body(llhttp_t *p, const char *at, size_t length) { return note(p, 'b', at, length); }

static int on_headers_complete(llhttp_t *p) {
    struct log *log = p->data;
    uint64_t head[] = {
        p->http_major, p->http_minor, p->status_code, p->flags, p->content_length,
        llhttp_message_needs_eof(p),
    };
    note(p, 'H', head, sizeof head);
    /* The program does not switch, as a server may (RFC 9110 section 7.8). */
    if (p->type == HTTP_REQUEST && p->method != HTTP_CONNECT) p->upgrade = 0;
    return log->to_head && p->status_code >= 200;
}

static int on_message_complete(llhttp_t *p) {
    uint64_t keep_alive = llhttp_should_keep_alive(p);
    note(p, 'E', &keep_alive, sizeof keep_alive);
    return 0;
}

/* `to_head`: the responses are those to HEAD. */
struct log *log_new(int responses, int to_head) {
    struct log *log = calloc(1, sizeof *log);
    if (log == NULL) abort();
    llhttp_settings_init(&log->settings);
    log->settings.on_message_begin = on_message_begin;
    log->settings.on_method = on_method;
    log->settings.on_url = on_target;
    log->settings.on_header_field = on_name;
    log->settings.on_header_value = on_value;
    log->settings.on_header_value_complete = on_field_complete;
    log->settings.on_headers_complete = on_headers_complete;
    log->settings.on_body = on_body;
    log->settings.on_message_complete = on_message_complete;
    log->to_head = to_head;
    llhttp_init(&log->parser, responses ? HTTP_RESPONSE : HTTP_REQUEST, &log->settings);
    log->parser.data = log;
    return log;
}

/* Reads a piece. Returns 0, or llhttp's error. */
int log_read(struct log *log, const char *bytes, size_t length) {
    return llhttp_execute(&log->parser, bytes, length);
}

/* The stream has ended. Returns 0, or llhttp's error. */
int log_finish(struct log *log) { return llhttp_finish(&log->parser); }

/* What was told so far, and its length. */
const unsigned char *log_bytes(const struct log *log, size_t *length) {
    *length = log->length;
    return log->bytes;
}

/* The name of the last error, and its reason. */
const char *log_error(const struct log *log) { return llhttp_errno_name(llhttp_get_errno(&log->parser)); }
const char *log_reason(const struct log *log) { return llhttp_get_error_reason(&log->parser); }

void log_free(struct log *log) {
    free(log->bytes);
    free(log);
}
