#include "cluster/core/listen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "cluster/core/address.h"
#include "cluster/core/server.h"
#include "cluster/err.h"
#include "proto/err.h"

static void in_use_say(char *note, size_t size, const char *name, const struct sockaddr *a)
{
    char text[ADDRESS_TEXT_MAX];
    address_text(text, a);
    snprintf(
        note, size,
        "%s is in use by another program; stop it or choose another address for the %s listener",
        text, name);
}

struct err server_address_check(char *note, size_t note_size, const char *name,
                                const struct sockaddr_storage *listen, socklen_t listen_len)
{
    const struct sockaddr *a = (const struct sockaddr *)listen;
    int one = 1;
    if (a->sa_family == AF_UNIX || address_port(a) == 0) return OK;
    int fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool used = fd >= 0 && bind(fd, a, listen_len) != 0 && errno == EADDRINUSE;
    if (fd >= 0) close(fd);
    if (!used) return OK;
    in_use_say(note, note_size, name, a);
    return ERR(ADDRESS_IN_USE);
}

static void stale_socket_remove(const struct sockaddr *a, socklen_t len)
{
    if (a->sa_family != AF_UNIX) return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool dead = fd >= 0 && connect(fd, a, len) != 0 && errno == ECONNREFUSED;
    if (fd >= 0) close(fd);
    if (dead) (void)unlink(((const struct sockaddr_un *)a)->sun_path);
}

struct err listen_open(int *fd, char *note, size_t note_size, struct reactor *r, const char *name,
                       const struct sockaddr_storage *address, socklen_t address_len)
{
    const struct sockaddr *a = (const struct sockaddr *)address;
    stale_socket_remove(a, address_len);
    *fd = reactor_listen(r, a, address_len, LISTEN_BACKLOG);
    if (*fd >= 0) return OK;
    int error = -*fd;
    *fd = -1;
    if (error == EADDRINUSE) {
        in_use_say(note, note_size, name, a);
        return ERR(ADDRESS_IN_USE);
    }
    char text[ADDRESS_TEXT_MAX];
    address_text(text, a);
    snprintf(note, note_size, "%s cannot be listened on for the %s listener: %s", text, name,
             strerror(error));
    return ERR(SYSTEM);
}
