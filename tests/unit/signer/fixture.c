#include "tests/unit/signer/fixture.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "signer/pki.h"

enum { ROOT_KEY = 100, ISSUER_KEY = 101, DAY_S = 86400 };

static struct slice der_of(struct arena *a, X509 *cert)
{
    struct buf b;
    struct slice out;
    buf_init(&b, 65536);
    CHECK(!failed(pki_cert_der(&b, cert)) && !failed(arena_dup(&out, a, buf_slice(&b))));
    buf_fini(&b);
    return out;
}

void fixture_issuer(struct issuer *out, struct arena *a, enum key_type type, unsigned bits,
                    int64_t life_s)
{
    char note[512];
    const char *why = "";
    EVP_PKEY *root_key = make_key(type, bits, ROOT_KEY), *key = make_key(type, bits, ISSUER_KEY);
    struct pki_request r = {.common_name = "Root",
                            .organization = "Example, Inc.",
                            .not_before = FIXTURE_NOW_S - 86400,
                            .not_after = FIXTURE_NOW_S + life_s + 3600,
                            .ca = true,
                            .path_len = 1};
    X509 *root = pki_cert_make(&r, root_key, NULL, NULL, note, sizeof note);
    CHECK(root != NULL);
    r.common_name = "Issuing CA";
    r.path_len = 0;
    r.not_after = FIXTURE_NOW_S + life_s - 1;
    X509 *cert = pki_cert_make(&r, key, root, root_key, note, sizeof note);
    CHECK(cert != NULL);
    *out = (struct issuer){.id = 1, .key = key, .certificate = der_of(a, cert)};
    out->root = der_of(a, root);
    out->algorithm = make_algorithm(a, key);
    CHECK(!failed(cert_parse(&out->cert, &why, a, out->certificate)));
    struct cert parsed;
    CHECK(!failed(cert_parse(&parsed, &why, a, out->root)));
    out->root_spki = parsed.spki;
    SHA256(out->certificate.p, out->certificate.n, out->certificate_hash);
    X509_free(cert);
    X509_free(root);
}

void fixture_profile_remake(struct fixture_profile *p)
{
    p->settings.key_kinds.items = p->kinds;
    p->settings.names.items = p->names;
    profile_make(&p->profile, &p->settings);
}

void fixture_profile_init(struct fixture_profile *p, const char *name)
{
    *p = (struct fixture_profile){
        .settings = {.name = name,
                     .validity_ms = 1000ll * FIXTURE_VALIDITY_S,
                     .backdate_ms = 60000,
                     .key_kinds = {.count = 5},
                     .crl_parts = 1,
                     .text = "for tests"},
        .kinds = {"P-256", "P-384", "P-521", "RSA-2048", "Ed25519"},
    };
    fixture_profile_remake(p);
}

// Names get longer and longer, up to about 200 octets, so that lengths need one, two and three
// octets.
static struct slice name_of(struct arena *a, size_t i)
{
    struct slice name = make_text(a, "n%zu", i);
    for (size_t k = 0; k < i % 7; k++)
        name = MAKE_JOINED(a, name, make_text(a, ".label-of-some-length-%zu", k));
    return MAKE_JOINED(a, name, SLICE_LIT(".internal.test"));
}

struct intent fixture_intent(struct arena *a, const struct profile *p, const struct issuer *issuer,
                             struct slice spki, size_t count, int64_t now_s)
{
    struct intent in = {.tenant = SLICE_LIT("default"),
                        .spki = spki,
                        .profile = slice_str(p->settings->name),
                        .template_version = p->template_version,
                        .issuer = issuer->id,
                        .serial_key_generation = 1,
                        .not_before = now_s - 60,
                        .created_at_us = now_s * 1000000};
    in.not_after = in.not_before + p->settings->validity_ms / 1000 - 1;
    if (profile_has_crl(p)) in.crl_shard = crl_shard_of(in.not_before, 0);
    memset(in.order.b, 0x11, sizeof in.order.b);
    memset(in.account.b, 0x22, sizeof in.account.b);
    memset(in.owner_node.b, 0x33, sizeof in.owner_node.b);
    memset(in.salt, 0x44, sizeof in.salt);
    memcpy(in.profile_hash, p->hash, HASH_LEN);
    memcpy(in.issuer_cert_hash, issuer->certificate_hash, HASH_LEN);
    in.names = ARENA_ARRAY(a, struct identifier, count);
    CHECK(in.names != NULL || count == 0);
    for (size_t i = 0; i < count; i++)
        in.names[i] = (struct identifier){IDENTIFIER_DNS, name_of(a, i)};
    in.name_count = identifiers_sort(in.names, count);
    CHECK(in.name_count == count);
    return in;
}

void fixture_names(struct intent *in, struct arena *a, const char *names)
{
    in->names = ARENA_ARRAY(a, struct identifier, strlen(names) + 1);
    in->name_count = 0;
    for (size_t n; *names != 0; names += n + (names[n] == ',')) {
        n = strcspn(names, ",");
        in->names[in->name_count++] = (struct identifier){IDENTIFIER_DNS, slice_of(names, n)};
    }
    in->name_count = identifiers_sort(in->names, in->name_count);
}

char *fixture_folder(void)
{
    char *path = strdup("/tmp/certmill-unit-XXXXXX");
    CHECK(path != NULL && mkdtemp(path) != NULL);
    return path;
}

void fixture_folder_remove(char *path)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf -- '%s'", path);
    CHECK(system(command) == 0);
    free(path);
}

const char *fixture_path(struct arena *a, const char *folder, const char *name)
{
    return arena_printf(a, "%s/%s", folder, name);
}

void fixture_write(const char *path, struct slice content, unsigned mode)
{
    (void)unlink(path); // one that was written before may not be writable
    FILE *f = fopen(path, "we");
    CHECK(f != NULL && fwrite(content.p, 1, content.n, f) == content.n && fclose(f) == 0);
    CHECK(chmod(path, mode) == 0);
}

struct slice fixture_read(struct arena *a, const char *path)
{
    struct stat st;
    FILE *f = fopen(path, "re");
    CHECK(f != NULL && fstat(fileno(f), &st) == 0);
    uint8_t *p = arena_alloc(a, (size_t)st.st_size + 1);
    CHECK(p != NULL && fread(p, 1, (size_t)st.st_size, f) == (size_t)st.st_size && fclose(f) == 0);
    p[st.st_size] = 0;
    return slice_of(p, (size_t)st.st_size);
}
