// The HTTP/1.1 sessions (proto/http/h1.c) on any bytes, as a server that gets them as requests and
// as a client that gets them as the answer to one GET. Oracle: fed whole and in pieces they tell
// the same story, byte for byte; every message keeps to the limits, and so does memory.
#include "tests/fuzz/http_story.h"

static void role_check(bool server, struct slice in)
{
    static struct http_story whole, other;
    http_story_run(&whole, HTTP_1_1, server, HTTP_STORY_WHOLE, in);
    http_story_run(&other, HTTP_1_1, server, HTTP_STORY_SPLIT, in);
    http_story_compare(&whole, &other);
    http_story_run(&other, HTTP_1_1, server, HTTP_STORY_MIXED, in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    role_check(true, slice_of(data, size));
    role_check(false, slice_of(data, size));
    return 0;
}
