#include "tests/support/peers.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/err.h"

enum {
    CHUNK = 4096,
    ANSWER_MAX = 65536,
    SLOW_MS = 20,
    CLIENTS_MAX = 64,
    DNS_MAX = 65535,
    UDP_MAX = 512
};

static int socket_make(int type, unsigned *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), one = 1;
    a.sin_port = htons((uint16_t)*port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0);
    CHECK(type != SOCK_STREAM || listen(fd, 64) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&a, &n) == 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static void pause_ms(long ms) { nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL); }

// ---- the web

struct web {
    const struct web_row *rows;
    const char *thumbprint;
    unsigned port;
    int fd, ended;     // atomic
    unsigned requests; // atomic
    pthread_t thread, clients[CLIENTS_MAX];
    unsigned client_count;
};

struct client {
    struct web *web;
    int fd;
};

static bool is_ended(struct web *w) { return __atomic_load_n(&w->ended, __ATOMIC_SEQ_CST) != 0; }

static bool head_read(int fd, char head[CHUNK])
{
    size_t n = 0;
    while (n < CHUNK - 1) {
        ssize_t r = recv(fd, head + n, CHUNK - 1 - n, 0);
        if (r <= 0) return false;
        n += (size_t)r;
        head[n] = 0;
        if (strstr(head, "\r\n\r\n") != NULL) return true;
    }
    return false;
}

static const struct web_row *row_find(const struct web *w, const char *head)
{
    char host[256] = "";
    const char *at = strstr(head, "Host: ");
    if (at != NULL) sscanf(at + 6, "%255[^:\r]", host);
    for (const struct web_row *r = w->rows; r->host != NULL; r++)
        if (strcmp(r->host, host) == 0) return r;
    return NULL;
}

static size_t answer_write(char out[ANSWER_MAX], const struct web *w, const struct web_row *row,
                           const char *head)
{
    char token[256] = "";
    const char *at = strstr(head, "acme-challenge/");
    if (at != NULL) sscanf(at + 15, "%255[^ ]", token);
    size_t n = 0;
    for (const char *p = row->answer; *p != 0; p++) {
        if (p[0] == '%' && p[1] == 'K')
            n += (size_t)sprintf(out + n, "%s.%s", token, w->thumbprint), p++;
        else if (p[0] == '%' && p[1] == 'P')
            n += (size_t)sprintf(out + n, "%u", w->port), p++;
        else
            out[n++] = *p;
    }
    memset(out + n, 'x', row->filler);
    return n + row->filler;
}

static void serve(struct web *w, int fd)
{
    char head[CHUNK];
    static _Thread_local char out[ANSWER_MAX];
    if (!head_read(fd, head)) return;
    __atomic_add_fetch(&w->requests, 1, __ATOMIC_SEQ_CST);
    const struct web_row *row = row_find(w, head);
    if (row == NULL || row->how == WEB_CLOSE) return;
    size_t n = answer_write(out, w, row, head);
    if (row->how == WEB_ANSWER) (void)!send(fd, out, n, MSG_NOSIGNAL);
    for (size_t i = 0; row->how == WEB_SLOW && i < n && !is_ended(w); i++) {
        if (send(fd, out + i, 1, MSG_NOSIGNAL) != 1) return;
        pause_ms(SLOW_MS);
    }
    while (row->how == WEB_SILENT && !is_ended(w)) pause_ms(SLOW_MS);
}

static void *client_run(void *arg)
{
    struct client c = *(struct client *)arg;
    free(arg);
    serve(c.web, c.fd);
    shutdown(c.fd, SHUT_WR);
    struct pollfd p = {.fd = c.fd, .events = POLLIN};
    char rest[CHUNK];
    while (poll(&p, 1, 100) > 0 && recv(c.fd, rest, sizeof rest, 0) > 0) {
    }
    close(c.fd);
    return NULL;
}

static void *web_run(void *arg)
{
    struct web *w = arg;
    while (!is_ended(w) && w->client_count < CLIENTS_MAX) {
        struct pollfd p = {.fd = w->fd, .events = POLLIN};
        if (poll(&p, 1, 20) <= 0) continue;
        struct client *c = malloc(sizeof *c);
        *c = (struct client){w, accept(w->fd, NULL, NULL)};
        CHECK(pthread_create(&w->clients[w->client_count++], NULL, client_run, c) == 0);
    }
    return NULL;
}

struct web *web_start(const struct web_row *rows, const char *thumbprint)
{
    struct web *w = calloc(1, sizeof *w);
    w->rows = rows;
    w->thumbprint = thumbprint;
    w->fd = socket_make(SOCK_STREAM, &w->port);
    CHECK(pthread_create(&w->thread, NULL, web_run, w) == 0);
    return w;
}

