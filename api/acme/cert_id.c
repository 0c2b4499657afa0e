#include "api/acme/cert_id.h"

#include "proto/err.h"
#include "proto/text/base64url.h"

static bool serial_take(struct cert_id *out, const uint8_t *octets, size_t n)
{
    if (n > 1 && octets[0] == 0) {
        octets++;
        n--;
    } else if (octets[0] >= 0x80) {
        return false; // negative
    }
    if (n > SERIAL_LEN) return false;
    out->ours = n == SERIAL_LEN && octets[0] < 0x80;
    if (out->ours) memcpy(out->serial, octets, SERIAL_LEN);
    return true;
}

struct err cert_id_parse(struct cert_id *out, struct slice text)
{
    struct cert_id id = {0};
    uint8_t serial[SERIAL_LEN + 1];
    size_t n = 0;
    const uint8_t *dot = text.n == 0 ? NULL : memchr(text.p, '.', text.n);
    if (dot == NULL) return ERR(BAD_BASE64URL);
    size_t at = (size_t)(dot - text.p);
    if (failed(base64url_decode_into(id.aki, sizeof id.aki, &id.aki_len, slice_sub(text, 0, at))) ||
        failed(base64url_decode_into(serial, sizeof serial, &n,
                                     slice_sub(text, at + 1, text.n - at - 1))) ||
        id.aki_len == 0 || n == 0 || !serial_take(&id, serial, n))
        return ERR(BAD_BASE64URL);
    *out = id;
    return OK;
}
