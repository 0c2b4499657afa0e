// tls_bench: `certmill-bench tls`: what a handshake costs the server, and how much of it its
// signature is: the most that signing in batches could save.
#pragma once

int tls_bench_main(int argc, char **argv);
