// json: what is refused that a common parser takes (T06), typed access, and the form of what is
// written.
#include "proto/text/json.h"

#include "proto/err.h"
#include "tests/unit/unit.h"

static struct arena arena;
static struct buf out;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 21);
    buf_init(&out, 1 << 16);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    buf_fini(&out);
    return 0;
}

static void refuses_what_is_not_strict_json(void **state)
{
    (void)state;
    static const struct slice bad[] = {
        SLICE_LIT(""),
        SLICE_LIT(" "),
        SLICE_LIT("{"),
        SLICE_LIT("{}{}"),
        SLICE_LIT("{} x"),
        SLICE_LIT("{}\0"),
        SLICE_LIT("[1,]"),
        SLICE_LIT("{\"a\":1,}"),
        SLICE_LIT("{'a':1}"),
        SLICE_LIT("{a:1}"),
        SLICE_LIT("// c\n{}"),
        SLICE_LIT("/* */{}"),
        SLICE_LIT("[01]"),
        SLICE_LIT("[+1]"),
        SLICE_LIT("[.5]"),
        SLICE_LIT("[1.]"),
        SLICE_LIT("[0x1]"),
        SLICE_LIT("[NaN]"),
        SLICE_LIT("[Infinity]"),
        SLICE_LIT("[-]"),
        SLICE_LIT("[1e]"),
        SLICE_LIT("[1e999]"),
        SLICE_LIT("[\"\\x41\"]"),
        SLICE_LIT("[\"\\ud800\"]"),
        SLICE_LIT("[\"\\udc00\\ud800\"]"),
        SLICE_LIT("[\"\\u12\"]"),
        SLICE_LIT("[\"a\nb\"]"),
        SLICE_LIT("[\"\0\"]"),
        SLICE_LIT("[\"\xff\"]"),
        SLICE_LIT("[\"\xc0\x80\"]"),
        SLICE_LIT("[\"\xed\xa0\x80\"]"),
        SLICE_LIT("\xef\xbb\xbf{}"),
        SLICE_LIT("[True]"),
        SLICE_LIT("[nul]"),
        SLICE_LIT("{\"a\"}"),
        SLICE_LIT("{\"a\":}"),
        SLICE_LIT("{1:2}"),
        SLICE_LIT("[1 2]"),
        SLICE_LIT("\"abc"),
        SLICE_LIT("\xfe\xff\0{\0}"),
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct json j = {&j};
        struct err e = json_parse(&j, &arena, bad[i]);
        if (!err_is(e, ERR_BAD_JSON))
            print_error("case %zu: %" SLICE_FMT "\n", i, SLICE_ARG(bad[i]));
        assert_err(e, ERR_BAD_JSON);
        assert_ptr_equal(j.v, &j);
    }
}

static void refuses_a_member_twice(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"a\":1,\"a\":1}",       "{\"a\":1,\"b\":2,\"a\":3}",
        "{\"a\":1,\"\\u0061\":2}", "[{\"x\":{\"k\":1,\"k\":2}}]",
        "{\"\":1,\"\":2}",         "{\"a\":{},\"b\":[{\"c\":0,\"c\":0}]}",
    };
    static const char *const good[] = {"{\"a\":1,\"A\":1}", "{\"a\":{\"a\":{\"a\":1}}}",
                                       "[{\"a\":1},{\"a\":1}]", "{\"a\":1,\"a\\u0000\":1}"};
    struct json j;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_err(json_parse(&j, &arena, slice_str(bad[i])), ERR_JSON_DUPLICATE);
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_ok(json_parse(&j, &arena, slice_str(good[i])));
}

// many_members writes an object of `count` members, the last of which repeats number `twin` (or is
// new when that is `count`).
static struct slice many_members(unsigned count, unsigned twin)
{
    buf_clear(&out);
    assert_ok(buf_add_str(&out, "{"));
    for (unsigned i = 0; i < count; i++) assert_ok(buf_printf(&out, "\"m%u\":%u,", i, i));
    assert_ok(buf_printf(&out, "\"m%u\":0}", twin));
    return buf_slice(&out);
}

static void finds_twins_among_many(void **state)
{
    (void)state;
    struct json j;
    for (unsigned count = 1; count < 60; count++) {
        for (unsigned twin = 0; twin < count; twin++) {
            arena_reset(&arena);
            assert_err(json_parse(&j, &arena, many_members(count, twin)), ERR_JSON_DUPLICATE);
        }
        assert_ok(json_parse(&j, &arena, many_members(count, count)));
        assert_int_equal(json_size(j), count + 1);
    }
}

static struct slice nested(size_t depth)
{
    buf_clear(&out);
    for (size_t i = 0; i < depth; i++) assert_ok(buf_add_str(&out, i % 2 == 0 ? "[" : "{\"a\":"));
    assert_ok(buf_add_str(&out, "1"));
    for (size_t i = depth; i-- > 0;) assert_ok(buf_add_str(&out, i % 2 == 0 ? "]" : "}"));
    return buf_slice(&out);
}

