#include "cluster/core/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "cluster/err.h"

enum { PORT_MAX = 65535, IPV4_IN_IPV6_BITS = 96 };

static struct err port_parse(unsigned *out, struct slice text)
{
    unsigned port = 0;
    if (text.n == 0 || text.n > 5) return ERR(BAD_ADDRESS);
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') return ERR(BAD_ADDRESS);
        port = port * 10 + (unsigned)(text.p[i] - '0');
    }
    if (port > PORT_MAX) return ERR(BAD_ADDRESS);
    *out = port;
    return OK;
}

// ip_parse reads an IPv4 or IPv6 address without brackets; zone ids are refused by inet_pton.
static struct err ip_parse(struct sockaddr_storage *out, socklen_t *out_len, struct slice text)
{
    char s[INET6_ADDRSTRLEN];
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (text.n == 0 || text.n >= sizeof s || memchr(text.p, 0, text.n) != NULL)
        return ERR(BAD_ADDRESS);
    memcpy(s, text.p, text.n);
    s[text.n] = '\0';
    *out = (struct sockaddr_storage){0};
    if (inet_pton(AF_INET, s, &v4.sin_addr) == 1) {
        memcpy(out, &v4, sizeof v4);
        *out_len = sizeof v4;
        return OK;
    }
    if (inet_pton(AF_INET6, s, &v6.sin6_addr) != 1) return ERR(BAD_ADDRESS);
    memcpy(out, &v6, sizeof v6);
    *out_len = sizeof v6;
    return OK;
}

static struct err unix_parse(struct sockaddr_storage *out, socklen_t *out_len, struct slice path)
{
    struct sockaddr_un u = {.sun_family = AF_UNIX};
    if (path.n == 0 || path.n >= sizeof u.sun_path || memchr(path.p, 0, path.n) != NULL)
        return ERR(BAD_ADDRESS);
    memcpy(u.sun_path, path.p, path.n);
    *out = (struct sockaddr_storage){0};
    memcpy(out, &u, sizeof u);
    *out_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + 1);
    return OK;
}

static void port_set(struct sockaddr_storage *a, unsigned port)
{
    if (a->ss_family == AF_INET)
        ((struct sockaddr_in *)a)->sin_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in6 *)a)->sin6_port = htons((uint16_t)port);
}

// split divides "host:port", "[v6]:port", "host" and "[v6]" and "v6"; `port` is empty when there is
// none.
static struct err split(struct slice *host, struct slice *port, struct slice text)
{
    *port = SLICE_NONE;
    *host = text;
    if (text.n > 0 && text.p[0] == '[') {
        const uint8_t *close = memchr(text.p, ']', text.n);
        if (close == NULL) return ERR(BAD_ADDRESS);
        size_t len = (size_t)(close - text.p);
        *host = slice_sub(text, 1, len - 1);
        struct slice rest = slice_sub(text, len + 1, text.n);
        if (rest.n == 0) return OK;
        if (rest.p[0] != ':' || rest.n == 1) return ERR(BAD_ADDRESS);
        *port = slice_sub(rest, 1, rest.n);
        return memchr(host->p, ':', host->n) == NULL ? ERR(BAD_ADDRESS) : OK;
    }
    const uint8_t *colon = text.n == 0 ? NULL : memchr(text.p, ':', text.n);
    if (colon == NULL || memchr(colon + 1, ':', (size_t)(text.p + text.n - colon - 1)) != NULL)
        return OK; // bare IPv4 or IPv6
    size_t at = (size_t)(colon - text.p);
    *host = slice_sub(text, 0, at);
    *port = slice_sub(text, at + 1, text.n);
    return port->n == 0 ? ERR(BAD_ADDRESS) : OK;
}

struct err address_parse(struct sockaddr_storage *out, socklen_t *out_len, struct slice text,
                         unsigned port_default)
{
    struct slice host, port_text;
    struct sockaddr_storage a;
    socklen_t len;
    unsigned port = port_default;
    if (slice_starts(text, SLICE_LIT("unix:")))
        return unix_parse(out, out_len, slice_sub(text, 5, text.n));
    TRY(split(&host, &port_text, text));
    TRY(ip_parse(&a, &len, host));
    if (port_text.n > 0)
        TRY(port_parse(&port, port_text));
    else if (port_default == 0)
        return ERR(BAD_ADDRESS);
    port_set(&a, port);
    *out = a;
    *out_len = len;
    return OK;
}

void address_ip_text(char out[ADDRESS_TEXT_MAX], const struct sockaddr *a)
{
    out[0] = '\0';
    if (a->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, out, ADDRESS_TEXT_MAX);
    else if (a->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)a)->sin6_addr, out, ADDRESS_TEXT_MAX);
    else if (a->sa_family == AF_UNIX)
        snprintf(out, ADDRESS_TEXT_MAX, "unix:%s", ((const struct sockaddr_un *)a)->sun_path);
    else
        snprintf(out, ADDRESS_TEXT_MAX, "(no address)");
}

