#include "cluster/core/limits.h"

#include <stdio.h>
#include <sys/resource.h>

#include "cluster/core/log.h"
#include "cluster/events.h"

enum { PROCESS_DESCRIPTORS = 64, NOTE_MAX = 256 }; // of the process, whatever it does

size_t limits_descriptors(size_t wanted)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) != 0) return wanted; // nothing is known: accept will tell
    if (l.rlim_cur < wanted && l.rlim_cur < l.rlim_max) {
        rlim_t before = l.rlim_cur;
        l.rlim_cur = l.rlim_max < wanted ? l.rlim_max : wanted;
        if (setrlimit(RLIMIT_NOFILE, &l) != 0) l.rlim_cur = before;
    }
    return l.rlim_cur;
}

unsigned limits_conns(struct log *log, unsigned cores, unsigned wanted, unsigned others)
{
    size_t need = (size_t)cores * ((size_t)wanted + others) + PROCESS_DESCRIPTORS;
    size_t have = limits_descriptors(need);
    if (have >= need) return wanted;
    size_t each = have > PROCESS_DESCRIPTORS ? (have - PROCESS_DESCRIPTORS) / cores : 0;
    size_t conns = each > 2 * (size_t)others ? each - others
                                             : each / 2; // half, where that is little
    if (conns < 1) conns = 1;
    if (conns > wanted) conns = wanted;
    char note[NOTE_MAX];
    snprintf(note, sizeof note,
             "the limit of open files is %zu, so each core accepts %zu connections instead of %u: "
             "raise it to %zu (ulimit -n, or LimitNOFILE= of the service), or lower "
             "server.connections_max",
             have, conns, wanted, need);
    LOG(log, &EVENT_DESCRIPTORS_FEW, note);
    return (unsigned)conns;
}