unsigned web_port(const struct web *w) { return w->port; }

unsigned web_requests(struct web *w) { return __atomic_load_n(&w->requests, __ATOMIC_SEQ_CST); }

void web_stop(struct web *w)
{
    __atomic_store_n(&w->ended, 1, __ATOMIC_SEQ_CST);
    pthread_join(w->thread, NULL);
    for (unsigned i = 0; i < w->client_count; i++) pthread_join(w->clients[i], NULL);
    close(w->fd);
    free(w);
}

// ---- the DNS

struct dns {
    const struct dns_row *rows;
    unsigned port;
    int udp, tcp, ended; // ended: atomic
    pthread_t thread;
};

static size_t name_put(uint8_t *out, const char *name)
{
    size_t n = 0;
    for (const char *p = name; *p != 0;) {
        size_t label = strcspn(p, ".");
        out[n++] = (uint8_t)label;
        memcpy(out + n, p, label);
        n += label;
        p += label + (p[label] == '.');
    }
    out[n++] = 0;
    return n;
}

// question_read puts the name into `name` and returns the end of the question.
static size_t question_read(char name[256], const uint8_t *q, size_t n, unsigned *type)
{
    size_t at = 12, len = 0;
    while (at < n && q[at] != 0 && at + q[at] < n) {
        if (len > 0) name[len++] = '.';
        for (unsigned i = 1; i <= q[at]; i++)
            name[len++] = (char)(q[at + i] | (q[at + i] >= 'A' && q[at + i] <= 'Z' ? 0x20 : 0));
        at += q[at] + 1u;
    }
    name[len] = 0;
    *type = (unsigned)q[at + 1] << 8 | q[at + 2];
    return at + 5;
}

static size_t record_put(uint8_t *out, const char *owner, unsigned type, const void *data, size_t n)
{
    size_t at = name_put(out, owner);
    const uint8_t head[] = {(uint8_t)(type >> 8), (uint8_t)type, 0, 1, 0, 0, 0, 1,
                            (uint8_t)(n >> 8),    (uint8_t)n};
    memcpy(out + at, head, sizeof head);
    memcpy(out + at + sizeof head, data, n);
    return at + sizeof head + n;
}

static size_t addresses_put(uint8_t *out, const struct dns_row *row, const char *owner,
                            unsigned *count)
{
    size_t n = 0;
    for (size_t i = 0; i < 4 && row->a[i] != NULL; i++) {
        struct in_addr a;
        CHECK(inet_pton(AF_INET, row->a[i], &a) == 1);
        n += record_put(out + n, owner, 1, &a, sizeof a);
        ++*count;
    }
    return n;
}

// text_put writes a TXT record: one string for each part between "|".
static size_t text_put(uint8_t *out, const char *owner, const char *text)
{
    uint8_t data[4096];
    size_t n = 0;
    for (const char *p = text;; p++) {
        size_t len = strcspn(p, "|");
        data[n++] = (uint8_t)len;
        memcpy(data + n, p, len);
        n += len;
        p += len;
        if (*p == 0) break;
    }
    return record_put(out, owner, 16, data, n);
}

static size_t texts_put(uint8_t *out, const struct dns_row *row, const char *owner, unsigned *count)
{
    size_t n = 0;
    for (unsigned i = 0; i < row->filler; i++, ++*count)
        n += text_put(out + n, owner, "v=spf1 -all");
    for (size_t i = 0; i < 4 && row->txt[i] != NULL; i++, ++*count)
        n += text_put(out + n, owner, row->txt[i]);
    return n;
}

static size_t caas_put(uint8_t *out, const struct dns_row *row, const char *owner, unsigned *count)
{
    size_t n = 0;
    for (size_t i = 0; i < 4 && row->caa[i] != NULL; i++, ++*count) {
        uint8_t data[512];
        char *tag;
        data[0] = (uint8_t)strtoul(row->caa[i], &tag, 10);
        size_t len = strcspn(++tag, " ");
        data[1] = (uint8_t)len;
        memcpy(data + 2, tag, len);
        size_t value = strlen(tag + len + 1);
        memcpy(data + 2 + len, tag + len + 1, value);
        n += record_put(out + n, owner, 257, data, 2 + len + value);
    }
    return n;
}

