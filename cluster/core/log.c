#include "cluster/core/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cluster/core/clock.h"
#include "cluster/events.h"
#include "proto/err.h"

enum { BATCH_SIZE = 32 * 1024, CUT_MARK_LEN = 3 };

struct log {
    struct log_options options; // level: read and written atomically (below)
};

// struct line is one line being made. Full is not an error: what does not fit is left out, the end
// of the line always fits.
struct line {
    char *p;
    size_t n, size;
};

// What a thread keeps: its buffered lines, and how many it wrote in the present second.
static __thread struct {
    int depth; // of log_batch_begin
    size_t n;
    char *p; // BATCH_SIZE bytes while depth > 0
    int64_t second;
    unsigned lines;
    uint64_t suppressed; // in this second
    uint64_t dropped;    // ever
} batch;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

struct err log_new(struct log **out, const struct log_options *options)
{
    struct log *l = calloc(1, sizeof *l);
    if (l == NULL) return ERR(NO_SPACE);
    l->options = *options;
    *out = l;
    return OK;
}

void log_free(struct log *l)
{
    log_flush(l);
    free(l);
}

// The level is one word that a reload changes while every thread reads it: the only atomic outside
// mailbox.c and metrics.c.
static enum log_level level_get(const struct log *l)
{
    return __atomic_load_n(&l->options.level, __ATOMIC_RELAXED);
}

void log_level_set(struct log *l, enum log_level level)
{
    if (l != NULL) __atomic_store_n(&l->options.level, level, __ATOMIC_RELAXED);
}

static void put(struct line *l, const char *p, size_t n)
{
    if (n > l->size - l->n) return; // whole pieces only: an escape is never cut in two
    memcpy(l->p + l->n, p, n);
    l->n += n;
}

static void put_str(struct line *l, const char *s) { put(l, s, strlen(s)); }

static bool plain_in_text(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("-_.:/@+,%~[]*", c) != NULL);
}

// utf8_next reads one character; returns its length, or 0 when the bytes are not UTF-8.
static size_t utf8_next(uint32_t *out, const uint8_t *p, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = p[0] < 0x80                   ? 1
                 : p[0] >= 0xf0 && p[0] < 0xf8 ? 4
                 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
                 : p[0] >= 0xc0 && p[0] < 0xe0 ? 2
                                               : 0;
    if (len == 0 || len > n) return 0;
    uint32_t c = len == 1 ? p[0] : p[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return 0;
    *out = c;
    return len;
}

// put_escaped writes the bytes as the inside of a JSON string, which the text form uses as well.
// Only printable ASCII goes out as it is; a byte that is not UTF-8 becomes U+FFFD.
static void put_escaped(struct line *l, struct slice s)
{
    char text[16];
    bool cut = s.n > LOG_VALUE_MAX;
    if (cut) s.n = LOG_VALUE_MAX;
    for (size_t i = 0; i < s.n;) {
        uint32_t c = 0xfffd;
        size_t len = utf8_next(&c, s.p + i, s.n - i);
        i += len == 0 ? 1 : len;
        if (c == '"' || c == '\\')
            snprintf(text, sizeof text, "\\%c", (char)c);
        else if (c == '\n')
            snprintf(text, sizeof text, "\\n");
        else if (c == '\r')
            snprintf(text, sizeof text, "\\r");
        else if (c == '\t')
            snprintf(text, sizeof text, "\\t");
        else if (c >= 0x20 && c < 0x7f)
            snprintf(text, sizeof text, "%c", (char)c);
        else if (c < 0x10000)
            snprintf(text, sizeof text, "\\u%04x", c);
        else
            snprintf(text, sizeof text, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
                     0xdc00 + ((c - 0x10000) & 0x3ff));
        put_str(l, text);
    }
    if (cut) put(l, "...", CUT_MARK_LEN);
}

static void put_quoted(struct line *l, struct slice s)
{
    put(l, "\"", 1);
    put_escaped(l, s);
    put(l, "\"", 1);
}

static void put_text_value(struct line *l, struct slice s)
{
    bool plain = s.n > 0 && s.n <= LOG_VALUE_MAX;
    for (size_t i = 0; plain && i < s.n; i++) plain = plain_in_text(s.p[i]);
    if (plain)
        put(l, (const char *)s.p, s.n);
    else
        put_quoted(l, s);
}

static void put_time(struct line *l, int64_t wall_us)
{
    time_t second = (time_t)(wall_us / 1000000);
    struct tm t;
    char text[40];
    gmtime_r(&second, &t);
    size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &t);
    snprintf(text + n, sizeof text - n, ".%06dZ", (int)(wall_us % 1000000));
    put_str(l, text);
}

static void put_key(struct line *l, const struct log *log, const char *key)
{
    if (log->options.format == LOG_JSON) {
        put_str(l, ",\"");
        put_str(l, key);
        put_str(l, "\":");
    } else {
        put_str(l, " ");
        put_str(l, key);
        put_str(l, "=");
    }
}

