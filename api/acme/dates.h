// dates: notBefore and notAfter of orders, honoured within the profile (RFC 8555 sections 7.1.3
// and 7.4).
#pragma once
#include "api/request.h"

// dates_parse reads an RFC 3339 time, of any offset, into seconds since 1970; a fraction is
// dropped. The year 1 is 0: clients write it for "not set" (clients.md 34). False: it is no such
// time. Pure.
bool dates_parse(int64_t *out_s, struct slice text);
// dates_decide gives the validity of a certificate that is made at `now_s` under a profile of
// `validity_s` that dates it back by `backdate_s`, with the dates asked for (0: not): a beginning
// at most DATES_BACK_S past, so that a signer that takes an hour can still be late, and never ahead
// of the clock; an end at least DATES_LEFT_S ahead. NULL, or what cannot be had: never NULL where
// `clamp` would not help, or is not set. Pure.
enum { DATES_BACK_S = 3000, DATES_LEFT_S = 60 };
const char *dates_decide(int64_t *out_begin_s, int64_t *out_end_s, int64_t validity_s,
                         int64_t backdate_s, int64_t since_s, int64_t not_before, int64_t not_after,
                         int64_t now_s, bool clamp);
// dates_take reads the payload's dates into an order. dates_fit says whether they can be had under
// the order's profile now, as far as a signer has told of it. False: answered.
bool dates_take(struct request *r, struct order_row *o);
bool dates_fit(struct request *r, const struct order_row *o, int64_t since_s);
