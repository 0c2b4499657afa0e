// proxy: the PROXY protocol, version 2 (binary), as load balancers send it in front of a
// connection. Pure.
#pragma once
#include <sys/socket.h>

#include "proto/base/slice.h"

enum proxy_result { PROXY_OK, PROXY_MORE, PROXY_BAD };

// proxy_parse reads a header at the start of `in`; *used is its length. The client's address goes
// to *address; LOCAL and unknown families leave it.
enum proxy_result proxy_parse(struct sockaddr_storage *address, struct slice in, size_t *used);
