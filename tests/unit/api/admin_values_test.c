// admin values: parameters of admin operations from text and from JSON: what is taken, and a
// sentence that names the parameter for what is not.
#include <stdlib.h>
#include <string.h>

#include "api/admin/admin.h"
#include "api/admin/openapi.h"
#include "cluster/core/clock.h"
#include "proto/err.h"
#include "tests/unit/unit.h"

static const struct admin_param params[] = {
    {"text", ADMIN_TEXT, ADMIN_BODY, true, .help = "a text"},
    {"choice", ADMIN_TEXT, ADMIN_BODY, .help = "", .choice = "one|two"},
    {"number", ADMIN_INT, ADMIN_BODY, .help = "", .min = 1, .max = 10},
    {"flag", ADMIN_BOOL, ADMIN_BODY, .help = ""},
    {"time", ADMIN_TIME, ADMIN_BODY, .help = ""},
    {"span", ADMIN_DURATION, ADMIN_BODY, .help = ""},
    {"texts", ADMIN_TEXTS, ADMIN_BODY, .help = "", .choice = "a|b|c"},
    {"many", ADMIN_MANY, ADMIN_BODY, .help = ""},
    {"lines", ADMIN_LINES, ADMIN_BODY, .help = ""},
    {0}};
static const struct admin_operation operation = {.params = params};
static struct arena a;

static struct admin_call *fresh(void)
{
    arena_reset(&a);
    struct admin_call *c = admin_call_new(NULL, &a, &operation, "test");
    assert_non_null(c);
    return c;
}

static const char *text(struct admin_call *c, const char *name, const char *value)
{
    return admin_take_text(c, admin_param_find(&operation, slice_str(name)), slice_str(value));
}

static const char *json(struct admin_call *c, const char *name, const char *value)
{
    struct json j;
    const char *whole = arena_printf(&a, "{\"v\":%s}", value);
    assert_ok(json_parse(&j, &a, slice_str(whole)));
    return admin_take_json(c, admin_param_find(&operation, slice_str(name)), json_get(j, "v"));
}

static void texts_are_read_by_their_types(void **state)
{
    (void)state;
    struct admin_call *c = fresh();
    assert_null(text(c, "text", "hello"));
    assert_slice_str(admin_value(c, "text")->text, "hello");
    assert_null(text(c, "choice", "two"));
    assert_null(text(c, "number", "10"));
    assert_int_equal(admin_value(c, "number")->number, 10);
    assert_null(text(c, "flag", "true"));
    assert_true(admin_value(c, "flag")->flag);
    assert_null(text(c, "time", "2027-01-31T00:00:01Z"));
    assert_int_equal(admin_value(c, "time")->number, INT64_C(1801353601000000));
    assert_null(text(c, "span", "90m"));
    assert_int_equal(admin_value(c, "span")->number, 5400000);
    assert_null(text(c, "texts", "a,b"));
    assert_null(text(c, "texts", "c")); // given again: added
    assert_int_equal(admin_value(c, "texts")->count, 3);
    assert_slice_str(admin_value(c, "texts")->texts[1], "b");
    assert_null(text(c, "lines", "1\n2\n"));
    assert_null(admin_missing(c));
    c = fresh();
    assert_null(text(c, "time", "never"));
    assert_true(admin_has(c, "time"));
    assert_int_equal(admin_value(c, "time")->number, 0);
    assert_null(text(c, "texts", ""));
    assert_true(admin_has(c, "texts"));
    assert_int_equal(admin_value(c, "texts")->count, 0);
    assert_non_null(strstr(admin_missing(c), "\"text\" is missing"));
}

static void what_does_not_fit_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
    } rows[] = {{"choice", "three"},
                {"choice", "one|two"},
                {"choice", ""},
                {"number", "0"},
                {"number", "11"},
                {"number", "1x"},
                {"number", "-1"},
                {"number", ""},
                {"number", " 1"},
                {"number", "99999999999999999999999999"},
                {"flag", "yes"},
                {"time", "2027-01-31"},
                {"time", "2027-13-01T00:00:00Z"},
                {"time", "2027-01-31T00:00:00+01:00"},
                {"time", "2027-01-31T00:00:00Zx"},
                {"time", "5"},
                {"span", "10"},
                {"span", "10y"},
                {"span", "-1h"},
                {"span", "h"},
                {"span", "99999999999d"},
                {"texts", "a,x"},
                {"texts", "a,,b"},
                {"text", "a\nb"},
                {"text", "a\x7f"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct admin_call *c = fresh();
        const char *wrong = text(c, rows[i].name, rows[i].value);
        if (wrong == NULL) fail_msg("%s took \"%s\"", rows[i].name, rows[i].value);
        assert_non_null(strstr(wrong, arena_printf(&a, "\"%s\"", rows[i].name)));
    }
    struct admin_call *c = fresh();
    assert_null(text(c, "number", "1"));
    assert_non_null(strstr(text(c, "number", "1"), "twice"));
    char *longest = malloc(ADMIN_TEXT_MAX + 2);
    memset(longest, 'a', ADMIN_TEXT_MAX + 1);
    longest[ADMIN_TEXT_MAX + 1] = 0;
    assert_non_null(text(c, "text", longest));
    c = fresh();
    longest[ADMIN_TEXT_MAX] = 0;
    assert_null(text(c, "text", longest));
    free(longest);
    c = fresh();
    for (int i = 0; i < ADMIN_LIST_MAX; i++) assert_null(text(c, "texts", "a"));
    assert_non_null(text(c, "texts", "a"));
}

