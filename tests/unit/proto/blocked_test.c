// blocked: a list is read line by line, a bad line is named, and what is on the list is found.
#include "proto/der/blocked.h"

#include <openssl/sha.h>
#include <stdio.h>

#include "proto/err.h"
#include "tests/unit/unit.h"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 16 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

#define DIGEST_A "CA978112CA1BBDCAFAC231B39A23DC4DA786EFF8147C4E72B9807785AFEE48BB" // of "a"
#define DIGEST_B "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d" // of "b"

static void keys_on_the_list_are_found(void **state)
{
    (void)state;
    static const char *const texts[] = {
        DIGEST_A "\n" DIGEST_B "\n",
        DIGEST_B "\r\n" DIGEST_A,
        "# Debian\n\n" DIGEST_A " ssl-cert-snakeoil 2008\n" DIGEST_B "\tb\n" DIGEST_B "\n#",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct blocked_keys b = {0};
        const char *note = NULL;
        assert_ok(blocked_keys_parse(&b, &note, &arena, slice_str(texts[i])));
        assert_true(blocked_keys_has(&b, SLICE_LIT("a")));
        assert_true(blocked_keys_has(&b, SLICE_LIT("b")));
        assert_false(blocked_keys_has(&b, SLICE_LIT("c")));
        assert_false(blocked_keys_has(&b, SLICE_NONE));
    }
    struct blocked_keys none = {0};
    const char *note = NULL;
    assert_false(blocked_keys_has(&none, SLICE_LIT("a")));
    assert_ok(blocked_keys_parse(&none, &note, &arena, SLICE_LIT("# nothing\n")));
    assert_false(blocked_keys_has(&none, SLICE_LIT("a")));
}

static void a_bad_line_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *note;
    } rows[] = {
        {"x", "line 1: expected"},
        {DIGEST_A "\n\n#\n" DIGEST_B "0\n", "line 4: expected"},
        {" " DIGEST_A, "line 1: expected"},
        {DIGEST_A ",", "line 1: expected"},
        {"0x" DIGEST_A, "line 1: expected"},
        {"ga978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb", "line 1: expected"},
        {"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48b", "line 1: expected"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct blocked_keys b = {.count = 77};
        const char *note = "";
        assert_err(blocked_keys_parse(&b, &note, &arena, slice_str(rows[i].text)),
                   ERR_BAD_BLOCK_LIST);
        if (strncmp(note, rows[i].note, strlen(rows[i].note)) != 0)
            fail_msg("row %zu: %s", i, note);
        assert_int_equal(b.count, 77);
    }
}

// Every one of many is found, whatever their order.
static void many_keys_are_found(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    char *text = arena_alloc(&arena, COUNT * 65 + 1);
    size_t at = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        uint8_t d[SHA256_DIGEST_LENGTH];
        SHA256((const uint8_t *)&i, sizeof i, d);
        for (size_t k = 0; k < sizeof d; k++) at += (size_t)sprintf(text + at, "%02x", d[k]);
        text[at++] = '\n';
    }
    struct blocked_keys b;
    const char *note;
    assert_ok(blocked_keys_parse(&b, &note, &arena, slice_of(text, at)));
    assert_int_equal(b.count, COUNT);
    for (uint32_t i = 0; i < 2 * COUNT; i++)
        assert_int_equal(blocked_keys_has(&b, slice_of(&i, sizeof i)), i < COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_on_the_list_are_found),
        cmocka_unit_test(a_bad_line_is_named),
        cmocka_unit_test(many_keys_are_found),
    };
    proto_err_register();
    return cmocka_run_group_tests(tests, setup, teardown);
}
