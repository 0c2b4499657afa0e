#include "store/hosts.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/buf.h"
#include "proto/err.h"
#include "store/err.h"

enum list { LIST_HOST, LIST_HOSTADDR, LIST_PORT, LIST_COUNT };
static const char *const list_names[LIST_COUNT] = {"host", "hostaddr", "port"};

// What libpq would not do by itself: a dead peer is noticed within 15 s, and text is UTF-8.
static const struct {
    const char *keyword, *value;
} defaults[] = {{"fallback_application_name", "certmill"},
                {"client_encoding", "UTF8"},
                {"keepalives_idle", "5"},
                {"keepalives_interval", "5"},
                {"keepalives_count", "2"},
                {"tcp_user_timeout", "15000"}};

static struct err refuse(char *note, size_t size, const char *what, const char *detail)
{
    size_t n = strcspn(detail, "\n");
    snprintf(note, size, "the database connection string: %s%.*s", what, (int)n, detail);
    return ERR(STORE_CONNINFO);
}

static bool setting_add(struct hosts *h, const char *keyword, const char *value)
{
    if (h->settings + 4 >= HOSTS_SETTINGS_MAX) return false; // room for three more and the end
    h->keywords[h->settings] = keyword;
    h->values[h->settings++] = value;
    return true;
}

static const char *setting_of(const struct hosts *h, const char *keyword)
{
    for (size_t i = 0; i < h->settings; i++)
        if (strcmp(h->keywords[i], keyword) == 0) return h->values[i];
    return NULL;
}

// list_of copies one of the three lists: as given, else from the environment, as libpq would.
static bool list_of(struct hosts *h, enum list list)
{
    const char *value = NULL;
    PQconninfoOption *env = PQconndefaults();
    for (PQconninfoOption *o = h->options; o->keyword != NULL; o++)
        if (strcmp(o->keyword, list_names[list]) == 0) value = o->val;
    for (PQconninfoOption *o = env; o != NULL && o->keyword != NULL && value == NULL; o++)
        if (strcmp(o->keyword, list_names[list]) == 0) value = o->val;
    h->lists[list] = strdup(value == NULL ? "" : value);
    PQconninfoFree(env);
    return h->lists[list] != NULL;
}

// cut splits a list at its commas; the number of parts.
static size_t cut(char *list, const char *parts[HOSTS_MAX + 1])
{
    size_t count = 0;
    for (char *at = list; at != NULL && count <= HOSTS_MAX; count++)
        parts[count] = strsep(&at, ",");
    return count;
}

static bool is_address(const char *name)
{
    struct in6_addr any;
    return inet_pton(AF_INET, name, &any) == 1 || inet_pton(AF_INET6, name, &any) == 1;
}

// needs_resolver: neither a socket (a path, or "@name" without one), nor an address.
static bool needs_resolver(const struct host *h)
{
    return h->address[0] == 0 && h->name[0] != 0 && h->name[0] != '/' && h->name[0] != '@' &&
           !is_address(h->name);
}

static struct err lists_read(struct hosts *h, bool names_allowed, char *note, size_t size)
{
    const char *parts[LIST_COUNT][HOSTS_MAX + 1];
    size_t counts[LIST_COUNT];
    for (int l = 0; l < LIST_COUNT; l++) {
        if (!list_of(h, (enum list)l)) return refuse(note, size, "out of memory", "");
        counts[l] = cut(h->lists[l], parts[l]);
    }
    bool addresses = counts[LIST_HOSTADDR] > 1 || parts[LIST_HOSTADDR][0][0] != 0;
    bool names = counts[LIST_HOST] > 1 || parts[LIST_HOST][0][0] != 0;
    h->count = addresses ? counts[LIST_HOSTADDR] : counts[LIST_HOST];
    if (h->count > HOSTS_MAX) return refuse(note, size, "more than 16 hosts", "");
    if (addresses && names && counts[LIST_HOST] != h->count)
        return refuse(note, size, "host and hostaddr name different numbers of servers", "");
    if (counts[LIST_PORT] != 1 && counts[LIST_PORT] != h->count)
        return refuse(note, size, "host and port name different numbers of servers", "");
    for (size_t i = 0; i < h->count; i++) {
        struct host *x = &h->hosts[i];
        *x = (struct host){names ? parts[LIST_HOST][i] : "",
                           addresses ? parts[LIST_HOSTADDR][i] : "",
                           parts[LIST_PORT][counts[LIST_PORT] == 1 ? 0 : i]};
        if (needs_resolver(x) && !names_allowed)
            return refuse(note, size, "give hostaddr, a socket's folder or an address for host ",
                          x->name);
    }
    return OK;
}

static struct err options_read(struct hosts *h, bool names_allowed, char *note, size_t size)
{
    bool room = true;
    for (PQconninfoOption *o = h->options; o->keyword != NULL; o++) {
        bool listed = false;
        for (int l = 0; l < LIST_COUNT; l++) listed |= strcmp(o->keyword, list_names[l]) == 0;
        if (listed || o->val == NULL) continue;
        if (strcmp(o->keyword, "service") == 0)
            return refuse(note, size, "a service file is not read; write its settings out", "");
        room = setting_add(h, o->keyword, o->val) && room;
    }
    for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++)
        if (setting_of(h, defaults[i].keyword) == NULL)
            room = setting_add(h, defaults[i].keyword, defaults[i].value) && room;
    if (!room) return refuse(note, size, "too many settings", "");
    return lists_read(h, names_allowed, note, size);
}