static void json_is_read_by_its_types(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        bool good;
    } rows[] = {{"text", "\"x\"", true},
                {"text", "1", false},
                {"text", "null", false},
                {"number", "7", true},
                {"number", "\"7\"", false},
                {"number", "11", false},
                {"number", "7.5", false},
                {"flag", "false", true},
                {"flag", "\"true\"", false},
                {"time", "\"never\"", true},
                {"time", "5", false},
                {"texts", "[]", true},
                {"texts", "[\"a\",\"b\"]", true},
                {"texts", "\"a\"", false},
                {"texts", "[1]", false},
                {"texts", "[\"x\"]", false},
                {"many", "[\"x\",\"y\"]", true},
                {"many", "[\"x\\ny\"]", false},
                {"many", "[1]", false},
                {"many", "\"x\"", false}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct admin_call *c = fresh();
        const char *wrong = json(c, rows[i].name, rows[i].value);
        if ((wrong == NULL) != rows[i].good)
            fail_msg("%s of %s: %s", rows[i].name, rows[i].value, wrong == NULL ? "taken" : wrong);
    }
    struct admin_call *c = fresh();
    assert_null(json(c, "many", "[\"x\",\"y\"]"));
    struct slice rest = admin_value(c, "many")->text, line;
    assert_true(admin_line_next(&line, &rest));
    assert_slice_str(line, "x");
    assert_true(admin_line_next(&line, &rest));
    assert_slice_str(line, "y");
    assert_false(admin_line_next(&line, &rest));
}

// The table: every operation has what the doors need of it.
static void every_row_of_the_table_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < admin_operation_count; i++) {
        const struct admin_operation *op = &admin_operations[i];
        size_t stars = 0, in_path = 0, count = 0;
        assert_true(strcmp(op->method, "GET") == 0 || strcmp(op->method, "POST") == 0);
        assert_true(strncmp(op->path, "/v1/", 4) == 0);
        assert_true(op->status == 200 || op->status == 201);
        assert_non_null(op->run);
        for (const char *at = op->path; *at != 0; at++) stars += *at == '*';
        for (const struct admin_param *p = op->params; p->name != NULL; p++, count++) {
            in_path += p->in == ADMIN_PATH;
            assert_non_null(p->help);
            if (p->type != ADMIN_BOOL) assert_non_null(p->value);
            assert_true(strcmp(op->method, "POST") == 0 || p->in != ADMIN_BODY);
            assert_true(p->in != ADMIN_PATH || p->required);
        }
        assert_int_equal(stars, in_path);
        assert_true(stars <= 2 && count <= ADMIN_PARAMS_MAX);
        assert_int_equal((op->flags & ADMIN_CHANGES) != 0, strcmp(op->method, "POST") == 0);
        for (size_t k = 0; k < i; k++) // one way each
            assert_false(strcmp(op->noun, admin_operations[k].noun) == 0 &&
                         strcmp(op->verb, admin_operations[k].verb) == 0);
    }
}

static void the_document_is_json_and_bounded(void **state)
{
    (void)state;
    struct buf out, small;
    struct json j;
    arena_reset(&a);
    buf_init(&out, 1 << 20);
    assert_ok(admin_openapi_write(&out));
    assert_ok(json_parse_large(&j, &a, buf_slice(&out), 100000));
    assert_int_equal(json_size(json_get(json_get(j, "components"), "schemas")) > 5, true);
    buf_init(&small, 1000);
    assert_err(admin_openapi_write(&small), ERR_NO_SPACE);
    buf_fini(&small);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_read_by_their_types),
        cmocka_unit_test(what_does_not_fit_is_named),
        cmocka_unit_test(json_is_read_by_its_types),
        cmocka_unit_test(every_row_of_the_table_is_whole),
        cmocka_unit_test(the_document_is_json_and_bounded),
    };
    proto_err_register();
    arena_init(&a, 64 << 20);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&a);
    return failures;
}
