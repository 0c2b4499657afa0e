// p256_bench: `certmill-bench p256`: our signatures and verifications on P-256 beside BoringSSL's
// and crypto_mb's, in one run on one core.
#pragma once

// p256_bench_main measures and prints. The exit code: 0 measured, 1 not, 2 the command line is not
// usable.
int p256_bench_main(int argc, char **argv);
