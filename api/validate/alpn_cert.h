// alpn_cert: what the certificate of a tls-alpn-01 responder must be (RFC 8737 section 3). Pure;
// any thread.
#pragma once
#include "proto/der/name.h"

enum { ALPN_DIGEST_LEN = 32 };

// alpn_cert_judge reads `der`, the certificate that the responder showed, and returns NULL when it
// proves control of `identifier`: signed by its own key, for this identifier alone (a name whatever
// its case, RFC 4343; an address octet by octet, RFC 8738 section 6), and with the critical
// acmeIdentifier that holds `digest`, the SHA-256 of the key authorization, and nothing else. Its
// dates and its serial number are not asked about. Else a sentence about what is wrong, without a
// word that the responder chose; in the arena, or constant.
const char *alpn_cert_judge(struct arena *a, struct slice der, const struct identifier *identifier,
                            const uint8_t digest[ALPN_DIGEST_LEN]);
