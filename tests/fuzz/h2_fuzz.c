// The HTTP/2 sessions (proto/http/h2.c) on any bytes: what begins as the client's preface does goes
// to a server, the rest to a client that has asked for three things. Oracle: fed whole and in
// pieces they tell the same story; every message keeps to the limits, streams to their number, and
// memory to a constant.
#include "tests/fuzz/http_story.h"
#include "tests/fuzz/mutate.h"

enum { PREFACE_LEN = 24, FRAME_HEAD_LEN = 9, FRAME_GOAWAY = 7 };

// through_goaway is the input up to and with the peer's first GOAWAY. Behind it nghttp2 reads on
// while streams are open or the same piece lasts, so that there the story may depend on the cut.
static struct slice through_goaway(struct slice in, size_t at)
{
    while (in.n >= FRAME_HEAD_LEN && at <= in.n - FRAME_HEAD_LEN) {
        const uint8_t *head = in.p + at;
        at += FRAME_HEAD_LEN + ((size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2]);
        if (head[3] == FRAME_GOAWAY) break;
    }
    return slice_sub(in, 0, at);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    return mutate_h2(data, size, size_max, seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_story whole, other;
    struct slice in = slice_of(data, size);
    bool server = slice_starts(in, SLICE_LIT("PRI"));
    struct slice known = through_goaway(in, server ? PREFACE_LEN : 0);
    http_story_run(&whole, HTTP_2, server, HTTP_STORY_WHOLE, known);
    http_story_run(&other, HTTP_2, server, HTTP_STORY_SPLIT, known);
    http_story_compare(&whole, &other);
    http_story_run(&other, HTTP_2, server, HTTP_STORY_MIXED, in);
    return 0;
}
