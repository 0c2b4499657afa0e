// grpc_frame_read and _write, grpc_message_encode and _decode, and grpc timeouts on any bytes.
// Oracle: what is read is written as the same bytes, and no other split of them is a frame; any
// bytes as message or status text come back as they were.
#include "proto/err.h"
#include "proto/grpc/frame.h"
#include "tests/fuzz/fuzz.h"

// cut_check: a frame that lacks bytes, has too many or is over the limit is refused.
static void cut_check(struct slice body, struct slice message)
{
    struct slice out = SLICE_NONE;
    for (size_t n = 0; n < body.n; n += 1 + n / 4)
        CHECK(err_is(grpc_frame_read(&out, slice_sub(body, 0, n), SIZE_MAX), ERR_GRPC_FRAME));
    if (message.n > 0) CHECK(err_is(grpc_frame_read(&out, body, message.n - 1), ERR_GRPC_FRAME));
    CHECK(!failed(grpc_frame_read(&out, body, message.n)) && slice_eq(out, message));
}

static void frame_check(struct slice in)
{
    struct slice message;
    struct buf out;
    buf_init(&out, in.n + GRPC_PREFIX_LEN);
    struct err err = grpc_frame_read(&message, in, SIZE_MAX);
    if (failed(err)) {
        CHECK(err_is(err, ERR_GRPC_FRAME));
    } else {
        CHECK(!failed(grpc_frame_write(&out, message)) && slice_eq(buf_slice(&out), in));
        cut_check(in, message);
        buf_clear(&out);
    }
    CHECK(!failed(grpc_frame_write(&out, in)));
    CHECK(!failed(grpc_frame_read(&message, buf_slice(&out), in.n)) && slice_eq(message, in));
    cut_check(buf_slice(&out), in);
    CHECK(err_is(grpc_frame_write(&out, in), ERR_NO_SPACE));
    CHECK(buf_len(&out) == in.n + GRPC_PREFIX_LEN);
    buf_fini(&out);
}

static void text_check(struct arena *a, struct slice in)
{
    struct buf out;
    struct slice once, again;
    buf_init(&out, 3 * in.n + 1); // room for printf's NUL
    CHECK(!failed(grpc_message_encode(&out, in)));
    for (size_t i = 0; i < buf_len(&out); i++)
        CHECK(buf_slice(&out).p[i] >= 0x20 && buf_slice(&out).p[i] <= 0x7e);
    CHECK(!failed(grpc_message_decode(&once, a, buf_slice(&out))) && slice_eq(once, in));
    CHECK(!failed(grpc_message_decode(&once, a, in)) && once.n <= in.n);
    buf_clear(&out);
    CHECK(!failed(grpc_message_encode(&out, once)));
    CHECK(!failed(grpc_message_decode(&again, a, buf_slice(&out))) && slice_eq(again, once));
    buf_fini(&out);
}

// timeout_check: eight digits hold 27 hours in milliseconds exactly, and longer in whole seconds.
static void timeout_check(struct slice in)
{
    char text[GRPC_TIMEOUT_TEXT_MAX];
    uint64_t ms, again;
    if (failed(grpc_timeout_parse(&ms, in))) return;
    CHECK(ms <= (uint64_t)99999999 * 3600000);
    grpc_timeout_format(text, ms);
    CHECK(!failed(grpc_timeout_parse(&again, slice_str(text))) && again <= ms);
    if (ms <= 99999999) CHECK(again == ms);
    if (ms / 1000 <= 99999999) CHECK(ms - again < 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct slice in = slice_of(data, size);
    arena_init(&a, 64 * 1024 + 8 * size);
    frame_check(in);
    text_check(&a, in);
    timeout_check(in);
    arena_fini(&a);
    return 0;
}
