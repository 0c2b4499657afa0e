// renewal_window: where windows lie, and how evenly.
#include "api/acme/renewal_window.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

enum { SERIALS = 100000, BUCKETS = 20, MINUTE = 60, HOUR = 3600, DAY = 86400 };

static const int64_t born = 1795514400;

// serial_make is the i-th serial of an hour: as the signer's, but for its random octets being a
// plain counter, which is harder for the hash.
static void serial_make(uint8_t out[SERIAL_LEN], uint32_t i)
{
    static const uint8_t like[SERIAL_LEN] = {7, 0x9c, 0xec, 0, 0x40};
    memcpy(out, like, SERIAL_LEN);
    for (int k = 0; k < 4; k++) out[SERIAL_LEN - 1 - k] = (uint8_t)(i >> 8 * k);
}

static void windows_lie_between_a_half_and_two_thirds(void **state)
{
    (void)state;
    static const int64_t lives[] = {MINUTE,   61,       2 * MINUTE, 10 * MINUTE, HOUR,
                                    6 * HOUR, DAY - 1,  DAY,        2 * DAY,     7 * DAY,
                                    47 * DAY, 90 * DAY, 200 * DAY,  398 * DAY,   400 * DAY};
    for (size_t l = 0; l < COUNT_OF(lives); l++) {
        int64_t life = lives[l], last = born + life - 1;
        for (uint32_t i = 0; i < 5000; i++) {
            uint8_t serial[SERIAL_LEN];
            serial_make(serial, i);
            struct renewal_window w = renewal_window_of(serial, born, last);
            if (2 * (w.start - born) < life || 3 * (w.end - born) >= 2 * life ||
                w.end - w.start < 2 || w.end > last)
                fail_msg("life %lld: %lld to %lld", (long long)life, (long long)(w.start - born),
                         (long long)(w.end - born));
            struct renewal_window again = renewal_window_of(serial, born, last);
            assert_true(again.start == w.start && again.end == w.end);
        }
    }
}

// Lives that nobody has still get a window whose end is behind its start.
static void no_life_is_too_short(void **state)
{
    (void)state;
    uint8_t serial[SERIAL_LEN] = {7};
    for (int64_t life = -5; life < MINUTE; life++) {
        struct renewal_window w = renewal_window_of(serial, born, born + life - 1);
        assert_true(w.start >= born && w.end > w.start && w.end <= born + MINUTE);
        assert_in_range(renewal_poll_s(serial, born, born + life - 1), 1, MINUTE);
    }
}

// assert_even: the counts differ from their mean by a few percent at most.
static void assert_even(const unsigned counts[BUCKETS], unsigned total)
{
    unsigned mean = total / BUCKETS;
    for (int i = 0; i < BUCKETS; i++)
        if ((unsigned)abs((int)counts[i] - (int)mean) > mean * 6 / 100)
            fail_msg("bucket %d: %u, the mean is %u", i, counts[i], mean);
}

// A fleet that was issued in one second renews evenly: by where its windows begin, and by what
// clients make of them, which choose a moment of the window.
static void a_fleet_renews_evenly(void **state)
{
    (void)state;
    static const int64_t lives[] = {6 * HOUR, DAY, 90 * DAY, 400 * DAY};
    for (size_t l = 0; l < COUNT_OF(lives); l++) {
        int64_t life = lives[l], from = (life + 1) / 2, width = life / 32,
                room = (2 * life - 1) / 3 - width - from + 1;
        unsigned starts[BUCKETS] = {0}, chosen[BUCKETS] = {0}, inside = 0;
        srandom(1);
        for (uint32_t i = 0; i < SERIALS; i++) {
            uint8_t serial[SERIAL_LEN];
            serial_make(serial, i);
            struct renewal_window w = renewal_window_of(serial, born, born + life - 1);
            starts[(w.start - born - from) * BUCKETS / room]++;
            int64_t at = w.start - born + random() % (w.end - w.start) - from - width;
            if (at < 0 || at >= room - width) continue; // the slopes at both ends
            chosen[at * BUCKETS / (room - width)]++;
            inside++;
        }
        assert_even(starts, SERIALS);
        assert_even(chosen, inside);
        assert_true(inside > SERIALS * 3 / 4);
    }
}

static void a_rule_spreads_over_its_span(void **state)
{
    (void)state;
    int64_t last = born + DAY - 1, from = born + HOUR, until = born + 3 * HOUR;
    unsigned counts[BUCKETS] = {0};
    for (uint32_t i = 0; i < SERIALS; i++) {
        uint8_t serial[SERIAL_LEN];
        serial_make(serial, i);
        struct renewal_window usual = renewal_window_of(serial, born, last),
                              w = renewal_window_moved(serial, usual, from, until, last);
        assert_true(w.start >= from && w.end <= until && w.end - w.start >= 2);
        counts[(w.start - from) * BUCKETS / (until - from - (until - from) / 16 + 1)]++;
    }
    assert_even(counts, SERIALS);
}

static void a_rule_never_delays(void **state)
{
    (void)state;
    int64_t last = born + DAY - 1;
    for (uint32_t i = 0; i < 5000; i++) {
        uint8_t serial[SERIAL_LEN];
        serial_make(serial, i);
        struct renewal_window usual = renewal_window_of(serial, born, last), w;
        w = renewal_window_moved(serial, usual, born + 20 * HOUR, born + 23 * HOUR, last);
        assert_true(w.start == usual.start && w.end == usual.end);
        // Spans of nothing, and ones that go on behind the end of the certificate.
        w = renewal_window_moved(serial, usual, born, born, last);
        assert_true(w.start == born && w.end == born + 2);
        w = renewal_window_moved(serial, usual, born, born + 100 * DAY, last);
        assert_true(w.start <= usual.start && w.end <= last && w.end > w.start);
        // A certificate that has ended: at once.
        w = renewal_window_moved(serial, (struct renewal_window){last + 9, last + 11}, last + 5,
                                 last + 6, last);
        assert_true(w.end > w.start && w.start <= last + 9);
    }
}

static void clients_ask_as_often_as_their_certificates_need(void **state)
{
    (void)state;
    static const struct {
        int64_t life;
        unsigned low, high;
    } rows[] = {{MINUTE, 7, 8},          {HOUR, 450, 495},        {8 * HOUR, 3600, 3960},
                {DAY, 3600, 3960},       {4 * DAY, 14400, 15840}, {7 * DAY, 19440, 21600},
                {90 * DAY, 19440, 21600}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        unsigned least = 99999, most = 0;
        for (uint32_t k = 0; k < 5000; k++) {
            uint8_t serial[SERIAL_LEN];
            serial_make(serial, k);
            unsigned s = renewal_poll_s(serial, born, born + rows[i].life - 1);
            least = s < least ? s : least;
            most = s > most ? s : most;
        }
        assert_in_range(least, rows[i].low, rows[i].high);
        assert_in_range(most, least, rows[i].high);
        if (rows[i].life >= HOUR) assert_true(most - least > (rows[i].high - rows[i].low) * 9 / 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_lie_between_a_half_and_two_thirds),
        cmocka_unit_test(no_life_is_too_short),
        cmocka_unit_test(a_fleet_renews_evenly),
        cmocka_unit_test(a_rule_spreads_over_its_span),
        cmocka_unit_test(a_rule_never_delays),
        cmocka_unit_test(clients_ask_as_often_as_their_certificates_need),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
