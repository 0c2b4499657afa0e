#include "proto/grpc/frame.h"

#include <stdio.h>

#include "proto/err.h"

struct err grpc_frame_write(struct buf *out, struct slice message)
{
    if (message.n > UINT32_MAX) return ERR(NO_SPACE);
    uint32_t n = (uint32_t)message.n;
    const uint8_t prefix[GRPC_PREFIX_LEN] = {0, (uint8_t)(n >> 24), (uint8_t)(n >> 16),
                                             (uint8_t)(n >> 8), (uint8_t)n};
    if (buf_reserve(out, sizeof prefix + message.n) == NULL) return ERR(NO_SPACE);
    TRY(buf_add(out, slice_of(prefix, sizeof prefix)));
    return buf_add(out, message);
}

struct err grpc_frame_read(struct slice *out, struct slice body, size_t size_max)
{
    if (body.n < GRPC_PREFIX_LEN || body.p[0] != 0) return ERR(GRPC_FRAME);
    size_t n = (size_t)body.p[1] << 24 | (size_t)body.p[2] << 16 | (size_t)body.p[3] << 8 |
               body.p[4];
    if (n > size_max || n != body.n - GRPC_PREFIX_LEN) return ERR(GRPC_FRAME);
    *out = slice_sub(body, GRPC_PREFIX_LEN, n);
    return OK;
}

struct err grpc_message_encode(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c >= 0x20 && c <= 0x7e && c != '%')
            TRY(buf_add(out, slice_of(&c, 1)));
        else
            TRY(buf_printf(out, "%%%02X", c));
    }
    return OK;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

struct err grpc_message_decode(struct slice *out, struct arena *a, struct slice text)
{
    uint8_t *p = arena_alloc(a, text.n + 1);
    if (p == NULL) return ERR(NO_SPACE);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        bool escape = text.p[i] == '%' && i + 2 < text.n && hex_value(text.p[i + 1]) >= 0 &&
                      hex_value(text.p[i + 2]) >= 0;
        p[n++] = escape ? (uint8_t)(hex_value(text.p[i + 1]) << 4 | hex_value(text.p[i + 2]))
                        : text.p[i];
        if (escape) i += 2;
    }
    p[n] = 0;
    *out = slice_of(p, n);
    return OK;
}

void grpc_timeout_format(char out[GRPC_TIMEOUT_TEXT_MAX], uint64_t ms)
{
    // At most eight digits: beyond that whole seconds are close enough.
    uint64_t s = ms / 1000 > 99999999 ? 99999999 : ms / 1000;
    if (ms <= 99999999)
        snprintf(out, GRPC_TIMEOUT_TEXT_MAX, "%um", (unsigned)(ms % 100000000));
    else
        snprintf(out, GRPC_TIMEOUT_TEXT_MAX, "%uS", (unsigned)(s % 100000000));
}

struct err grpc_timeout_parse(uint64_t *out_ms, struct slice text)
{
    if (text.n < 2 || text.n > 9) return ERR(GRPC_FRAME);
    uint64_t v = 0;
    for (size_t i = 0; i + 1 < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') return ERR(GRPC_FRAME);
        v = v * 10 + (text.p[i] - '0');
    }
    switch (text.p[text.n - 1]) {
    case 'H':
        v *= 3600000;
        break;
    case 'M':
        v *= 60000;
        break;
    case 'S':
        v *= 1000;
        break;
    case 'm':
        break;
    case 'u':
        v = (v + 999) / 1000;
        break;
    case 'n':
        v = (v + 999999) / 1000000;
        break;
    default:
        return ERR(GRPC_FRAME);
    }
    *out_ms = v;
    return OK;
}
