// der: one defect per case; each good value is also cut short at every length and padded with a
// byte.
#include "proto/der/der.h"

#include "proto/err.h"
#include "tests/support/make.h"
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

static const char *const good[] = {
    "3000",
    "3100",
    "a000",
    "8000",
    "30020500",
    "010100",
    "0101ff",
    "020100",
    "02017f",
    "020180",
    "02020080",
    "0202ff7f",
    "0a0101",
    "030100",
    "0302 0780",
    "030200ff",
    "03020000",
    "0400",
    "0401ff",
    "0500",
    "06012a",
    "06028101",
    "0603550403",
    "0c00",
    "0c02c3a9",
    "1e00",
    "1e020041",
    "1c0400000041",
    "1c0400010000",
    "1200",
    "1300",
    "1400",
    "1401ff",
    "1600",
    "1a00",
    "170d3236303130313030303030305a",
    "180f32303530303130313030303030305a",
    "180f32303234303232393233353935395a",
    "30060201010101ff",
    "3008 3006 3004 3002 3000",
};

static const struct {
    const char *hex, *defect;
} bad[] = {
    {"", "nothing"},
    {"30", "no length"},
    {"3001", "too short"},
    {"300000", "a byte behind"},
    {"3080 0000", "indefinite length"},
    {"308100", "long form of a short length"},
    {"30820000", "long form of a short length"},
    {"30817f00", "long form of a short length, too short"},
    {"3084ffffffff", "length beyond the input"},
    {"30880000000000000000", "length of eight octets"},
    {"0000", "end of contents"},
    {"1000", "SEQUENCE that is no container"},
    {"1100", "SET that is no container"},
    {"2400", "constructed OCTET STRING"},
    {"24030401ff", "constructed OCTET STRING"},
    {"2303030100", "constructed BIT STRING"},
    {"2c020c00", "constructed UTF8String"},
    {"2100", "constructed BOOLEAN"},
    {"010101", "BOOLEAN that is neither"},
    {"0100", "empty BOOLEAN"},
    {"01020000", "long BOOLEAN"},
    {"0200", "empty INTEGER"},
    {"0202007f", "padded INTEGER"},
    {"0202ff80", "padded negative INTEGER"},
    {"0a020001", "padded ENUMERATED"},
    {"0300", "BIT STRING without its count"},
    {"030101", "unused bits of nothing"},
    {"03020800", "more unused bits than an octet has"},
    {"03020701", "unused bits not zero"},
    {"030201ff", "unused bits not zero"},
    {"050100", "long NULL"},
    {"0600", "empty OBJECT IDENTIFIER"},
    {"060180", "OBJECT IDENTIFIER cut short"},
    {"06022a80", "OBJECT IDENTIFIER cut short"},
    {"06028001", "padded arc"},
    {"06032a8001", "padded arc"},
    {"0c01ff", "not UTF-8"},
    {"0c02c080", "not the shortest UTF-8"},
    {"0c03eda080", "a surrogate"},
    {"1e0100", "half a character"},
    {"1e02d800", "a surrogate"},
    {"1c03000000", "part of a character"},
    {"1c0400110000", "no character"},
    {"1c040000dfff", "a surrogate"},
    {"0900", "REAL"},
    {"0d00", "RELATIVE-OID"},
    {"2800", "EXTERNAL"},
    {"1f1f00", "low tag in the high form"},
    {"bf8001 00", "padded tag"},
    {"9f1e00", "low tag in the high form"},
    {"170b323630313031303030305a", "UTCTime without seconds"},
    {"17113236303130313030303030302b30303030", "UTCTime with an offset"},
    {"170d32363031303130303030303030", "UTCTime without Z"},
    {"170d3236313330313030303030305a", "month 13"},
    {"170d3236303030313030303030305a", "month 0"},
    {"170d3236303230393234303030305a", "hour 24"},
    {"170d3236303233303030303030305a", "30 February"},
    {"170d3236303132303030363030305a", "minute 60"},
    {"170d3236303132303030303036305a", "second 60"},
    {"170d32363031322b30303030305a5a", "no digit"},
    {"180f32303233303232393030303030305a", "29 February of no leap year"},
    {"180f31393030303232393030303030305a", "29 February 1900"},
    {"180f30303030303130313030303030305a", "year 0"},
    {"181132303530303130313030303030302e305a", "fraction of a second"},
    {"30033080 00", "indefinite inside"},
    {"300302020001", "value longer than its container"},
    {"a0020200", "bad value inside a context tag"},
    {"6003020100 00", "a byte behind"},
};

