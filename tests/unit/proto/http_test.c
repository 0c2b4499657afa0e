// http: both versions, both roles, over memory: what arrives is what was sent, however the bytes
// are cut; what could be read in two ways is refused; floods end the connection.
#include "proto/http/http.h"

#include <stdio.h>

#include "proto/err.h"
#include "tests/unit/proto/http_pair.h"
#include "tests/unit/unit.h"

static const size_t chunks[] = {0, 1, 7, 1000};

static struct http_request post(const char *path, struct slice body)
{
    static struct http_header headers[] = {
        {SLICE_LIT("Content-Type"), SLICE_LIT("application/jose+json")}};
    return (struct http_request){.method = HTTP_POST,
                                 .path = slice_str(path),
                                 .authority = SLICE_LIT("ca.test:14000"),
                                 .secure = true,
                                 .headers = headers,
                                 .header_count = 1,
                                 .body = body};
}

static void assert_text(struct buf *b, const char *want)
{
    assert_false(failed(buf_add(b, slice_of("", 1))));
    assert_string_equal((const char *)buf_slice(b).p, want);
}

static void exchange_all(enum http_version version, size_t chunk)
{
    struct http_pair p;
    http_pair_init(&p, version, true);
    p.chunk = chunk;
    struct http_exchange x[3] = {0};
    struct http_request r = post("/a", SLICE_LIT("hello"));
    assert_false(failed(http_request_send(p.client, &x[0], &r)));
    http_pair_run(&p);
    r = (struct http_request){.method = HTTP_HEAD,
                              .path = SLICE_LIT("/b"),
                              .authority = SLICE_LIT("ca.test"),
                              .secure = true};
    assert_false(failed(http_request_send(p.client, &x[1], &r)));
    http_pair_run(&p);
    static uint8_t large[60000];
    memset(large, 'x', sizeof large);
    r = post("/c", slice_of(large, sizeof large));
    assert_false(failed(http_request_send(p.client, &x[2], &r)));
    http_pair_run(&p);
    assert_int_equal(http_session_open_count(p.client), 0);
    assert_int_equal(http_session_open_count(p.server), 0);
    struct slice seen = buf_slice(&p.seen), answers = buf_slice(&p.answers);
    assert_true(slice_starts(
        seen,
        SLICE_LIT("POST /a ca.test:14000 hello\nHEAD /b ca.test \nPOST /c ca.test:14000 xxx")));
    assert_true(slice_starts(answers, SLICE_LIT("200 hello\n200 \n200 xxxx")));
    assert_int_equal(answers.n, strlen("200 hello\n200 \n200 \n") + sizeof large);
    assert_false(failed(p.server_err) || failed(p.client_err));
    http_pair_fini(&p);
}

static void messages_arrive_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
        exchange_all(HTTP_1_1, chunks[i]);
        exchange_all(HTTP_2, chunks[i]);
    }
}

static void trailers_cross_http_2(void **state)
{
    (void)state;
    struct http_pair p;
    http_pair_init(&p, HTTP_2, true);
    struct http_exchange x = {0};
    struct http_request r = post("/trailers", SLICE_LIT("m"));
    assert_false(failed(http_request_send(p.client, &x, &r)));
    http_pair_run(&p);
    assert_text(&p.answers, "200 m +trailer\n");
    http_pair_fini(&p);
}

static void many_streams_are_answered_in_any_order(void **state)
{
    (void)state;
    struct http_pair p;
    http_pair_init(&p, HTTP_2, true);
    p.hold = true;
    struct http_exchange x[32] = {0};
    http_pair_run(&p); // settings
    struct http_request r = post("/s", SLICE_LIT("b"));
    for (int i = 0; i < 32; i++) assert_false(failed(http_request_send(p.client, &x[i], &r)));
    assert_false(http_session_can_request(p.client));
    http_pair_run(&p);
    assert_int_equal(p.held_count, 32);
    for (int i = 31; i >= 0; i--) http_pair_answer(&p, (size_t)i);
    http_pair_run(&p);
    assert_int_equal(buf_len(&p.answers), 32 * strlen("200 b\n"));
    http_pair_fini(&p);
}

