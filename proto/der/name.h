// name: DNS names and IP addresses as certificates carry them, and the one encoded form of an
// order's identifiers. One canonical spelling at the door: lower case A-labels, no trailing dot;
// everything later compares bytes. Pure; any thread.
#pragma once
#include "proto/base/arena.h"
#include "proto/base/buf.h"

enum identifier_type { IDENTIFIER_DNS = 1, IDENTIFIER_IP = 2 }; // RFC 8555 section 9.7.7, RFC 8738

// struct identifier: a DNS name in canonical text (a leading "*." only where the order asked for a
// wildcard), or an IP address as 4 or 16 octets.
struct identifier {
    enum identifier_type type;
    struct slice value;
};

enum { DNS_NAME_LEN_MAX = 253, DNS_LABEL_LEN_MAX = 63, IDENTIFIER_COUNT_MAX = 100 };

// dns_name_canonical checks `text` and puts its canonical form into the arena. Accepts letters of
// either case; refuses U-labels, empty labels, a trailing dot, underscores, labels that begin or
// end with '-', "--" at places 3-4 except in valid "xn--" labels, numeric top labels, anything too
// long, and '*' anywhere but as the whole first label when `wildcard_allowed`. RFC 5280
// section 4.2.1.6, RFC 5890. ERR_BAD_DNS_NAME, ERR_NO_SPACE. canonical(canonical(x)) =
// canonical(x).
RESULT dns_name_canonical(struct slice *out, struct arena *a, struct slice text,
                          bool wildcard_allowed);
// ip_address_parse reads the text of an IPv4 or IPv6 address (RFC 8738 section 3) and puts its 4 or
// 16 octets into the arena. Any textual form of RFC 4291 section 2.2 is taken, without zone or
// prefix length; identifier_text writes the canonical one. ERR_BAD_IP_ADDRESS, ERR_NO_SPACE.
RESULT ip_address_parse(struct slice *out, struct arena *a, struct slice text);
// ip_reverse_name writes the name that stands for an address of 4 or 16 octets in the reverse DNS,
// without a dot at its end: "4.3.2.1.in-addr.arpa" (RFC 1035 section 3.5), 32 nibbles and
// "ip6.arpa" (RFC 3596 section 2.5).
enum { IP_REVERSE_NAME_MAX = 73 };
void ip_reverse_name(char out[IP_REVERSE_NAME_MAX], struct slice octets);
// identifier_cmp orders by type, then value bytes: the canonical order of a set of identifiers.
int identifier_cmp(const struct identifier *a, const struct identifier *b);
// identifiers_sort sorts and removes duplicates in place; returns the new count.
size_t identifiers_sort(struct identifier *ids, size_t count);
// identifiers_encode appends the one stored form: for each, type octet, length as 2 octets big
// endian, value. ERR_NO_SPACE.
RESULT identifiers_encode(struct buf *out, const struct identifier *ids, size_t count);
// identifiers_decode reads that form; values point into `in`, the array is in the arena.
// ERR_BAD_DER when malformed.
RESULT identifiers_decode(struct identifier **out, size_t *out_count, struct arena *a,
                          struct slice in);
// identifier_text is the form of ACME JSON and messages: the name, or the address in canonical
// text. NUL-terminated in the arena.
const char *identifier_text(struct arena *a, const struct identifier *id);
