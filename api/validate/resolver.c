#include "api/validate/resolver.h"

// ares_query is what Debian 12's c-ares has; later ones prefer another call and have this one, too.
#define CARES_NO_DEPRECATED
#include <ares.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/core/reactor.h"

enum {
    DNS_PORT = 53,
    QUERY_TIMEOUT_MS = 1500,
    QUERY_TRIES = 2,
    CHANNELS_MAX = 512,
    SERVERS_TEXT_MAX = 512,
    CLASS_IN = 1,
    HEADER_LEN = 12,
    TRUNCATED = 2 // in the header's third octet (RFC 1035 section 4.1.1)
};

struct channel;

// struct watch is one socket of a channel: c-ares says what it waits for, the reactor says when it
// is there.
struct watch {
    struct op op;
    struct list node;
    struct channel *channel; // NULL once c-ares has closed the socket
    int fd;
    unsigned want, armed; // masks; armed 0: no op is in flight
};

struct channel {
    struct resolver *owner;
    char servers[SERVERS_TEXT_MAX]; // as c-ares takes them; "" for the host's
    bool tcp;                       // alone
    ares_channel ares;
    struct list watches;
    struct timer timer;
    struct turn_hook arm; // watches are armed once a turn, after c-ares has made up its mind
};

struct resolver {
    struct shard *shard;
    struct channel *channels[CHANNELS_MAX];
    size_t channel_count;
    struct list queries; // under way
};

// ---- sockets

static void timer_arm(struct channel *c)
{
    struct timeval tv, most = {.tv_sec = 5};
    struct timeval *left = ares_timeout(c->ares, &most, &tv);
    timer_set(c->owner->shard, &c->timer,
              (uint64_t)left->tv_sec * 1000 + (uint64_t)left->tv_usec / 1000 + 1);
}

