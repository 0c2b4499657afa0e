// limits: how many descriptors the system lets this process have. Main's thread, at start.
#pragma once
#include <stddef.h>

struct log;

// limits_descriptors raises the soft limit of open files to `wanted`, or as far as the hard limit
// lets it; returns the soft limit that is there then.
size_t limits_descriptors(size_t wanted);
// limits_conns is how many connections each of `cores` may accept, at most `wanted`, so that
// `others` descriptors per core (database, signers, validations, listeners) are always left: accept
// has to wait before those find none (T47). Raises the soft limit; says in the log when that is not
// enough.
unsigned limits_conns(struct log *log, unsigned cores, unsigned wanted, unsigned others);
