#include "proto/tls/tls.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"

enum {
    ROLE_MAX = 128,
    READ_SIZE = 16384,
    FAILURE_MAX = 256,
    UNTRUSTED_CHAIN_MAX = 16384,
    TICKET_KEYS_KEPT = 4,
    TICKET_NAME_LEN = 16,
    TICKET_PART_LEN = 16
};

// struct ticket_keys is replaced as a whole, never changed, so that a handshake on another core
// reads one or the other.
struct ticket_keys {
    uint8_t current[TLS_TICKET_KEY_LEN], previous[TLS_TICKET_KEY_LEN];
};

struct tls_context {
    SSL_CTX *ctx; // owns this struct as its ex_data: both live until the last connection ends
    bool server;
    bool alpn_h2, alpn_http_1_1;
    bool name_checked; // client: compare the server name
    bool insecure;     // client: any certificate is fine
    bool has_role;
    char role[ROLE_MAX];
    int64_t (*now_s)(void);
    struct ticket_keys *keys;                   // atomically replaced
    struct ticket_keys *kept[TICKET_KEYS_KEPT]; // the newest ones; an older one is hours out of use
                                                // when it is freed
    unsigned kept_next;
};

struct tls {
    SSL *ssl;
    BIO *in, *out; // owned by ssl
    bool established, peer_closed, key_usage_refused;
    size_t handshake_octets; // fed before it was established
    SSL_SESSION *session;    // client: newest ticket
    char failure[FAILURE_MAX];
};

static int ctx_index = -1, ssl_index = -1;

static void context_release(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                            void *argp)
{
    (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
    struct tls_context *c = ptr;
    if (c == NULL) return;
    for (unsigned i = 0; i < TICKET_KEYS_KEPT; i++) {
        if (c->kept[i] == NULL) continue;
        OPENSSL_cleanse(c->kept[i], sizeof *c->kept[i]);
        free(c->kept[i]);
    }
    free(c);
}

// indices_make runs at program start, before any thread.
__attribute__((constructor)) static void indices_make(void)
{
    ctx_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, context_release);
    ssl_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

static struct tls_context *context_of(const SSL *ssl)
{
    return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), ctx_index);
}

// ---- context: certificates

static struct err note_error(char *note, size_t size, const char *what)
{
    uint32_t e = ERR_peek_last_error();
    const char *reason = e == 0 ? NULL : ERR_reason_error_string(e);
    snprintf(note, size, "%s%s%s", what, reason == NULL ? "" : ": ", reason == NULL ? "" : reason);
    ERR_clear_error();
    return ERR(TLS_CONFIG);
}

static BIO *bio_of(struct slice s) { return BIO_new_mem_buf(s.p, (ossl_ssize_t)s.n); }

static struct err chain_use(SSL_CTX *ctx, struct slice pem, char *note, size_t size)
{
    BIO *bio = bio_of(pem);
    X509 *leaf = bio == NULL ? NULL : PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
    bool ok = leaf != NULL && SSL_CTX_use_certificate(ctx, leaf) == 1;
    X509_free(leaf);
    for (X509 *next; ok && (next = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL;) {
        ok = SSL_CTX_add1_chain_cert(ctx, next) == 1;
        X509_free(next);
    }
    BIO_free(bio);
    if (!ok)
        return note_error(note, size, "the certificate chain cannot be read (PEM, leaf first)");
    ERR_clear_error(); // the end of the PEM text is an error to the reader
    return OK;
}

static struct err key_use(SSL_CTX *ctx, struct slice pem, char *note, size_t size)
{
    BIO *bio = bio_of(pem);
    EVP_PKEY *key = bio == NULL ? NULL
                                : PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)(uintptr_t) "");
    BIO_free(bio);
    if (key == NULL)
        return note_error(note, size, "the private key cannot be read (PEM, not encrypted)");
    bool ok = SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
    EVP_PKEY_free(key);
    return ok ? OK : note_error(note, size, "the private key does not belong to the certificate");
}

