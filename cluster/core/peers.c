#include "cluster/core/peers.h"

#include <string.h>

#include "cluster/core/address.h"
#include "proto/err.h"

enum { KEY_LEN = 16, IPV6_HOST_BYTES = 8 };

struct peer {
    uint8_t key[KEY_LEN];
    unsigned count;
};

struct err peers_init(struct peers *p, size_t capacity, unsigned most,
                      const uint8_t seed[MAP_SEED_LEN])
{
    *p = (struct peers){.most = most};
    TRY(pool_init(&p->pool, "peers", sizeof(struct peer), capacity));
    struct err e = map_init(&p->map, KEY_LEN, capacity, seed);
    if (failed(e)) pool_fini(&p->pool);
    return e;
}

void peers_fini(struct peers *p)
{
    if (p->pool.memory == NULL) return;
    map_fini(&p->map);
    pool_fini(&p->pool);
}

bool peers_join(struct peers *p, struct peer **out, const struct sockaddr *a)
{
    uint8_t key[KEY_LEN];
    *out = NULL;
    if (!address_bytes(key, a)) return true;
    if (!address_is_ipv4(key)) memset(key + KEY_LEN - IPV6_HOST_BYTES, 0, IPV6_HOST_BYTES);
    struct peer *peer = map_get(&p->map, key);
    if (peer == NULL) {
        peer = pool_get(&p->pool);
        if (peer == NULL) return false;
        memcpy(peer->key, key, sizeof key);
        if (failed(map_put(&p->map, peer->key, peer))) {
            pool_put(&p->pool, peer);
            return false;
        }
    }
    if (peer->count >= p->most) return false;
    peer->count++;
    *out = peer;
    return true;
}

void peers_leave(struct peers *p, struct peer *peer)
{
    if (peer == NULL || --peer->count > 0) return;
    map_remove(&p->map, peer->key);
    pool_put(&p->pool, peer);
}
