// keystore: what the ceremony made is opened, what is wrong with it is said; keys can be read by
// openssl; secrets lie in the vault and are gone after closing.
#include "signer/keystore.h"

#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "signer/ceremony.h"
#include "signer/engine.h"
#include "signer/err.h"
#include "signer/issuer_add.h"
#include "signer/pki.h"
#include "signer/vault.h"
#include "tests/unit/signer/fixture.h"

static struct arena arena;
static char *folder;
static const char *ca, *passphrase;
static char note[KEYSTORE_NOTE_MAX];

static void ceremony(const char *dir, const char *key_type)
{
    const char *const argv[] = {"ceremony", "--dir",      dir,      "--passphrase-file",
                                passphrase, "--key-type", key_type, "--quiet",
                                NULL};
    optind = 1;
    assert_int_equal(ceremony_main(8, (char **)(uintptr_t)argv), 0);
}

static int group_setup(void **state)
{
    (void)state;
    arena_init(&arena, 32 << 20);
    folder = fixture_folder();
    ca = fixture_path(&arena, folder, "ca");
    passphrase = fixture_path(&arena, folder, "passphrase");
    fixture_write(passphrase, SLICE_LIT("open sesame, please\n"), 0600);
    assert_ok(vault_open(note, sizeof note));
    ceremony(ca, "p256");
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    fixture_folder_remove(folder);
    arena_fini(&arena);
    return 0;
}

static const char *in(const char *name) { return fixture_path(&arena, ca, name); }

static struct err opened(struct keystore *k)
{
    note[0] = 0;
    return keystore_open(k, note, ca, passphrase, (int64_t)time(NULL), p256_kernel_detect());
}

static void closes(struct keystore *k)
{
    keystore_close(k);
    assert_null(k->issuer.key);
    assert_null(k->serial_key);
}

static void opens_what_the_ceremony_made(void **state)
{
    (void)state;
    struct keystore k;
    struct err e = opened(&k);
    if (failed(e)) print_error("%s\n", note);
    assert_ok(e);
    assert_int_equal(k.issuer.id, 1);
    assert_int_equal(k.serial_generation, 1);
    assert_true(k.issuer.cert.is_ca && k.issuer.cert.path_len == 0);
    uint8_t hash[HASH_LEN], zero[32] = {0};
    SHA256(k.issuer.certificate.p, k.issuer.certificate.n, hash);
    assert_memory_equal(hash, k.issuer.certificate_hash, HASH_LEN);
    assert_memory_not_equal(k.serial_key, zero, 32);
    uint8_t first[32];
    memcpy(first, k.serial_key, 32);
    closes(&k);
    assert_ok(opened(&k)); // and it is the same key every time
    assert_memory_equal(first, k.serial_key, 32);
    closes(&k);
}

// longer_make writes a certificate for the first issuing CA's key that ends later.
static void longer_make(const char *name, int64_t end)
{
    EVP_PKEY *root_key = NULL, *key = NULL;
    struct slice secret = SLICE_LIT("open sesame, please");
    X509 *root = pki_cert_parse(fixture_read(&arena, in("root.pem")));
    struct pki_request r = {
        .common_name = "Longer", .not_before = 1000000000, .not_after = end, .ca = true};
    struct buf b;
    buf_init(&b, 65536);
    assert_ok(pki_key_open(&root_key, fixture_read(&arena, in("root/root.key")), secret));
    assert_ok(pki_key_open(&key, fixture_read(&arena, in("issuer-1.key")), secret));
    X509 *x = pki_cert_make(&r, key, root, root_key, note, sizeof note);
    assert_non_null(x);
    assert_ok(pki_cert_pem(&b, x));
    fixture_write(in(name), buf_slice(&b), 0644);
    buf_fini(&b);
    X509_free(x);
    X509_free(root);
    EVP_PKEY_free(key);
    EVP_PKEY_free(root_key);
}

