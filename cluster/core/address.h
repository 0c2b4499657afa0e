// address: socket addresses and ranges of them (CIDR) in text and as sets. Pure; any thread.
#pragma once
#include <sys/socket.h>

#include "proto/base/err.h"
#include "proto/base/slice.h"

struct address_range {
    uint8_t bytes[16]; // IPv4 as ::ffff:a.b.c.d
    unsigned bits;     // prefix length in the 128-bit form
};

enum { ADDRESS_TEXT_MAX = 128 };

// address_parse reads "127.0.0.1:80", "[::1]:80", "unix:/path", or an address without port when
// port_default is not 0. ERR_BAD_ADDRESS.
RESULT address_parse(struct sockaddr_storage *out, socklen_t *out_len, struct slice text,
                     unsigned port_default);
// address_text writes "127.0.0.1:80", "[::1]:80" or "unix:/path".
void address_text(char out[ADDRESS_TEXT_MAX], const struct sockaddr *a);
// address_ip_text writes the address without port.
void address_ip_text(char out[ADDRESS_TEXT_MAX], const struct sockaddr *a);
unsigned address_port(const struct sockaddr *a);
// address_bytes is the 128-bit form; an IPv4 address inside an IPv6 one (mapped, or NAT64
// 64:ff9b::/96) becomes ::ffff:a.b.c.d. False for an address that is neither.
bool address_bytes(uint8_t out[16], const struct sockaddr *a);
// address_is_ipv4 says whether address_bytes came from an IPv4 address.
bool address_is_ipv4(const uint8_t bytes[16]);
// address_range_parse reads "10.0.0.0/8", "::1" ... Bits behind the prefix must be zero; a range
// inside 64:ff9b::/96 is refused (write the IPv4 one). "::/0" has every address, IPv4 too.
// ERR_BAD_ADDRESS.
RESULT address_range_parse(struct address_range *out, struct slice text);
// address_range_has: IPv4-mapped and NAT64 (64:ff9b::/96) forms are compared as the IPv4 address
// inside (T29).
bool address_range_has(const struct address_range *r, const struct sockaddr *a);
// address_range_has_octets is the same for an address of 4 or 16 octets in network order; false for
// any other number.
bool address_range_has_octets(const struct address_range *r, struct slice octets);
// address_range_text writes a range as address_range_parse reads it, always with its prefix length.
void address_range_text(char out[ADDRESS_TEXT_MAX], const struct address_range *r);
