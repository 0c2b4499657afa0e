// peers: how many connections each client address has, so that one address cannot take them all.
// IPv4 clients count by address, IPv6 clients by /64, which is what one host has; both forms of an
// IPv4 address are one client. Owned by one thread.
#pragma once
#include <sys/socket.h>

#include "proto/base/map.h"
#include "proto/base/pool.h"

struct peer; // the connections of one address

struct peers {
    struct map map; // struct peer by address
    struct pool pool;
    unsigned most;
};

// peers_init sizes it for `capacity` connections, of which an address may have `most`.
// ERR_NO_SPACE.
RESULT peers_init(struct peers *p, size_t capacity, unsigned most,
                  const uint8_t seed[MAP_SEED_LEN]);
// peers_fini: every connection has left.
void peers_fini(struct peers *p);
// peers_join counts a connection; false when its address has `most` already. *out is what
// peers_leave takes: NULL for an address that is no IP address, which has no bound.
bool peers_join(struct peers *p, struct peer **out, const struct sockaddr *a);
void peers_leave(struct peers *p, struct peer *peer);
