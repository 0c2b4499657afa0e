// dns_answer: what a DNS server said, read for one question (RFC 1035 section 4.1): the chain of
// aliases is followed as far as the message has it, and the records at its end are collected.
// Nothing in a message is trusted: sizes, counts and pointers are bounded. Pure; any thread.
#pragma once
#include "proto/base/slice.h"
#include "proto/der/name.h"

enum dns_type { DNS_TYPE_CNAME = 5, DNS_TYPE_TXT = 16, DNS_TYPE_CAA = 257 };
enum {
    DNS_ALIASES_MAX = 8,   // CNAMEs followed for one question, over all messages
    DNS_RECORDS_MAX = 256, // of the type that was asked for, at one name
    DNS_TXT_MAX = 4096     // octets of one TXT record's text
};

struct dns_answer {
    char owner[DNS_NAME_LEN_MAX + 1];      // where the chain ends: the name of the records
    unsigned aliases;                      // CNAMEs from the name that was asked for to `owner`
    struct slice records[DNS_RECORDS_MAX]; // data of each; in the message
    size_t count;
};

// dns_answer_read reads a message that answers for `name` (lower case, without a dot behind it) and
// `type`. Names are compared without regard to case. No record and `aliases` above 0: the answer,
// if there is one, is at `owner`. False: *why is a clause ("is truncated"); *out is undefined.
bool dns_answer_read(struct dns_answer *out, const char **why, struct slice message,
                     const char *name, enum dns_type type);
// dns_txt_read joins the strings of a TXT record's data (RFC 1035 section 3.3.14) in `out`. False:
// malformed or longer than DNS_TXT_MAX; *out_len is 0 then.
bool dns_txt_read(uint8_t out[DNS_TXT_MAX], size_t *out_len, struct slice data);
