#include "api/acme/key_judge.h"

#include "proto/der/blocked.h"
#include "proto/der/weak.h"

const char *key_judge(const struct request *r, struct slice spki)
{
    const char *weak = key_weakness(spki);
    if (weak != NULL) return weak;
    const struct blocked_keys *blocked = r->edge->front->blocked;
    return blocked != NULL && blocked_keys_has(blocked, spki)
               ? "it is on this server's list of keys that nobody may use"
               : NULL;
}