static void add_issuer(const char *id, int code)
{
    const char *const argv[] = {
        "add-issuer", "--dir", ca, "--passphrase-file", passphrase, "--id", id, "--quiet", NULL};
    optind = 1;
    assert_int_equal(issuer_add_main(8, (char **)(uintptr_t)argv), code);
}

static void opens_every_issuer(void **state)
{
    (void)state;
    struct keystore k;
    add_issuer("2", 0);
    add_issuer("2", 1); // nothing is written over
    add_issuer("1", 2);
    add_issuer("100", 2);
    add_issuer("40", 0);
    assert_ok(opened(&k));
    assert_int_equal(k.issuer.id, 1);
    assert_int_equal(k.further_count, 2);
    assert_int_equal(keystore_issuer_at(&k, 2)->id, 40);
    assert_null(keystore_issuer_at(&k, 3));
    assert_null(keystore_issuer(&k, 3));
    const struct issuer *second = keystore_issuer(&k, 2);
    assert_non_null(second);
    assert_true(second->cert.is_ca && second->cert.path_len == 0 && second->engine != NULL);
    assert_true(vault_has(second->key));
    assert_memory_not_equal(second->certificate_hash, k.issuer.certificate_hash, HASH_LEN);
    assert_false(slice_eq(second->cert.spki, k.issuer.cert.spki));
    assert_slice(second->cert.issuer, k.issuer.cert.issuer);
    closes(&k);
    // The key of another is refused by its name.
    assert_int_equal(rename(in("issuer-40.key"), in("kept")), 0);
    assert_int_equal(link(in("issuer-2.key"), in("issuer-40.key")), 0);
    assert_err(opened(&k), ERR_KEY);
    assert_non_null(strstr(note, "issuer-40.key does not belong to issuer-40.pem"));
    static const char *const gone[] = {"issuer-2.pem", "issuer-2.key", "issuer-40.pem",
                                       "issuer-40.key", "kept"};
    for (size_t i = 0; i < COUNT_OF(gone); i++) assert_int_equal(unlink(in(gone[i])), 0);
}

// Those whose time is over are left out while another is in force, also the first: our own servers'
// certificates are the next one's then.
static void leaves_out_issuers_that_have_ended(void **state)
{
    (void)state;
    struct keystore k;
    assert_ok(opened(&k));
    int64_t end = k.issuer.cert.not_after;
    closes(&k);
    longer_make("issuer-7.pem", end + 10);
    assert_int_equal(link(in("issuer-1.key"), in("issuer-7.key")), 0);
    assert_ok(opened(&k));
    assert_int_equal(k.further_count, 1);
    closes(&k);
    assert_ok(keystore_open(&k, note, ca, passphrase, end + 10, p256_kernel_detect()));
    assert_int_equal(k.issuer.id, 7);
    assert_int_equal(k.further_count, 0);
    assert_non_null(k.server.cert);
    closes(&k);
    assert_err(keystore_open(&k, note, ca, passphrase, end + 11, p256_kernel_detect()),
               ERR_EXPIRED_CA);
    assert_int_equal(unlink(in("issuer-7.pem")), 0);
    assert_int_equal(unlink(in("issuer-7.key")), 0);
}

static void takes_the_passphrase_from_where_it_is(void **state)
{
    (void)state;
    struct keystore k;
    int64_t now = (int64_t)time(NULL);
    unsetenv("CREDENTIALS_DIRECTORY");
    unsetenv("CERTMILL_PASSPHRASE");
    assert_err(keystore_open(&k, note, ca, NULL, now, p256_kernel_detect()), ERR_PASSPHRASE);
    assert_non_null(strstr(note, "set passphrase_file"));
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    assert_ok(keystore_open(&k, note, ca, NULL, now, p256_kernel_detect()));
    closes(&k);
    unsetenv("CREDENTIALS_DIRECTORY");
    setenv("CERTMILL_PASSPHRASE", "open sesame, please", 1);
    const char *text = getenv("CERTMILL_PASSPHRASE");
    assert_ok(keystore_open(&k, note, ca, NULL, now, p256_kernel_detect()));
    closes(&k);
    assert_string_equal(text, ""); // gone from the environment
    unsetenv("CERTMILL_PASSPHRASE");
}

