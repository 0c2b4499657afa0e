// txt_check: one try of a challenge that is met by a TXT record below the name: dns-01,
// dns-account-01, dns-persist-01. It finds the records; the method judges them. One thread.
#pragma once
#include "api/validate/lookup.h"
#include "api/validate/validate_internal.h"

enum { TXT_SHOWN_MAX = 48 };

struct txt_check {
    struct validation *v;
    // judge looks at the records, of which there is at least one, and ends with validation_try_end.
    void (*judge)(struct txt_check *c, const struct dns_answer *answer);
    struct lookup lookup;
    char name[DNS_NAME_LEN_MAX + 1]; // of the records
};

// txt_check_begin is a method's begin: the records at `prefix`, which ends with a dot, and the
// identifier. False without memory.
bool txt_check_begin(struct validation *v, const char *prefix,
                     void (*judge)(struct txt_check *c, const struct dns_answer *answer));
// txt_check_abandon and txt_check_waits_for are a method's.
void txt_check_abandon(struct validation *v);
enum validate_problem txt_check_waits_for(const struct validation *v, char *out, size_t size);
// txt_check_shown escapes the start of a foreign text: enough to recognise it.
void txt_check_shown(char out[TXT_SHOWN_MAX + 1], struct slice text);