void address_text(char out[ADDRESS_TEXT_MAX], const struct sockaddr *a)
{
    char ip[ADDRESS_TEXT_MAX];
    address_ip_text(ip, a);
    if (a->sa_family == AF_INET)
        snprintf(out, ADDRESS_TEXT_MAX, "%.100s:%u", ip, address_port(a));
    else if (a->sa_family == AF_INET6)
        snprintf(out, ADDRESS_TEXT_MAX, "[%.100s]:%u", ip, address_port(a));
    else
        memcpy(out, ip, sizeof ip);
}

unsigned address_port(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET) return ntohs(((const struct sockaddr_in *)a)->sin_port);
    if (a->sa_family == AF_INET6) return ntohs(((const struct sockaddr_in6 *)a)->sin6_port);
    return 0;
}

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
static const uint8_t nat64_prefix[12] = {0, 0x64, 0xff, 0x9b};

bool address_bytes(uint8_t out[16], const struct sockaddr *a)
{
    if (a->sa_family == AF_INET) {
        memcpy(out, mapped_prefix, 12);
        memcpy(out + 12, &((const struct sockaddr_in *)a)->sin_addr, 4);
        return true;
    }
    if (a->sa_family != AF_INET6) return false;
    memcpy(out, &((const struct sockaddr_in6 *)a)->sin6_addr, 16);
    if (memcmp(out, nat64_prefix, 12) == 0) memcpy(out, mapped_prefix, 12);
    return true;
}

bool address_is_ipv4(const uint8_t bytes[16])
{
    return memcmp(bytes, mapped_prefix, sizeof mapped_prefix) == 0;
}

static bool prefix_eq(const uint8_t a[16], const uint8_t b[16], unsigned bits)
{
    if (memcmp(a, b, bits / 8) != 0) return false;
    return bits % 8 == 0 || ((a[bits / 8] ^ b[bits / 8]) >> (8 - bits % 8)) == 0;
}

struct err address_range_parse(struct address_range *out, struct slice text)
{
    struct sockaddr_storage a;
    socklen_t len;
    struct address_range r = {.bits = 128};
    const uint8_t *slash = text.n == 0 ? NULL : memchr(text.p, '/', text.n);
    size_t host_len = slash == NULL ? text.n : (size_t)(slash - text.p);
    TRY(ip_parse(&a, &len, slice_sub(text, 0, host_len)));
    if (slash != NULL) {
        unsigned most = a.ss_family == AF_INET ? 32 : 128;
        struct slice bits_text = slice_sub(text, host_len + 1, text.n);
        if (bits_text.n > 3) return ERR(BAD_ADDRESS);
        TRY(port_parse(&r.bits, bits_text));
        if (r.bits > most) return ERR(BAD_ADDRESS);
        if (a.ss_family == AF_INET) r.bits += IPV4_IN_IPV6_BITS;
    }
    // A NAT64 range would match nothing (its addresses are compared as IPv4): the IPv4 range is to
    // be written instead.
    if (a.ss_family == AF_INET6 &&
        memcmp(&((struct sockaddr_in6 *)&a)->sin6_addr, nat64_prefix, sizeof nat64_prefix) == 0)
        return ERR(BAD_ADDRESS);
    (void)address_bytes(r.bytes, (struct sockaddr *)&a);
    // Bits behind the prefix must be zero: "10.1.2.3/8" is more likely a slip than a wish.
    uint8_t masked[16] = {0};
    memcpy(masked, r.bytes, r.bits / 8);
    if (r.bits % 8 != 0)
        masked[r.bits / 8] = (uint8_t)(r.bytes[r.bits / 8] & 0xff << (8 - r.bits % 8));
    if (memcmp(masked, r.bytes, sizeof masked) != 0) return ERR(BAD_ADDRESS);
    *out = r;
    return OK;
}

bool address_range_has(const struct address_range *r, const struct sockaddr *a)
{
    uint8_t bytes[16];
    return address_bytes(bytes, a) && prefix_eq(bytes, r->bytes, r->bits);
}

bool address_range_has_octets(const struct address_range *r, struct slice octets)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (octets.n == sizeof v4.sin_addr) {
        memcpy(&v4.sin_addr, octets.p, octets.n);
        return address_range_has(r, (const struct sockaddr *)&v4);
    }
    if (octets.n != sizeof v6.sin6_addr) return false;
    memcpy(&v6.sin6_addr, octets.p, octets.n);
    return address_range_has(r, (const struct sockaddr *)&v6);
}

void address_range_text(char out[ADDRESS_TEXT_MAX], const struct address_range *r)
{
    char ip[INET6_ADDRSTRLEN];
    bool v4 = address_is_ipv4(r->bytes) && r->bits >= IPV4_IN_IPV6_BITS;
    inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? r->bytes + 12 : r->bytes, ip, sizeof ip);
    snprintf(out, ADDRESS_TEXT_MAX, "%s/%u", ip, v4 ? r->bits - IPV4_IN_IPV6_BITS : r->bits);
}
