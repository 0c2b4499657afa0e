// http: what a hostile peer may cost: requests that are answered and reset, answers that are never
// taken, requests that never end. Raw frames, so that each step is the attacker's.
#include <stdio.h>

#include "proto/err.h"
#include "proto/http/http.h"
#include "tests/unit/proto/http_pair.h"
#include "tests/unit/unit.h"

enum {
    DATA = 0,
    HEADERS = 1,
    RST_STREAM = 3,
    SETTINGS = 4,
    END_STREAM = 1,
    END_HEADERS = 4,
    FRAME_HEAD = 9
};

static void frame_add(struct buf *out, uint8_t type, uint8_t flags, uint32_t stream,
                      struct slice payload)
{
    const uint8_t head[FRAME_HEAD] = {(uint8_t)(payload.n >> 16),
                                      (uint8_t)(payload.n >> 8),
                                      (uint8_t)payload.n,
                                      type,
                                      flags,
                                      (uint8_t)(stream >> 24),
                                      (uint8_t)(stream >> 16),
                                      (uint8_t)(stream >> 8),
                                      (uint8_t)stream};
    assert_false(failed(buf_add(out, slice_of(head, sizeof head))));
    assert_false(failed(buf_add(out, payload)));
}

static void frame(struct http_pair *p, uint8_t type, uint8_t flags, uint32_t stream,
                  struct slice payload)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    frame_add(&b, type, flags, stream, payload);
    http_pair_raw(p, buf_slice(&b));
    buf_fini(&b);
}

// get and post: the heads of "GET /" and "POST /" for the authority "a", from HPACK's static table.
static const struct slice get = SLICE_LIT("\x82\x84\x87\x41\x01"
                                          "a"),
                          post = SLICE_LIT("\x83\x84\x87\x41\x01"
                                           "a");

