// log: structured events, one JSON or logfmt line each, declared in <folder>/events.def with name,
// level and help (the reference page is made from them). A field is a key and a typed value; user
// bytes are escaped; no key, nonce or token is ever a field. log_emit is safe on any thread: each
// shard formats into its own buffer and one write per turn (or line, before start) goes out. A line
// is at most LOG_LINE_MAX bytes of plain ASCII: values are cut, quoted and escaped, so that no
// input can forge a line. A shard writes at most LOG_LINES_PER_SECOND lines below ERROR in a
// second; `log.suppressed` says how many more there were.
//
// The pattern for a folder: <folder>/events.def with rows X(ident, "name", level, "help"), declared
// in <folder>/events.h by
//     #define X LOG_EVENT_DECLARE
//     #include "<folder>/events.def"
//     #undef X
// and defined the same way with LOG_EVENT_DEFINE in <folder>/events.c; used as LOG(log,
// &EVENT_ident, "sentence", LOG_INT("n", n)). An ident is unique in the program: begin it with the
// area (SIGNER_KEY_LOADED).
#pragma once
#include "proto/base/buf.h"
#include "proto/base/err.h"
#include "proto/base/slice.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

struct log;

struct log_options {
    enum log_level level; // events below it are dropped
    enum log_format format;
    int fd;              // where lines go; borrowed; 2 for stderr
    const char *program; // "certmill-acme"; borrowed
};

struct log_field {
    const char *key;
    enum { LOG_FIELD_STR, LOG_FIELD_INT, LOG_FIELD_ERR } type;
    struct slice str;
    int64_t num;
    struct err err;
};

#define LOG_STR(k, s) ((struct log_field){.key = (k), .type = LOG_FIELD_STR, .str = slice_str(s)})
#define LOG_SLICE(k, s) ((struct log_field){.key = (k), .type = LOG_FIELD_STR, .str = (s)})
#define LOG_INT(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_INT, .num = (int64_t)(v)})
#define LOG_ERR(k, e) ((struct log_field){.key = (k), .type = LOG_FIELD_ERR, .err = (e)})

// struct log_event is one row of an events.def. Rows are file-scope constants: LOG_EVENT_DEFINE in
// the folder's events.c.
struct log_event {
    const char *name; // "signer.unreachable"
    enum log_level level;
    const char *help; // what it means and what to do
};

enum { LOG_LINE_MAX = 8192, LOG_VALUE_MAX = 1024, LOG_LINES_PER_SECOND = 2000 };

#define LOG_EVENT_DECLARE(ident, name_, level_, help_) extern const struct log_event EVENT_##ident;
#define LOG_EVENT_DEFINE(ident, name_, level_, help_) \
    const struct log_event EVENT_##ident = {name_, LOG_##level_, help_};
#define LOG_EVENT_ROW(ident, name_, level_, help_) &EVENT_##ident,

// log_new copies the options. Every function takes a NULL log and does nothing then.
RESULT log_new(struct log **out, const struct log_options *options);
void log_free(struct log *l);
// log_emit writes one event with fields. `message` is the sentence for people; may be NULL: then
// the event's help is not repeated.
void log_emit(struct log *l, const struct log_event *event, const char *message,
              const struct log_field *fields, size_t count);
#define LOG(l, event, message, ...)                                            \
    log_emit((l), (event), (message), (const struct log_field[]){__VA_ARGS__}, \
             sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
void log_level_set(struct log *l, enum log_level level); // reload
// log_flush writes this thread's buffered lines.
void log_flush(struct log *l);
// log_batch_begin makes this thread buffer its lines until log_flush (or 32 KiB); log_batch_end
// flushes and ends it. They nest; one log per thread. For shards: lines of a turn go out in one
// write.
void log_batch_begin(struct log *l);
void log_batch_end(struct log *l);
// log_dropped is how many lines this thread has dropped so far by the bound per second.
uint64_t log_dropped(void);
// log_events_docs appends a Markdown table of events: the reference page.
RESULT log_events_docs(struct buf *out, const char *folder, const struct log_event *const *events,
                       size_t count);