// ---- what is wrong

// One change of the folder, undone afterwards.
static void keep(const char *name, const char *as)
{
    struct slice s = fixture_read(&arena, in(name));
    fixture_write(in(as), s, 0600);
}

static void missing(const char *name) { assert_int_equal(unlink(in(name)), 0); }
static void readable(const char *name) { assert_int_equal(chmod(in(name), 0644), 0); }
static void garbage(const char *name) { fixture_write(in(name), SLICE_LIT("garbage\n"), 0600); }
static void empty(const char *name) { fixture_write(in(name), SLICE_LIT(""), 0600); }
static void other_key(const char *name)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    assert_ok(pki_key_seal(&b, make_key(KEY_P256, 0, 5), SLICE_LIT("open sesame, please")));
    fixture_write(in(name), buf_slice(&b), 0600);
    buf_fini(&b);
}
static void other_passphrase(const char *name)
{
    struct buf b;
    uint8_t key[PKI_SECRET_LEN] = {1};
    buf_init(&b, 1 << 16);
    if (strstr(name, "serial") != NULL)
        assert_ok(pki_secret_seal(&b, key, SLICE_LIT("another one")));
    else
        assert_ok(pki_key_seal(&b, make_key(KEY_P256, 0, 5), SLICE_LIT("another one")));
    fixture_write(in(name), buf_slice(&b), 0600);
    buf_fini(&b);
}
static void flipped(const char *name)
{
    struct slice s = fixture_read(&arena, in(name));
    ((uint8_t *)(uintptr_t)s.p)[s.n - 5] ^= 1;
    fixture_write(in(name), s, 0600);
}
static void is_root(const char *name)
{
    fixture_write(in(name), fixture_read(&arena, in("root.pem")), 0644);
}
static void is_leaf(const char *name)
{
    fixture_write(in(name), fixture_read(&arena, in("server.pem")), 0644);
}
static void is_internal(const char *name)
{
    fixture_write(in(name), fixture_read(&arena, in("internal-root.pem")), 0644);
}

static const struct {
    const char *name;
    void (*change)(const char *name);
    uint32_t code;
    const char *want;
} rows[] = {
    {"issuer-1.key", missing, 0, "cannot read issuer-1.key (No such file"},
    {"issuer-1.pem", missing, 0, "cannot read issuer-1.pem (No such file"},
    {"serial-1.key", missing, 0, "cannot read serial-1.key (No such file"},
    {"root.pem", missing, 0, "cannot read root.pem (No such file"},
    {"internal-root.key", missing, 0, "cannot read internal-root.key (No such file"},
    {"issuer-1.key", readable, ERR_KEY, "issuer-1.key is a secret and may be used by others"},
    {"serial-1.key", readable, ERR_KEY, "serial-1.key is a secret and may be used by others"},
    {"internal-root.key", readable, ERR_KEY, "internal-root.key is a secret"},
    {"issuer-1.key", garbage, ERR_KEY, "issuer-1.key is not a PKCS#8 key in PEM"},
    {"issuer-1.key", empty, ERR_KEY, "issuer-1.key is not a PKCS#8 key in PEM"},
    {"issuer-1.key", other_passphrase, ERR_PASSPHRASE, "the passphrase does not open issuer-1.key"},
    {"serial-1.key", other_passphrase, ERR_PASSPHRASE, "the passphrase does not open serial-1.key"},
    {"serial-1.key", flipped, ERR_PASSPHRASE, "the passphrase does not open serial-1.key"},
    {"serial-1.key", garbage, ERR_KEY, "serial-1.key is not a serial key"},
    {"issuer-1.key", other_key, ERR_KEY, "issuer-1.key does not belong to issuer-1.pem"},
    {"internal-root.key", other_key, ERR_KEY,
     "internal-root.key does not belong to internal-root.pem"},
    {"issuer-1.pem", garbage, ERR_KEY, "issuer-1.pem is not a PEM certificate"},
    {"issuer-1.pem", is_leaf, ERR_KEY, "issuer-1.pem is not the certificate of a CA"},
    {"issuer-1.pem", is_internal, ERR_KEY, "issuer-1.pem is not signed by the key of root.pem"},
    {"issuer-1.pem", is_root, ERR_KEY, "issuer-1.key does not belong to issuer-1.pem"},
    {"root.pem", is_internal, ERR_KEY, "issuer-1.pem is not signed by the key of root.pem"},
};