static void bounds_depth_and_count(void **state)
{
    (void)state;
    struct json j;
    arena_reset(&arena);
    assert_ok(json_parse(&j, &arena, nested(JSON_DEPTH_MAX)));
    assert_err(json_parse(&j, &arena, nested(JSON_DEPTH_MAX + 1)), ERR_JSON_TOO_DEEP);
    assert_err(json_parse(&j, &arena, nested(2000)), ERR_JSON_TOO_DEEP);
    buf_clear(&out);
    assert_ok(buf_add_str(&out, "[0"));
    for (int i = 0; i < JSON_VALUE_COUNT_MAX - 2; i++) assert_ok(buf_add_str(&out, ",0"));
    assert_ok(buf_add_str(&out, "]"));
    assert_ok(json_parse(&j, &arena, buf_slice(&out)));
    assert_int_equal(json_size(j), JSON_VALUE_COUNT_MAX - 1);
    buf_clear(&out);
    for (int i = 0; i < JSON_VALUE_COUNT_MAX; i++) assert_ok(buf_add_str(&out, "["));
    assert_err(json_parse(&j, &arena, buf_slice(&out)), ERR_JSON_TOO_LARGE);
}

static void says_so_when_the_arena_is_full(void **state)
{
    (void)state;
    struct arena small;
    struct json j;
    for (size_t ceiling = 0; ceiling < 2048; ceiling += 16) {
        arena_init(&small, ceiling);
        struct err e = json_parse(
            &j, &small,
            SLICE_LIT(
                "{\"a\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20],\"b\":\"text\"}"));
        if (failed(e))
            assert_err(e, ERR_NO_SPACE);
        else
            assert_true(ceiling > 64);
        arena_fini(&small);
    }
}

// What a document keeps: its text and 16 bytes per value, whatever was set aside for reading it.
static void keeps_no_more_than_it_needs(void **state)
{
    (void)state;
    struct arena own;
    struct json j;
    buf_clear(&out);
    assert_ok(buf_add_str(&out, "[\""));
    for (int i = 0; i < 30000; i++) assert_ok(buf_add_str(&out, "x"));
    assert_ok(buf_add_str(&out, "\",1]"));
    arena_init(&own, 1 << 20);
    assert_ok(json_parse(&j, &own, buf_slice(&out)));
    assert_in_range(own.used, 30000, 30000 + 256);
    arena_reset(&own);
    buf_clear(&out);
    assert_ok(buf_add_str(&out, "{\"0\":0"));
    for (int i = 1; i < 2000; i++) assert_ok(buf_printf(&out, ",\"%x\":0", (unsigned)i));
    assert_ok(buf_add_str(&out, "}"));
    assert_ok(json_parse(&j, &own, buf_slice(&out)));
    assert_in_range(own.used, 16 * 4001, 16 * 4001 + buf_len(&out) + 256);
    arena_fini(&own);
}

static void reads_typed_values(void **state)
{
    (void)state;
    struct json j;
    struct slice s;
    int64_t n;
    bool b;
    arena_reset(&arena);
    assert_ok(json_parse(
        &j, &arena,
        SLICE_LIT(" {\"s\":\"a\\u0000\\\"\\/"
                  "\\n\\u00e9\",\"i\":-42,\"max\":9223372036854775807,\"over\":9223372036854775808,"
                  "\"f\":1.0,\"t\":true,\"n\":null,\"a\":[\"x\",\"y\"],\"o\":{}} \r\n\t")));
    assert_true(json_is_object(j));
    assert_int_equal(json_size(j), 9);
    assert_ok(json_string(json_get(j, "s"), &s));
    assert_slice(s, SLICE_LIT("a\0\"/\n\xc3\xa9"));
    assert_ok(json_int(json_get(j, "i"), &n));
    assert_int_equal(n, -42);
    assert_ok(json_int(json_get(j, "max"), &n));
    assert_true(n == INT64_MAX);
    assert_err(json_int(json_get(j, "over"), &n), ERR_BAD_JSON);
    assert_err(json_int(json_get(j, "f"), &n), ERR_BAD_JSON);
    assert_ok(json_bool(json_get(j, "t"), &b));
    assert_true(b);
    assert_err(json_bool(json_get(j, "n"), &b), ERR_BAD_JSON);
    assert_err(json_string(json_get(j, "i"), &s), ERR_BAD_JSON);
    assert_true(json_present(json_get(j, "n")));
    assert_false(json_present(json_get(j, "absent")));
    assert_err(json_string(json_get(j, "absent"), &s), ERR_BAD_JSON);
    assert_ok(json_string(json_at(json_get(j, "a"), 1), &s));
    assert_slice_str(s, "y");
    assert_false(json_present(json_at(json_get(j, "a"), 2)));
    assert_false(json_present(json_at(j, 0)));
    assert_false(json_present(json_get(json_get(j, "a"), "x")));
    assert_true(json_is_array(json_get(j, "a")));
    assert_int_equal(json_size(json_get(j, "s")), 0);
}