static void pipelined_requests_wait_their_turn(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
        struct http_pair p;
        http_pair_init(&p, HTTP_1_1, false);
        p.chunk = chunks[i];
        p.hold = true;
        http_pair_raw(&p, SLICE_LIT("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: "
                                    "a\r\nContent-Length: 2\r\n\r\nhi"
                                    "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        for (size_t k = 0; k < 3; k++) {
            assert_int_equal(p.held_count, k + 1);
            http_pair_answer(&p, k);
            http_pair_raw(&p, SLICE_NONE);
        }
        assert_true(http_session_finished(p.server));
        assert_text(&p.seen, "GET /1 a \nPOST /2 a hi\nGET /3 a \n");
        http_pair_fini(&p);
    }
}

static void what_can_be_read_in_two_ways_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "GET / HTTP/1.1\r\n\r\n",                          // no Host
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",    // two
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",                 // empty
        "GET / HTTP/1.1\nHost: a\n\n",                     // bare LF
        "GET / HTTP/1.1\r\nHost: a\n\r\n",                 //
        "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",         // bare CR
        "GET / HTTP/1.1\r\nHost: a\r\n X: b\r\n\r\n",      // obs-fold
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", //
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",              // space before the colon
        "GET / HTTP/1.1\r\nHost: a\r\nX y: b\r\n\r\n",     //
        "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",        // empty name
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\x01\r\n\r\n",   // control character
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",              // two spaces
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",              //
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n",               // versions
        "GET / HTTP/1.2\r\nHost: a\r\n\r\n",               //
        "GET / HTTQ/1.1\r\nHost: a\r\n\r\n",               //
        "GET / \r\nHost: a\r\n\r\n",                       //
        "GET noslash HTTP/1.1\r\nHost: a\r\n\r\n",         // target forms
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n",               //
        "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",       //
        "G\x7fT / HTTP/1.1\r\nHost: a\r\n\r\n",            //
        "\x16\x03\x01\x02\x00\x01\x00",                    // TLS to a plain port
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",                // HTTP/2 preface
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: "
        "1\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0b chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
        "chunked\r\n\r\nfffffffffffffffff\r\nx\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-maybe\r\nContent-Length: 1\r\n\r\nx",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        for (size_t k = 0; k < 2; k++) {
            struct http_pair p;
            http_pair_init(&p, HTTP_1_1, false);
            p.chunk = k;
            http_pair_raw(&p, slice_str(bad[i]));
            if (buf_len(&p.seen) != 0 || !failed(p.server_err))
                fail_msg("case %zu chunk %zu was taken: %s", i, k, bad[i]);
            assert_true(slice_starts(buf_slice(&p.raw), SLICE_LIT("HTTP/1.1 4")) ||
                        slice_starts(buf_slice(&p.raw), SLICE_LIT("HTTP/1.1 5")));
            assert_true(http_session_finished(p.server));
            http_pair_fini(&p);
        }
    }
}

static void good_requests_of_odd_shape_are_taken(void **state)
{
    (void)state;
    static const struct {
        const char *in, *seen;
    } rows[] = {
        {"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / a \n"},
        {"GET https://b:1/x?y=z HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x?y=z b:1 \n"},
        {"GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", "GET / b \n"},
        {"GET / HTTP/1.0\r\nHost: a\r\n\r\n", "GET / a \n"},
        {"GET / HTTP/1.1\r\nhOsT:   a  \r\nContent-Length: 0\r\nAccept-Encoding: gzip\r\n\r\n",
         "GET / a \n"},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
         "Chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n",
         "POST / a abcde\n"},
        {"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
         "POST / a x\n"},
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, "
         "HTTP2-Settings\r\nHTTP2-Settings: AA\r\n\r\n",
         "GET / a \n"},
        {"DELETE /d HTTP/1.1\r\nHost: a\r\n\r\n", "DELETE /d a \n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_pair p;
        http_pair_init(&p, HTTP_1_1, false);
        p.chunk = i % 2;
        http_pair_raw(&p, slice_str(rows[i].in));
        if (failed(p.server_err)) fail_msg("case %zu: %s", i, err_name(p.server_err));
        assert_text(&p.seen, rows[i].seen);
        http_pair_fini(&p);
    }
}

