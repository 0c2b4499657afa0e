// log: both forms, and that no input can forge a line.
#include "cluster/core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/events.h"
#include "proto/err.h"
#include "tests/unit/unit.h"

static const struct log_event event = {"test.happened", LOG_INFO, "A test ran."};
static const struct log_event quiet = {"test.quiet", LOG_DEBUG, "Below the level."};
static const struct log_event loud = {"test.loud", LOG_ERROR, "Never dropped."};

struct sink {
    struct log *log;
    int read_fd, write_fd;
    char text[512 * 1024];
};

static void sink_open(struct sink *s, enum log_format format)
{
    char path[] = "/tmp/certmill-log-XXXXXX";
    s->write_fd = mkstemp(path);
    assert_true(s->write_fd >= 0);
    unlink(path);
    s->read_fd = s->write_fd;
    assert_ok(log_new(
        &s->log, &(struct log_options){
                     .level = LOG_INFO, .format = format, .fd = s->write_fd, .program = "prog"}));
}

static const char *sink_read(struct sink *s)
{
    ssize_t n = pread(s->read_fd, s->text, sizeof s->text - 1, 0);
    assert_true(n >= 0);
    s->text[n] = '\0';
    return s->text;
}

static void sink_close(struct sink *s)
{
    log_free(s->log);
    close(s->write_fd);
}

// behind_time is the line without its time stamp, whose form is checked.
static const char *behind_time(const char *line)
{
    assert_true(strlen(line) > 28);
    assert_int_equal(line[10], 'T');
    assert_int_equal(line[19], '.');
    assert_int_equal(line[26], 'Z');
    return line + 28;
}

static struct sink sink;

static void writes_fields_as_text(void **state)
{
    (void)state;
    sink_open(&sink, LOG_TEXT);
    LOG(sink.log, &event, "it worked", LOG_INT("n", -7), LOG_STR("name", "a.corp"),
        LOG_STR("empty", ""), LOG_STR("two", "a b=c"), LOG_ERR("err", ERR(POOL_FULL)));
    assert_string_equal(behind_time(sink_read(&sink)),
                        "info prog test.happened msg=\"it worked\" n=-7 name=a.corp empty=\"\" "
                        "two=\"a b=c\" err=POOL_FULL\n");
    sink_close(&sink);
}

static void writes_fields_as_json(void **state)
{
    (void)state;
    sink_open(&sink, LOG_JSON);
    LOG(sink.log, &event, NULL, LOG_INT("n", INT64_MIN), LOG_STR("name", "a\"b\\c"));
    const char *line = sink_read(&sink);
    assert_memory_equal(line, "{\"time\":\"", 9);
    assert_string_equal(strchr(line, 'Z') + 1,
                        "\",\"level\":\"info\",\"program\":\"prog\",\"event\":\"test.happened\","
                        "\"n\":-9223372036854775808,"
                        "\"name\":\"a\\\"b\\\\c\"}\n");
    sink_close(&sink);
}

static void escapes_what_could_forge_a_line(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *want; // inside the quotes, both forms
    } rows[] = {
        {"a\nb", 3, "a\\nb"},
        {"\r\t", 2, "\\r\\t"},
        {"\0x", 2, "\\u0000x"},
        {"\x1b[31m", 5, "\\u001b[31m"},
        {"\x7f", 1, "\\u007f"},
        {"\xc3\xa4", 2, "\\u00e4"},
        {"\xe2\x80\xae", 3, "\\u202e"}, // right-to-left override
        {"\xe2\x80\xa8", 3, "\\u2028"}, // line separator
        {"\xf0\x9f\x98\x80", 4, "\\ud83d\\ude00"},
        {"\xff", 1, "\\ufffd"},
        {"\xc0\xaf", 2, "\\ufffd\\ufffd"},            // overlong
        {"\xed\xa0\x80", 3, "\\ufffd\\ufffd\\ufffd"}, // surrogate
        {"\xe2\x82", 2, "\\ufffd\\ufffd"},            // cut off
        {"\xf4\x90\x80\x80", 4, "\\ufffd\\ufffd\\ufffd\\ufffd"},
        {"\x80", 1, "\\ufffd"},
        {"\xf8\x88\x80\x80", 4, "\\ufffd\\ufffd\\ufffd\\ufffd"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (int format = LOG_TEXT; format <= LOG_JSON; format++) {
            char want[128];
            sink_open(&sink, (enum log_format)format);
            LOG(sink.log, &event, NULL, LOG_SLICE("v", slice_of(rows[i].bytes, rows[i].n)));
            snprintf(want, sizeof want, format == LOG_JSON ? "\"v\":\"%s\"}\n" : " v=\"%s\"\n",
                     rows[i].want);
            const char *line = sink_read(&sink);
            assert_true(strlen(line) > strlen(want));
            assert_string_equal(line + strlen(line) - strlen(want), want);
            sink_close(&sink);
        }
    }
}

