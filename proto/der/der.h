// der: what the readers of requests, certificates and keys share: the check that bytes are DER at
// every level, times, and the object identifiers they know. Pure; any thread.
#pragma once
#include "proto/base/err.h"
#include "proto/base/slice.h"

enum { DER_DEPTH_MAX = 16 };

// der_check says whether `der` is exactly one DER value and nothing behind it: shortest lengths,
// nothing indefinite, no constructed strings, and at every level of nesting (at most DER_DEPTH_MAX)
// well-formed BOOLEAN, INTEGER, BIT STRING, NULL, OBJECT IDENTIFIER, times and text. The order of
// SET OF is not checked: requests in the wild break it and nothing is built from it. ERR_BAD_DER.
RESULT
der_check(struct slice der);

// der_time_parse reads the content octets of a UTCTime (`generalized` false, 13 octets) or
// GeneralizedTime (15 octets) as RFC 5280 section 4.1.2.5 narrows them: seconds present, "Z", no
// fraction. Seconds since 1970. ERR_BAD_DER.
RESULT
der_time_parse(int64_t *out, struct slice text, bool generalized);

// Content octets of the object identifiers in use.
#define OID_COMMON_NAME SLICE_LIT("\x55\x04\x03")
#define OID_SUBJECT_KEY_ID SLICE_LIT("\x55\x1d\x0e")
#define OID_KEY_USAGE SLICE_LIT("\x55\x1d\x0f")
#define OID_SUBJECT_ALT_NAME SLICE_LIT("\x55\x1d\x11")
#define OID_CRL_NUMBER SLICE_LIT("\x55\x1d\x14")
#define OID_CRL_REASON SLICE_LIT("\x55\x1d\x15")
#define OID_ISSUING_DISTRIBUTION_POINT SLICE_LIT("\x55\x1d\x1c")
#define OID_BASIC_CONSTRAINTS SLICE_LIT("\x55\x1d\x13")
#define OID_NAME_CONSTRAINTS SLICE_LIT("\x55\x1d\x1e")
#define OID_CRL_DISTRIBUTION_POINTS SLICE_LIT("\x55\x1d\x1f")
#define OID_CERTIFICATE_POLICIES SLICE_LIT("\x55\x1d\x20")
#define OID_AUTHORITY_KEY_ID SLICE_LIT("\x55\x1d\x23")
#define OID_EXT_KEY_USAGE SLICE_LIT("\x55\x1d\x25")
#define OID_NO_REV_AVAIL SLICE_LIT("\x55\x1d\x38")
#define OID_AUTHORITY_INFO_ACCESS SLICE_LIT("\x2b\x06\x01\x05\x05\x07\x01\x01")
#define OID_ACME_IDENTIFIER SLICE_LIT("\x2b\x06\x01\x05\x05\x07\x01\x1f")
#define OID_TLS_FEATURE SLICE_LIT("\x2b\x06\x01\x05\x05\x07\x01\x18")
#define OID_SERVER_AUTH SLICE_LIT("\x2b\x06\x01\x05\x05\x07\x03\x01")
#define OID_CLIENT_AUTH SLICE_LIT("\x2b\x06\x01\x05\x05\x07\x03\x02")
#define OID_EXTENSION_REQUEST SLICE_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e")
#define OID_MS_EXTENSION_REQUEST SLICE_LIT("\x2b\x06\x01\x04\x01\x82\x37\x02\x01\x0e")
#define OID_EC_PUBLIC_KEY SLICE_LIT("\x2a\x86\x48\xce\x3d\x02\x01")
#define OID_P256 SLICE_LIT("\x2a\x86\x48\xce\x3d\x03\x01\x07")
#define OID_P384 SLICE_LIT("\x2b\x81\x04\x00\x22")
#define OID_P521 SLICE_LIT("\x2b\x81\x04\x00\x23")
#define OID_RSA_ENCRYPTION SLICE_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")
#define OID_ED25519 SLICE_LIT("\x2b\x65\x70")
#define OID_ECDSA_SHA256 SLICE_LIT("\x2a\x86\x48\xce\x3d\x04\x03\x02")
#define OID_ECDSA_SHA384 SLICE_LIT("\x2a\x86\x48\xce\x3d\x04\x03\x03")
#define OID_ECDSA_SHA512 SLICE_LIT("\x2a\x86\x48\xce\x3d\x04\x03\x04")
#define OID_RSA_SHA256 SLICE_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b")
#define OID_RSA_SHA384 SLICE_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c")
#define OID_RSA_SHA512 SLICE_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d")