static void says_what_is_wrong(void **state)
{
    (void)state;
    size_t missed = 0;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct keystore k;
        keep(rows[i].name, "kept");
        rows[i].change(rows[i].name);
        struct err e = opened(&k);
        bool right = failed(e) && strstr(note, rows[i].want) != NULL &&
                     (rows[i].code == 0 || err_is(e, rows[i].code)) && k.issuer.key == NULL;
        if (!right)
            print_error("%s, want \"%s\": %s \"%s\"\n", rows[i].name, rows[i].want, err_name(e),
                        note);
        missed += !right;
        if (!failed(e)) keystore_close(&k);
        assert_int_equal(rename(in("kept"), in(rows[i].name)), 0);
    }
    assert_int_equal(missed, 0);
    struct keystore k;
    assert_ok(opened(&k)); // all is as it was
    int64_t begin = k.issuer.cert.not_before, end = k.issuer.cert.not_after;
    closes(&k);
    assert_ok(
        keystore_open(&k, note, ca, passphrase, end, p256_kernel_detect())); // the last second
    closes(&k);
    assert_err(keystore_open(&k, note, ca, passphrase, end + 1, p256_kernel_detect()),
               ERR_EXPIRED_CA);
    assert_non_null(strstr(note, "issuer-1.pem has expired, at 20"));
    assert_non_null(strstr(note, "make a new one with a ceremony"));
    assert_err(keystore_open(&k, note, ca, passphrase, begin - 1, p256_kernel_detect()),
               ERR_EXPIRED_CA);
    assert_non_null(strstr(note, "issuer-1.pem is not valid before 20"));
    assert_non_null(strstr(note, "set this machine's clock"));
    assert_true(
        failed(keystore_open(&k, note, "/no/such/folder", passphrase, 0, p256_kernel_detect())));
    assert_non_null(strstr(note, "cannot open the folder /no/such/folder"));
}

static void refuses_the_wrong_passphrase(void **state)
{
    static const char *const texts[] = {"open sesame, Please", "", "open sesame, please ", "\n",
                                        "open sesame, pleas"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct keystore k;
        const char *path = fixture_path(&arena, folder, "wrong");
        fixture_write(path, slice_str(texts[i]), 0600);
        assert_err(keystore_open(&k, note, ca, path, (int64_t)time(NULL), p256_kernel_detect()),
                   ERR_PASSPHRASE);
        assert_non_null(strstr(note, "the passphrase does not open issuer-1.key"));
    }
}

// ---- files that others read

