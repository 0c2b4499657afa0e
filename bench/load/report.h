// report: what a person wants to see of a certificate chain: subject, names, validity, issuer,
// serial, and the PEM.
#pragma once
#include <stdio.h>

#include "proto/base/err.h"
#include "proto/base/slice.h"

// chain_print writes each certificate of a PEM chain to `out`, leaf first. ERR_BAD_PEM,
// ERR_BAD_CERT.
RESULT chain_print(FILE *out, struct slice pem);
// chain_check: the leaf covers exactly `names` (DNS) and each certificate is signed by the next,
// the last by one of `root_pem`. `note` gets a sentence. ERR_BENCH_ANSWER.
RESULT chain_check(char *note, size_t note_size, struct slice pem, struct slice root_pem,
                   const char *const *names, size_t name_count, struct slice leaf_spki);