static void put_field(struct line *l, const struct log *log, const struct log_field *f)
{
    char number[24];
    // A field is put whole or not at all, so that JSON stays JSON however many fields there are:
    // roughly six times its bytes fit.
    size_t value_max = f->type == LOG_FIELD_STR
                           ? 6 * (f->str.n < LOG_VALUE_MAX ? f->str.n : LOG_VALUE_MAX) +
                                 CUT_MARK_LEN
                           : 64;
    if (strlen(f->key) + value_max + 8 > l->size - l->n) return;
    put_key(l, log, f->key);
    if (f->type == LOG_FIELD_INT) {
        snprintf(number, sizeof number, "%lld", (long long)f->num);
        put_str(l, number);
        return;
    }
    struct slice s = f->type == LOG_FIELD_ERR ? slice_str(err_name(f->err)) : f->str;
    if (log->options.format == LOG_JSON)
        put_quoted(l, s);
    else
        put_text_value(l, s);
}

static void put_head(struct line *l, const struct log *log, const struct log_event *event,
                     int64_t wall_us)
{
    const char *program = log->options.program == NULL ? "certmill" : log->options.program;
    if (log->options.format == LOG_JSON) {
        put_str(l, "{\"time\":\"");
        put_time(l, wall_us);
        put_str(l, "\",\"level\":\"");
        put_str(l, level_names[event->level]);
        put_str(l, "\",\"program\":\"");
        put_str(l, program);
        put_str(l, "\",\"event\":\"");
        put_str(l, event->name);
        put_str(l, "\"");
        return;
    }
    put_time(l, wall_us);
    put_str(l, " ");
    put_str(l, level_names[event->level]);
    put_str(l, " ");
    put_str(l, program);
    put_str(l, " ");
    put_str(l, event->name);
}

static size_t line_format(char out[LOG_LINE_MAX], const struct log *log,
                          const struct log_event *event, const char *message,
                          const struct log_field *fields, size_t count, int64_t wall_us)
{
    struct line l = {.p = out, .size = LOG_LINE_MAX - 2}; // "}\n"
    put_head(&l, log, event, wall_us);
    if (message != NULL) {
        struct log_field f = LOG_STR(log->options.format == LOG_JSON ? "message" : "msg", message);
        put_field(&l, log, &f);
    }
    for (size_t i = 0; i < count; i++) put_field(&l, log, &fields[i]);
    l.size = LOG_LINE_MAX;
    put_str(&l, log->options.format == LOG_JSON ? "}\n" : "\n");
    return l.n;
}

// write_all gives up on errors: there is nowhere to complain to. A reader that is slow holds the
// program up rather than losing lines.
static void write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR) continue;
        if (w <= 0) return;
        p += w;
        n -= (size_t)w;
    }
}

void log_flush(struct log *l)
{
    if (l == NULL || batch.n == 0) return;
    write_all(l->options.fd, batch.p, batch.n);
    batch.n = 0;
}

static void line_out(struct log *l, const char *p, size_t n)
{
    if (batch.depth == 0 || batch.p == NULL) {
        write_all(l->options.fd, p, n);
        return;
    }
    if (n > BATCH_SIZE - batch.n) log_flush(l);
    memcpy(batch.p + batch.n, p, n);
    batch.n += n;
}

static void event_out(struct log *l, const struct log_event *event, const char *message,
                      const struct log_field *fields, size_t count, int64_t wall_us)
{
    char line[LOG_LINE_MAX];
    line_out(l, line, line_format(line, l, event, message, fields, count, wall_us));
}

// admitted counts lines per second and thread.
static bool admitted(struct log *l, enum log_level level, int64_t wall_us)
{
    int64_t second = wall_us / 1000000;
    if (second != batch.second) {
        struct log_field f = LOG_INT("lines", batch.suppressed);
        if (batch.suppressed > 0) event_out(l, &EVENT_LOG_SUPPRESSED, NULL, &f, 1, wall_us);
        batch.second = second;
        batch.lines = 0;
        batch.suppressed = 0;
    }
    if (level >= LOG_ERROR || batch.lines++ < LOG_LINES_PER_SECOND) return true;
    batch.suppressed++;
    batch.dropped++;
    return false;
}

void log_emit(struct log *l, const struct log_event *event, const char *message,
              const struct log_field *fields, size_t count)
{
    if (l == NULL || event->level < level_get(l)) return;
    int64_t wall_us = clock_wall_us();
    if (admitted(l, event->level, wall_us)) event_out(l, event, message, fields, count, wall_us);
}

void log_batch_begin(struct log *l)
{
    if (l == NULL) return;
    if (batch.depth++ == 0)
        batch.p = malloc(BATCH_SIZE); // without it every line is written by itself
}

void log_batch_end(struct log *l)
{
    if (l == NULL) return;
    log_flush(l);
    CHECK(batch.depth > 0);
    if (--batch.depth > 0) return;
    free(batch.p);
    batch.p = NULL;
}

uint64_t log_dropped(void) { return batch.dropped; }

struct err log_events_docs(struct buf *out, const char *folder,
                           const struct log_event *const *events, size_t count)
{
    TRY(buf_printf(out, "### Events of %s\n\n| event | level | meaning |\n|---|---|---|\n",
                   folder));
    for (size_t i = 0; i < count; i++)
        TRY(buf_printf(out, "| `%s` | %s | %s |\n", events[i]->name, level_names[events[i]->level],
                       events[i]->help));
    return buf_add_str(out, "\n");
}
