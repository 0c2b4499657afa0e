// tls_bench: `certmill-bench tls`: what a handshake costs the server, and how much of it its
// signature is: the most that signing in batches could save.
#pragma once

// tls_bench_main measures and prints. The exit code: 0 measured, 1 not, 2 the command line is not
// usable.
int tls_bench_main(int argc, char **argv);
