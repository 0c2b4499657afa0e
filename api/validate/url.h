// url: the few forms of URL that http-01 may be redirected to. Pure; any thread.
#pragma once
#include "proto/base/arena.h"
#include "proto/base/slice.h"

enum { URL_HOST_MAX = 253, URL_PATH_MAX = 2000 };

struct url {
    bool secure;
    char host[URL_HOST_MAX + 1]; // lower case name, or an address without brackets
    bool is_address;
    unsigned port;               // 0: the scheme's default
    char path[URL_PATH_MAX + 1]; // with query, begins with '/'
};

// url_resolve reads the value of a Location header against `base`: an absolute http or https URL,
// or a path. Refused: other schemes, user information, a fragment is dropped, control characters,
// what does not fit. False leaves *out as it was and sets *why to a sentence.
bool url_resolve(struct url *out, const char **why, const struct url *base, struct slice location);
