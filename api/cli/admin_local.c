// admin_local: the call in this process: a shard of its own on the database that a front end's
// configuration names, with its cluster secret.
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/cli/admin.h"
#include "api/events.h"
#include "api/secrets.h"
#include "cluster/core/clock.h"
#include "cluster/err.h"
#include "cluster/events.h"
#include "proto/err.h"
#include "store/events.h"

enum { ARENA_MAX = 16 << 20, READY_MS = 10000, TURN_MS = 20, ANSWER_MS = 60000, LAST_TURNS = 8 };

struct local {
    struct arena arena; // of the configuration
    struct settings settings;
    struct front front;
    struct secrets secrets;
    struct log *log;
    struct metrics *metrics;
    struct shard *shard;
    struct edge edge;
    bool edge_made;
    char who[128];
    struct cli *cli; // of the call under way
    bool answered;
};

static bool fail(struct cli *cli, const char *text)
{
    if (cli->note[0] == 0) snprintf(cli->note, sizeof cli->note, "%s", text);
    return false;
}

static bool settings_load(struct local *l, struct cli *cli)
{
    char error[CONFIG_ERROR_MAX] = "out of memory";
    arena_init(&l->arena, ARENA_MAX);
    if (failed(config_load(&l->settings, sizeof l->settings, settings_table, &l->arena, cli->config,
                           error)))
        return fail(cli, error);
    if (failed(tenants_make(&l->front, &l->arena, &l->settings))) return fail(cli, "out of memory");
    if (failed(secrets_load(&l->secrets, cli->note, sizeof cli->note, &l->settings))) return false;
    l->front.cluster_secret = slice_of(l->secrets.cluster, sizeof l->secrets.cluster);
    l->settings.key_tables = 0; // nobody signs here
    return true;
}

static bool shard_open(struct local *l, struct cli *cli)
{
    cluster_metrics_declare();
    store_metrics_declare();
    api_metrics_declare();
    // What hinders is said by the answer, until the audit log begins with the call.
    struct log_options lo = {
        .level = LOG_ERROR, .format = LOG_TEXT, .fd = STDERR_FILENO, .program = "certmill"};
    if (failed(log_new(&l->log, &lo)) || failed(metrics_new(&l->metrics, 1)))
        return fail(cli, "out of memory");
    struct shard_options so = {
        .count = 1, .io = SHARD_IO_EPOLL, .metrics = l->metrics, .log = l->log, .name = "cli"};
    return !failed(shard_new(&l->shard, &so, 0)) ||
           fail(cli, "the event loop could not be started");
}

static bool store_open(struct local *l, struct cli *cli)
{
    if (failed(store_schema_check(l->secrets.conninfo, cli->note, sizeof cli->note))) return false;
    l->edge_made = true;
    if (failed(edge_init(&l->edge, l->shard, &l->front)) ||
        failed(store_new(&l->edge.store, l->shard,
                         &(struct store_options){.conninfo = l->secrets.conninfo,
                                                 .write_conns = 1,
                                                 .batch_max = 64,
                                                 .queue_max = 64,
                                                 .queue_age_ms = READY_MS,
                                                 .region = (unsigned)l->settings.region})))
        return fail(cli, "out of memory");
    for (unsigned waited = 0; !store_ready(l->edge.store); waited += TURN_MS) {
        if (waited > READY_MS) {
            snprintf(cli->note, sizeof cli->note, "the database is not ready: %s",
                     store_state_text(l->edge.store));
            return false;
        }
        shard_turn(l->shard, TURN_MS);
    }
    return true;
}

static void who_set(struct local *l)
{
    const struct passwd *user = getpwuid(getuid());
    snprintf(l->who, sizeof l->who, "local user %s",
             user == NULL ? "without a name" : user->pw_name);
}

static void local_close(void *door)
{
    struct local *l = door;
    store_free(l->edge.store);
    l->edge.store = NULL;
    for (int i = 0; l->shard != NULL && i < LAST_TURNS; i++) shard_turn(l->shard, 1);
    if (l->edge_made) edge_fini(&l->edge);
    if (l->shard != NULL) shard_free(l->shard);
    log_free(l->log);
    metrics_free(l->metrics);
    secrets_fini(&l->secrets);
    arena_fini(&l->arena);
    free(l);
}

static bool local_open(void **out, struct cli *cli)
{
    struct local *l = calloc(1, sizeof *l);
    if (l == NULL) return fail(cli, "out of memory");
    who_set(l);
    cli->usage = !settings_load(l, cli);
    if (!cli->usage && shard_open(l, cli) && store_open(l, cli)) {
        *out = l;
        return true;
    }
    local_close(l);
    return false;
}

static void on_done(struct admin_call *c, unsigned status, struct slice body)
{
    struct local *l = c->ctx;
    l->answered = true;
    l->cli->status = failed(arena_dup(&l->cli->body, &l->cli->arena, body)) ? 0 : status;
}

static bool local_ask(void *door, struct cli *cli)
{
    struct local *l = door;
    struct admin_call *c = admin_call_new(&l->edge, &cli->arena, cli->op, l->who);
    if (c == NULL) return fail(cli, "out of memory");
    for (size_t i = 0; i < cli->argument_count; i++) {
        const char *wrong = admin_take_text(c, cli->arguments[i].param,
                                            slice_str(cli->arguments[i].text));
        if (wrong == NULL) continue;
        cli->usage = true;
        return fail(cli, wrong);
    }
    c->done = on_done;
    c->ctx = l;
    l->cli = cli;
    l->answered = false;
    log_level_set(l->log, (cli->op->flags & ADMIN_CHANGES) != 0 ? LOG_INFO : LOG_ERROR);
    admin_run(c);
    for (unsigned waited = 0; !l->answered && waited < ANSWER_MS; waited += TURN_MS)
        shard_turn(l->shard, TURN_MS);
    log_flush(l->log);
    if (!l->answered || cli->status == 0) return fail(cli, "there was no answer");
    return true;
}

const struct cli_door cli_local = {local_open, local_ask, local_close};
