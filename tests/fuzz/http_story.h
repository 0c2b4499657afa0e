// http_story: drives one HTTP session with the bytes of a peer and writes down what came of it:
// requests, answers, ends, what the session sent and its first error. While it runs it checks what
// must hold of every message and of the session's memory. For the targets h1 and h2.
#pragma once
#include "proto/http/http.h"
#include "tests/fuzz/fuzz.h"

// enum http_story_way: how the bytes arrive. WHOLE and SPLIT answer and send at the same moments,
// so that they must tell the same story; MIXED sends, answers, cancels and drains whenever it
// likes.
enum http_story_way { HTTP_STORY_WHOLE, HTTP_STORY_SPLIT, HTTP_STORY_MIXED };

enum { HTTP_STORY_OPEN_MAX = 64, HTTP_STORY_REQUESTS = 3 };

struct http_story {
    struct buf told; // one line per event
    struct buf sent; // what the session wanted to send
    struct err err;  // the first one

    struct http_session *session;
    enum http_version version;
    bool server;
    enum http_story_way way;
    struct fuzz_choices choices;
    struct http_exchange *open[HTTP_STORY_OPEN_MAX]; // server: not answered yet
    size_t open_count;
    struct http_exchange asked[HTTP_STORY_REQUESTS]; // client
    unsigned waiting;                                // client: bit per request without an end
    size_t fed;                                      // bytes
    size_t memory_start; // in use before the session was made, less our two bufs
};

// http_story_run tells the story of `in`, fed to a server's or a client's session. The client has
// asked before: for one thing in HTTP/1.1, for HTTP_STORY_REQUESTS in HTTP/2. What is told and sent
// lives until the next run with the same struct; all-zero is the state before the first.
void http_story_run(struct http_story *s, enum http_version version, bool server,
                    enum http_story_way way, struct slice in);
// http_story_compare stops the program when two stories differ, and prints both.
void http_story_compare(const struct http_story *a, const struct http_story *b);
