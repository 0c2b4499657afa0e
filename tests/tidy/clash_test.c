// clash_test: BoringSSL and libpq's OpenSSL live in one process. libpq talks TLS (OpenSSL) to a
// server in a child (BoringSSL), once before and once after BoringSSL has worked in the parent,
// too. Where the two libraries' symbols meet, this crashes.
#include <arpa/inet.h>
#include <openssl/bytestring.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <postgresql/libpq-fe.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

// The sentence that only comes back when the whole handshake and the exchange behind it worked.
#define REFUSAL "both libraries work"

static EVP_PKEY *key_make(void)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();
    assert_true(ec != NULL && key != NULL && EC_KEY_generate_key(ec));
    assert_true(EVP_PKEY_assign_EC_KEY(key, ec));
    return key;
}

static X509 *certificate_make(EVP_PKEY *key)
{
    X509 *x = X509_new();
    assert_non_null(x);
    X509_NAME *name = X509_get_subject_name(x);
    assert_true(
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"clash", -1, -1, 0));
    assert_true(X509_set_version(x, X509_VERSION_3) &&
                ASN1_INTEGER_set(X509_get_serialNumber(x), 1));
    assert_true(X509_gmtime_adj(X509_get_notBefore(x), -60) != NULL);
    assert_true(X509_gmtime_adj(X509_get_notAfter(x), 3600) != NULL);
    assert_true(X509_set_issuer_name(x, name) && X509_set_pubkey(x, key));
    assert_true(X509_sign(x, key, EVP_sha256()));
    return x;
}

// A PostgreSQL server as far as the first refusal: SSLRequest, TLS, start-up message, an error
// message. Returns an exit code.
static int server_run(int listener)
{
    EVP_PKEY *key = key_make();
    X509 *x = certificate_make(key);
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    if (!SSL_CTX_use_certificate(ctx, x) || !SSL_CTX_use_PrivateKey(ctx, key)) return 2;
    int fd = accept(listener, NULL, NULL);
    uint8_t in[1024];
    if (fd < 0 || recv(fd, in, 8, MSG_WAITALL) != 8 || send(fd, "S", 1, 0) != 1) return 3;
    SSL *ssl = SSL_new(ctx);
    if (!SSL_set_fd(ssl, fd) || SSL_accept(ssl) != 1 || SSL_read(ssl, in, sizeof in) <= 0) return 4;
    static const char fields[] = "SFATAL\0C28000\0M" REFUSAL
                                 "\0"; // and the NUL that ends the literal ends the message
    uint8_t out[sizeof fields + 5] = {'E', 0, 0, 0, sizeof fields + 4};
    memcpy(out + 5, fields, sizeof fields);
    if (SSL_write(ssl, out, sizeof out) != (int)sizeof out) return 5;
    SSL_shutdown(ssl);
    return 0;
}

static void libpq_talks_tls_to_boringssl(void)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    assert_int_equal(bind(listener, (struct sockaddr *)&at, n), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &n), 0);

    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(server_run(listener));
    close(listener);
    char conninfo[200];
    snprintf(conninfo, sizeof conninfo,
             "hostaddr=127.0.0.1 port=%u sslmode=require gssencmode=disable connect_timeout=20 "
             "user=u dbname=d",
             ntohs(at.sin_port));
    PGconn *conn = PQconnectdb(conninfo);
    assert_int_equal(PQstatus(conn), CONNECTION_BAD);
    if (strstr(PQerrorMessage(conn), REFUSAL) == NULL) {
        kill(child, SIGKILL);
        fail_msg("the server's refusal did not arrive: %s", PQerrorMessage(conn));
    }
    PQfinish(conn);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void both_work_in_one_process(void **state)
{
    (void)state;
    libpq_talks_tls_to_boringssl();
    EVP_PKEY *key = key_make();
    X509 *x = certificate_make(key);
    assert_true(X509_verify(x, key));
    X509_free(x);
    EVP_PKEY_free(key);
    libpq_talks_tls_to_boringssl();
}

static void ours_is_boringssl(void **state)
{
    (void)state;
#ifndef OPENSSL_IS_BORINGSSL
    fail_msg("the headers are the system's OpenSSL");
#endif
    // A function that only BoringSSL has, with its known answer: SHA-512/256 of nothing.
    static const uint8_t want[4] = {0xc6, 0x72, 0xb8, 0xd1};
    uint8_t out[SHA512_256_DIGEST_LENGTH];
    SHA512_256(NULL, 0, out);
    assert_memory_equal(out, want, sizeof want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ours_is_boringssl),
        cmocka_unit_test(both_work_in_one_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
