#include "tests/support/front.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "api/err.h"
#include "api/node_rpc.h"
#include "cluster/err.h"
#include "proto/err.h"
#include "signer/err.h"
#include "store/err.h"
#include "tests/support/signer_double.h"
#include "tests/support/testca.h"

enum { WAIT_MS = 30000, STEP_MS = 10, TEXT_MAX = 4096 };

static const char tenants_default[] =
    "  default:\n    default: true\n    profiles: [server, short, wide, norev]\n"
    "  other:\n    profiles: [short]\n    terms_of_service: 'https://localhost/terms'\n";

// ---- the responder

static struct {
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    int fd;
    unsigned port;
    char thumbprint[64];
} responder = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

static void pause_ms(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

// bound makes a socket on a free port of loopback.
static int bound(unsigned *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && bind(fd, (const struct sockaddr *)&a, n) == 0 &&
          getsockname(fd, (struct sockaddr *)&a, &n) == 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static unsigned free_port(void)
{
    unsigned port;
    close(bound(&port));
    return port;
}

static void respond(int fd)
{
    static const char prefix[] = "GET /.well-known/acme-challenge/";
    char request[2048] = "", body[256] = "", answer[1024];
    size_t got = 0;
    while (got < sizeof request - 1 && strstr(request, "\r\n\r\n") == NULL) {
        ssize_t n = recv(fd, request + got, sizeof request - 1 - got, 0);
        if (n <= 0) return;
        got += (size_t)n;
    }
    const char *token = request + sizeof prefix - 1;
    pthread_mutex_lock(&responder.lock);
    if (responder.thumbprint[0] != 0 && strncmp(request, prefix, sizeof prefix - 1) == 0)
        snprintf(body, sizeof body, "%.*s.%s", (int)strcspn(token, " "), token,
                 responder.thumbprint);
    pthread_mutex_unlock(&responder.lock);
    int n = snprintf(answer, sizeof answer,
                     "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                     body[0] != 0 ? "200 OK" : "404 Not Found", strlen(body), body);
    if (send(fd, answer, (size_t)n, MSG_NOSIGNAL) != n) fprintf(stderr, "responder: cut off\n");
}

static void *responder_run(void *arg)
{
    (void)arg;
    for (int fd; (fd = accept(responder.fd, NULL, NULL)) >= 0; close(fd)) respond(fd);
    return NULL;
}

void responder_start(struct front_rig *f)
{
    (void)f;
    CHECK(!responder.running && listen(responder.fd, 64) == 0);
    CHECK(pthread_create(&responder.thread, NULL, responder_run, NULL) == 0);
    responder.running = true;
}

void responder_stop(struct front_rig *f)
{
    (void)f;
    if (responder.running) {
        shutdown(responder.fd, SHUT_RDWR);
        pthread_join(responder.thread, NULL);
    }
    if (responder.fd >= 0) close(responder.fd);
    responder.fd = -1;
    responder.running = false;
}

void responder_thumbprint(const char *text)
{
    pthread_mutex_lock(&responder.lock);
    snprintf(responder.thumbprint, sizeof responder.thumbprint, "%s", text == NULL ? "" : text);
    pthread_mutex_unlock(&responder.lock);
}

// ---- files

static void file_write(const struct front_rig *f, const char *name, const char *text)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    FILE *out = fopen(path, "w");
    CHECK(out != NULL && fputs(text, out) >= 0 && fclose(out) == 0);
}

static void certificates_make(struct front_rig *f)
{
    struct testca_pair root = testca_root("rig root"),
                       server = testca_leaf(&root, &(struct testca_options){.common_name = "front",
                                                                            .dns = "localhost"}),
                       internal = testca_leaf(
                           &root,
                           &(struct testca_options){.common_name = "acme", .uri = NODE_RPC_ROLE});
    file_write(f, "root.pem", root.cert_pem);
    file_write(f, "server.pem", server.cert_pem);
    file_write(f, "server.key", server.key_pem);
    file_write(f, "acme.pem", internal.cert_pem);
    file_write(f, "acme.key", internal.key_pem);
    file_write(f, "secret", "0123456789abcdef0123456789abcdef");
    testca_free(&root);
    testca_free(&server);
    testca_free(&internal);
    snprintf(f->root_pem_path, sizeof f->root_pem_path, "%s/root.pem", f->dir);
}

// tenants_write adds to each tenant what a client on this machine needs.
static void tenants_write(const struct front_rig *f, unsigned index, char *out, size_t size,
                          const char *tenants)
{
    size_t n = 0;
    for (const char *at = tenants; *at != 0;) {
        size_t line = strcspn(at, "\n") + 1;
        n += (size_t)snprintf(out + n, size - n, "%.*s", (int)line, at);
        bool head = at[0] == ' ' && at[1] == ' ' && at[2] != ' ';
        at += line;
        if (!head) continue;
        n += (size_t)snprintf(
            out + n, size - n,
            "    hosts: ['localhost:%u']\n    validation: {denied: [], http_port: %u, attempts: 2, "
            "retry: "
            "50ms, attempt: 1s, total: 3s, overrides: [{suffix: internal.test, address: "
            "127.0.0.1}]}\n",
            f->ports[index], responder.port);
        CHECK(n < size);
    }
}

void front_config(struct front_rig *f, unsigned index, const char *tenants)
{
    char text[2 * TEXT_MAX], lines[TEXT_MAX] = "", name[32];
    tenants_write(f, index, lines, sizeof lines, tenants == NULL ? tenants_default : tenants);
    int n = snprintf(
        text, sizeof text,
        "server: {address: '127.0.0.1:%u', chain: server.pem, key: server.key, drain_accept: "
        "50ms, drain: 10s}\n"
        "private: {address: '127.0.0.1:%u'}\n"
        "database: {conninfo: '%s', queue_age: 500ms}\n"
        "signer: {targets: ['127.0.0.1:1'], required: false, tls: {chain: acme.pem, key: acme.key, "
        "trust: "
        "root.pem}}\n"
        "cluster: {address: '127.0.0.1:%u', tls: {chain: acme.pem, key: acme.key, trust: "
        "root.pem}, secret: secret, heartbeat: 50ms, dead: 1s}\n"
        "shards: 2\nlog_level: error\n%s"
        "tenants:\n%s",
        f->ports[index], f->private_ports[index], f->pg.conninfo, f->cluster_ports[index],
        f->extra == NULL ? "" : f->extra, lines);
    CHECK(n > 0 && (size_t)n < sizeof text);
    snprintf(name, sizeof name, "acme-%u.yaml", index);
    file_write(f, name, text);
}

// ---- life

bool front_rig_init(struct front_rig *f, const char *extra)
{
    char note[512];
    int from, to;
    *f = (struct front_rig){.count = FRONTS_MAX, .extra = extra};
    proto_err_register();
    cluster_err_register();
    store_err_register();
    signer_err_register();
    api_err_register();
    if (!pg_init(&f->pg)) return false;
    if (failed(store_migrate(f->pg.conninfo, &from, &to, note, sizeof note))) {
        fprintf(stderr, "%s\n", note);
        abort();
    }
    snprintf(f->dir, sizeof f->dir, "/tmp/front-XXXXXX");
    CHECK(mkdtemp(f->dir) != NULL);
    signer_double_init();
    certificates_make(f);
    responder.fd = bound(&responder.port);
    for (unsigned i = 0; i < f->count; i++) {
        f->ports[i] = free_port();
        f->private_ports[i] = free_port();
        f->cluster_ports[i] = free_port();
        front_config(f, i, NULL);
    }
    responder_start(f);
    return true;
}

void front_rig_fini(struct front_rig *f)
{
    char command[128];
    for (unsigned i = 0; i < f->count; i++) front_kill(f, i);
    responder_stop(f);
    signer_double_fini();
    pg_fini(&f->pg);
    snprintf(command, sizeof command, "rm -rf %s", f->dir);
    CHECK(system(command) == 0);
}

static bool ready(unsigned port)
{
    static const char request[] =
        "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr = {htonl(INADDR_LOOPBACK)}};
    char answer[64] = "";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = connect(fd, (const struct sockaddr *)&a, sizeof a) == 0 &&
              send(fd, request, sizeof request - 1, MSG_NOSIGNAL) > 0 &&
              recv(fd, answer, sizeof answer - 1, 0) > 12;
    close(fd);
    return ok && strncmp(answer, "HTTP/1.1 200", 12) == 0;
}

void front_start(struct front_rig *f, unsigned index)
{
    char path[160], note[PROGRAM_NOTE_MAX] = "";
    struct program *p = NULL;
    snprintf(path, sizeof path, "%s/acme-%u.yaml", f->dir, index);
    if (failed(program_load(&p, path, note)) || failed(program_start(p, false, note))) {
        fprintf(stderr, "front end %u: %s\n", index, note);
        abort();
    }
    f->programs[index] = p;
    for (unsigned waited = 0; !ready(f->private_ports[index]); waited += STEP_MS) {
        CHECK(waited < WAIT_MS);
        pause_ms(STEP_MS);
    }
}

void front_drain(struct front_rig *f, unsigned index)
{
    program_drain(f->programs[index]);
    front_kill(f, index);
}

void front_kill(struct front_rig *f, unsigned index)
{
    program_free(f->programs[index]);
    f->programs[index] = NULL;
}

// ---- looking at it

unsigned front_private_get(const struct front_rig *f, unsigned index, const char *path, char *out,
                           size_t size)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)f->private_ports[index]),
                            .sin_addr = {htonl(INADDR_LOOPBACK)}};
    char request[128];
    size_t got = 0;
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(fd, (const struct sockaddr *)&a, sizeof a) == 0);
    CHECK(send(fd, request, (size_t)n, MSG_NOSIGNAL) == n);
    for (ssize_t k; (k = recv(fd, out + got, size - 1 - got, 0)) > 0;) got += (size_t)k;
    out[got] = 0;
    close(fd);
    return got < strlen("HTTP/1.1 200") ? 0 : (unsigned)atoi(out + strlen("HTTP/1.1 "));
}