static void limits_hold_to_the_byte(void **state)
{
    (void)state;
    for (int version = HTTP_1_1; version <= HTTP_2; version++) {
        for (int extra = -1; extra <= 1; extra++) {
            struct http_pair p;
            http_pair_init(&p, (enum http_version)version, true);
            http_pair_run(&p);
            static uint8_t body[65537];
            memset(body, 'b', sizeof body);
            struct http_exchange x = {0};
            struct http_request r = post("/", slice_of(body, (size_t)(65536 + extra)));
            assert_false(failed(http_request_send(p.client, &x, &r)));
            http_pair_run(&p);
            assert_true(slice_starts(buf_slice(&p.answers), extra > 0
                                                                ? SLICE_LIT("413 {\"status\":413}")
                                                                : SLICE_LIT("200 bbb")));
            http_pair_fini(&p);
        }
        struct http_pair p;
        http_pair_init(&p, (enum http_version)version, true);
        http_pair_run(&p);
        static uint8_t value[16384];
        memset(value, 'v', sizeof value);
        struct http_header big[] = {{SLICE_LIT("X"), slice_of(value, sizeof value)}};
        struct http_request r = {.method = HTTP_GET,
                                 .path = SLICE_LIT("/"),
                                 .authority = SLICE_LIT("a"),
                                 .headers = big,
                                 .header_count = 1};
        struct http_exchange x = {0};
        assert_false(failed(http_request_send(p.client, &x, &r)));
        http_pair_run(&p);
        assert_true(slice_starts(buf_slice(&p.answers), SLICE_LIT("431 ")));
        assert_int_equal(buf_len(&p.seen), 0);
        http_pair_fini(&p);
    }
}

// Of two faults the one that comes first is answered, in whatever pieces the bytes come; and what
// the parser skips counts, too.
static void a_long_head_is_refused_however_it_is_cut(void **state)
{
    (void)state;
    static char many[66 * 6], blank[17000], lines[17000], target[17000], odd_target[17000];
    for (size_t i = 0; i < 65; i++) memcpy(many + 6 * i, "X: y\r\n", 6);
    for (size_t i = 0; i < sizeof lines - 2; i += 2) memcpy(lines + i, "\r\n", 2);
    memset(blank, ' ', sizeof blank - 1);
    memset(target, 'x', sizeof target - 1);
    memset(odd_target, 'x', sizeof odd_target - 2);
    odd_target[sizeof odd_target - 2] = 1;
    const char *const rows[][3] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n", many, "A\n"},
        {"GET / HTTP/1.1\r\nHost:", blank, "a\r\n\r\n"},
        {"", lines, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"GET /", target, " HTTP/1.0\r\n\r\n"},
        {"GET /", odd_target, " HTTP/1.1\r\n"},
    };
    for (size_t i = 0; i < 3 * sizeof rows / sizeof rows[0]; i++) {
        struct http_pair p;
        struct buf in;
        const char *const *row = rows[i / 3];
        buf_init(&in, 1 << 17);
        assert_false(failed(buf_printf(&in, "%s%s%s", row[0], row[1], row[2])));
        http_pair_init(&p, HTTP_1_1, false);
        p.chunk = i % 3 * 7;
        http_pair_raw(&p, buf_slice(&in));
        assert_err(p.server_err, ERR_HTTP_TOO_LARGE);
        assert_true(slice_starts(buf_slice(&p.raw), SLICE_LIT("HTTP/1.1 431")));
        assert_text(&p.seen, "");
        http_pair_fini(&p);
        buf_fini(&in);
    }
}

