#include "api/validate/target.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "api/validate/validate_internal.h"
#include "cluster/err.h"
#include "proto/err.h"

enum { CONNECT_MS_MAX = 5000 };

// keep goes through the addresses that were found and keeps those in the tenant's networks.
static void keep(struct target *t)
{
    size_t kept = 0;
    char text[ADDRESS_TEXT_MAX], note[ADDRESS_TEXT_MAX + 128];
    for (size_t i = 0; i < t->count; i++)
        if (validation_target_allowed(t->policy, (const struct sockaddr *)&t->addresses[i]))
            t->addresses[kept++] = t->addresses[i];
    if (kept > 0) {
        t->count = kept;
        t->done(t, VALIDATE_OK, false, "");
        return;
    }
    address_text(text, target_address(t));
    snprintf(note, sizeof note,
             "%s may not be connected to: it is outside the networks that this tenant validates in",
             text);
    t->done(t, VALIDATE_CONNECTION, false, note);
}

static void on_resolved(struct resolver_query *q, const struct sockaddr_storage *addresses,
                        size_t count, const char *note)
{
    struct target *t = LIST_OWNER(q, struct target, query);
    if (count == 0) {
        t->done(t, VALIDATE_DNS, true, note);
        return;
    }
    memcpy(t->addresses, addresses, count * sizeof *addresses);
    t->count = count;
    keep(t);
}

static void on_soon(struct timer *timer) { keep(LIST_OWNER(timer, struct target, soon)); }

static bool literal(struct sockaddr_storage *out, const char *host, unsigned port)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)out;
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        return true;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1) return false;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    return true;
}

bool target_start(struct target *t, struct shard *shard, struct resolver *resolver,
                  const struct validate_policy *policy, const char *host, bool is_address,
                  unsigned port)
{
    t->policy = policy;
    t->index = 0;
    t->count = 0;
    t->soon = (struct timer){.fire = on_soon};
    t->query.done = on_resolved;
    t->query.owner = NULL;
    if (!is_address || !literal(&t->addresses[0], host, port))
        return resolver_start(resolver, &t->query, policy, host, port);
    t->count = 1;
    timer_set(shard, &t->soon, 0);
    return true;
}

void target_cancel(struct target *t)
{
    resolver_cancel(&t->query);
    timer_cancel(&t->soon);
}

bool target_resolving(const struct target *t) { return t->query.owner != NULL; }

const struct sockaddr *target_address(const struct target *t)
{
    return (const struct sockaddr *)&t->addresses[t->index];
}

bool target_next(struct target *t)
{
    if (t->index + 1 >= t->count) return false;
    t->index++;
    return true;
}

void target_dial(struct dial_options *out, const struct target *t)
{
    unsigned ms = t->policy->attempt_ms / (unsigned)t->count;
    out->address = t->addresses[t->index];
    out->address_len = out->address.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                          : sizeof(struct sockaddr_in);
    out->connect_ms = ms < CONNECT_MS_MAX ? ms : CONNECT_MS_MAX;
    out->handshake_ms = CONNECT_MS_MAX;
}

const char *target_why(struct err why, const char *note)
{
    return err_is(why, ERR_CONNECT_REFUSED)       ? "refused"
           : err_is(why, ERR_CONNECT_TIMEOUT)     ? "did not answer in time"
           : err_is(why, ERR_CONNECT_UNREACHABLE) ? "cannot be reached"
           : err_is(why, ERR_CONNECT_DENIED)      ? "may not be connected to"
                                                  : note;
}
