// issue_value: the grammar of RFC 8659 section 4.2, form by form.
#include "api/validate/issue_value.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

static void forms_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *issuer; // issuer NULL: refused
        size_t count;
        const char *first; // "tag=value" of the first parameter
    } rows[] = {
        {"ca.test", "ca.test", 0, ""},
        {"  ca.test\t ", "ca.test", 0, ""},
        {"ca.test;", "ca.test", 0, ""},
        {"CA-1.Test", "CA-1.Test", 0, ""},
        {"", "", 0, ""},
        {";", "", 0, ""},
        {" ; ", "", 0, ""},
        {"; a=b", "", 1, "a=b"},
        {"ca.test; a=b", "ca.test", 1, "a=b"},
        {"ca.test ;a=b;", "ca.test", 1, "a=b"},
        {"ca.test; a = b ; c=d", "ca.test", 2, "a=b"},
        {"ca.test; a=", "ca.test", 1, "a="},
        {"ca.test; a=b=c", "ca.test", 1, "a=b=c"},
        {"ca.test; a-b=https://x.test/acct/1?y#z,", "ca.test", 1, "a-b=https://x.test/acct/1?y#z,"},
        {"ca.test a=b", NULL, 0, ""},
        {"ca.test; a", NULL, 0, ""},
        {"ca.test; a b=c", NULL, 0, ""},
        {"ca.test; a=b c", NULL, 0, ""},
        {"ca.test; a=b c=d", NULL, 0, ""},
        {"ca.test; =b", NULL, 0, ""},
        {"ca.test; -a=b", NULL, 0, ""},
        {"ca.test; a-=b", NULL, 0, ""},
        {"ca.test;; a=b", NULL, 0, ""},
        {"ca.test; a=b;; c=d", NULL, 0, ""},
        {"ca.test; a=\x01", NULL, 0, ""},
        {"ca.test; a=\x80", NULL, 0, ""},
        {"ca..test", NULL, 0, ""},
        {".ca.test", NULL, 0, ""},
        {"ca.test.", NULL, 0, ""},
        {"-ca.test", NULL, 0, ""},
        {"ca-.test", NULL, 0, ""},
        {"ca_1.test", NULL, 0, ""},
        {"ca.test,other.test", NULL, 0, ""},
        {"%%%%%", NULL, 0, ""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct issue_value v;
        char first[64] = "";
        bool ok = issue_value_read(&v, slice_str(rows[i].text));
        if (ok != (rows[i].issuer != NULL)) fail_msg("\"%s\"", rows[i].text);
        if (!ok) continue;
        if (v.count > 0)
            snprintf(first, sizeof first, "%.*s=%.*s", SLICE_ARG(v.parameters[0].tag),
                     SLICE_ARG(v.parameters[0].value));
        assert_slice_str(v.issuer, rows[i].issuer);
        assert_int_equal(v.count, rows[i].count);
        assert_string_equal(first, rows[i].first);
    }
}

static void parameters_are_bounded(void **state)
{
    (void)state;
    struct issue_value v;
    char text[256] = "ca.test";
    for (int i = 0; i < ISSUE_PARAMETERS_MAX; i++) strcat(text, "; a=b");
    assert_true(issue_value_read(&v, slice_str(text)));
    assert_int_equal(v.count, ISSUE_PARAMETERS_MAX);
    strcat(text, "; a=b");
    assert_false(issue_value_read(&v, slice_str(text)));
}

static void parts_are_found(void **state)
{
    (void)state;
    static const char *const names[] = {"ca.test", "other.test"};
    struct issue_value v;
    size_t count;
    assert_true(issue_value_read(&v, SLICE_LIT("Ca.Test; One=1; two=2; ONE=3")));
    assert_slice_str(issue_value_find(&count, &v, "two"), "2");
    assert_int_equal(count, 1);
    (void)issue_value_find(&count, &v, "one");
    assert_int_equal(count, 2);
    assert_int_equal(issue_value_find(&count, &v, "thre").n, 0);
    assert_int_equal(count, 0);
    assert_true(issue_value_is_by(&v, names, 2));
    assert_false(issue_value_is_by(&v, names + 1, 1));
    assert_true(issue_value_read(&v, SLICE_LIT(";")));
    assert_false(issue_value_is_by(&v, (const char *const[]){""}, 1)); // nobody is nobody
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_read),
        cmocka_unit_test(parameters_are_bounded),
        cmocka_unit_test(parts_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