static struct err trust_use(SSL_CTX *ctx, bool server, struct slice pem, char *note, size_t size)
{
    BIO *bio = bio_of(pem);
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    unsigned count = 0;
    bool ok = bio != NULL;
    for (X509 *anchor; ok && (anchor = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL; count++) {
        ok = X509_STORE_add_cert(store, anchor) == 1 &&
             (!server || SSL_CTX_add_client_CA(ctx, anchor) == 1);
        X509_free(anchor);
    }
    BIO_free(bio);
    if (!ok || count == 0) return note_error(note, size, "the trust anchors cannot be read (PEM)");
    ERR_clear_error();
    return OK;
}

// ---- context: peers

// role_of copies the one URI SAN of a certificate. False when there is none or more than one, or it
// does not fit.
static bool role_of(char *out, size_t size, X509 *cert)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    unsigned found = 0;
    for (size_t i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI) continue;
        size_t n = (size_t)ASN1_STRING_length(name->d.uniformResourceIdentifier);
        const uint8_t *p = ASN1_STRING_get0_data(name->d.uniformResourceIdentifier);
        if (n >= size || memchr(p, 0, n) != NULL) {
            found = 2;
            break;
        }
        memcpy(out, p, n);
        out[n] = 0;
        found++;
    }
    GENERAL_NAMES_free(names);
    return found == 1;
}

bool tls_role_is(const char *held, const char *wanted)
{
    size_t n = strlen(wanted);
    return strncmp(held, wanted, n) == 0 && (held[n] == 0 || (held[n] == ':' && held[n + 1] != 0));
}

