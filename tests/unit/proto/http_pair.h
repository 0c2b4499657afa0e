// http_pair: a server session and, where wanted, a client session joined by memory; what the server
// saw and answered is kept as text, so that a test compares stories. Bytes travel in chunks of a
// chosen size.
#pragma once
#include "proto/http/http.h"

struct http_pair {
    struct http_session *server, *client;
    struct http_limits limits;
    size_t chunk;                   // bytes per feed; 0: all at once
    struct buf seen;                // "POST /path host body\n" per request
    struct buf answers;             // "200 body\n" per response that the client got
    struct buf raw;                 // what the server sent, when there is no client
    struct http_exchange *held[64]; // requests not answered yet, when `hold`
    size_t held_count;
    bool hold;
    unsigned gone;     // gone callbacks
    unsigned unsent;   // answers that http_respond could not send
    unsigned failures; // client failed callbacks
    bool unprocessed;  // of the last
    struct err server_err, client_err;
};

void http_pair_init(struct http_pair *p, enum http_version version, bool with_client);
void http_pair_fini(struct http_pair *p);
// http_pair_raw feeds bytes to the server and collects what it sends.
void http_pair_raw(struct http_pair *p, struct slice in);
// http_pair_run moves bytes both ways until neither has more.
void http_pair_run(struct http_pair *p);
// http_pair_answer answers held request `i`: 200 with the request's body.
void http_pair_answer(struct http_pair *p, size_t i);