// ---- looking inside

struct probe {
    struct message message;
    unsigned want;
    pthread_mutex_t lock;
    bool answered, known;
};

static void on_probe(struct shard *shard, struct message *m)
{
    struct probe *p = LIST_OWNER(m, struct probe, message);
    uint64_t boot;
    const struct node_rpc *n = edge_of(shard)->node_rpc;
    bool known = (p->want == 0 || node_rpc_peer(n, p->want - 1, &boot)) &&
                 !node_rpc_peer(n, p->want, &boot);
    pthread_mutex_lock(&p->lock);
    p->known = known;
    p->answered = true;
    pthread_mutex_unlock(&p->lock);
}

static bool probe(struct shard *shard, unsigned want)
{
    struct probe p = {
        .message = {.run = on_probe}, .want = want, .lock = PTHREAD_MUTEX_INITIALIZER};
    shard_post(shard, &p.message);
    for (;;) {
        pthread_mutex_lock(&p.lock);
        bool answered = p.answered, known = p.known;
        pthread_mutex_unlock(&p.lock);
        if (answered) return known;
        pause_ms(1);
    }
}

void front_know(struct front_rig *f, unsigned index, unsigned count)
{
    struct program *p = f->programs[index];
    for (unsigned core = 0; core < program_count(p); core++)
        for (unsigned waited = 0; !probe(program_core(p, core)->shard, count); waited += STEP_MS) {
            CHECK(waited < WAIT_MS);
            pause_ms(STEP_MS);
        }
}
