// seeds: the first inputs of every target, made by the builders that the tests use. The program
// fuzz_seeds writes them below a folder, tests/fuzz/corpus as a rule; keys are new in every run, so
// it is run again only when a format or a target is new.
#pragma once
#include "proto/base/arena.h"

// struct seeds: where files go, and memory for what is made on the way.
struct seeds {
    const char *folder;
    struct arena arena;
    unsigned count; // files written
};

// seed writes one file <folder>/<target>/<name>; a failure stops the program.
void seed(struct seeds *s, const char *target, const char *name, struct slice bytes);
// seeds_text writes json, base64url, jwk, jws and grpc; seeds_der csr, cert and crl; seeds_http h1
// and h2; seeds_p256 p256_*.
void seeds_text(struct seeds *s);
void seeds_der(struct seeds *s);
void seeds_http(struct seeds *s);
void seeds_p256(struct seeds *s);