static void on_timer(struct timer *t)
{
    struct channel *c = LIST_OWNER(t, struct channel, timer);
    ares_process_fd(c->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    if (!list_empty(&c->owner->queries)) timer_arm(c);
}

static void watch_free(struct watch *w)
{
    list_remove(&w->node);
    free(w);
}

static void on_ready(struct op *op, int32_t res, uint32_t flags)
{
    (void)flags;
    struct watch *w = LIST_OWNER(op, struct watch, op);
    w->armed = 0;
    struct channel *c = w->channel;
    if (c == NULL) {
        watch_free(w);
        return;
    }
    turn_hook_arm(c->owner->shard, &c->arm);
    if (res <= 0) return; // cancelled, because c-ares waits for something else now
    bool in = (res & ~REACTOR_OUT) != 0,
         out = (res & ~REACTOR_IN) != 0; // an error or hang-up wakes both
    ares_process_fd(c->ares, in ? w->fd : ARES_SOCKET_BAD, out ? w->fd : ARES_SOCKET_BAD);
    timer_arm(c);
}

static void on_arm(struct turn_hook *hook)
{
    struct channel *c = LIST_OWNER(hook, struct channel, arm);
    LIST_EACH (node, &c->watches) {
        struct watch *w = LIST_OWNER(node, struct watch, node);
        if (w->want == w->armed) continue;
        if (w->armed != 0)
            reactor_cancel(shard_reactor(c->owner->shard),
                           &w->op); // completes, and comes back here
        else {
            w->armed = w->want;
            reactor_poll(shard_reactor(c->owner->shard), &w->op, w->fd, w->want);
        }
    }
}

static struct watch *watch_find(struct channel *c, int fd)
{
    LIST_EACH (node, &c->watches) {
        struct watch *w = LIST_OWNER(node, struct watch, node);
        if (w->fd == fd) return w;
    }
    return NULL;
}

static void watch_drop(struct watch *w)
{
    struct resolver *r = w->channel->owner;
    w->channel = NULL;
    list_remove(&w->node);
    if (w->armed == 0)
        watch_free(w);
    else
        reactor_cancel(shard_reactor(r->shard), &w->op); // its last completion frees it
}

static void on_socket_state(void *data, ares_socket_t fd, int readable, int writable)
{
    struct channel *c = data;
    struct watch *w = watch_find(c, fd);
    if (!readable && !writable) {
        if (w != NULL) watch_drop(w);
        return;
    }
    if (w == NULL) {
        w = calloc(1, sizeof *w);
        if (w == NULL) return; // the query runs into its timeout
        *w = (struct watch){.op = {.done = on_ready}, .channel = c, .fd = fd};
        list_push_back(&c->watches, &w->node);
    }
    w->want = (readable ? REACTOR_IN : 0u) | (writable ? REACTOR_OUT : 0u);
    turn_hook_arm(c->owner->shard, &c->arm);
}

// ---- channels

static void servers_write(char out[SERVERS_TEXT_MAX], const struct validate_policy *policy)
{
    size_t at = 0;
    out[0] = 0;
    for (size_t i = 0; i < policy->resolver_count && at < SERVERS_TEXT_MAX; i++) {
        char text[ADDRESS_TEXT_MAX];
        const struct sockaddr *a = (const struct sockaddr *)&policy->resolvers[i].address;
        if (address_port(a) == DNS_PORT)
            address_ip_text(text, a);
        else
            address_text(text, a);
        at += (size_t)snprintf(out + at, SERVERS_TEXT_MAX - at, "%s%s", at == 0 ? "" : ",", text);
    }
}

static struct channel *channel_make(struct resolver *r, const char *servers, bool tcp)
{
    struct channel *c = calloc(1, sizeof *c);
    if (c == NULL) return NULL;
    c->owner = r;
    c->timer.fire = on_timer;
    c->arm.run = on_arm;
    list_init(&c->watches);
    list_init(&c->arm.node);
    snprintf(c->servers, sizeof c->servers, "%s", servers);
    c->tcp = tcp;
    // "b" for DNS only: /etc/hosts of the front end says nothing about who controls a name.
    struct ares_options o = {.timeout = QUERY_TIMEOUT_MS,
                             .tries = QUERY_TRIES,
                             .sock_state_cb = on_socket_state,
                             .sock_state_cb_data = c,
                             .lookups = (char[]){"b"}};
    // A resolver that says SERVFAIL or REFUSED is passed over for the next one; when there is no
    // other, what it says is the answer, and people are told so.
    // A name is what it says: the host's search domains are never put behind it.
    o.flags = ARES_FLAG_NOSEARCH | (tcp ? ARES_FLAG_USEVC : 0);
    if (servers[0] != 0 && strchr(servers, ',') == NULL) o.flags |= ARES_FLAG_NOCHECKRESP;
#ifdef ARES_OPT_QUERY_CACHE
    o.qcache_max_ttl = 0; // whoever has mended a record need not wait, and CAA is looked at again
#endif
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB | ARES_OPT_LOOKUPS |
               ARES_OPT_FLAGS;
#ifdef ARES_OPT_QUERY_CACHE
    mask |= ARES_OPT_QUERY_CACHE;
#endif
    if (ares_init_options(&c->ares, &o, mask) != ARES_SUCCESS) {
        free(c);
        return NULL;
    }
    if (servers[0] != 0 && ares_set_servers_ports_csv(c->ares, servers) != ARES_SUCCESS) {
        ares_destroy(c->ares);
        free(c);
        return NULL;
    }
    return c;
}

static void channel_free(struct channel *c)
{
    ares_destroy(c->ares); // ends queries with ARES_EDESTRUCTION and closes sockets
    LIST_EACH (node, &c->watches) watch_drop(LIST_OWNER(node, struct watch, node));
    timer_cancel(&c->timer);
    turn_hook_disarm(&c->arm);
    free(c);
}

static struct channel *channel_get(struct resolver *r, const struct validate_policy *policy)
{
    char servers[SERVERS_TEXT_MAX];
    servers_write(servers, policy);
    for (size_t i = 0; i < r->channel_count; i++)
        if (strcmp(r->channels[i]->servers, servers) == 0 && r->channels[i]->tcp == policy->dns_tcp)
            return r->channels[i];
    // Reloads leave lists behind that no tenant has any more: all are made anew when nobody asks.
    if (r->channel_count == CHANNELS_MAX && r->queries.next == r->queries.prev)
        while (r->channel_count > 0) channel_free(r->channels[--r->channel_count]);
    if (r->channel_count == CHANNELS_MAX) return NULL;
    struct channel *c = channel_make(r, servers, policy->dns_tcp);
    if (c != NULL) r->channels[r->channel_count++] = c;
    return c;
}

// ---- queries

// struct asked outlives a cancelled query: c-ares cannot take back one question.
struct asked {
    struct resolver_query *query; // NULL once cancelled
};

// on_soon delivers what was found: never inside resolver_start, and one place for both kinds of
// answer.
static void on_soon(struct timer *t)
{
    struct resolver_query *q = LIST_OWNER(t, struct resolver_query, soon);
    struct slice message = q->message;
    list_remove(&q->node);
    q->owner = NULL;
    q->message = SLICE_NONE;
    if (q->raw)
        q->answered(q, q->outcome, message, q->note);
    else
        q->done(q, q->found, q->count, q->note);
    free((void *)(uintptr_t)message.p); // q may be gone
}

static void port_set(struct sockaddr_storage *a, unsigned port)
{
    if (a->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)(void *)a)->sin6_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in *)(void *)a)->sin_port = htons((uint16_t)port);
}

