// x509: the pieces of which certificates and CRLs are both built, written with BoringSSL's CBB. The
// functions that return int are 0 when memory or the bound of the CBB ran out, as CBB's own. Pure.
#pragma once
#include <openssl/bytestring.h>

#include "proto/base/buf.h"

// x509_bytes_add writes octets as they are: whole values in DER, or the content of one.
int x509_bytes_add(CBB *cbb, struct slice s);
// x509_time_add writes a Time: UTCTime until 2049, then GeneralizedTime (RFC 5280 sections 4.1.2.5
// and 5.1.2.4).
int x509_time_add(CBB *cbb, int64_t unix_s);
// x509_extension_begin opens an Extension and its OCTET STRING: `value` takes the content, and
// CBB_flush of `list` closes both.
int x509_extension_begin(CBB *list, CBB *extension, CBB *value, struct slice oid, bool critical);
// x509_authority_key_add writes authorityKeyIdentifier with the issuer's subjectKeyIdentifier
// (RFC 5280 sections 4.2.1.1 and 5.2.1).
int x509_authority_key_add(CBB *list, struct slice key_id);
// x509_finish ends `cbb` in either case; where `ok`, what was written is added to `out`. ERR_CRYPTO
// when not; ERR_NO_SPACE.
RESULT x509_finish(struct buf *out, CBB *cbb, int ok);
