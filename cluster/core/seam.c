#include "cluster/core/seam.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/core/clock.h"
#include "cluster/events.h"

static char armed[64];
static int left; // passings until the crash; points of several cores may race for the last, which
                 // kills all the same

void seams_enable(struct log *l)
{
    const char *text = getenv("CERTMILL_TEST_CRASH");
    if (text == NULL) text = "";
    const char *colon = strchr(text, ':');
    left = colon == NULL ? 1 : atoi(colon + 1);
    snprintf(armed, sizeof armed, "%.*s", colon == NULL ? (int)strlen(text) : (int)(colon - text),
             text);
    LOG(l, &EVENT_SEAMS_ENABLED, "test seams are enabled", LOG_STR("crash", armed));
}

void crash_point(const char *name)
{
    if (armed[0] == 0 || strcmp(armed, name) != 0 || --left > 0) return;
    kill(getpid(), SIGKILL);
}

void seam_clock_say(struct log *log)
{
    if (clock_offset_s() == 0) return;
    LOG(log, &EVENT_CLOCK_SHIFTED,
        "the wall clock is shifted by CERTMILL_TEST_CLOCK_OFFSET_S: for tests only",
        LOG_INT("offset_s", clock_offset_s()));
}