static void takes_good_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct slice der = make_hex(&arena, good[i]);
        if (failed(der_check(der))) print_error("%s\n", good[i]);
        assert_ok(der_check(der));
        for (size_t n = 0; n < der.n; n++) assert_err(der_check(slice_sub(der, 0, n)), ERR_BAD_DER);
        assert_err(der_check(MAKE_JOINED(&arena, der, SLICE_LIT("\x05"))), ERR_BAD_DER);
        assert_ok(der_check(MAKE_SEQUENCE(&arena, der, der)));
    }
}

static void refuses_each_defect(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct slice der = make_hex(&arena, bad[i].hex);
        if (!failed(der_check(der))) print_error("%s: %s\n", bad[i].hex, bad[i].defect);
        assert_err(der_check(der), ERR_BAD_DER);
        if (der.n > 0) assert_err(der_check(MAKE_SEQUENCE(&arena, der)), ERR_BAD_DER);
    }
}

static void bounds_depth(void **state)
{
    (void)state;
    struct slice der = MAKE_EMPTY(&arena, 0x05);
    for (int depth = 2; depth <= DER_DEPTH_MAX; depth++) der = MAKE_SEQUENCE(&arena, der);
    assert_ok(der_check(der));
    assert_err(der_check(MAKE_SEQUENCE(&arena, der)), ERR_BAD_DER);
    for (int depth = 0; depth < 1000; depth++) der = MAKE_SEQUENCE(&arena, der);
    assert_err(der_check(der), ERR_BAD_DER);
}

static void reads_times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool generalized;
        int64_t want;
    } times[] = {
        {"700101000000Z", false, 0},
        {"500101000000Z", false, -631152000},
        {"491231235959Z", false, 2524607999},
        {"20500101000000Z", true, 2524608000},
        {"99991231235959Z", true, 253402300799},
        {"19700101000001Z", true, 1},
        {"20240229120000Z", true, 1709208000},
        {"20000301000000Z", true, 951868800},
        {"21000301000000Z", true, 4107542400},
    };
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        int64_t t = 7;
        assert_ok(der_time_parse(&t, slice_str(times[i].text), times[i].generalized));
        assert_true(t == times[i].want);
        assert_err(der_time_parse(&t, slice_str(times[i].text), !times[i].generalized),
                   ERR_BAD_DER);
    }
}

static void counts_every_day_once(void **state)
{
    (void)state;
    int64_t want = -62135596800; // 1 January of year 1
    for (int year = 1; year < 2500; year++) {
        for (int month = 1; month <= 12; month++) {
            for (int day = 1; day <= 31; day++) {
                int64_t t;
                arena_reset(&arena);
                struct slice text = make_text(&arena, "%04d%02d%02d000000Z", year, month, day);
                if (failed(der_time_parse(&t, text, true))) {
                    assert_true(day > 28);
                    continue;
                }
                assert_true(t == want);
                want += 86400;
            }
        }
    }
    assert_true(want == 16725225600); // 1 January 2500
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_good_values),     cmocka_unit_test(refuses_each_defect),
        cmocka_unit_test(bounds_depth),          cmocka_unit_test(reads_times),
        cmocka_unit_test(counts_every_day_once),
    };
    proto_err_register();
    return cmocka_run_group_tests(tests, setup, teardown);
}
