// alabel: is a label that begins with "xn--" a real A-label? RFC 5890 section 2.3.2.1 asks that its
// Punycode (RFC 3492) decodes and encodes back to the same text; certificates with other "xn--"
// labels fail the usual lints. Pure; any thread.
#pragma once
#include "proto/base/slice.h"

// alabel_valid takes a whole lower-case label of at most 63 octets and says whether it is "xn--"
// and Punycode in the one form the encoder makes, for a text with at least one character beyond
// ASCII and none that is no character at all.
bool alabel_valid(struct slice label);
