// chains: further chains of an issuing CA: taken when every link holds, refused with a sentence
// otherwise.
#include "signer/chains.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "signer/err.h"
#include "signer/pki.h"
#include "tests/unit/signer/fixture.h"

enum { KEY_ROOT = 110, KEY_ISSUER, KEY_OTHER, KEY_STRANGER };

static struct arena arena;
static char *folder;
static int dir;
static struct issuer issuer;
static char note[KEYSTORE_NOTE_MAX];
// The issuing CA under its root; both again under another root; what is not theirs.
static X509 *root, *issuing, *other, *root_by_other, *issuing_by_other, *stranger, *renamed, *leaf,
    *old;

static EVP_PKEY *key(unsigned number) { return make_key(KEY_P256, 0, number); }

static X509 *cert(const char *name, unsigned subject, X509 *by, unsigned by_key, bool ca,
                  int64_t life_s)
{
    struct pki_request r = {.common_name = name,
                            .not_before = FIXTURE_NOW_S - 2 * 86400,
                            .not_after = FIXTURE_NOW_S + life_s,
                            .ca = ca,
                            .path_len = by == NULL ? 1 : 0};
    X509 *x = pki_cert_make(&r, key(subject), by, by == NULL ? NULL : key(by_key), note,
                            sizeof note);
    if (x == NULL) fail_msg("%s", note);
    return x;
}

static void file_write(unsigned number, X509 *const *certs, size_t count, const char *more)
{
    char name[40];
    struct buf b;
    buf_init(&b, 65536);
    for (size_t i = 0; i < count; i++) assert_ok(pki_cert_pem(&b, certs[i]));
    assert_ok(buf_add_str(&b, more));
    snprintf(name, sizeof name, "issuer-1-chain-%u.pem", number);
    fixture_write(fixture_path(&arena, folder, name), buf_slice(&b), 0644);
    buf_fini(&b);
}

static void file_remove(unsigned number)
{
    char name[40];
    snprintf(name, sizeof name, "issuer-1-chain-%u.pem", number);
    assert_int_equal(unlinkat(dir, name, 0), 0);
}

static struct err chains(void)
{
    note[0] = 0;
    return chains_read(&issuer, &arena, note, dir, FIXTURE_NOW_S);
}

static struct slice der(X509 *x)
{
    struct buf b;
    struct slice out = SLICE_NONE;
    buf_init(&b, 65536);
    assert_ok(pki_cert_der(&b, x));
    assert_ok(arena_dup(&out, &arena, buf_slice(&b)));
    buf_fini(&b);
    return out;
}

static int setup(void **state)
{
    const char *why = "";
    (void)state;
    arena_init(&arena, 32 << 20);
    folder = fixture_folder();
    dir = open(folder, O_RDONLY | O_DIRECTORY);
    root = cert("Root", KEY_ROOT, NULL, 0, true, 86400);
    issuing = cert("Issuing CA", KEY_ISSUER, root, KEY_ROOT, true, 86400);
    other = cert("Other Root", KEY_OTHER, NULL, 0, true, 86400);
    root_by_other = cert("Root", KEY_ROOT, other, KEY_OTHER, true, 86400);
    issuing_by_other = cert("Issuing CA", KEY_ISSUER, other, KEY_OTHER, true, 86400);
    stranger = cert("Issuing CA", KEY_STRANGER, root, KEY_ROOT, true, 86400);
    renamed = cert("Issuing CA 2", KEY_ISSUER, root, KEY_ROOT, true, 86400);
    leaf = cert("Issuing CA", KEY_ISSUER, root, KEY_ROOT, false, 86400);
    old = cert("Issuing CA", KEY_ISSUER, other, KEY_OTHER, true, -86400);
    issuer.id = 1;
    issuer.certificate = der(issuing);
    assert_ok(cert_parse(&issuer.cert, &why, &arena, issuer.certificate));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    X509 *all[] = {root,    issuing, other, root_by_other, issuing_by_other, stranger,
                   renamed, leaf,    old};
    for (size_t i = 0; i < COUNT_OF(all); i++) X509_free(all[i]);
    close(dir);
    fixture_folder_remove(folder);
    arena_fini(&arena);
    return 0;
}

static void chains_to_other_roots_are_taken(void **state)
{
    (void)state;
    assert_ok(chains());
    assert_int_equal(issuer.chain_count, 0);
    file_write(2, (X509 *[]){issuing, root_by_other, other}, 3, "");
    file_write(9, (X509 *[]){issuing_by_other, other}, 2, "\n");
    assert_ok(chains());
    assert_int_equal(issuer.chain_count, 2);
    assert_int_equal(issuer.chains[0].count, 2);
    assert_slice(issuer.chains[0].certificates[0], issuer.certificate);
    assert_slice(issuer.chains[0].certificates[1], der(root_by_other));
    assert_slice(issuer.chains[0].root, der(other));
    assert_int_equal(issuer.chains[1].count, 1);
    assert_slice(issuer.chains[1].certificates[0], der(issuing_by_other));
    file_remove(2);
    file_remove(9);
}

static void a_link_that_does_not_hold_is_refused(void **state)
{
    (void)state;
    const struct {
        X509 *certs[9];
        size_t count;
        const char *more, *told;
    } rows[] = {{{issuing}, 1, "", "fewer than two"},
                {{NULL}, 0, "no certificate at all\n", "fewer than two"},
                {{stranger, root}, 2, "", "not for the issuing CA's name, key"},
                {{renamed, root}, 2, "", "not for the issuing CA's name, key"},
                {{root_by_other, other}, 2, "", "not for the issuing CA's name, key"},
                {{issuing_by_other, root}, 2, "", "not signed by the next"},
                {{issuing, other}, 2, "", "not signed by the next"},
                {{issuing, root_by_other}, 2, "", "does not end with a root"},
                {{issuing, root, other}, 3, "", "not signed by the next"},
                {{leaf, root}, 2, "", "is not a CA's"},
                {{issuing, root},
                 2,
                 "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                 "something else"},
                {{issuing, root, root, root, root, root, root, root, root}, 9, "", "more than 8"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        file_write(3, rows[i].certs, rows[i].count, rows[i].more);
        assert_err(chains(), ERR_KEY);
        if (strstr(note, rows[i].told) == NULL || strstr(note, "issuer-1-chain-3.pem") == NULL)
            fail_msg("row %zu: %s", i, note);
    }
    file_remove(3);
}

// What a root of others does to itself must not keep this signer from starting.
static void a_chain_whose_time_is_over_is_left_out(void **state)
{
    (void)state;
    file_write(2, (X509 *[]){old, other}, 2, "");
    file_write(3, (X509 *[]){issuing_by_other, other}, 2, "");
    assert_ok(chains());
    assert_int_equal(issuer.chain_count, 1);
    assert_slice(issuer.chains[0].certificates[0], der(issuing_by_other));
    file_remove(2);
    file_remove(3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_to_other_roots_are_taken),
        cmocka_unit_test(a_link_that_does_not_hold_is_refused),
        cmocka_unit_test(a_chain_whose_time_is_over_is_left_out),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
