// cert_id: the identifier of a certificate in renewal information and in "replaces" (RFC 9773
// section 4.1): base64url of the authority key identifier, ".", base64url of the serial number's
// octets. Pure.
#pragma once
#include "proto/base/err.h"
#include "proto/base/slice.h"
#include "proto/rpc/intent.h"

enum { CERT_ID_AKI_MAX = 64 };

struct cert_id {
    uint8_t aki[CERT_ID_AKI_MAX];
    size_t aki_len;
    bool ours; // a serial number of the form that this server gives: else there is no such one
    uint8_t serial[SERIAL_LEN];
};

// cert_id_parse reads it strictly: two parts, neither empty, base64url without padding, the serial
// a positive INTEGER of at most 20 octets. A leading zero octet of the serial is taken where DER
// has none, too, as some clients write it (clients.md 54). ERR_BAD_BASE64URL.
RESULT cert_id_parse(struct cert_id *out, struct slice text);
