// once: `certmill-bench once`: one certificate from any ACME server through the whole protocol,
// checked and printed.
#pragma once

// once_main runs the command with its own arguments (argv[0] is "once"); returns the exit code.
int once_main(int argc, char **argv);