static void walks_members_in_order(void **state)
{
    (void)state;
    struct json j;
    struct slice name = SLICE_NONE;
    int64_t n;
    arena_reset(&arena);
    assert_ok(json_parse(&j, &arena, SLICE_LIT("{\"z\":[1,[2]],\"a\":7}")));
    assert_true(json_is_array(json_member(j, 0, &name)));
    assert_slice_str(name, "z");
    assert_ok(json_int(json_member(j, 1, &name), &n));
    assert_slice_str(name, "a");
    assert_int_equal(n, 7);
    assert_false(json_present(json_member(j, 2, &name)));
    assert_false(json_present(json_member(json_get(j, "a"), 0, &name)));
}

static void writes_compact_json(void **state)
{
    (void)state;
    struct json_out o;
    buf_clear(&out);
    json_out_begin(&o, &out);
    json_object_begin(&o);
    json_key(&o, "url");
    json_put_str(&o, "https://a/b");
    json_key(&o, "list");
    json_array_begin(&o);
    json_put_int(&o, INT64_MIN);
    json_put_bool(&o, true);
    json_put_null(&o);
    json_object_begin(&o);
    json_object_end(&o);
    json_array_begin(&o);
    json_array_end(&o);
    json_put_raw(&o, SLICE_LIT("{\"r\":1}"));
    json_array_end(&o);
    json_key(&o, "last");
    json_put_bool(&o, false);
    json_object_end(&o);
    assert_ok(json_out_end(&o));
    assert_slice_str(
        buf_slice(&out),
        "{\"url\":\"https://a/"
        "b\",\"list\":[-9223372036854775808,true,null,{},[],{\"r\":1}],\"last\":false}");
}

static struct slice written(struct slice s)
{
    struct json_out o;
    buf_clear(&out);
    json_out_begin(&o, &out);
    json_put_string(&o, s);
    assert_ok(json_out_end(&o));
    return buf_slice(&out);
}

static void escapes_as_little_as_it_may(void **state)
{
    (void)state;
    assert_slice_str(written(SLICE_LIT("a/b<>&'\x7f\xc3\xa9\xf0\x9f\x94\x91")),
                     "\"a/b<>&'\x7f\xc3\xa9\xf0\x9f\x94\x91\"");
    assert_slice_str(written(SLICE_LIT("\"\\\b\f\n\r\t\0\x1f")),
                     "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\"");
    assert_slice_str(written(SLICE_LIT("")), "\"\"");
    assert_slice_str(written(SLICE_LIT("a\xff\xc3")), "\"a\xef\xbf\xbd\xef\xbf\xbd\"");
    assert_slice_str(written(SLICE_LIT("\xed\xa0\x80z")),
                     "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"");
    assert_slice_str(written(SLICE_LIT("\xc3\"")), "\"\xef\xbf\xbd\\\"\"");
}

static void reads_back_every_string_it_writes(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 0x3000; c++) {
        uint8_t text[3] = {(uint8_t)(0xe0 | c >> 12), (uint8_t)(0x80 | (c >> 6 & 63)),
                           (uint8_t)(0x80 | (c & 63))};
        struct slice s = c < 0x80 ? slice_of(&(uint8_t){(uint8_t)c}, 1) : slice_of(text, 3), again;
        if (c >= 0x80 && c < 0x800) continue;
        struct json j;
        arena_reset(&arena);
        assert_ok(json_parse(&j, &arena, written(s)));
        assert_ok(json_string(j, &again));
        assert_slice(again, s);
    }
}

static void keeps_the_first_error(void **state)
{
    (void)state;
    struct buf small;
    struct json_out o;
    buf_init(&small, 8);
    json_out_begin(&o, &small);
    json_array_begin(&o);
    json_put_str(&o, "longer than that");
    json_put_int(&o, 1);
    json_array_end(&o);
    assert_err(json_out_end(&o), ERR_NO_SPACE);
    buf_fini(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_not_strict_json),
        cmocka_unit_test(refuses_a_member_twice),
        cmocka_unit_test(finds_twins_among_many),
        cmocka_unit_test(bounds_depth_and_count),
        cmocka_unit_test(says_so_when_the_arena_is_full),
        cmocka_unit_test(keeps_no_more_than_it_needs),
        cmocka_unit_test(reads_typed_values),
        cmocka_unit_test(walks_members_in_order),
        cmocka_unit_test(writes_compact_json),
        cmocka_unit_test(escapes_as_little_as_it_may),
        cmocka_unit_test(reads_back_every_string_it_writes),
        cmocka_unit_test(keeps_the_first_error),
    };
    proto_err_register();
    return cmocka_run_group_tests(tests, setup, teardown);
}
