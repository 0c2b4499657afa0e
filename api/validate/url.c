#include "api/validate/url.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

static bool refuse(const char **why, const char *text)
{
    *why = text;
    return false;
}

static bool scheme_is(struct slice s, const char *scheme)
{
    size_t n = strlen(scheme);
    return s.n >= n && strncasecmp((const char *)s.p, scheme, n) == 0;
}

static bool port_read(unsigned *out, struct slice s)
{
    unsigned v = 0;
    if (s.n == 0 || s.n > 5) return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return false;
        v = v * 10 + (unsigned)(s.p[i] - '0');
    }
    *out = v;
    return v > 0 && v < 65536;
}

static bool path_set(struct url *out, const char **why, struct slice path)
{
    const uint8_t *hash = memchr(path.p, '#', path.n);
    if (hash != NULL) path.n = (size_t)(hash - path.p);
    if (path.n == 0) path = SLICE_LIT("/");
    bool query_only = path.p[0] == '?';
    if (path.n + query_only > URL_PATH_MAX)
        return refuse(why, "its path is longer than 2000 characters");
    char *at = out->path;
    if (query_only) *at++ = '/';
    memcpy(at, path.p, path.n);
    at[path.n] = 0;
    return out->path[0] == '/' || refuse(why, "its path does not begin with a slash");
}

static bool host_set(struct url *out, const char **why, struct slice host, bool bracketed)
{
    if (host.n == 0 || host.n > URL_HOST_MAX) return refuse(why, "it has no usable host");
    for (size_t i = 0; i < host.n; i++) {
        uint8_t c = host.p[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     memchr("-._", c, 3) != NULL;
        if (!plain && (c != ':' || !bracketed))
            return refuse(why, "its host has characters that no host has");
        out->host[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    out->host[host.n] = 0;
    struct in6_addr a;
    bool v6 = inet_pton(AF_INET6, out->host, &a) == 1;
    out->is_address = v6 || inet_pton(AF_INET, out->host, &a) == 1;
    return v6 == bracketed || refuse(why, "its host is malformed");
}

static bool authority_set(struct url *out, const char **why, struct slice authority)
{
    if (memchr(authority.p, '@', authority.n) != NULL)
        return refuse(why, "it carries user information");
    struct slice host = authority, port = SLICE_NONE;
    const uint8_t *end = authority.n > 0 && authority.p[0] == '['
                             ? memchr(authority.p, ']', authority.n)
                             : NULL;
    const uint8_t *colon = end != NULL ? (end + 1 < authority.p + authority.n ? end + 1 : NULL)
                                       : memchr(authority.p, ':', authority.n);
    if (end != NULL) host = slice_of(authority.p + 1, (size_t)(end - authority.p) - 1);
    if (colon != NULL) {
        if (*colon != ':') return refuse(why, "its host is malformed");
        if (end == NULL) host.n = (size_t)(colon - authority.p);
        port = slice_of(colon + 1, (size_t)(authority.p + authority.n - colon) - 1);
        if (!port_read(&out->port, port)) return refuse(why, "its port is malformed");
    }
    return host_set(out, why, host, end != NULL);
}

bool url_resolve(struct url *out, const char **why, const struct url *base, struct slice location)
{
    for (size_t i = 0; i < location.n; i++)
        if (location.p[i] <= 0x20 || location.p[i] >= 0x7f || location.p[i] == '\\')
            return refuse(why, "it contains characters that no URL has");
    struct url url = *base;
    bool https = scheme_is(location, "https://"), http = scheme_is(location, "http://");
    bool relative_authority = slice_starts(location, SLICE_LIT("//"));
    if (https || http || relative_authority) {
        struct slice rest = slice_sub(location, https ? 8 : http ? 7 : 2, location.n);
        size_t n = 0;
        while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?' && rest.p[n] != '#') n++;
        url.secure = relative_authority ? base->secure : https;
        url.port = 0;
        if (!authority_set(&url, why, slice_sub(rest, 0, n)) ||
            !path_set(&url, why, slice_sub(rest, n, rest.n)))
            return false;
    } else if (location.n > 0 && location.p[0] == '/') {
        if (!path_set(&url, why, location)) return false;
    } else {
        return refuse(why, "it is neither an http or https URL nor an absolute path");
    }
    *out = url;
    return true;
}
