// loop: `certmill-bench loop`: whole issuances one after the other, by several clients at once, for
// some seconds.
#pragma once

// loop_main is the command; returns the exit code.
int loop_main(int argc, char **argv);