struct err hosts_parse(struct hosts *out, const char *conninfo, bool names_allowed, char *note,
                       size_t note_size)
{
    char *text = NULL;
    struct hosts h = {.options = PQconninfoParse(conninfo, &text)};
    struct err e = h.options == NULL
                       ? refuse(note, note_size, "", text == NULL ? "out of memory" : text)
                       : options_read(&h, names_allowed, note, note_size);
    PQfreemem(text);
    if (failed(e))
        hosts_fini(&h);
    else
        *out = h;
    return e;
}

void hosts_fini(struct hosts *h)
{
    PQconninfoFree(h->options);
    for (int l = 0; l < LIST_COUNT; l++) free(h->lists[l]);
    *h = (struct hosts){0};
}

PGconn *hosts_connect(const struct hosts *h, unsigned attempt)
{
    const char *keywords[HOSTS_SETTINGS_MAX], *values[HOSTS_SETTINGS_MAX];
    const struct host *x = &h->hosts[attempt % h->count];
    const char *const lists[LIST_COUNT] = {x->name, x->address, x->port};
    size_t n = h->settings;
    memcpy(keywords, h->keywords, n * sizeof *keywords);
    memcpy(values, h->values, n * sizeof *values);
    for (int l = 0; l < LIST_COUNT; l++) {
        keywords[n] = list_names[l];
        values[n++] = lists[l];
    }
    keywords[n] = values[n] = NULL;
    return PQconnectStartParams(keywords, values, 0);
}

// ---- names to addresses

// value_add appends " keyword='value'" with quotes and backslashes escaped.
static struct err value_add(struct buf *b, const char *keyword, const char *value)
{
    TRY(buf_printf(b, "%s%s='", buf_len(b) > 0 ? " " : "", keyword));
    for (; *value != 0; value++)
        TRY(buf_printf(b, "%s%c", *value == '\'' || *value == '\\' ? "\\" : "", *value));
    return buf_add_str(b, "'");
}

static struct err entry_add(struct buf lists[LIST_COUNT], const char *name, const char *address,
                            const char *port)
{
    const char *const parts[LIST_COUNT] = {name, address, port};
    const char *comma = buf_len(&lists[LIST_PORT]) > 0 ? "," : "";
    for (int l = 0; l < LIST_COUNT; l++) TRY(buf_printf(&lists[l], "%s%s", comma, parts[l]));
    return OK;
}

static struct err addresses_add(struct buf lists[LIST_COUNT], const struct host *h, char *note,
                                size_t size)
{
    struct addrinfo *all = NULL, hints = {.ai_socktype = SOCK_STREAM};
    int code = getaddrinfo(h->name, NULL, &hints, &all);
    if (code != 0) {
        snprintf(note, size, "the database host %s: %s", h->name, gai_strerror(code));
        return ERR(STORE_AWAY);
    }
    struct err e = OK;
    for (struct addrinfo *a = all; a != NULL && !failed(e); a = a->ai_next) {
        char text[NI_MAXHOST];
        if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0)
            e = entry_add(lists, h->name, text, h->port[0] == 0 ? "5432" : h->port);
    }
    freeaddrinfo(all);
    return e;
}

static struct err resolved_write(struct buf *b, const struct hosts *h, char *note, size_t size)
{
    struct buf lists[LIST_COUNT];
    struct err e = OK;
    for (int l = 0; l < LIST_COUNT; l++) buf_init(&lists[l], size + 4096);
    for (size_t i = 0; i < h->count && !failed(e); i++) {
        const struct host *x = &h->hosts[i];
        e = needs_resolver(x)
                ? addresses_add(lists, x, note, size)
                : entry_add(lists, x->name, x->address, x->port[0] == 0 ? "5432" : x->port);
    }
    for (size_t i = 0; i < h->settings && !failed(e); i++)
        e = value_add(b, h->keywords[i], h->values[i]);
    for (int l = 0; l < LIST_COUNT && !failed(e); l++) {
        e = buf_add(&lists[l], slice_of("", 1));
        if (!failed(e)) e = value_add(b, list_names[l], (const char *)buf_slice(&lists[l]).p);
    }
    for (int l = 0; l < LIST_COUNT; l++) buf_fini(&lists[l]);
    return e;
}

struct err hosts_resolve(char *out, size_t out_size, const char *conninfo, char *note,
                         size_t note_size)
{
    struct hosts h;
    struct buf b;
    TRY(hosts_parse(&h, conninfo, true, note, note_size));
    buf_init(&b, out_size - 1);
    struct err e = resolved_write(&b, &h, note, note_size);
    if (err_is(e, ERR_NO_SPACE)) e = refuse(note, note_size, "too long", "");
    if (!failed(e)) snprintf(out, out_size, "%" SLICE_FMT, SLICE_ARG(buf_slice(&b)));
    buf_fini(&b);
    hosts_fini(&h);
    return e;
}
