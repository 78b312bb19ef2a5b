/* A usual user of llhttp: it keeps where the target, the names and the values begin and end. It copies
 * nothing, because its time is measured. The `llhttp_callbacks.c` of `fuzz/differential` has other callbacks:
 * they copy everything, because they also read inputs in pieces. */

#include <stdlib.h>
#include "llhttp.h"

struct span {
    const char *start;
    size_t length;
};

struct spans {
    llhttp_t parser;
    llhttp_settings_t settings;
    struct span target, names[128], values[128];
    size_t heads, fields, content, complete;
};

static struct spans *of(llhttp_t *parser) { return parser->data; }

static int on_message_begin(llhttp_t *parser) {
    of(parser)->target.length = 0;
    return 0;
}

static int on_target(llhttp_t *parser, const char *at, size_t length) {
    of(parser)->target = (struct span){at, length};
    return 0;
}

/* The input is not split here, so a name and a value come in one piece each. */
static int on_name(llhttp_t *parser, const char *at, size_t length) {
    struct spans *spans = of(parser);
    spans->names[spans->fields % 128] = (struct span){at, length};
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t length) {
    struct spans *spans = of(parser);
    spans->values[spans->fields % 128] = (struct span){at, length};
    return 0;
}

static int on_value_complete(llhttp_t *parser) {
    of(parser)->fields++;
    return 0;
}

static int on_headers_complete(llhttp_t *parser) {
    of(parser)->heads++;
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t length) {
    (void)at;
    of(parser)->content += length;
    return 0;
}

static int on_message_complete(llhttp_t *parser) {
    of(parser)->complete++;
    return 0;
}

/* A connection that receives responses or requests, with callbacks or without. */
struct spans *spans_new(int responses, int callbacks) {
    struct spans *spans = calloc(1, sizeof *spans);
    llhttp_settings_init(&spans->settings);
    if (callbacks) {
        spans->settings.on_message_begin = on_message_begin;
        spans->settings.on_url = on_target;
        spans->settings.on_header_field = on_name;
        spans->settings.on_header_value = on_value;
        spans->settings.on_header_value_complete = on_value_complete;
        spans->settings.on_headers_complete = on_headers_complete;
        spans->settings.on_body = on_body;
        spans->settings.on_message_complete = on_message_complete;
    }
    llhttp_init(&spans->parser, responses ? HTTP_RESPONSE : HTTP_REQUEST, &spans->settings);
    spans->parser.data = spans;
    return spans;
}

/* Reads whole messages. Returns 0, or llhttp's error. */
int spans_read(struct spans *spans, const char *bytes, size_t length, size_t seen[3]) {
    spans->heads = spans->fields = spans->content = spans->complete = 0;
    llhttp_errno_t error = llhttp_execute(&spans->parser, bytes, length);
    seen[0] = spans->heads;
    seen[1] = spans->fields;
    seen[2] = spans->content;
    return error;
}