static void escapes_the_message_too(void **state)
{
    (void)state;
    sink_open(&sink, LOG_TEXT);
    LOG(sink.log, &event, "x\n2026-01-01T00:00:00.000000Z error prog forged");
    const char *line = sink_read(&sink);
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    sink_close(&sink);
}

static void keeps_every_line_within_its_bound_and_whole(void **state)
{
    (void)state;
    static char big[100000];
    memset(big, '\x01', sizeof big); // six bytes each when escaped
    for (int format = LOG_TEXT; format <= LOG_JSON; format++) {
        sink_open(&sink, (enum log_format)format);
        LOG(sink.log, &event, NULL, LOG_SLICE("a", slice_of(big, sizeof big)),
            LOG_SLICE("b", slice_of(big, sizeof big)), LOG_SLICE("c", slice_of(big, sizeof big)),
            LOG_INT("last", 1));
        const char *line = sink_read(&sink);
        size_t n = strlen(line);
        assert_in_range(n, LOG_VALUE_MAX, LOG_LINE_MAX);
        assert_ptr_equal(strchr(line, '\n'), line + n - 1);
        assert_non_null(strstr(line, "...\""));
        assert_non_null(
            strstr(line, format == LOG_JSON
                             ? "\"last\":1}\n"
                             : " last=1\n")); // what fits comes, what does not is left out whole
        sink_close(&sink);
    }
}

static void obeys_the_level(void **state)
{
    (void)state;
    sink_open(&sink, LOG_TEXT);
    LOG(sink.log, &quiet, "no");
    assert_string_equal(sink_read(&sink), "");
    log_level_set(sink.log, LOG_DEBUG);
    LOG(sink.log, &quiet, "yes");
    assert_non_null(strstr(sink_read(&sink), "debug prog test.quiet msg=yes\n"));
    sink_close(&sink);
}

static void buffers_lines_in_a_batch(void **state)
{
    (void)state;
    sink_open(&sink, LOG_TEXT);
    log_batch_begin(sink.log);
    LOG(sink.log, &event, "one");
    assert_string_equal(sink_read(&sink), "");
    LOG(sink.log, &event, "two");
    log_flush(sink.log);
    assert_non_null(strstr(sink_read(&sink), "msg=two\n"));
    LOG(sink.log, &event, "three");
    log_batch_end(sink.log);
    assert_non_null(strstr(sink_read(&sink), "msg=three\n"));
    sink_close(&sink);
}

static void bounds_lines_per_second_but_not_errors(void **state)
{
    (void)state;
    sink_open(&sink, LOG_TEXT);
    uint64_t before = log_dropped();
    for (int i = 0; i < 3 * LOG_LINES_PER_SECOND; i++) LOG(sink.log, &event, NULL);
    uint64_t dropped = log_dropped() - before;
    assert_true(dropped >= LOG_LINES_PER_SECOND / 2); // a second may have changed on the way
    LOG(sink.log, &loud, "error");
    assert_non_null(strstr(sink_read(&sink), "test.loud"));
    usleep(1100 * 1000);
    LOG(sink.log, &event, "next second");
    const char *said = strstr(sink_read(&sink), "log.suppressed lines=");
    assert_non_null(said);
    assert_non_null(strstr(said, "msg=\"next second\"\n"));
    sink_close(&sink);
}

static void makes_the_reference_page(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1 << 16);
    assert_ok(cluster_docs(&out));
    assert_ok(buf_add(&out, slice_of("", 1)));
    assert_non_null(strstr((const char *)buf_slice(&out).p, "| `ring.refused` | warn | "));
    assert_non_null(
        strstr((const char *)buf_slice(&out).p, "| `certmill_connections_open` |  | gauge | "));
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_fields_as_text),
        cmocka_unit_test(writes_fields_as_json),
        cmocka_unit_test(escapes_what_could_forge_a_line),
        cmocka_unit_test(escapes_the_message_too),
        cmocka_unit_test(keeps_every_line_within_its_bound_and_whole),
        cmocka_unit_test(obeys_the_level),
        cmocka_unit_test(buffers_lines_in_a_batch),
        cmocka_unit_test(bounds_lines_per_second_but_not_errors),
        cmocka_unit_test(makes_the_reference_page),
    };
    proto_err_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
