// grpc_frame: prefixes, percent-encoding and timeouts, there and back, and what is refused.
#include "proto/grpc/frame.h"

#include "proto/err.h"
#include "tests/unit/unit.h"

static void a_frame_comes_back(void **state)
{
    (void)state;
    struct buf b;
    struct slice out;
    buf_init(&b, 1024);
    assert_ok(grpc_frame_write(&b, SLICE_LIT("message")));
    assert_ok(grpc_frame_read(&out, buf_slice(&b), 7));
    assert_slice_str(out, "message");
    assert_err(grpc_frame_read(&out, buf_slice(&b), 6), ERR_GRPC_FRAME);
    assert_err(grpc_frame_read(&out, slice_sub(buf_slice(&b), 0, 11), 100), ERR_GRPC_FRAME);
    assert_err(grpc_frame_read(&out, slice_sub(buf_slice(&b), 0, 4), 100), ERR_GRPC_FRAME);
    assert_ok(buf_add_str(&b, "x"));
    assert_err(grpc_frame_read(&out, buf_slice(&b), 100), ERR_GRPC_FRAME);
    assert_err(grpc_frame_read(&out, slice_of("\1\0\0\0\0", 5), 100), ERR_GRPC_FRAME);
    assert_ok(grpc_frame_read(&out, slice_of("\0\0\0\0\0", 5), 100));
    assert_int_equal(out.n, 0);
    buf_fini(&b);
}

static void texts_come_back(void **state)
{
    (void)state;
    struct buf b;
    struct arena a;
    struct slice out, text = SLICE_LIT("100 % \xc3\xa4\n\x01~");
    buf_init(&b, 1024);
    arena_init(&a, 1024);
    assert_ok(grpc_message_encode(&b, text));
    assert_slice_str(buf_slice(&b), "100 %25 %C3%A4%0A%01~");
    assert_ok(grpc_message_decode(&out, &a, buf_slice(&b)));
    assert_slice(out, text);
    assert_ok(grpc_message_decode(&out, &a, SLICE_LIT("%zz%4%")));
    assert_slice_str(out, "%zz%4%");
    buf_fini(&b);
    arena_fini(&a);
}

static void timeouts_are_read_in_every_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"1H", 3600000}, {"2M", 120000}, {"3S", 3000}, {"99999999m", 99999999},
                {"1u", 1},       {"1000u", 1},   {"1001u", 2}, {"1n", 1},
                {"0m", 0}};
    static const char *const bad[] = {"", "m", "1", "1x", "-1m", "123456789m", "1 m", "m1"};
    uint64_t ms;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_ok(grpc_timeout_parse(&ms, slice_str(good[i].text)));
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_err(grpc_timeout_parse(&ms, slice_str(bad[i])), ERR_GRPC_FRAME);
    char text[GRPC_TIMEOUT_TEXT_MAX];
    for (uint64_t want = 1; want < UINT64_MAX / 20; want *= 17) {
        grpc_timeout_format(text, want);
        assert_ok(grpc_timeout_parse(&ms, slice_str(text)));
        assert_true(want <= 99999999 ? ms == want : ms <= want);
    }
}

int main(void)
{
    proto_err_register();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_comes_back),
        cmocka_unit_test(texts_come_back),
        cmocka_unit_test(timeouts_are_read_in_every_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
