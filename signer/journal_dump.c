#include "signer/journal_dump.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "signer/journal.h"

static const char usage[] =
    "usage: certmill-signer journal dump --dir DIR [--json]\n"
    "\n"
    "Prints every record of the journal in DIR, oldest first: position, kind, order, intent hash, "
    "serial, hashes of what was signed and of the\n"
    "certificate, time, caller; with --json one object a line, with the whole intent (message "
    "Intent of signer.proto; of renewals: the request; of CRLs: the request without its entries, "
    "and shard and number as order) and the certificate in "
    "hexadecimal. The journal is only read.\n";

static void hex(const char *key, const uint8_t *p, size_t n, bool json)
{
    printf(json ? ",\"%s\":\"" : " %s=", key);
    for (size_t i = 0; i < n; i++) printf("%02x", p[i]);
    if (json) printf("\"");
}

static void on_record(void *ctx, uint64_t position, const struct journal_record *r)
{
    bool json = *(bool *)ctx;
    const char *kind = r->kind == JOURNAL_SIGNED   ? "signed"
                       : r->kind == JOURNAL_BURNED ? "burned"
                       : r->kind == JOURNAL_CRL    ? "crl"
                                                   : "renewed";
    printf(json ? "{\"position\":%llu,\"kind\":\"%s\",\"time\":%lld,\"caller\":\"%.*s\""
                : "%llu %s time=%lld caller=%.*s",
           (unsigned long long)position, kind, (long long)r->time_s, SLICE_ARG(r->caller));
    hex("order", r->order.b, sizeof r->order.b, json);
    hex("intent_hash", r->intent_hash, HASH_LEN, json);
    hex("serial", r->serial, SERIAL_LEN, json);
    hex("tbs_hash", r->tbs_hash, HASH_LEN, json);
    hex("certificate_hash", r->certificate_hash, HASH_LEN, json);
    if (json) hex("intent", r->intent.p, r->intent.n, json);
    if (json) hex("certificate", r->certificate.p, r->certificate.n, json);
    printf(json ? "}\n" : "\n");
}

int journal_dump_main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"dir", 1, NULL, 'd'}, {"json", 0, NULL, 'j'}, {"help", 0, NULL, 'h'}, {0}};
    const char *dir = NULL;
    bool json = false;
    char note[JOURNAL_NOTE_MAX];
    for (int o; (o = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (o == 'd')
            dir = optarg;
        else if (o == 'j')
            json = true;
        else
            return fputs(usage, o == 'h' ? stdout : stderr), o == 'h' ? 0 : 2;
    }
    if (dir == NULL || optind + 1 != argc || strcmp(argv[optind], "dump") != 0)
        return fputs(usage, stderr), 2;
    if (!failed(journal_each(dir, note, on_record, &json))) return 0;
    fprintf(stderr, "certmill-signer: %s\n", note);
    return 1;
}
