// wycheproof: reads the files of Project Wycheproof and counts what a verifier says of each vector.
#pragma once
#include <yyjson.h>

#include "proto/base/arena.h"

// struct vector is one test of a group.
struct vector {
    yyjson_val *group, *test;
    const char *comment, *result; // "valid", "invalid" or "acceptable"
    int id;
    struct arena *arena; // for the call
};

// enum verdict: EXCEPTED is for what our policy does not take at all (an algorithm, a size of
// keys); the caller has decided so by name, and such a vector must not be counted as verified.
enum verdict { REFUSED, ACCEPTED, EXCEPTED };

struct tally {
    unsigned accepted, refused, excepted, wrong;
};

// wycheproof_run asks `verify` for each vector of a file. A valid one must be accepted or excepted,
// an invalid one refused or excepted; an acceptable one (forms that some verifiers take) must be
// refused: we take one form. What is wrong is printed. A file that is not there, or has fewer than
// `least` vectors, is wrong.
struct tally wycheproof_run(const char *file, unsigned least,
                            enum verdict (*verify)(const struct vector *v));
// wycheproof_hex reads the member `name` of a test or group, in hexadecimal, into the arena.
struct slice wycheproof_hex(const struct vector *v, yyjson_val *object, const char *name);
