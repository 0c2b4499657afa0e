#include "cluster/core/proxy.h"

#include <netinet/in.h>

enum { HEADER_LEN = 16, LENGTH_MAX = 512, V4_LEN = 12, V6_LEN = 36 };

static const uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                      0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

static bool address_take(struct sockaddr_storage *out, uint8_t family, const uint8_t *p, size_t n)
{
    if (family == 0x11) { // TCP over IPv4: source, destination, ports
        struct sockaddr_in a = {.sin_family = AF_INET};
        if (n < V4_LEN) return false;
        memcpy(&a.sin_addr, p, 4);
        memcpy(&a.sin_port, p + 8, 2);
        memset(out, 0, sizeof *out);
        memcpy(out, &a, sizeof a);
        return true;
    }
    if (family == 0x21) {
        struct sockaddr_in6 a = {.sin6_family = AF_INET6};
        if (n < V6_LEN) return false;
        memcpy(&a.sin6_addr, p, 16);
        memcpy(&a.sin6_port, p + 32, 2);
        memset(out, 0, sizeof *out);
        memcpy(out, &a, sizeof a);
        return true;
    }
    return family == 0x00;
}

enum proxy_result proxy_parse(struct sockaddr_storage *address, struct slice in, size_t *used)
{
    size_t seen = in.n < sizeof signature ? in.n : sizeof signature;
    if (memcmp(in.p, signature, seen) != 0) return PROXY_BAD;
    if (in.n < HEADER_LEN) return PROXY_MORE;
    uint8_t command = in.p[12];
    size_t length = (size_t)in.p[14] << 8 | in.p[15];
    if ((command != 0x20 && command != 0x21) || length > LENGTH_MAX) return PROXY_BAD;
    if (in.n < HEADER_LEN + length) return PROXY_MORE;
    if (command == 0x21 && !address_take(address, in.p[13], in.p + HEADER_LEN, length))
        return PROXY_BAD;
    *used = HEADER_LEN + length;
    return PROXY_OK;
}