static size_t addresses_take(struct sockaddr_storage *out, const struct ares_addrinfo *info,
                             int family, unsigned port, size_t count, size_t max)
{
    for (const struct ares_addrinfo_node *n = info->nodes; n != NULL && count < max;
         n = n->ai_next) {
        if (n->ai_family != family || n->ai_addrlen > sizeof *out) continue;
        memset(&out[count], 0, sizeof out[count]);
        memcpy(&out[count], n->ai_addr, n->ai_addrlen);
        port_set(&out[count++], port);
    }
    return count;
}

static const char *status_text(int status)
{
    switch (status) {
    case ARES_SUCCESS:
    case ARES_ENODATA:
        return "the name has no such record";
    case ARES_ENOTFOUND:
        return "the name does not exist (NXDOMAIN)";
    case ARES_ESERVFAIL:
        return "the resolver failed (SERVFAIL)";
    case ARES_EREFUSED:
        return "the resolver refuses to answer";
    case ARES_ETIMEOUT:
        return "the resolver did not answer";
    case ARES_ECONNREFUSED:
        return "no resolver can be reached, or each of them refuses or fails";
    default:
        return ares_strerror(status);
    }
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    (void)timeouts;
    struct asked *asked = arg;
    struct resolver_query *q = asked->query;
    free(asked);
    if (q != NULL && status != ARES_EDESTRUCTION) {
        q->asked = NULL;
        // IPv6 first, as clients of the name would; but it leaves room for the other kind.
        if (info != NULL)
            q->count = addresses_take(q->found, info, AF_INET6, q->port, 0,
                                      RESOLVER_ADDRESSES_MAX / 2);
        if (info != NULL)
            q->count = addresses_take(q->found, info, AF_INET, q->port, q->count,
                                      RESOLVER_ADDRESSES_MAX);
        bool none = status == ARES_SUCCESS || status == ARES_ENODATA;
        q->note = q->count > 0 ? ""
                  : none       ? "the name has no A or AAAA record"
                               : status_text(status);
        timer_set(q->owner->shard, &q->soon, 0);
    }
    if (info != NULL) ares_freeaddrinfo(info);
}

static void message_take(struct resolver_query *q, int status, const unsigned char *p, int n)
{
    q->outcome = status == ARES_SUCCESS                               ? RESOLVER_ANSWERED
                 : status == ARES_ENOTFOUND || status == ARES_ENODATA ? RESOLVER_NONE
                                                                      : RESOLVER_FAILED;
    q->note = status_text(status);
    if (q->outcome == RESOLVER_NONE && n > HEADER_LEN && (p[2] & TRUNCATED) != 0) {
        q->outcome = RESOLVER_FAILED; // nothing, or nothing that fitted
        q->note = "the resolver's answer is truncated";
    }
    if (q->outcome != RESOLVER_ANSWERED || n <= 0) return;
    uint8_t *copy = malloc((size_t)n);
    if (copy == NULL) {
        q->outcome = RESOLVER_FAILED;
        q->note = "this front end has no room for the answer";
        return;
    }
    memcpy(copy, p, (size_t)n);
    q->message = slice_of(copy, (size_t)n);
}

