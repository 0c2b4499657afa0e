// seam: where tests reach in. A program that was started with --test-seams, and said so in its log,
// kills itself at the point that the environment variable CERTMILL_TEST_CRASH names; every other
// program does nothing there. Any thread.
#pragma once
#include <stdbool.h>

struct log;

// seams_enable reads the environment once, at start; it logs a warning.
void seams_enable(struct log *l);
// crash_point sends this process SIGKILL when `name` is the armed point. CERTMILL_TEST_CRASH is
// "name" or "name:n" for its n-th passing.
void crash_point(const char *name);
// seam_clock_say warns in `log` when the wall clock is shifted (cluster/core/clock.h); every
// program calls it once its log is open.
void seam_clock_say(struct log *log);
