// url_resolve on any Location. Oracle: what is accepted is a host of letters, digits, dots, hyphens
// and underscores or an address, a port, and a path of printable characters that begins with a
// slash; written out as an absolute URL it is read as the same.
#include "api/validate/url.h"

#include <stdio.h>
#include <string.h>

#include "proto/base/err.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct url base = {.host = "base.test", .port = 8080, .path = "/a?b"};
    struct url url = {.port = 77}, again = base;
    const char *why = NULL;
    if (!url_resolve(&url, &why, &base, slice_of(data, size))) {
        CHECK(why != NULL && url.port == 77);
        return 0;
    }
    CHECK(url.host[0] != 0 && url.port < 65536 && url.path[0] == '/');
    CHECK(strspn(url.host, "abcdefghijklmnopqrstuvwxyz0123456789.-_:") == strlen(url.host));
    CHECK(url.is_address || strchr(url.host, ':') == NULL);
    for (const char *c = url.path; *c != 0; c++)
        CHECK(*c > 0x20 && *c < 0x7f && *c != '#' && *c != '\\');
    char text[URL_HOST_MAX + URL_PATH_MAX + 64], port[16] = "";
    bool v6 = strchr(url.host, ':') != NULL;
    if (url.port != 0) snprintf(port, sizeof port, ":%u", url.port);
    snprintf(text, sizeof text, "http%s://%s%s%s%s%s", url.secure ? "s" : "", v6 ? "[" : "",
             url.host, v6 ? "]" : "", port, url.path);
    CHECK(url_resolve(&again, &why, &base, slice_str(text)));
    CHECK(strcmp(again.host, url.host) == 0 && strcmp(again.path, url.path) == 0);
    CHECK(again.secure == url.secure && again.port == url.port);
    CHECK(again.is_address == url.is_address);
    return 0;
}