static void gone_exchanges_are_released_in_any_order(void **state)
{
    (void)state;
    for (int version = HTTP_1_1; version <= HTTP_2; version++) {
        for (int answer_late = 0; answer_late < 2; answer_late++) {
            struct http_pair p;
            http_pair_init(&p, (enum http_version)version, true);
            p.hold = true;
            struct http_exchange x = {0};
            struct http_request r = post("/", SLICE_LIT("b"));
            assert_false(failed(http_request_send(p.client, &x, &r)));
            http_pair_run(&p);
            assert_int_equal(p.held_count, 1);
            http_session_free(p.server);
            p.server = NULL;
            assert_int_equal(p.gone, 1);
            if (answer_late) http_pair_answer(&p, 0);
            http_session_free(p.client);
            p.client = NULL;
            assert_int_equal(p.failures, 1);
            http_pair_fini(&p);
        }
    }
}

static void a_cancelled_request_reaches_the_handler(void **state)
{
    (void)state;
    struct http_pair p;
    http_pair_init(&p, HTTP_2, true);
    p.hold = true;
    struct http_exchange x = {0};
    struct http_request r = post("/", SLICE_LIT("b"));
    assert_false(failed(http_request_send(p.client, &x, &r)));
    http_pair_run(&p);
    http_request_cancel(&x);
    http_pair_run(&p);
    assert_int_equal(p.gone, 1);
    assert_int_equal(p.failures, 0);
    http_pair_answer(&p, 0); // late: releases
    p.hold = false;
    assert_false(failed(http_request_send(p.client, &x, &r)));
    http_pair_run(&p);
    assert_text(&p.answers, "200 b\n");
    http_pair_fini(&p);
}

static void drain_answers_what_is_open(void **state)
{
    (void)state;
    for (int version = HTTP_1_1; version <= HTTP_2; version++) {
        struct http_pair p;
        http_pair_init(&p, (enum http_version)version, true);
        p.hold = true;
        struct http_exchange x = {0};
        struct http_request r = post("/", SLICE_LIT("b"));
        assert_false(failed(http_request_send(p.client, &x, &r)));
        http_pair_run(&p);
        http_session_drain(p.server);
        http_pair_run(&p);
        assert_false(http_session_finished(p.server));
        assert_false(http_session_can_request(p.client));
        http_pair_answer(&p, 0);
        http_pair_run(&p);
        assert_text(&p.answers, "200 b\n");
        assert_true(http_session_finished(p.server));
        http_pair_fini(&p);
    }
}

static void a_late_handler_is_answered_for(void **state)
{
    (void)state;
    for (int version = HTTP_1_1; version <= HTTP_2; version++) {
        struct http_pair p;
        http_pair_init(&p, (enum http_version)version, true);
        p.hold = true;
        struct http_exchange x = {0};
        struct http_request r = post("/", SLICE_LIT("b"));
        struct http_response late = {.status = 503, .body = SLICE_LIT("busy")};
        assert_false(failed(http_request_send(p.client, &x, &r)));
        http_pair_run(&p);
        assert_false(failed(http_respond_late(p.held[0], &late)));
        assert_int_equal(p.gone, 1);
        assert_int_equal(http_session_open_count(p.server), 0);
        http_pair_run(&p);
        assert_false(failed(http_request_send(p.client, &x, &r))); // the connection goes on
        http_pair_run(&p);
        http_pair_answer(&p, 0); // the slow handler, at last: only releases
        http_pair_answer(&p, 1);
        http_pair_run(&p);
        assert_text(&p.answers, "503 busy\n200 b\n");
        http_pair_fini(&p);
    }
}

// A request that crosses the GOAWAY on the wire is served all the same.
static void drain_serves_what_is_on_its_way(void **state)
{
    (void)state;
    struct http_pair p;
    http_pair_init(&p, HTTP_2, true);
    http_pair_run(&p);
    struct http_exchange x = {0};
    struct http_request r = post("/", SLICE_LIT("b"));
    http_session_drain(p.server);
    assert_false(http_session_finished(p.server)); // the peer has not been heard
    assert_false(failed(http_request_send(p.client, &x, &r)));
    http_pair_run(&p);
    assert_text(&p.answers, "200 b\n");
    assert_int_equal(p.failures, 0);
    assert_true(http_session_finished(p.server));
    http_pair_fini(&p);
}

