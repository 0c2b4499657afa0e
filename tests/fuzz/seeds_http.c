#include <stdio.h>

#include "proto/http/http.h"
#include "tests/fuzz/seeds.h"
#include "tests/support/make.h"

static void h1(struct seeds *s)
{
    static const struct {
        const char *name, *text;
    } rows[] = {
        {"get.http", "GET /directory HTTP/1.1\r\nHost: a.example\r\nUser-Agent: t\r\n\r\n"},
        {"head.http", "HEAD /new-nonce HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"post.http", "POST /new-order HTTP/1.1\r\nHost: a\r\nContent-Type: application/jose+json"
                      "\r\nContent-Length: 7\r\n\r\n{\"a\":1}"},
        {"pipelined.http", "GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /h HTTP/1.1\r\nHost: a\r\n\r\n"
                           "GET /l HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"chunked.http", "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\n"},
        {"expect.http", "POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1"
                        "\r\n\r\nx"},
        {"absolute.http", "GET http://b.example/c?d HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"version_1_0.http", "GET /a HTTP/1.0\r\n\r\n"},
        {"close.http",
         "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /b HTTP/1.1\r\n"},
        {"two_lengths.http", "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: "
                             "1\r\n\r\nx"},
        {"length_and_chunked.http", "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
                                    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {"body_over_limit.http", "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 257\r\n\r\n"},
        {"no_host.http", "GET /a HTTP/1.1\r\n\r\n"},
        {"folded.http", "GET /a HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n"},
        {"bare_line_feed.http", "GET /a HTTP/1.1\nHost: a\n\n"},
        {"bare_return.http", "GET /a HTTP/1.1\r\nHost: a\rA: b\r\n\r\n"},
        {"empty_lines_before.http", "\r\n\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"upgrade.http",
         "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"},
        {"connect.http", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"response.http", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nServer: t\r\n\r\nabc"},
        {"response_chunked.http",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
         "0\r\n\r\n"},
        {"response_until_close.http", "HTTP/1.1 200 OK\r\n\r\nabc"},
        {"response_interim.http", "HTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 204 None\r\n\r\n"},
        {"response_switching.http", "HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"},
        {"response_two.http", "HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"},
        {"response_cut.http", "HTTP/1.1 302 F\r\nLocation: /b\r\nContent-Length: 9\r\n\r\nab"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        seed(s, "h1", rows[i].name, slice_str(rows[i].text));
    seed(s, "h1", "long_header.http",
         make_text(&s->arena, "GET /a HTTP/1.1\r\nHost: a\r\nA: %0600d\r\n\r\n", 0));
    seed(s, "h1", "long_target.http",
         make_text(&s->arena, "GET /%0600d HTTP/1.1\r\nHost: a\r\n\r\n", 0));
    seed(s, "h1", "chunked_over_limit.http",
         make_text(&s->arena,
                   "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n%0255d"
                   "\r\n2\r\nab\r\n0\r\n\r\n",
                   0));
}

// ---- HTTP/2, frame by frame

enum {
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH_PROMISE,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION
};
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

#define PREFACE SLICE_LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

static struct slice frame(struct arena *a, int type, int flags, int stream, struct slice payload)
{
    const uint8_t head[] = {(uint8_t)(payload.n >> 16),
                            (uint8_t)(payload.n >> 8),
                            (uint8_t)payload.n,
                            (uint8_t)type,
                            (uint8_t)flags,
                            0,
                            0,
                            0,
                            (uint8_t)stream};
    return MAKE_JOINED(a, slice_of(head, sizeof head), payload);
}
#define FRAME(type, flags, stream, payload) frame(a, type, flags, stream, SLICE_LIT(payload))

// Header blocks without Huffman coding, so that a change of one byte is a change of one character:
// :method GET or POST, :scheme https, :path, :authority from the static table or literal.
#define GET(path)                  \
    "\x82\x87\x04" path "\x01\x01" \
    "a"
#define POST(path)                 \
    "\x83\x87\x04" path "\x01\x01" \
    "a"

static void h2_server(struct seeds *s)
{
    struct arena *a = &s->arena;
    struct slice hello = MAKE_JOINED(a, PREFACE, FRAME(SETTINGS, 0, 0, ""));
    struct slice get = FRAME(HEADERS, END_STREAM | END_HEADERS, 1, GET("\2/a"));
    struct slice post = FRAME(HEADERS, END_HEADERS, 1, POST("\2/h"));
    struct slice resets = SLICE_NONE, pings = SLICE_NONE, many = SLICE_NONE, open = SLICE_NONE;
    for (int i = 0; i < 20; i++) {
        struct slice stream = frame(a, HEADERS, END_HEADERS, 2 * i + 1, SLICE_LIT(POST("\2/a")));
        resets = MAKE_JOINED(a, resets, stream,
                             frame(a, RST_STREAM, 0, 2 * i + 1, SLICE_LIT("\0\0\0\x08")));
        open = MAKE_JOINED(a, open, stream);
        pings = MAKE_JOINED(a, pings, FRAME(PING, 0, 0, "12345678"));
        many = MAKE_JOINED(
            a, many,
            frame(a, HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, SLICE_LIT(GET("\2/h"))));
    }
    const struct {
        const char *name;
        struct slice frames;
    } rows[] = {
        {"get.h2", get},
        {"post.h2",
         MAKE_JOINED(a, post, FRAME(DATA, 0, 1, "{\"a\":"), FRAME(DATA, END_STREAM, 1, "1}"))},
        {"trailers.h2",
         MAKE_JOINED(a, FRAME(HEADERS, END_HEADERS, 1, POST("\2/t")), FRAME(DATA, 0, 1, "x"),
                     FRAME(HEADERS, END_HEADERS | END_STREAM, 1, "\0\1t\1v"))},
        {"continuation.h2", MAKE_JOINED(a, FRAME(HEADERS, END_STREAM, 1, "\x82\x87"),
                                        FRAME(CONTINUATION, 0, 1, "\x04\2/a"),
                                        FRAME(CONTINUATION, END_HEADERS, 1, "\x01\1b"))},
        {"late.h2", MAKE_JOINED(a, FRAME(HEADERS, END_STREAM | END_HEADERS, 1, GET("\2/l")),
                                FRAME(HEADERS, END_STREAM | END_HEADERS, 3, GET("\2/h")),
                                FRAME(RST_STREAM, 0, 3, "\0\0\0\x08"))},
        {"padded_with_priority.h2",
         FRAME(HEADERS, END_STREAM | END_HEADERS | 0x28, 1, "\2\0\0\0\0\x10" GET("\2/a") "\0\0")},
        {"table_size.h2", FRAME(HEADERS, END_STREAM | END_HEADERS, 1, "\x3f\xe1\x1f" GET("\2/a"))},
        {"indexed_name.h2",
         MAKE_JOINED(a, FRAME(HEADERS, END_STREAM | END_HEADERS, 1, GET("\2/a") "\x40\1x\1y"),
                     FRAME(HEADERS, END_STREAM | END_HEADERS, 3, GET("\2/b") "\xbe"))},
        {"upper_case_name.h2", FRAME(HEADERS, END_STREAM | END_HEADERS, 1, GET("\2/a") "\0\1X\1y")},
        {"no_path.h2", FRAME(HEADERS, END_STREAM | END_HEADERS, 1, "\x82\x87\x01\1a")},
        {"star_path.h2",
         FRAME(HEADERS, END_STREAM | END_HEADERS, 1, "\x02\7OPTIONS\x87\x04\1*\x01\1a")},
        {"bad_huffman.h2", FRAME(HEADERS, END_STREAM | END_HEADERS, 1, "\x82\x87\x04\x82\xff\xff")},
        {"content_length_differs.h2", MAKE_JOINED(a,
                                                  FRAME(HEADERS, END_HEADERS, 1,
                                                        POST("\2/a") "\x0f\x0d\1"
                                                                     "5"),
                                                  FRAME(DATA, END_STREAM, 1, "abc"))},
        {"data_on_idle_stream.h2", FRAME(DATA, 0, 5, "x")},
        {"even_stream.h2", FRAME(HEADERS, END_STREAM | END_HEADERS, 2, GET("\2/a"))},
        {"push_promise.h2",
         MAKE_JOINED(a, get, FRAME(PUSH_PROMISE, END_HEADERS, 1, "\0\0\0\2\x82"))},
        {"window_overflow.h2", MAKE_JOINED(a, get, FRAME(WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff"))},
        {"small_window.h2",
         MAKE_JOINED(a, FRAME(SETTINGS, 0, 0, "\0\4\0\0\0\1"), post,
                     FRAME(DATA, END_STREAM, 1, "abc"), FRAME(WINDOW_UPDATE, 0, 1, "\0\0\0\1"))},
        {"goaway.h2", MAKE_JOINED(a, get, FRAME(GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0"))},
        {"settings_ack_first.h2", MAKE_JOINED(a, FRAME(SETTINGS, ACK, 0, ""), get)},
        {"empty_data.h2", MAKE_JOINED(a, post, FRAME(DATA, 0, 1, ""), FRAME(DATA, 0, 1, ""),
                                      FRAME(DATA, END_STREAM, 1, ""))},
        {"resets.h2", resets},
        {"pings.h2", pings},
        {"many_streams.h2", many},
        {"many_open_streams.h2", open},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        seed(s, "h2", rows[i].name, MAKE_JOINED(a, hello, rows[i].frames));
    seed(s, "h2", "long_header.h2",
         MAKE_JOINED(a, hello,
                     frame(a, HEADERS, END_STREAM | END_HEADERS, 1,
                           MAKE_JOINED(a, SLICE_LIT(GET("\2/a") "\0\1x\x7f\xd9\3"),
                                       make_text(a, "%0600d", 0)))));
    seed(s, "h2", "body_over_limit.h2",
         MAKE_JOINED(a, hello, post, frame(a, DATA, 0, 1, make_text(a, "%0200d", 0)),
                     frame(a, DATA, END_STREAM, 1, make_text(a, "%0200d", 0))));
}

static void h2_client(struct seeds *s)
{
    struct arena *a = &s->arena;
    struct slice hello = MAKE_JOINED(a, FRAME(SETTINGS, 0, 0, ""), FRAME(SETTINGS, ACK, 0, ""));
    struct slice ok = FRAME(HEADERS, END_HEADERS, 1, "\x88");
    const struct {
        const char *name;
        struct slice frames;
    } rows[] = {
        {"response.h2", MAKE_JOINED(a, ok, FRAME(DATA, END_STREAM, 1, "abc"))},
        {"response_trailers.h2", MAKE_JOINED(a, ok, FRAME(DATA, 0, 1, "abc"),
                                             FRAME(HEADERS, END_HEADERS | END_STREAM, 1,
                                                   "\0\1t\1"
                                                   "0"))},
        {"response_trailers_only.h2", FRAME(HEADERS, END_HEADERS | END_STREAM, 1,
                                            "\x88\0\1t\1"
                                            "0")},
        {"response_to_head.h2", FRAME(HEADERS, END_HEADERS | END_STREAM, 3,
                                      "\x88\x0f\x0d\1"
                                      "5")},
        {"response_interim.h2", MAKE_JOINED(a,
                                            FRAME(HEADERS, END_HEADERS, 5,
                                                  "\x08\3"
                                                  "103\0\1a\1b"),
                                            FRAME(HEADERS, END_HEADERS | END_STREAM, 5, "\x8d"))},
        {"response_bad_status.h2", FRAME(HEADERS, END_HEADERS | END_STREAM, 1,
                                         "\x08\3"
                                         "2x0")},
        {"response_no_status.h2", FRAME(HEADERS, END_HEADERS | END_STREAM, 1, "\0\1a\1b")},
        {"response_status_1.h2", FRAME(HEADERS, END_HEADERS | END_STREAM, 1,
                                       "\x08\3"
                                       "001")},
        {"response_refused.h2", FRAME(RST_STREAM, 0, 1, "\0\0\0\7")},
        {"response_goaway.h2", MAKE_JOINED(a, ok, FRAME(GOAWAY, 0, 0, "\0\0\0\1\0\0\0\0"),
                                           FRAME(DATA, END_STREAM, 1, "abc"))},
        {"response_pushed.h2",
         MAKE_JOINED(a, ok, FRAME(PUSH_PROMISE, END_HEADERS, 1, "\0\0\0\2\x82"))},
        {"response_on_idle_stream.h2", FRAME(HEADERS, END_HEADERS, 7, "\x88")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        seed(s, "h2", rows[i].name, MAKE_JOINED(a, hello, rows[i].frames));
    seed(s, "h2", "response_over_limit.h2",
         MAKE_JOINED(a, hello, ok, frame(a, DATA, 0, 1, make_text(a, "%0255d", 0)),
                     frame(a, DATA, END_STREAM, 1, SLICE_LIT("ab"))));
}

void seeds_http(struct seeds *s)
{
    h1(s);
    h2_server(s);
    h2_client(s);
}
