// renewal_window: when a certificate should be renewed (RFC 9773 section 4.2). Pure: the same
// certificate always gets the same window, on any node, and the certificates of a fleet that were
// issued in one second get windows that lie evenly side by side.
//
// Of the life of a certificate the first half is quiet; its window lies between one half and just
// before two thirds, at a place that its serial's hash chooses. So clients that look once or twice
// a day have the last third for failures, and a herd that came at once is spread over a sixth of
// its life with its next renewal.
#pragma once
#include "proto/rpc/intent.h"

struct renewal_window {
    int64_t start, end; // seconds since 1970; start < end
};

// renewal_window_of gives the window of a certificate with its first and last second of validity.
// For lives of a minute and more it is at least two seconds, opens at or after one half and ends
// before two thirds of the life; shorter ones get one that is within it as far as seconds allow.
struct renewal_window renewal_window_of(const uint8_t serial[SERIAL_LEN], int64_t not_before,
                                        int64_t not_after);
// renewal_window_moved gives the window that a rule moves it to: somewhere in from..until, by the
// same hash. Never later than `usual`, and it ends within the validity unless that is over already.
struct renewal_window renewal_window_moved(const uint8_t serial[SERIAL_LEN],
                                           struct renewal_window usual, int64_t from, int64_t until,
                                           int64_t not_after);
// renewal_window_over gives the window of a certificate that was revoked: it is over, so that a
// client renews at once (RFC 9773 section 4.2).
struct renewal_window renewal_window_over(int64_t revoked_at);
// renewal_poll_s is how long a client may wait before it asks again (Retry-After, RFC 9773 section
// 4.3): a part of the life, between an hour and six, less for lives of a few hours; spread by a
// tenth so that clients which began together do not stay together.
unsigned renewal_poll_s(const uint8_t serial[SERIAL_LEN], int64_t not_before, int64_t not_after);