// answer_make turns a question into an answer; its length, 0 for silence.
static size_t answer_make(uint8_t out[DNS_MAX], const struct dns *d, const uint8_t *q, size_t q_len,
                          bool tcp)
{
    char name[256];
    unsigned type, count = 0;
    size_t n = question_read(name, q, q_len, &type);
    const struct dns_row *row = d->rows;
    while (row->name != NULL && strcmp(row->name, name) != 0) row++;
    if (row->name == NULL || row->how == DNS_SILENT || (row->how == DNS_TCP && !tcp)) return 0;
    memcpy(out, q, n);
    unsigned code = row->how == DNS_NXDOMAIN   ? 3
                    : row->how == DNS_SERVFAIL ? 2
                    : row->how == DNS_REFUSED  ? 5
                                               : 0;
    bool cut = (row->how == DNS_TRUNCATED && !tcp) || row->how == DNS_CUT;
    size_t question = n;
    out[3] = (uint8_t)(0x80 | code);
    if (row->how == DNS_CNAME || row->how == DNS_ALIAS) {
        uint8_t alias[256];
        n += record_put(out + n, name, 5, alias, name_put(alias, row->alias));
        count++;
    }
    const char *owner = row->how == DNS_CNAME ? row->alias : name;
    if (code == 0 && !cut && type == 1) n += addresses_put(out + n, row, owner, &count);
    if (code == 0 && !cut && type == 16) n += texts_put(out + n, row, owner, &count);
    if (code == 0 && !cut && type == 257) n += caas_put(out + n, row, owner, &count);
    if (n > UDP_MAX && !tcp) {
        cut = true;
        n = question;
        count = 0;
    }
    out[2] = (uint8_t)(0x84 | (cut ? 2 : 0));
    memset(out + 6, 0, 6);
    out[6] = (uint8_t)(count >> 8);
    out[7] = (uint8_t)count;
    return n;
}

static bool wrong_id_first(const struct dns *d, const uint8_t *q, size_t n)
{
    char name[256];
    unsigned type;
    (void)question_read(name, q, n, &type);
    for (const struct dns_row *r = d->rows; r->name != NULL; r++)
        if (strcmp(r->name, name) == 0) return r->how == DNS_WRONG_ID;
    return false;
}

static void udp_serve(struct dns *d)
{
    static _Thread_local uint8_t q[UDP_MAX], a[DNS_MAX];
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    ssize_t n = recvfrom(d->udp, q, sizeof q, 0, (struct sockaddr *)&from, &len);
    size_t size = n < 17 ? 0 : answer_make(a, d, q, (size_t)n, false);
    if (size == 0) return;
    if (wrong_id_first(d, q, (size_t)n)) {
        static _Thread_local uint8_t lie[DNS_MAX];
        memcpy(lie, a, size);
        lie[0] ^= 0xff;
        lie[size - 1] = 66; // another address
        (void)!sendto(d->udp, lie, size, 0, (struct sockaddr *)&from, len);
    }
    (void)!sendto(d->udp, a, size, 0, (struct sockaddr *)&from, len);
}

static void tcp_serve(struct dns *d)
{
    static _Thread_local uint8_t q[UDP_MAX], a[DNS_MAX + 2];
    int fd = accept(d->tcp, NULL, NULL);
    for (int i = 0; i < 2; i++) { // A and AAAA over one connection
        if (recv(fd, q, 2, MSG_WAITALL) != 2) break;
        size_t n = (size_t)q[0] << 8 | q[1];
        if (n > UDP_MAX || recv(fd, q, n, MSG_WAITALL) != (ssize_t)n) break;
        size_t size = answer_make(a + 2, d, q, n, true);
        a[0] = (uint8_t)(size >> 8);
        a[1] = (uint8_t)size;
        if (size > 0) (void)!send(fd, a, size + 2, MSG_NOSIGNAL);
    }
    close(fd);
}

static void *dns_run(void *arg)
{
    struct dns *d = arg;
    while (__atomic_load_n(&d->ended, __ATOMIC_SEQ_CST) == 0) {
        struct pollfd p[] = {{.fd = d->udp, .events = POLLIN}, {.fd = d->tcp, .events = POLLIN}};
        if (poll(p, 2, 20) <= 0) continue;
        if (p[0].revents != 0) udp_serve(d);
        if (p[1].revents != 0) tcp_serve(d);
    }
    return NULL;
}

struct dns *dns_start(const struct dns_row *rows)
{
    struct dns *d = calloc(1, sizeof *d);
    d->rows = rows;
    d->udp = socket_make(SOCK_DGRAM, &d->port);
    d->tcp = socket_make(SOCK_STREAM, &d->port);
    CHECK(pthread_create(&d->thread, NULL, dns_run, d) == 0);
    return d;
}

unsigned dns_port(const struct dns *d) { return d->port; }

void dns_stop(struct dns *d)
{
    __atomic_store_n(&d->ended, 1, __ATOMIC_SEQ_CST);
    pthread_join(d->thread, NULL);
    close(d->udp);
    close(d->tcp);
    free(d);
}
