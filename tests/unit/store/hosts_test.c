// hosts: connection strings taken apart: what is refused, and where an attempt goes.
#include "store/hosts.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/err.h"
#include "store/err.h"
#include "store/store.h"
#include "tests/unit/unit.h"

static void names_are_refused_and_addresses_taken(void **state)
{
    (void)state;
    static const struct {
        const char *conninfo;
        bool taken;
        size_t count;
        const char *says;
    } cases[] = {
        {"host=/run/postgresql", true, 1, NULL},
        {"", true, 1, NULL}, // libpq's own socket folder
        {"host=10.0.0.1,10.0.0.2 port=5432,5433", true, 2, NULL},
        {"host=10.0.0.1,10.0.0.2 port=5433", true, 2, NULL},
        {"host=::1", true, 1, NULL},
        {"host=@abstract", true, 1, NULL},
        {"host=db1,db2 hostaddr=10.0.0.1,10.0.0.2", true, 2, NULL},
        {"hostaddr=10.0.0.1,10.0.0.2,10.0.0.3", true, 3, NULL},
        {"postgresql://u:p@10.0.0.1:5432,10.0.0.2:5432/db?sslmode=require", true, 2, NULL},
        {"host=db1.example.com", false, 0, "db1.example.com"},
        {"host=/run/postgresql,db2", false, 0, "db2"},
        {"host=db1,db2 hostaddr=10.0.0.1,", false, 0, "db2"},
        {"host=db1,db2 hostaddr=10.0.0.1", false, 0, "different numbers"},
        {"host=10.0.0.1,10.0.0.2 port=1,2,3", false, 0, "different numbers"},
        {"host=1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,"
         "1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1",
         false, 0, "16"},
        {"service=prod", false, 0, "service"},
        {"hots=/run", false, 0, "hots"},
        {"host='", false, 0, "quote"},
    };
    unsetenv("PGHOST");
    unsetenv("PGHOSTADDR");
    unsetenv("PGPORT");
    unsetenv("PGSERVICE");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct hosts h;
        char note[256] = "";
        struct err e = hosts_parse(&h, cases[i].conninfo, false, note, sizeof note);
        if (failed(e) == cases[i].taken) fail_msg("%s: %s", cases[i].conninfo, note);
        if (!cases[i].taken) {
            assert_err(e, ERR_STORE_CONNINFO);
            if (strstr(note, cases[i].says) == NULL) fail_msg("%s: %s", cases[i].conninfo, note);
            continue;
        }
        assert_int_equal(h.count, cases[i].count);
        hosts_fini(&h);
    }
}

static void the_environment_is_looked_at_too(void **state)
{
    (void)state;
    struct hosts h;
    char note[256];
    setenv("PGHOST", "db.example.com", 1);
    assert_err(hosts_parse(&h, "dbname=x", false, note, sizeof note), ERR_STORE_CONNINFO);
    assert_ok(hosts_parse(&h, "host=/run dbname=x", false, note, sizeof note));
    assert_string_equal(h.hosts[0].name, "/run");
    hosts_fini(&h);
    unsetenv("PGHOST");
}

// Nobody listens there: what libpq says names where it went.
static void attempts_go_round(void **state)
{
    (void)state;
    struct hosts h;
    char note[256];
    assert_ok(hosts_parse(&h, "host=/nowhere1,/nowhere2 port=1,2", false, note, sizeof note));
    for (unsigned i = 0; i < 5; i++) {
        char want[32];
        PGconn *c = hosts_connect(&h, i);
        snprintf(want, sizeof want, "/nowhere%u/.s.PGSQL.%u", i % 2 + 1, i % 2 + 1);
        assert_int_equal(PQstatus(c), CONNECTION_BAD);
        if (strstr(PQerrorMessage(c), want) == NULL)
            fail_msg("%s not in %s", want, PQerrorMessage(c));
        PQfinish(c);
    }
    hosts_fini(&h);
}

static void names_become_addresses(void **state)
{
    (void)state;
    char out[1024], note[256];
    struct hosts h;
    assert_ok(store_conninfo_resolve(
        out, sizeof out, "host=localhost,/run port=7 password='a\\\\b\\'c'", note, sizeof note));
    assert_ok(hosts_parse(&h, out, false, note, sizeof note));
    assert_in_range(h.count, 2, 3); // 127.0.0.1, perhaps ::1, and the socket
    assert_string_equal(h.hosts[0].name, "localhost");
    assert_true(strcmp(h.hosts[0].address, "127.0.0.1") == 0 ||
                strcmp(h.hosts[0].address, "::1") == 0);
    assert_string_equal(h.hosts[h.count - 1].name, "/run");
    assert_string_equal(h.hosts[h.count - 1].address, "");
    for (size_t i = 0; i < h.count; i++) assert_string_equal(h.hosts[i].port, "7");
    for (size_t i = 0; i < h.settings; i++)
        if (strcmp(h.keywords[i], "password") == 0) assert_string_equal(h.values[i], "a\\b'c");
    hosts_fini(&h);
    assert_err(store_conninfo_resolve(out, sizeof out, "host=nobody.invalid", note, sizeof note),
               ERR_STORE_AWAY);
    assert_non_null(strstr(note, "nobody.invalid"));
    assert_err(store_conninfo_resolve(out, 20, "host=/run/postgresql", note, sizeof note),
               ERR_STORE_CONNINFO);
    assert_ok(store_conninfo_check("host=/run", note, sizeof note));
    assert_err(store_conninfo_check("host=db", note, sizeof note), ERR_STORE_CONNINFO);
}

int main(void)
{
    proto_err_register();
    store_err_register();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_refused_and_addresses_taken),
        cmocka_unit_test(the_environment_is_looked_at_too),
        cmocka_unit_test(attempts_go_round),
        cmocka_unit_test(names_become_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