static int on_verify(int ok, X509_STORE_CTX *store_ctx)
{
    if (!ok || X509_STORE_CTX_get_error_depth(store_ctx) != 0) return ok;
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store_ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    const struct tls_context *c = context_of(ssl);
    char role[ROLE_MAX];
    if (!c->has_role || (role_of(role, sizeof role, X509_STORE_CTX_get_current_cert(store_ctx)) &&
                         tls_role_is(role, c->role)))
        return ok;
    X509_STORE_CTX_set_error(store_ctx, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

static bool alpn_has(const uint8_t *in, unsigned n, const char *want)
{
    size_t want_n = strlen(want);
    for (unsigned i = 0; i < n; i += in[i] + 1u)
        if (i + 1u + in[i] <= n && in[i] == want_n && memcmp(in + i + 1, want, want_n) == 0)
            return true;
    return false;
}

static int on_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_n, const uint8_t *in, unsigned n,
                   void *arg)
{
    (void)arg;
    const struct tls_context *c = context_of(ssl);
    const char *choice = c->alpn_h2 && alpn_has(in, n, "h2")               ? "h2"
                         : c->alpn_http_1_1 && alpn_has(in, n, "http/1.1") ? "http/1.1"
                                                                           : NULL;
    if (choice == NULL) return SSL_TLSEXT_ERR_ALERT_FATAL; // T46: no cross-protocol service
    *out = (const uint8_t *)choice;
    *out_n = (uint8_t)strlen(choice);
    return SSL_TLSEXT_ERR_OK;
}

// on_client_hello: tickets are for TLS 1.3 only, where resumption always has a fresh key share
// (design.md section 5).
static enum ssl_select_cert_result_t on_client_hello(const SSL_CLIENT_HELLO *hello)
{
    const uint8_t *p;
    size_t n;
    bool tls_1_3 = false;
    if (SSL_early_callback_ctx_extension_get(hello, TLSEXT_TYPE_supported_versions, &p, &n) == 1)
        for (size_t i = 1; i + 1 < n; i += 2) tls_1_3 |= p[i] == 3 && p[i + 1] == 4;
    if (!tls_1_3) SSL_set_options(hello->ssl, SSL_OP_NO_TICKET);
    return ssl_select_cert_success;
}

static int ticket_key_use(const uint8_t key[TLS_TICKET_KEY_LEN], const uint8_t *iv,
                          EVP_CIPHER_CTX *cipher, HMAC_CTX *hmac, int encrypt)
{
    const uint8_t *mac = key + TICKET_NAME_LEN, *aes = mac + TICKET_PART_LEN;
    return HMAC_Init_ex(hmac, mac, TICKET_PART_LEN, EVP_sha256(), NULL) == 1 &&
           EVP_CipherInit_ex(cipher, EVP_aes_128_cbc(), NULL, aes, iv, encrypt) == 1;
}

static int on_ticket(SSL *ssl, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher, HMAC_CTX *hmac,
                     int encrypt)
{
    struct tls_context *c = context_of(ssl);
    const struct ticket_keys *keys = __atomic_load_n(&c->keys, __ATOMIC_ACQUIRE);
    if (keys == NULL) return encrypt ? -1 : 0;
    if (encrypt) {
        memcpy(name, keys->current, TICKET_NAME_LEN);
        RAND_bytes(iv, EVP_CIPHER_iv_length(EVP_aes_128_cbc()));
        return ticket_key_use(keys->current, iv, cipher, hmac, 1) ? 1 : -1;
    }
    if (memcmp(name, keys->current, TICKET_NAME_LEN) == 0)
        return ticket_key_use(keys->current, iv, cipher, hmac, 0) ? 1 : -1;
    if (memcmp(name, keys->previous, TICKET_NAME_LEN) == 0)
        return ticket_key_use(keys->previous, iv, cipher, hmac, 0) ? 2 : -1;
    return 0;
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls *t = SSL_get_ex_data(ssl, ssl_index);
    SSL_SESSION_free(t->session);
    t->session = session;
    return 1; // ours now
}

// ---- context

static bool limits_set(SSL_CTX *ctx)
{
    static const int curves[] = {NID_X25519, NID_X9_62_prime256v1, NID_secp384r1};
    // TLS 1.2 with forward secrecy and AEAD only; TLS 1.3's are all of that kind.
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_strict_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
           SSL_CTX_set1_curves(ctx, curves, sizeof curves / sizeof curves[0]) == 1;
}

static struct err server_set(struct tls_context *c, const struct tls_options *o, char *note,
                             size_t size)
{
    SSL_CTX *ctx = c->ctx;
    static const uint8_t id[] = "certmill";
    SSL_CTX_set_session_id_context(ctx, id, sizeof id - 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL);
    if (o->tickets) {
        SSL_CTX_set_tlsext_ticket_key_cb(ctx, on_ticket);
        SSL_CTX_set_select_certificate_cb(ctx, on_client_hello);
    } else {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    }
    if (c->alpn_h2 || c->alpn_http_1_1) SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    if (o->chain_pem.n == 0) {
        snprintf(note, size, "a server needs a certificate and a key");
        return ERR(TLS_CONFIG);
    }
    if (o->trust_pem.n > 0)
        SSL_CTX_set_verify(
            ctx, SSL_VERIFY_PEER | (o->peer_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
            on_verify);
    return OK;
}

static void client_set(struct tls_context *c, const struct tls_options *o)
{
    SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c->ctx, on_session);
    SSL_CTX_set_verify(c->ctx, o->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, on_verify);
    static const uint8_t both[] = "\x02h2\x08http/1.1", h2[] = "\x02h2", http[] = "\x08http/1.1",
                         acme[] = "\x0a"
                                  "acme-tls/1";
    const uint8_t *list = o->alpn_acme_tls                 ? acme
                          : o->alpn_h2 && o->alpn_http_1_1 ? both
                          : o->alpn_h2                     ? h2
                          : o->alpn_http_1_1               ? http
                                                           : NULL;
    if (list != NULL)
        CHECK(SSL_CTX_set_alpn_protos(c->ctx, list, (unsigned)strlen((const char *)list)) == 0);
    c->name_checked = !o->insecure && !o->peer_name_ignored;
    c->insecure = o->insecure;
    if (o->insecure) SSL_CTX_set_max_cert_list(c->ctx, UNTRUSTED_CHAIN_MAX);
    if (o->tls_1_2_only) CHECK(SSL_CTX_set_max_proto_version(c->ctx, TLS1_2_VERSION) == 1);
}

static struct err options_use(struct tls_context *c, const struct tls_options *o, char *note,
                              size_t size)
{
    if (o->chain_pem.n > 0) {
        TRY(chain_use(c->ctx, o->chain_pem, note, size));
        TRY(key_use(c->ctx, o->key_pem, note, size));
    }
    if (o->trust_pem.n > 0) TRY(trust_use(c->ctx, c->server, o->trust_pem, note, size));
    if (o->peer_role != NULL) {
        if (snprintf(c->role, sizeof c->role, "%s", o->peer_role) >= (int)sizeof c->role)
            return note_error(note, size, "the peer's role is too long");
        c->has_role = true;
    }
    if (c->server) return server_set(c, o, note, size);
    client_set(c, o);
    return OK;
}

struct err tls_context_new(struct tls_context **out, char *note, size_t note_size, bool server,
                           const struct tls_options *options)
{
    struct tls_context *c = calloc(1, sizeof *c);
    SSL_CTX *ctx = c == NULL ? NULL : SSL_CTX_new(TLS_method());
    if (ctx == NULL || SSL_CTX_set_ex_data(ctx, ctx_index, c) != 1 || !limits_set(ctx)) {
        bool owned = ctx != NULL && SSL_CTX_get_ex_data(ctx, ctx_index) == c;
        SSL_CTX_free(ctx);
        if (!owned) free(c);
        return note_error(note, note_size, "the TLS library could not make a context");
    }
    c->ctx = ctx;
    c->server = server;
    c->alpn_h2 = options->alpn_h2;
    c->alpn_http_1_1 = options->alpn_http_1_1;
    c->now_s = options->now_s;
    struct err e = options_use(c, options, note, note_size);
    if (failed(e)) {
        SSL_CTX_free(ctx);
        return e;
    }
    *out = c;
    return OK;
}

void tls_context_free(struct tls_context *c)
{
    if (c != NULL) SSL_CTX_free(c->ctx);
}

void tls_context_ticket_keys(struct tls_context *c, const uint8_t current[TLS_TICKET_KEY_LEN],
                             const uint8_t previous[TLS_TICKET_KEY_LEN])
{
    struct ticket_keys *keys = malloc(sizeof *keys);
    if (keys == NULL) return; // the old keys serve on; the next hour tries again
    memcpy(keys->current, current, TLS_TICKET_KEY_LEN);
    memcpy(keys->previous, previous, TLS_TICKET_KEY_LEN);
    __atomic_store_n(&c->keys, keys, __ATOMIC_RELEASE);
    struct ticket_keys **slot = &c->kept[c->kept_next++ % TICKET_KEYS_KEPT];
    if (*slot != NULL) OPENSSL_cleanse(*slot, sizeof **slot);
    free(*slot);
    *slot = keys;
}

// ---- connections

static bool server_name_set(struct tls *t, const struct tls_context *c, const char *name)
{
    if (name == NULL) return true;
    X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
    // Not the library's reader of addresses, which takes "1.2.3.4.example" for one.
    uint8_t octets[16];
    size_t n = inet_pton(AF_INET, name, octets) == 1    ? 4
               : inet_pton(AF_INET6, name, octets) == 1 ? 16
                                                        : 0;
    bool address = n > 0;
    if (address && c->name_checked && X509_VERIFY_PARAM_set1_ip(param, octets, n) != 1)
        return false;
    if (!address && SSL_set_tlsext_host_name(t->ssl, name) != 1) return false;
    if (!address && c->name_checked) {
        X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        return X509_VERIFY_PARAM_set1_host(param, name, strlen(name)) == 1;
    }
    return true;
}

static bool connection_fill(struct tls *t, struct tls_context *c, const char *server_name)
{
    t->ssl = SSL_new(c->ctx);
    if (t->ssl == NULL || SSL_set_ex_data(t->ssl, ssl_index, t) != 1) return false;
    t->in = BIO_new(BIO_s_mem());
    t->out = BIO_new(BIO_s_mem());
    if (t->in == NULL || t->out == NULL) {
        BIO_free(t->in);
        BIO_free(t->out);
        return false;
    }
    BIO_set_mem_eof_return(t->in, -1); // empty means "more will come"
    SSL_set_bio(t->ssl, t->in, t->out);
    if (c->now_s != NULL) X509_VERIFY_PARAM_set_time(SSL_get0_param(t->ssl), c->now_s());
    // Certificates for tls-alpn-01 are often made with keyEncipherment alone.
    if (c->insecure) SSL_set_enforce_rsa_key_usage(t->ssl, 0);
    if (c->server)
        SSL_set_accept_state(t->ssl);
    else
        SSL_set_connect_state(t->ssl);
    return c->server || server_name_set(t, c, server_name);
}

struct tls *tls_new(struct tls_context *c, const char *server_name)
{
    struct tls *t = calloc(1, sizeof *t);
    if (t == NULL) return NULL;
    if (connection_fill(t, c, server_name)) return t;
    ERR_clear_error();
    tls_free(t);
    return NULL;
}

void tls_free(struct tls *t)
{
    if (t == NULL) return;
    SSL_SESSION_free(t->session);
    SSL_free(t->ssl);
    free(t);
}

static void failure_keep(struct tls *t)
{
    const struct tls_context *c = context_of(t->ssl);
    long verify = c->insecure ? X509_V_OK : SSL_get_verify_result(t->ssl);
    uint32_t e = ERR_peek_error();
    const char *reason = e == 0 ? NULL : ERR_reason_error_string(e);
    t->key_usage_refused = ERR_GET_LIB(e) == ERR_LIB_SSL &&
                           ERR_GET_REASON(e) == SSL_R_KEY_USAGE_BIT_INCORRECT;
    if (verify == X509_V_ERR_APPLICATION_VERIFICATION)
        snprintf(t->failure, sizeof t->failure, "the peer's certificate does not carry the role %s",
                 c->role);
    else if (verify != X509_V_OK)
        snprintf(t->failure, sizeof t->failure, "the peer's certificate is refused: %s",
                 X509_verify_cert_error_string(verify));
    else
        snprintf(t->failure, sizeof t->failure, "%s",
                 reason == NULL ? "the connection ended" : reason);
    ERR_clear_error();
}

// fatal says whether `result` of an SSL call is a failure; keeps its text. Not enough bytes yet is
// none.
static bool fatal(struct tls *t, int result)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_NONE:
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return false;
    case SSL_ERROR_ZERO_RETURN:
        t->peer_closed = true;
        return false;
    default:
        failure_keep(t);
        return true;
    }
}

