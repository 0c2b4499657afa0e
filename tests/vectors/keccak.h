// keccak: the hashes of FIPS 202 that some vectors are over and BoringSSL has not. For tests only.
#pragma once
#include <stddef.h>
#include <stdint.h>

// keccak writes `out_n` octets, at most `rate`, of the sponge with `rate` octets and the domain's
// `suffix`: SHA3-256 is (136, 0x06), SHA3-512 (72, 0x06), SHAKE128 (168, 0x1f).
void keccak(uint8_t *out, size_t out_n, const uint8_t *in, size_t n, size_t rate, uint8_t suffix);