// rapid resets: open and cancel again and again, never waiting for an answer (CVE-2023-44487).
static void resets_without_end_close_the_connection(void **state)
{
    (void)state;
    struct http_pair p;
    http_pair_init(&p, HTTP_2, true);
    http_pair_run(&p);
    p.hold = true;
    struct http_request r = post("/", SLICE_LIT("b"));
    int rounds = 0;
    for (; rounds < 200 && !failed(p.server_err); rounds++) {
        struct http_exchange x = {0};
        if (failed(http_request_send(p.client, &x, &r))) break;
        http_pair_run(&p);
        http_request_cancel(&x);
        http_pair_run(&p);
        if (p.held_count > 0) http_pair_answer(&p, --p.held_count);
    }
    assert_in_range(rounds, 40, 60);
    assert_true(err_is(p.server_err, ERR_HTTP_ABUSE));
    http_pair_fini(&p);
}

static void h2_frames_without_end_close_the_connection(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint8_t frame[32];
        size_t n;
    } floods[] = {
        {"ping", {0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}, 17},
        {"settings", {0, 0, 0, 4, 0, 0, 0, 0, 0}, 9},
        {"priority", {0, 0, 5, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 1}, 14},
    };
    for (size_t i = 0; i < sizeof floods / sizeof floods[0]; i++) {
        struct http_pair p;
        http_pair_init(&p, HTTP_2, false);
        http_pair_raw(&p, SLICE_LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        http_pair_raw(&p, slice_of("\0\0\0\4\0\0\0\0\0", 9));
        int rounds = 0;
        for (; rounds < 1000 && !failed(p.server_err); rounds++)
            http_pair_raw(&p, slice_of(floods[i].frame, floods[i].n));
        if (rounds >= 1000) fail_msg("%s flood was taken", floods[i].name);
        http_pair_fini(&p);
    }
}

static void a_continuation_flood_is_cut(void **state)
{
    (void)state;
    struct http_pair p;
    http_pair_init(&p, HTTP_2, false);
    http_pair_raw(&p, SLICE_LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    http_pair_raw(&p, slice_of("\0\0\0\4\0\0\0\0\0", 9));
    http_pair_raw(&p, slice_of("\0\0\1\1\0\0\0\0\1\x82", 10)); // HEADERS without END_HEADERS
    int rounds = 0;
    for (; rounds < 1000 && !failed(p.server_err); rounds++)
        http_pair_raw(&p, slice_of("\0\0\1\x09\0\0\0\0\1\x84", 10));
    assert_in_range(rounds, 1, 20);
    http_pair_fini(&p);
}

static void the_client_takes_every_kind_of_body(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        bool eof, ok;
        const char *answer;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", false, true, "200 hi\n"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false, true,
         "200 hi\n"},
        {"HTTP/1.0 200 OK\r\n\r\nhi", true, true, "200 hi\n"},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", false,
         true, "404 \n"},
        {"HTTP/1.1 204 No Content\r\n\r\n", false, true, "204 \n"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", true, false, ""},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", true, false, ""},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", true, false, ""},
        {"ICY 200 OK\r\n\r\n", true, false, ""},
        {"", true, false, ""},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n", true, false, ""},
        {"HTTP/1.1 001 OK\r\nContent-Length: 0\r\n\r\n", false, false, ""},
        {"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", false, false, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_pair p;
        http_pair_init(&p, HTTP_1_1, true);
        struct http_exchange x = {0};
        struct http_request r = post("/", SLICE_LIT("b"));
        assert_false(failed(http_request_send(p.client, &x, &r)));
        struct err e = http_session_feed(p.client, slice_str(rows[i].in));
        if (rows[i].eof && !failed(e)) e = http_session_eof(p.client);
        if (failed(e) == rows[i].ok) fail_msg("case %zu: %s", i, err_name(e));
        assert_int_equal(p.failures, rows[i].ok ? 0 : 1);
        assert_text(&p.answers, rows[i].answer);
        http_pair_fini(&p);
    }
}