static struct err handshake(struct tls *t)
{
    if (t->established) return OK;
    ERR_clear_error();
    int r = SSL_do_handshake(t->ssl);
    if (r == 1)
        t->established = true;
    else if (fatal(t, r))
        return ERR(TLS_HANDSHAKE);
    return OK;
}

struct err tls_start(struct tls *t) { return handshake(t); }

struct err tls_feed(struct tls *t, struct slice in)
{
    if (t->peer_closed) return OK; // nobody reads what comes behind a close_notify
    if (!t->established && (t->handshake_octets += in.n) > TLS_HANDSHAKE_MAX) {
        snprintf(t->failure, sizeof t->failure, "the handshake has more than %d octets",
                 TLS_HANDSHAKE_MAX);
        return ERR(TLS_HANDSHAKE);
    }
    if (in.n > 0 && BIO_write(t->in, in.p, (int)in.n) != (int)in.n) return ERR(NO_SPACE);
    return handshake(t);
}

struct err tls_read(struct tls *t, struct buf *out)
{
    while (t->established && !t->peer_closed) {
        size_t room = out->ceiling - buf_len(out), size = room < READ_SIZE ? room : READ_SIZE;
        if (size == 0) return OK;
        uint8_t *p = buf_reserve(out, size);
        if (p == NULL) return ERR(NO_SPACE);
        ERR_clear_error();
        int n = SSL_read(t->ssl, p, (int)size);
        if (n > 0) {
            buf_commit(out, (size_t)n);
            continue;
        }
        return fatal(t, n) ? ERR(TLS_PROTOCOL) : OK;
    }
    return OK;
}

