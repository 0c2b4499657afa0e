// weak: public keys that anybody can break, by what is known of their making: small exponents,
// small factors, primes that lie close together, Infineon's ROCA, points of small order. What can
// only be known from a list is in blocked.h. Pure; any thread; no secrets.
#pragma once
#include "proto/base/slice.h"

enum {
    WEAK_EXPONENT_MIN = 65537, // of RSA keys
    WEAK_FACTOR_MAX = 751,     // the largest prime that is tried as a factor
    WEAK_FERMAT_ROUNDS = 110   // of Fermat's method
};

// key_weakness returns NULL when nothing is found, else a clause for people: "its primes lie so
// close together that ...", constant. `spki` is a SubjectPublicKeyInfo that public_key_kind_of
// takes (RSA of at most RSA_BITS_PARSED_MAX bits); of other octets it says nothing. An RSA key
// costs 50 to 70 microseconds, others next to nothing.
const char *key_weakness(struct slice spki);
