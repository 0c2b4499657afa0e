#include "api/reach.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cluster/core/address.h"
#include "cluster/core/config.h"

// reach is 0, or why not.
static int reach(const struct config_address *a, unsigned timeout_ms)
{
    int fd = socket(a->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = fd < 0 || connect(fd, (const struct sockaddr *)&a->address, a->len) != 0 ? errno
                                                                                         : 0;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    socklen_t n = sizeof error;
    if (error == EINPROGRESS && poll(&p, 1, (int)timeout_ms) == 0)
        error = ETIMEDOUT;
    else if (error == EINPROGRESS && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
        error = errno;
    if (fd >= 0) close(fd);
    return error;
}

bool reach_any(const struct config_address *addresses, size_t count, unsigned timeout_ms, char *why,
               size_t why_size)
{
    for (size_t i = 0; i < count; i++) {
        char text[ADDRESS_TEXT_MAX];
        int error = reach(&addresses[i], timeout_ms);
        if (error == 0) return true;
        address_text(text, (const struct sockaddr *)&addresses[i].address);
        snprintf(why, why_size, "%s (%s)", text, strerror(error));
    }
    return false;
}