// Bodies of both ways up to the limits, beyond what a stream's arena holds; one byte more than may
// wait is an error of the call and not of the session.
static void large_bodies_cross_http_2(void **state)
{
    (void)state;
    static const size_t sizes[] = {128 * 1024, 128 * 1024 + 1, 256 * 1024, 1 << 20};
    static uint8_t bytes[1 << 20];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)('a' + i % 23);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct http_pair p;
        http_pair_init(&p, HTTP_2, true);
        p.limits.body_size_max = p.limits.out_size_max = 1 << 20;
        buf_fini(&p.seen), buf_init(&p.seen, 4 << 20);
        buf_fini(&p.answers), buf_init(&p.answers, 4 << 20);
        struct http_exchange x = {0};
        struct http_request r = {.method = HTTP_POST,
                                 .path = SLICE_LIT("/large"),
                                 .authority = SLICE_LIT("a.test"),
                                 .body = slice_of(bytes, sizes[i])};
        assert_ok(http_request_send(p.client, &x, &r));
        http_pair_run(&p);
        struct slice got = buf_slice(&p.answers);
        assert_true(got.n > sizes[i]);
        const uint8_t *at = memmem(got.p, got.n, bytes, sizes[i]);
        assert_non_null(at);
        assert_null(memmem(got.p, got.n, "413", 3));
        p.limits.out_size_max = sizes[i] - 1;
        struct http_exchange again = {0};
        if (sizes[i] > 128 * 1024 + 1)
            assert_err(http_request_send(p.client, &again, &r), ERR_NO_SPACE);
        http_pair_fini(&p);
    }
}

// A status begins at 100, but the library takes any three digits.
static void an_http_2_status_is_100_at_least(void **state)
{
    (void)state;
    static const char *const statuses[] = {"000", "099", "200"};
    for (size_t i = 0; i < 3; i++) {
        struct http_pair p;
        bool more;
        struct http_exchange x = {0};
        struct http_request r = post("/", SLICE_NONE);
        char frames[] = "\0\0\0\4\0\0\0\0\0" // SETTINGS
                        "\0\0\5\1\5\0\0\0\1" // HEADERS, the last of stream 1
                        "\x08\3...";
        memcpy(frames + sizeof frames - 4, statuses[i], 3);
        http_pair_init(&p, HTTP_2, true);
        assert_false(failed(http_request_send(p.client, &x, &r)));
        assert_false(failed(http_session_pull(p.client, &p.raw, 4096, &more)));
        assert_false(failed(http_session_feed(p.client, slice_of(frames, sizeof frames - 1))));
        assert_text(&p.answers, i == 2 ? "200 \n" : "");
        assert_false(failed(http_session_pull(p.client, &p.raw, 4096, &more)));
        assert_int_equal(p.failures, i == 2 ? 0 : 1);
        http_pair_fini(&p);
    }
}

int main(void)
{
    proto_err_register();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_arrive_however_they_are_cut),
        cmocka_unit_test(trailers_cross_http_2),
        cmocka_unit_test(many_streams_are_answered_in_any_order),
        cmocka_unit_test(pipelined_requests_wait_their_turn),
        cmocka_unit_test(what_can_be_read_in_two_ways_is_refused),
        cmocka_unit_test(good_requests_of_odd_shape_are_taken),
        cmocka_unit_test(limits_hold_to_the_byte),
        cmocka_unit_test(a_long_head_is_refused_however_it_is_cut),
        cmocka_unit_test(gone_exchanges_are_released_in_any_order),
        cmocka_unit_test(a_cancelled_request_reaches_the_handler),
        cmocka_unit_test(drain_answers_what_is_open),
        cmocka_unit_test(a_late_handler_is_answered_for),
        cmocka_unit_test(drain_serves_what_is_on_its_way),
        cmocka_unit_test(resets_without_end_close_the_connection),
        cmocka_unit_test(h2_frames_without_end_close_the_connection),
        cmocka_unit_test(a_continuation_flood_is_cut),
        cmocka_unit_test(the_client_takes_every_kind_of_body),
        cmocka_unit_test(large_bodies_cross_http_2),
        cmocka_unit_test(an_http_2_status_is_100_at_least),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
