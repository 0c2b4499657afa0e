// pem: round trips, several blocks, and what is refused.
#include "proto/der/pem.h"

#include "proto/err.h"
#include "tests/unit/unit.h"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 22);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static void writes_lines_of_64(void **state)
{
    (void)state;
    struct buf b;
    uint8_t der[50];
    memset(der, 0xff, sizeof der);
    buf_init(&b, 4096);
    assert_ok(pem_encode(&b, "CERTIFICATE", slice_of(der, 48)));
    assert_ok(pem_encode(&b, "X", slice_of(der, 50)));
    assert_slice_str(buf_slice(&b),
                     "-----BEGIN CERTIFICATE-----\n"
                     "////////////////////////////////////////////////////////////////\n"
                     "-----END CERTIFICATE-----\n"
                     "-----BEGIN X-----\n"
                     "////////////////////////////////////////////////////////////////\n"
                     "//8=\n"
                     "-----END X-----\n");
    buf_fini(&b);
}

static void reads_back_every_length(void **state)
{
    (void)state;
    uint8_t der[300];
    for (size_t i = 0; i < sizeof der; i++) der[i] = (uint8_t)(i * 7);
    for (size_t n = 1; n <= sizeof der; n++) {
        struct buf b;
        struct pem_block block;
        arena_reset(&arena);
        buf_init(&b, 4096);
        assert_ok(pem_encode(&b, "A B", slice_of(der, n)));
        struct slice text = buf_slice(&b);
        assert_ok(pem_next(&block, &arena, &text));
        assert_slice_str(block.label, "A B");
        assert_slice(block.der, slice_of(der, n));
        assert_int_equal(text.n, 0);
        assert_ok(pem_next(&block, &arena, &text));
        assert_int_equal(block.label.n, 0);
        buf_fini(&b);
    }
}

static void reads_one_block_after_the_other(void **state)
{
    (void)state;
    struct pem_block block;
    struct slice text = SLICE_LIT("subject=CN = x\r\n-----BEGIN ONE-----\r\nZm\r\n9v\t "
                                  "\r\n\r\n-----END ONE-----  \r\nbetween\n"
                                  "-----BEGIN TWO-----\nYmFy\n-----END TWO-----");
    assert_ok(pem_next(&block, &arena, &text));
    assert_slice_str(block.label, "ONE");
    assert_slice_str(block.der, "foo");
    assert_ok(pem_next(&block, &arena, &text));
    assert_slice_str(block.label, "TWO");
    assert_slice_str(block.der, "bar");
    assert_ok(pem_next(&block, &arena, &text));
    assert_int_equal(block.label.n, 0);
    assert_int_equal(block.der.n, 0);
}

static void finds_nothing_where_nothing_is(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "\n\n",
                                        "text",
                                        "-----BEGIN -----\n",
                                        "----BEGIN X-----\nZg==\n----END X-----\n",
                                        " -----BEGIN X-----\nZg==\n -----END X-----\n",
                                        "-----BEGIN X----\n",
                                        "-----END X-----\n"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct slice text = slice_str(texts[i]);
        struct pem_block block = {.label = SLICE_LIT("?")};
        assert_ok(pem_next(&block, &arena, &text));
        assert_int_equal(block.label.n, 0);
        assert_int_equal(text.n, 0);
    }
}

static void refuses_malformed_blocks(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "-----BEGIN X-----\nZm9v\n",
        "-----BEGIN X-----\nZm9v\n-----END Y-----\n",
        "-----BEGIN X-----\n-----END X-----\n",
        "-----BEGIN X-----\nZm9\n-----END X-----\n",
        "-----BEGIN X-----\nZm9v=\n-----END X-----\n",
        "-----BEGIN X-----\nZg==Zg==\n-----END X-----\n",
        "-----BEGIN X-----\nZm-_\n-----END X-----\n",
        "-----BEGIN X-----\nZ m9v\n-----END X-----\n",
        "-----BEGIN X-----\nProc-Type: 4,ENCRYPTED\n\nZm9v\n-----END X-----\n",
        "-----BEGIN X-----\n-----BEGIN X-----\nZm9v\n-----END X-----\n",
        "-----BEGIN X-----\nZm9v-----END X-----\n",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct slice text = slice_str(bad[i]);
        struct pem_block block = {.label = SLICE_LIT("?")};
        struct err e = pem_next(&block, &arena, &text);
        if (!failed(e)) print_error("%s\n", bad[i]);
        assert_err(e, ERR_BAD_PEM);
        assert_slice_str(block.label, "?");
        assert_slice_str(text, bad[i]);
    }
}

static void respects_ceilings(void **state)
{
    (void)state;
    struct buf b;
    struct arena small;
    struct pem_block block;
    struct slice text = SLICE_LIT("-----BEGIN X-----\nZm9vZm9vZm9vZm9vZm9v\n-----END X-----\n");
    buf_init(&b, 30);
    assert_err(pem_encode(&b, "CERTIFICATE", SLICE_LIT("foo")), ERR_NO_SPACE);
    assert_int_equal(buf_len(&b), 0);
    buf_fini(&b);
    arena_init(&small, 32);
    assert_err(pem_next(&block, &small, &text), ERR_NO_SPACE);
    arena_fini(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_lines_of_64),
        cmocka_unit_test(reads_back_every_length),
        cmocka_unit_test(reads_one_block_after_the_other),
        cmocka_unit_test(finds_nothing_where_nothing_is),
        cmocka_unit_test(refuses_malformed_blocks),
        cmocka_unit_test(respects_ceilings),
    };
    proto_err_register();
    return cmocka_run_group_tests(tests, setup, teardown);
}
