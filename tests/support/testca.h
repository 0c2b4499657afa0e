// testca: certificates made on the spot by BoringSSL, for tests that need a peer. P-256 keys; PEM
// texts that the caller frees.
#pragma once
#include <stdint.h>

struct testca_options {
    const char *common_name;
    const char *dns;      // SAN dNSName, NULL: none
    const char *ip;       // SAN iPAddress text, NULL: none
    const char *uri;      // SAN URI, NULL: none
    const char *uri2;     // a second one
    int64_t from_s, to_s; // validity relative to now; both 0: an hour back to a day ahead
};

struct testca_pair {
    char *cert_pem, *key_pem;
};

// testca_root makes a self-signed CA; testca_leaf a certificate under it. testca_free frees both
// texts.
struct testca_pair testca_root(const char *common_name);
struct testca_pair testca_leaf(const struct testca_pair *root,
                               const struct testca_options *options);
void testca_free(struct testca_pair *p);