static int shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int shell(const char *fmt, ...)
{
    char command[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    return system(command);
}

static void openssl_reads_the_keys(void **state)
{
    static const char *const types[] = {"p256", "p384", "rsa2048"},
                             *const keys[] = {"issuer-1", "internal-root", "root/root"},
                             *const certs[] = {"issuer-1", "internal-root", "root"};
    (void)state;
    for (size_t t = 0; t < COUNT_OF(types); t++) {
        const char *dir = fixture_path(&arena, folder, types[t]);
        ceremony(dir, types[t]);
        for (size_t i = 0; i < COUNT_OF(keys); i++) {
            struct stat st;
            assert_int_equal(
                shell("openssl pkey -in %s/%s.key -passin file:%s -pubout -out %s/a 2>%s/err && "
                      "openssl x509 -in %s/%s.pem -noout -pubkey >%s/b && cmp %s/a %s/b",
                      dir, keys[i], passphrase, folder, folder, dir, certs[i], folder, folder,
                      folder),
                0);
            assert_int_not_equal(
                shell("openssl pkey -in %s/%s.key -passin pass:wrong -noout 2>%s/err", dir, keys[i],
                      folder),
                0);
            assert_int_equal(
                stat(fixture_path(&arena, dir, arena_printf(&arena, "%s.key", keys[i])), &st), 0);
            assert_int_equal(st.st_mode & 0777, 0600);
        }
        // PBES2 with PBKDF2-HMAC-SHA256 or -SHA1 and AES-256-CBC, many rounds.
        assert_int_equal(shell("openssl asn1parse -in %s/issuer-1.key | grep -q 'aes-256-cbc' && "
                               "openssl asn1parse -in %s/issuer-1.key | grep -q PBKDF2",
                               dir, dir),
                         0);
        assert_int_equal(
            shell("openssl verify -CAfile %s/root.pem %s/issuer-1.pem >%s/out", dir, dir, folder),
            0);
    }
}

static void leaves_what_exists(void **state)
{
    (void)state;
    struct slice before = fixture_read(&arena, in("issuer-1.key"));
    const char *const argv[] = {"ceremony", "--dir", ca, "--passphrase-file", passphrase, NULL};
    optind = 1;
    assert_int_equal(ceremony_main(5, (char **)(uintptr_t)argv), 1);
    assert_slice(fixture_read(&arena, in("issuer-1.key")), before);
}

// ---- memory

static bool zero(const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (((const uint8_t *)p)[i] != 0) return false;
    return true;
}

static void keeps_secrets_in_the_vault_and_wipes_them(void **state)
{
    (void)state;
    struct keystore k;
    assert_ok(opened(&k));
    closes(&k);
    size_t idle = vault_used(); // what the library keeps for good
    assert_ok(opened(&k));
    const BIGNUM *d = EC_KEY_get0_private_key(EVP_PKEY_get0_EC_KEY(k.issuer.key));
    uint8_t bytes[32], *serial = k.serial_key;
    assert_true(vault_has(k.issuer.key) && vault_has(k.internal.key) && vault_has(serial));
    assert_true(vault_has(d));
    const uint8_t *engine = (const uint8_t *)k.issuer.engine; // holds the key a second time
    assert_true(vault_has(engine));
    assert_int_equal(BN_bn2bin_padded(bytes, sizeof bytes, d), 1);
    // Anything else of the process may be read: the key is not there.
    const uint8_t *at = (const uint8_t *)d;
    assert_false(zero(at, sizeof(void *)) || zero(serial, 32));
    assert_true(vault_used() > idle);
    closes(&k);
    assert_int_equal(vault_used(), idle);
    assert_true(zero(serial, 32));
    assert_true(zero(at, sizeof(void *)));
    assert_true(zero(engine, 256 << 10));
}

static void signs_within_the_vault(void **state)
{
    (void)state;
    struct keystore k;
    struct arena a;
    arena_init(&a, 1 << 20);
    assert_ok(opened(&k));
    struct engine_item item = {.tbs = SLICE_LIT("\x30\x00"), .arena = &a};
    size_t before = vault_used();
    for (int i = 0; i < 100; i++) engine_run(&k.issuer, &item, 1, NULL);
    // The TBS is none, so that the check before release refuses it; the signature was made.
    assert_true(failed(item.err));
    assert_int_equal(item.certificate.n, 0);
    assert_true(vault_used() <= before + 4096); // nothing piles up
    closes(&k);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_what_the_ceremony_made),
        cmocka_unit_test(opens_every_issuer),
        cmocka_unit_test(leaves_out_issuers_that_have_ended),
        cmocka_unit_test(takes_the_passphrase_from_where_it_is),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(refuses_the_wrong_passphrase),
        cmocka_unit_test(openssl_reads_the_keys),
        cmocka_unit_test(leaves_what_exists),
        cmocka_unit_test(keeps_secrets_in_the_vault_and_wipes_them),
        cmocka_unit_test(signs_within_the_vault),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
