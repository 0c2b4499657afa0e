// tlsalpn01: the tls-alpn-01 challenge (RFC 8737, for addresses RFC 8738): a TLS handshake with
// port 443 of the name that agrees on "acme-tls/1" and shows a certificate made for the purpose.
// Not one octet of application data is sent or read.
#include <arpa/inet.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/validate/alpn_cert.h"
#include "api/validate/target.h"
#include "api/validate/validate_internal.h"
#include "cluster/core/dial.h"
#include "cluster/err.h"
#include "proto/err.h"

enum { JUDGE_ARENA_MAX = 65536 };

static const struct http_limits limits = {.out_size_max = 16384}; // only what TLS says itself

struct attempt {
    struct validation *v; // NULL once decided or given up: the connection's end frees it then
    struct target target;
    struct tls_context *tls;
    struct dial_conn *conn; // NULL: none open
    bool connected, shaken;
    bool again_1_2; // after the connection has closed: the same address with TLS 1.2 alone
    char sni[DNS_NAME_LEN_MAX + 1];
};

static void attempt_free(struct attempt *a)
{
    tls_context_free(a->tls);
    free(a);
}

static void target_text(char out[ADDRESS_TEXT_MAX], const struct attempt *a)
{
    address_text(out, target_address(&a->target));
}

// ---- what the responder showed

// key_authorization_digest is SHA-256 over token, dot and thumbprint (RFC 8737 section 3).
static void key_authorization_digest(uint8_t out[ALPN_DIGEST_LEN], const struct validate_request *r)
{
    SHA256_CTX h;
    SHA256_Init(&h);
    SHA256_Update(&h, r->token.p, r->token.n);
    SHA256_Update(&h, ".", 1);
    SHA256_Update(&h, r->thumbprint.p, r->thumbprint.n);
    SHA256_Final(out, &h);
}

static void on_established(void *ctx, const struct tls *tls)
{
    struct attempt *a = ctx;
    struct arena arena;
    uint8_t digest[ALPN_DIGEST_LEN];
    char address[ADDRESS_TEXT_MAX];
    if (a->v == NULL) return;
    a->shaken = true;
    target_text(address, a);
    if (tls_alpn(tls) != TLS_ALPN_ACME_TLS) {
        validation_try_end(a->v, VALIDATE_TLS, true,
                           "%s did not agree on the protocol \"acme-tls/1\" in the TLS handshake",
                           address);
        return;
    }
    key_authorization_digest(digest, a->v->request);
    arena_init(&arena, JUDGE_ARENA_MAX);
    const char *wrong = alpn_cert_judge(&arena, tls_peer_leaf(tls), &a->v->request->identifier,
                                        digest);
    if (wrong == NULL)
        validation_try_end(a->v, VALIDATE_OK, false, "ok");
    else
        validation_try_end(a->v, VALIDATE_INCORRECT_RESPONSE, true, "the certificate of %s %s",
                           address, wrong);
    arena_fini(&arena);
}

// ---- the connection

static bool on_connected(void *ctx, const struct sockaddr *peer)
{
    struct attempt *a = ctx;
    if (a->v == NULL || !validation_target_allowed(a->v->request->policy, peer)) return false;
    a->connected = true;
    return true;
}

static bool address_connect(struct attempt *a);

static void connect_failed(struct attempt *a, struct err why, const char *note)
{
    char address[ADDRESS_TEXT_MAX];
    target_text(address, a);
    if (target_next(&a->target)) {
        a->again_1_2 = false;
        (void)address_connect(a);
        return;
    }
    bool tls = err_is(why, ERR_TLS_HANDSHAKE) || err_is(why, ERR_TLS_PROTOCOL);
    if (tls)
        validation_try_end(a->v, VALIDATE_TLS, true, "%s (TLS with SNI %.80s)", note, a->sni);
    else
        validation_try_end(
            a->v, a->connected ? VALIDATE_TLS : VALIDATE_CONNECTION, true, "%s %s", address,
            a->connected ? "did not finish the TLS handshake" : target_why(why, note));
}