struct err tls_write(struct tls *t, struct slice plain)
{
    if (!t->established) return ERR(TLS_PROTOCOL);
    if (plain.n == 0) return OK;
    ERR_clear_error();
    int n = SSL_write(t->ssl, plain.p, (int)plain.n);
    if (n == (int)plain.n) return OK;
    failure_keep(t);
    return ERR(TLS_PROTOCOL);
}

void tls_close(struct tls *t)
{
    if (t->established) SSL_shutdown(t->ssl);
    ERR_clear_error();
}

struct err tls_pull(struct tls *t, struct buf *out)
{
    size_t pending = BIO_pending(t->out), room = out->ceiling - buf_len(out);
    size_t n = pending < room ? pending : room;
    if (n > 0) {
        uint8_t *p = buf_reserve(out, n);
        if (p == NULL) return ERR(NO_SPACE);
        CHECK(BIO_read(t->out, p, (int)n) == (int)n);
        buf_commit(out, n);
    }
    return n < pending ? ERR(NO_SPACE) : OK;
}

bool tls_established(const struct tls *t) { return t->established; }

bool tls_peer_closed(const struct tls *t) { return t->peer_closed; }

enum tls_alpn tls_alpn(const struct tls *t)
{
    const uint8_t *p;
    unsigned n;
    SSL_get0_alpn_selected(t->ssl, &p, &n);
    struct slice got = slice_of(p, n);
    return slice_eq_str(got, "h2")           ? TLS_ALPN_H2
           : slice_eq_str(got, "http/1.1")   ? TLS_ALPN_HTTP_1_1
           : slice_eq_str(got, "acme-tls/1") ? TLS_ALPN_ACME_TLS
                                             : TLS_ALPN_NONE;
}