static void start(struct http_pair *p, struct slice settings)
{
    http_pair_init(p, HTTP_2, false);
    http_pair_raw(p, SLICE_LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    frame(p, SETTINGS, 0, 0, settings);
}

// A request that is answered at once and reset before the answer has left is no good deed: it
// forgives nothing (CVE-2023-44487).
static void resets_of_answered_requests_are_counted(void **state)
{
    (void)state;
    struct http_pair p;
    struct buf b;
    unsigned rounds = 0;
    start(&p, SLICE_NONE);
    buf_init(&b, 4096);
    for (; rounds < 1000 && !failed(p.server_err); rounds++) {
        buf_clear(&b);
        frame_add(&b, HEADERS, END_STREAM | END_HEADERS, 2 * rounds + 1, get);
        frame_add(&b, RST_STREAM, 0, 2 * rounds + 1, SLICE_LIT("\0\0\0\x08"));
        http_pair_raw(&p, buf_slice(&b));
    }
    assert_in_range(rounds, 40, 60);
    assert_true(err_is(p.server_err, ERR_HTTP_ABUSE));
    buf_fini(&b);
    http_pair_fini(&p);
}

// Answers that the peer's window keeps back are bounded in sum, not one by one (T43).
static void answers_nobody_takes_are_bounded(void **state)
{
    (void)state;
    struct http_pair p;
    static uint8_t body[16000];
    size_t answered = 0;
    start(&p, SLICE_LIT("\0\4\0\0\0\0")); // SETTINGS_INITIAL_WINDOW_SIZE 0
    p.limits.out_size_max = 100000;
    for (uint32_t i = 0; i < 30 && !failed(p.server_err); i++) {
        frame(&p, HEADERS, END_HEADERS, 2 * i + 1, post);
        frame(&p, DATA, END_STREAM, 2 * i + 1, slice_of(body, sizeof body));
        answered++;
    }
    // Each answer is as long as its request: six fit, the others are reset.
    size_t resets = 0, at = 0;
    for (struct slice raw = buf_slice(&p.raw); at + FRAME_HEAD <= raw.n;) {
        const uint8_t *f = raw.p + at;
        resets += f[3] == RST_STREAM;
        at += FRAME_HEAD + ((size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2]);
    }
    assert_int_equal(answered - resets, 6);
    assert_int_equal(p.unsent, resets);
    http_pair_fini(&p);
}

static size_t status_count(const struct http_pair *p, const char *body)
{
    struct slice raw = buf_slice(&p->raw);
    size_t n = 0, len = strlen(body);
    for (size_t i = 0; i + len <= raw.n; i++) n += memcmp(raw.p + i, body, len) == 0;
    return n;
}

// Requests that are begun on many streams and never end share one bound; what is beyond is refused.
static void requests_without_an_end_are_bounded(void **state)
{
    (void)state;
    struct http_pair p;
    static uint8_t body[16000];
    start(&p, SLICE_NONE);
    p.limits.in_size_max = 200000;
    for (uint32_t i = 0; i < 20; i++) {
        frame(&p, HEADERS, END_HEADERS, 2 * i + 1, post);
        frame(&p, DATA, 0, 2 * i + 1, slice_of(body, sizeof body));
    }
    assert_int_equal(status_count(&p, "{\"status\":503}"), 20 - 12);
    assert_false(failed(p.server_err));
    // What was taken still can end, and makes room.
    p.hold = true;
    for (uint32_t i = 0; i < 12; i++) frame(&p, DATA, END_STREAM, 2 * i + 1, SLICE_NONE);
    assert_int_equal(p.held_count, 12);
    for (size_t i = 0; i < 12; i++) http_pair_answer(&p, i);
    p.hold = false;
    http_pair_raw(&p, SLICE_NONE);
    frame(&p, HEADERS, END_HEADERS, 101, post);
    frame(&p, DATA, END_STREAM, 101, slice_of(body, sizeof body));
    assert_int_equal(status_count(&p, "{\"status\":503}"), 20 - 12);
    http_pair_fini(&p);
}

// All sessions of one thread share a budget, HTTP/1.1 and HTTP/2 alike.
static void one_budget_bounds_all_connections(void **state)
{
    (void)state;
    struct http_budget budget = {.size_max = 50000};
    struct http_pair pairs[6];
    static char request[20000];
    int n = snprintf(request, sizeof request,
                     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 16000\r\n\r\n");
    memset(request + n, 'x', 15999);
    for (size_t i = 0; i < 6; i++) {
        http_pair_init(&pairs[i], HTTP_1_1, false);
        pairs[i].limits.budget = &budget;
        http_pair_raw(&pairs[i], slice_of(request, (size_t)n + 15999));
    }
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(status_count(&pairs[i], "503 Service Unavailable"), i < 3 ? 0 : 1);
    assert_in_range(budget.used, 3 * 15999, 50000);
    for (size_t i = 0; i < 3; i++) { // what was taken is answered
        http_pair_raw(&pairs[i], SLICE_LIT("x"));
        assert_int_equal(status_count(&pairs[i], "200 OK"), 1);
    }
    assert_int_equal(budget.used, 0);
    for (size_t i = 0; i < 6; i++) http_pair_fini(&pairs[i]);
    assert_int_equal(budget.used, 0);
}

static struct http_progress progress_of(const struct http_pair *p)
{
    struct http_progress progress;
    http_session_progress(p->server, &progress);
    return progress;
}

// Whoever has deadlines can tell one message that does not end from many that do.
static void what_is_waited_for_has_a_number(void **state)
{
    (void)state;
    struct http_pair p;
    start(&p, SLICE_LIT("\0\4\0\0\0\0"));
    assert_int_equal(progress_of(&p).reading, 0);
    frame(&p, HEADERS, 0, 1, post); // a head that goes on
    uint64_t first = progress_of(&p).reading;
    assert_int_not_equal(first, 0);
    assert_false(progress_of(&p).reading_body);
    frame(&p, 9, END_HEADERS, 1, SLICE_NONE);
    assert_int_equal(progress_of(&p).reading, first);
    assert_true(progress_of(&p).reading_body);
    frame(&p, HEADERS, END_HEADERS, 3, post); // another one, which ends
    frame(&p, DATA, END_STREAM, 3, SLICE_LIT("abc"));
    assert_int_equal(progress_of(&p).reading, first);
    uint64_t kept = progress_of(&p).writing; // its answer waits for the window
    assert_true(kept > first);
    frame(&p, 8, 0, 3, SLICE_LIT("\0\0\0\1"));
    assert_int_equal(progress_of(&p).writing, kept);
    frame(&p, 8, 0, 3, SLICE_LIT("\0\0\0\2"));
    assert_int_equal(progress_of(&p).writing, 0);
    http_pair_fini(&p);
    http_pair_init(&p, HTTP_1_1, false);
    http_pair_raw(&p, SLICE_LIT("\r\n"));
    assert_int_equal(progress_of(&p).reading, 0);
    http_pair_raw(&p, SLICE_LIT("POST / HTTP/1.1\r\n"));
    first = progress_of(&p).reading;
    assert_int_not_equal(first, 0);
    http_pair_raw(&p, SLICE_LIT("Host: a\r\nContent-Length: 2\r\n\r\nx"));
    assert_true(progress_of(&p).reading_body);
    http_pair_raw(&p, SLICE_LIT("xGET"));
    assert_true(progress_of(&p).reading > first);
    assert_false(progress_of(&p).reading_body);
    http_pair_fini(&p);
}

// Chunk extensions and trailers are read and dropped: they, too, have an end.
static void what_is_dropped_of_a_body_has_an_end(void **state)
{
    (void)state;
    static const char *const pieces[] = {"1;", "0\r\nA: b\r\n"};
    static char filler[4096];
    for (size_t i = 0; i < 2; i++) {
        struct http_pair p;
        http_pair_init(&p, HTTP_1_1, false);
        memset(filler, 'x', sizeof filler);
        if (i == 1)
            for (size_t k = 0; k + 8 <= sizeof filler; k += 8) memcpy(filler + k, "aa: bb\r\n", 8);
        http_pair_raw(
            &p, SLICE_LIT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
        http_pair_raw(&p, slice_str(pieces[i]));
        unsigned rounds = 0;
        for (; rounds < 1000 && !failed(p.server_err); rounds++)
            http_pair_raw(&p, slice_of(filler, sizeof filler));
        assert_in_range(rounds, 1, 200);
        assert_true(err_is(p.server_err, ERR_HTTP_TOO_LARGE));
        http_pair_fini(&p);
    }
}

// Chunks of one byte are odd, but a body.
static void a_body_in_chunks_of_one_byte_is_taken(void **state)
{
    (void)state;
    struct http_pair p;
    http_pair_init(&p, HTTP_1_1, false);
    http_pair_raw(&p,
                  SLICE_LIT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
    for (size_t i = 0; i < 65536; i++) http_pair_raw(&p, SLICE_LIT("1\r\nx\r\n"));
    http_pair_raw(&p, SLICE_LIT("0\r\n\r\n"));
    assert_false(failed(p.server_err));
    assert_int_equal(status_count(&p, "200 OK"), 1);
    http_pair_fini(&p);
}

int main(void)
{
    proto_err_register();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resets_of_answered_requests_are_counted),
        cmocka_unit_test(answers_nobody_takes_are_bounded),
        cmocka_unit_test(requests_without_an_end_are_bounded),
        cmocka_unit_test(one_budget_bounds_all_connections),
        cmocka_unit_test(what_is_waited_for_has_a_number),
        cmocka_unit_test(what_is_dropped_of_a_body_has_an_end),
        cmocka_unit_test(a_body_in_chunks_of_one_byte_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