static void on_message(void *arg, int status, int timeouts, unsigned char *p, int n)
{
    (void)timeouts;
    struct asked *asked = arg;
    struct resolver_query *q = asked->query;
    free(asked);
    if (q == NULL || status == ARES_EDESTRUCTION) return;
    q->asked = NULL;
    message_take(q, status, p, n);
    timer_set(q->owner->shard, &q->soon, 0);
}

static bool suffix_matches(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    if (n < m || strcmp(name + n - m, suffix) != 0) return false;
    return n == m || name[n - m - 1] == '.';
}

static bool override_find(struct resolver_query *q, const struct validate_policy *policy,
                          const char *name)
{
    for (size_t i = 0; i < policy->override_count; i++) {
        if (!suffix_matches(name, policy->overrides[i].suffix)) continue;
        q->found[0] = policy->overrides[i].address;
        port_set(&q->found[0], q->port);
        q->count = 1;
        q->note = "";
        return true;
    }
    return false;
}

struct resolver *resolver_new(struct shard *shard)
{
    struct resolver *r = calloc(1, sizeof *r);
    if (r == NULL) return NULL;
    r->shard = shard;
    list_init(&r->queries);
    return r;
}

void resolver_free(struct resolver *r)
{
    if (r == NULL) return;
    while (!list_empty(&r->queries))
        resolver_cancel(LIST_OWNER(r->queries.next, struct resolver_query, node));
    for (size_t i = 0; i < r->channel_count; i++) channel_free(r->channels[i]);
    free(r);
}

static void query_begin(struct resolver *r, struct resolver_query *q)
{
    q->count = 0;
    q->asked = NULL;
    q->raw = false;
    q->message = SLICE_NONE;
    q->soon = (struct timer){.fire = on_soon};
    q->owner = r;
    list_push_back(&r->queries, &q->node);
}

static bool query_failed(struct resolver_query *q)
{
    list_remove(&q->node);
    q->owner = NULL;
    return false;
}

// asked_new is a question of the query, and the channel to ask; NULL without memory.
static struct asked *asked_new(struct channel **out, struct resolver_query *q,
                               const struct validate_policy *policy)
{
    *out = channel_get(q->owner, policy);
    struct asked *asked = *out == NULL ? NULL : malloc(sizeof *asked);
    if (asked == NULL) return NULL;
    *asked = (struct asked){.query = q};
    q->asked = asked;
    return asked;
}

bool resolver_start(struct resolver *r, struct resolver_query *q,
                    const struct validate_policy *policy, const char *name, unsigned port)
{
    struct channel *c;
    query_begin(r, q);
    q->port = port;
    if (override_find(q, policy, name)) {
        timer_set(r->shard, &q->soon, 0);
        return true;
    }
    struct asked *asked = asked_new(&c, q, policy);
    if (asked == NULL) return query_failed(q);
    const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_flags = ARES_AI_NOSORT};
    ares_getaddrinfo(c->ares, name, NULL, &hints, on_answer, asked);
    timer_arm(c);
    return true;
}

bool resolver_ask(struct resolver *r, struct resolver_query *q,
                  const struct validate_policy *policy, const char *name, unsigned type)
{
    struct channel *c;
    query_begin(r, q);
    q->raw = true;
    struct asked *asked = asked_new(&c, q, policy);
    if (asked == NULL) return query_failed(q);
    ares_query(c->ares, name, CLASS_IN, (int)type, on_message, asked);
    timer_arm(c);
    return true;
}

void resolver_cancel(struct resolver_query *q)
{
    if (q->owner == NULL) return;
    list_remove(&q->node);
    q->owner = NULL;
    timer_cancel(&q->soon);
    free((void *)(uintptr_t)q->message.p);
    q->message = SLICE_NONE;
    struct asked *asked = q->asked;
    if (asked != NULL) asked->query = NULL;
}

void resolver_text(char *out, size_t size, const struct validate_policy *policy)
{
    char servers[SERVERS_TEXT_MAX];
    servers_write(servers, policy);
    if (servers[0] == 0)
        snprintf(out, size, "the host's resolvers");
    else
        snprintf(out, size, "resolver %s", servers);
}