static void on_closed(void *ctx, struct dial_conn *c, struct err why, const char *note)
{
    struct attempt *a = ctx;
    const struct tls *tls = dial_tls(c);
    bool key_usage = tls != NULL && tls_key_usage_refused(tls) && !a->again_1_2;
    a->conn = NULL;
    if (a->v == NULL) {
        attempt_free(a);
    } else if (key_usage) {
        // TLS 1.3 insists on digitalSignature, RFC 8737 does not, and some clients' RSA
        // certificates have keyEncipherment alone.
        a->again_1_2 = true;
        (void)address_connect(a);
    } else {
        connect_failed(a, why, note);
    }
}

static const struct dial_callbacks callbacks = {.closed = on_closed};

static struct tls_context *tls_get(struct attempt *a)
{
    char note[128];
    const struct tls_options options = {
        .insecure = true, .alpn_acme_tls = true, .tls_1_2_only = a->again_1_2};
    tls_context_free(a->tls);
    a->tls = NULL;
    return failed(tls_context_new(&a->tls, note, sizeof note, false, &options)) ? NULL : a->tls;
}

static bool address_connect(struct attempt *a)
{
    struct dial_options options = {.tls = tls_get(a),
                                   .server_name = a->sni,
                                   .http = &limits,
                                   .connected = on_connected,
                                   .established = on_established};
    a->connected = false;
    target_dial(&options, &a->target);
    a->conn = options.tls == NULL ? NULL
                                  : dial_open(validation_shard(a->v), &options, &callbacks, a);
    if (a->conn != NULL) return true;
    validation_try_end(a->v, VALIDATE_INTERNAL, true,
                       "this front end has no room for another connection");
    return false;
}

static void on_target(struct target *t, enum validate_problem problem, bool again, const char *note)
{
    struct attempt *a = LIST_OWNER(t, struct attempt, target);
    if (problem == VALIDATE_OK)
        (void)address_connect(a);
    else
        validation_try_end(a->v, problem, again, "%s", note);
}

// ---- the method

static bool tls_alpn_01_begin(struct validation *v)
{
    const struct validate_request *r = v->request;
    const struct identifier *id = &r->identifier;
    char host[DNS_NAME_LEN_MAX + 1];
    struct attempt *a = calloc(1, sizeof *a);
    if (a == NULL) return false;
    if (id->type == IDENTIFIER_IP) {
        inet_ntop(id->value.n == 4 ? AF_INET : AF_INET6, id->value.p, host, sizeof host);
        // RFC 6066 has no addresses in SNI: the reverse mapping stands for it (RFC 8738 section 6).
        ip_reverse_name(a->sni, id->value);
    } else {
        snprintf(host, sizeof host, "%.*s", SLICE_ARG(id->value));
        memcpy(a->sni, host, sizeof host);
    }
    a->v = v;
    a->target.done = on_target;
    if (!target_start(&a->target, validation_shard(v), validation_resolver(v), r->policy, host,
                      id->type == IDENTIFIER_IP, r->policy->tls_alpn_port)) {
        free(a);
        return false;
    }
    v->attempt = a;
    return true;
}

static void tls_alpn_01_abandon(struct validation *v)
{
    struct attempt *a = v->attempt;
    if (a == NULL) return;
    v->attempt = NULL;
    a->v = NULL;
    target_cancel(&a->target);
    if (a->conn == NULL)
        attempt_free(a);
    else if (a->shaken)
        dial_close(
            a->conn); // the end of our handshake and close_notify go out first; on_closed frees
    else
        dial_abort(a->conn); // the same
}

static enum validate_problem tls_alpn_01_waits_for(const struct validation *v, char *out,
                                                   size_t size)
{
    const struct attempt *a = v->attempt;
    char address[ADDRESS_TEXT_MAX];
    if (target_resolving(&a->target)) {
        snprintf(out, size, "the resolver did not answer");
        return VALIDATE_DNS;
    }
    target_text(address, a);
    snprintf(out, size,
             a->connected ? "%s took the connection but did not finish the TLS handshake"
                          : "%s did not answer",
             address);
    return a->connected ? VALIDATE_TLS : VALIDATE_CONNECTION;
}

const struct validate_method_row validate_tls_alpn_01 = {
    .begin = tls_alpn_01_begin, .abandon = tls_alpn_01_abandon, .waits_for = tls_alpn_01_waits_for};
