// dns_answer: messages that are right, cut, pieced together and hostile (T32).
#include "api/validate/dns_answer.h"

#include "tests/unit/unit.h"

// A message: header with counts, question for "a.test" TXT, then `answers`.
#define HEAD(flags, answers) "\x12\x34" flags "\0\1\0" answers "\0\0\0\0"
#define QUESTION "\1a\4test\0\0\x10\0\1"
#define AT_QUESTION "\xc0\x0c" // a pointer to its name
#define TXT(owner, length, text) owner "\0\x10\0\1\0\0\0\1\0" length text
#define CNAME(owner, length, name) owner "\0\5\0\1\0\0\0\1\0" length name
#define GOOD "\x84\x80"

struct row {
    const char *what;
    struct slice message;
    const char *why, *owner; // why NULL: read
    unsigned aliases;
    size_t count;
};
#define ROW(what, message, ...)                                              \
    {                                                                        \
        what, {(const uint8_t *)(message), sizeof(message) - 1}, __VA_ARGS__ \
    }

static const struct row rows[] = {
    ROW("one text", HEAD(GOOD, "\1") QUESTION TXT(AT_QUESTION, "\3", "\2hi"), NULL, "a.test", 0, 1),
    ROW("in another case", HEAD(GOOD, "\1") QUESTION TXT("\1A\4TesT\0", "\3", "\2hi"), NULL,
        "a.test", 0, 1),
    ROW("two texts, one of another name",
        HEAD(GOOD, "\3") QUESTION TXT(AT_QUESTION, "\3", "\2hi") TXT("\1b\xc0\x0e", "\3", "\2no")
            TXT(AT_QUESTION, "\1", "\0"),
        NULL, "a.test", 0, 2),
    ROW("nothing", HEAD(GOOD, "\0") QUESTION, NULL, "a.test", 0, 0),
    ROW("an alias and what is there",
        HEAD(GOOD, "\2") QUESTION CNAME(AT_QUESTION, "\4", "\1b\xc0\x0e")
            TXT("\1b\xc0\x0e", "\3", "\2hi"),
        NULL, "b.test", 1, 1),
    ROW("the other way round",
        HEAD(GOOD, "\2") QUESTION TXT("\1b\xc0\x0e", "\3", "\2hi")
            CNAME(AT_QUESTION, "\4", "\1b\xc0\x0e"),
        NULL, "b.test", 1, 1),
    ROW("an alias alone", HEAD(GOOD, "\1") QUESTION CNAME(AT_QUESTION, "\4", "\1b\xc0\x0e"), NULL,
        "b.test", 1, 0),
    ROW("of another class", HEAD(GOOD, "\1") QUESTION AT_QUESTION "\0\x10\0\3\0\0\0\1\0\3\2hi",
        NULL, "a.test", 0, 0),
    ROW("an alias to itself", HEAD(GOOD, "\1") QUESTION CNAME(AT_QUESTION, "\2", AT_QUESTION),
        "has too many aliases", "", 0, 0),
    ROW("a dot inside a label", HEAD(GOOD, "\1") QUESTION CNAME(AT_QUESTION, "\5", "\3b.c\0"),
        "has an alias whose name cannot be asked for", "", 0, 0),
    ROW("truncated", HEAD("\x86\x80", "\1") QUESTION TXT(AT_QUESTION, "\3", "\2hi"), "is truncated",
        "", 0, 0),
    ROW("no question, which is fine", "\x12\x34\x84\x80\0\0\0\0\0\0\0\0", NULL, "a.test", 0, 0),
    ROW("no header", "\x12\x34\x84", "is malformed", "", 0, 0),
    ROW("empty", "", "is malformed", "", 0, 0),
    ROW("fewer answers than it says", HEAD(GOOD, "\2") QUESTION TXT(AT_QUESTION, "\3", "\2hi"),
        "is malformed", "", 0, 0),
    ROW("data longer than the message", HEAD(GOOD, "\1") QUESTION TXT(AT_QUESTION, "\4", "\2hi"),
        "is malformed", "", 0, 0),
    ROW("an alias longer than its data",
        HEAD(GOOD, "\1") QUESTION CNAME(AT_QUESTION, "\1", "\1b\xc0\x0e"), "is malformed", "", 0,
        0),
    ROW("an alias shorter than its data",
        HEAD(GOOD, "\1") QUESTION CNAME(AT_QUESTION, "\5", "\1b\xc0\x0e\0"), "is malformed", "", 0,
        0),
    ROW("a pointer to itself", HEAD(GOOD, "\1") QUESTION TXT("\xc0\x18", "\3", "\2hi"),
        "is malformed", "", 0, 0),
    ROW("a pointer ahead", HEAD(GOOD, "\1") QUESTION TXT("\xc0\x20", "\3", "\2hi"), "is malformed",
        "", 0, 0),
    ROW("a label of another kind", HEAD(GOOD, "\1") QUESTION TXT("\x81", "\3", "\2hi"),
        "is malformed", "", 0, 0),
    ROW("half a pointer", HEAD(GOOD, "\1") QUESTION "\xc0", "is malformed", "", 0, 0),
    ROW("more answers than are looked at", "\x12\x34" GOOD "\0\0\x04\x01\0\0\0\0",
        "has too many records", "", 0, 0),
};