bool tls_resumed(const struct tls *t) { return SSL_session_reused(t->ssl) == 1; }

bool tls_resume(struct tls *t, const struct tls *earlier)
{
    return earlier->session != NULL && SSL_set_session(t->ssl, earlier->session) == 1;
}

bool tls_peer_role(const struct tls *t, char *out, size_t size)
{
    X509 *leaf = SSL_get_peer_certificate(t->ssl);
    bool verified = SSL_get_verify_result(t->ssl) == X509_V_OK &&
                    SSL_get_verify_mode(t->ssl) != SSL_VERIFY_NONE;
    bool ok = leaf != NULL && verified && role_of(out, size, leaf);
    X509_free(leaf);
    if (!ok && size > 0) out[0] = 0;
    return ok;
}

struct slice tls_peer_leaf(const struct tls *t)
{
    const STACK_OF(CRYPTO_BUFFER) *chain = SSL_get0_peer_certificates(t->ssl);
    if (chain == NULL || sk_CRYPTO_BUFFER_num(chain) == 0) return SLICE_NONE;
    const CRYPTO_BUFFER *leaf = sk_CRYPTO_BUFFER_value(chain, 0);
    return slice_of(CRYPTO_BUFFER_data(leaf), CRYPTO_BUFFER_len(leaf));
}

bool tls_key_usage_refused(const struct tls *t) { return t->key_usage_refused; }

const char *tls_failure(const struct tls *t)
{
    return t->failure[0] == 0 ? "no failure" : t->failure;
}

const char *tls_library_version(void) { return "BoringSSL " CERTMILL_BORINGSSL_VERSION; }
