// dates: how times read, and which validity an order gets.
#include "api/acme/dates.h"

#include <string.h>

#include "tests/unit/unit.h"

static void times_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t s; // -1: refused
    } rows[] = {
        {"2026-12-01T09:30:00Z", 1796117400},
        {"2026-12-01T09:30:00.123456789Z", 1796117400},
        {"2026-12-01t09:30:00z", 1796117400},
        {"2026-12-01T11:30:00+02:00", 1796117400},
        {"2026-12-01T04:00:00-05:30", 1796117400},
        {"0001-01-01T00:00:00Z", 0},
        {"2026-12-01T09:30:00", -1},
        {"2026-12-01 09:30:00Z", -1},
        {"2026-12-01T09:30Z", -1},
        {"2026-12-01T09:30:00.Z", -1},
        {"2026-12-01T09:30:00+0200", -1},
        {"2026-12-01T09:30:00+24:00", -1},
        {"2026-12-01T09:30:00+02:00x", -1},
        {"2026-02-30T09:30:00Z", -1},
        {"2026-13-01T09:30:00Z", -1},
        {"1969-12-31T23:59:59Z", -1},
        {"tomorrow, in the morning", -1},
        {"", -1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t s = -2;
        bool ok = dates_parse(&s, slice_str(rows[i].text));
        if (ok != (rows[i].s >= 0) || (ok && s != rows[i].s))
            fail_msg("%s: %d %lld", rows[i].text, ok, (long long)s);
    }
    int64_t s;
    assert_false(dates_parse(&s, slice_of("2026-12-01T09:30:00Z\0", 21)));
}

// A profile of a day that dates back by a minute; relative to the moment.
static void each_validity_is_within_the_profile(void **state)
{
    (void)state;
    enum { NOW = 1796117400, DAY = 86400, BACK = 60, NONE = 1 << 30 };
    static const struct {
        int64_t begin, end; // asked for; NONE: not
        bool clamp;
        int64_t got_begin, got_end; // NONE: refused
        int64_t since;              // of the issuing CA
    } rows[] = {
        {NONE, NONE, false, -BACK, DAY - BACK - 1, -DAY},
        {NONE, NONE, true, -BACK, DAY - BACK - 1, -DAY},
        {0, NONE, false, 0, DAY - 1, -DAY},
        {-3000, NONE, false, -3000, DAY - 3001, -DAY},
        {-3001, NONE, false, NONE, NONE, -DAY},
        {-3001, NONE, true, -3000, DAY - 3001, -DAY},
        {1, NONE, false, NONE, NONE, -DAY},
        {DAY, NONE, true, 0, DAY - 1, -DAY},
        {NONE, 7200, false, -BACK, 7200, -DAY},
        {-100, 7200, false, -100, 7200, -DAY},
        {0, DAY - 1, false, 0, DAY - 1, -DAY},
        {0, DAY, false, NONE, NONE, -DAY},
        {0, DAY, true, 0, DAY - 1, -DAY},
        {NONE, DAY - BACK, false, NONE, NONE, -DAY},
        {NONE, 60, false, -BACK, 60, -DAY},
        {NONE, 59, false, NONE, NONE, -DAY},
        {NONE, 59, true, NONE, NONE, -DAY},
        {0, -5, true, NONE, NONE, -DAY},
        {-100, NONE, false, -100, DAY - 101, -100},
        {-101, NONE, false, NONE, NONE, -100},
        {-101, NONE, true, -100, DAY - 101, -100},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t begin = -7, end = -7;
        const char *why = dates_decide(&begin, &end, DAY, BACK, NOW + rows[i].since,
                                       rows[i].begin == NONE ? 0 : NOW + rows[i].begin,
                                       rows[i].end == NONE ? 0 : NOW + rows[i].end, NOW,
                                       rows[i].clamp);
        bool refused = rows[i].got_begin == NONE;
        if ((why != NULL) != refused) fail_msg("row %zu: %s", i, why == NULL ? "taken" : why);
        assert_int_equal(begin, refused ? -7 : NOW + rows[i].got_begin);
        assert_int_equal(end, refused ? -7 : NOW + rows[i].got_end);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(each_validity_is_within_the_profile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