static void messages_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        static struct dns_answer a;
        const char *why = NULL;
        bool ok = dns_answer_read(&a, &why, rows[i].message, "a.test", DNS_TYPE_TXT);
        if (ok != (rows[i].why == NULL)) fail_msg("%s: %s", rows[i].what, why);
        if (!ok) {
            if (strcmp(why, rows[i].why) != 0) fail_msg("%s: %s", rows[i].what, why);
            continue;
        }
        if (strcmp(a.owner, rows[i].owner) != 0 || a.aliases != rows[i].aliases ||
            a.count != rows[i].count)
            fail_msg("%s: %s, %u aliases, %zu records", rows[i].what, a.owner, a.aliases, a.count);
    }
}

// Every shorter part of a good message is refused, and none is read past its end (ASan).
static void each_cut_is_refused(void **state)
{
    (void)state;
    struct slice whole = rows[4].message;
    for (size_t n = 0; n < whole.n; n++) {
        static struct dns_answer a;
        const char *why;
        uint8_t *part = test_malloc(n + 1);
        memcpy(part, whole.p, n);
        assert_false(dns_answer_read(&a, &why, slice_of(part, n), "a.test", DNS_TYPE_TXT));
        test_free(part);
    }
}

static void names_end(void **state)
{
    (void)state;
    // A name of 127 labels of one letter is the longest: 253 octets of text. One more label is too
    // much, and so are pointers that go on and on.
    uint8_t m[600] = "\x12\x34\x84\x80\0\0\0\1\0\0\0";
    static struct dns_answer a;
    const char *why;
    for (unsigned labels = 127; labels <= 128; labels++) {
        size_t n = 12;
        for (unsigned i = 0; i < labels; i++) m[n++] = 1, m[n++] = 'x';
        memcpy(m + n, "\0\0\x10\0\1\0\0\0\0\0\0", 11);
        n += 11;
        assert_int_equal(dns_answer_read(&a, &why, slice_of(m, n), "a", DNS_TYPE_TXT),
                         labels == 127);
    }
    // 200 pointers, each to the one before.
    uint8_t p[600] = "\x12\x34\x84\x80\0\1\0\0\0\0\0\0\0";
    size_t n = 13, last = 12;
    for (unsigned i = 0; i < 200; i++, last = n, n += 2) {
        p[n] = (uint8_t)(0xc0 | last >> 8);
        p[n + 1] = (uint8_t)last;
    }
    memmove(p + 12, p + 13, n - 13); // the question begins at the first of them
    assert_false(dns_answer_read(&a, &why, slice_of(p, n), "a", DNS_TYPE_TXT));
}

static void texts_are_joined(void **state)
{
    (void)state;
    static const struct {
        struct slice data;
        const char *text; // NULL: refused
    } texts[] = {
        {SLICE_LIT("\2hi"), "hi"}, {SLICE_LIT("\1a\0\2bc"), "abc"}, {SLICE_LIT("\0"), ""},
        {SLICE_LIT("\3hi"), NULL}, {SLICE_LIT("\1a\1"), NULL},      {SLICE_NONE, NULL},
    };
    uint8_t out[DNS_TXT_MAX];
    size_t n;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        bool ok = dns_txt_read(out, &n, texts[i].data);
        assert_int_equal(ok, texts[i].text != NULL);
        if (ok) assert_slice_str(slice_of(out, n), texts[i].text);
        if (!ok) assert_int_equal(n, 0);
    }
    uint8_t data[17 * 256] = {0};
    for (size_t i = 0; i < 17; i++) data[i * 256] = 255;
    assert_true(dns_txt_read(out, &n, slice_of(data, (size_t)16 * 256)));
    assert_int_equal(n, 16 * 255);
    assert_false(dns_txt_read(out, &n, slice_of(data, sizeof data)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_read),
        cmocka_unit_test(each_cut_is_refused),
        cmocka_unit_test(names_end),
        cmocka_unit_test(texts_are_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
