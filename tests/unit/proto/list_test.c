// list and slice: the small inline helpers that everything leans on.
#include "proto/base/list.h"

#include "proto/base/utf8.h"
#include "proto/err.h"
#include "tests/unit/unit.h"

struct item {
    int value;
    struct list node;
};

static void keeps_order_at_both_ends(void **state)
{
    (void)state;
    struct list head;
    struct item items[] = {{.value = 1}, {.value = 2}, {.value = 3}};
    list_init(&head);
    assert_null(list_pop_front(&head));
    list_push_back(&head, &items[1].node);
    list_push_back(&head, &items[2].node);
    list_push_front(&head, &items[0].node);
    for (int want = 1; want <= 3; want++)
        assert_int_equal(LIST_OWNER(list_pop_front(&head), struct item, node)->value, want);
    assert_true(list_empty(&head));
}

static void may_lose_the_visited_node(void **state)
{
    (void)state;
    struct list head;
    struct item items[4];
    int sum = 0;
    list_init(&head);
    for (int i = 0; i < 4; i++) {
        items[i].value = i;
        list_push_back(&head, &items[i].node);
    }
    LIST_EACH (it, &head) {
        sum += LIST_OWNER(it, struct item, node)->value;
        list_remove(it);
        list_remove(it); // a node in no list may be removed again
    }
    assert_int_equal(sum, 6);
    assert_true(list_empty(&head));
}

static void slices_clip_and_compare(void **state)
{
    (void)state;
    struct slice s = SLICE_LIT("abcdef");
    assert_slice_str(slice_sub(s, 2, 3), "cde");
    assert_slice_str(slice_sub(s, 4, 99), "ef");
    assert_slice_str(slice_sub(s, 99, 1), "");
    assert_slice_str(slice_sub(s, 1, SIZE_MAX), "bcdef");
    assert_true(slice_starts(s, SLICE_LIT("abc")));
    assert_false(slice_starts(SLICE_LIT("ab"), SLICE_LIT("abc")));
    assert_true(slice_eq(SLICE_NONE, SLICE_LIT("")));
    assert_true(slice_cmp(SLICE_LIT("ab"), SLICE_LIT("abc")) < 0);
    assert_true(slice_cmp(SLICE_LIT("b"), SLICE_LIT("abc")) > 0);
    assert_true(slice_cmp(SLICE_LIT("\xff"), SLICE_LIT("a")) > 0);
    assert_int_equal(slice_cmp(SLICE_NONE, SLICE_LIT("")), 0);
}

static void utf8_takes_only_the_shortest_form(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "a",
                                       "\x7f",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {
        "\x80",     "\xc0\x80",         "\xc1\xbf",         "\xc2",
        "\xc2\x41", "\xe0\x9f\xbf",     "\xed\xa0\x80",     "\xed\xbf\xbf",
        "\xe1\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xff",     "\xf0\x90\x80"};
    for (size_t i = 0; i < COUNT_OF(good); i++) assert_true(utf8_valid(slice_str(good[i])));
    for (size_t i = 0; i < COUNT_OF(bad); i++) assert_false(utf8_valid(slice_str(bad[i])));
    uint32_t c = 0;
    assert_int_equal(utf8_next(&c, SLICE_LIT("\xf0\x9f\x94\x91x")), 4);
    assert_int_equal(c, 0x1f511);
}

static void errors_carry_class_name_and_text(void **state)
{
    (void)state;
    assert_int_equal(err_class(ERR(NO_SPACE)), ERR_CLASS_BUSY);
    assert_int_equal(err_class(ERR(BAD_CSR)), ERR_CLASS_CLIENT);
    assert_string_equal(err_name(ERR(BAD_CSR)), "BAD_CSR");
    assert_string_equal(err_name(OK), "OK");
    assert_string_equal(err_name((struct err){ERR_CODE(ERR_CLASS_LOCAL, 77, 1)}), "UNKNOWN");
    assert_string_equal(err_name((struct err){ERR_CODE(ERR_CLASS_LOCAL, ERR_FOLDER_PROTO, 9999)}),
                        "UNKNOWN");
    assert_true(strlen(err_text(ERR(BAD_JWS))) > 10);
    assert_false(failed(OK));
    assert_true(failed(ERR(BAD_JWS)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_order_at_both_ends),
        cmocka_unit_test(may_lose_the_visited_node),
        cmocka_unit_test(slices_clip_and_compare),
        cmocka_unit_test(utf8_takes_only_the_shortest_form),
        cmocka_unit_test(errors_carry_class_name_and_text),
    };
    proto_err_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
