// admin_remote: the call at a front end's admin listener, over mutual TLS: the same table of
// operations says how it is written as a request.
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/admin.h"
#include "api/events.h"
#include "cluster/core/clock.h"
#include "cluster/core/dial.h"
#include "cluster/core/files.h"
#include "cluster/events.h"
#include "proto/err.h"
#include "store/events.h"

enum {
    ARENA_MAX = 16 << 20,
    CONNECT_MS = 10000,
    ANSWER_MS = 60000,
    TURN_MS = 20,
    BODY_MAX = 8 << 20,
    HOST_MAX = 256
};

struct remote {
    struct arena arena;
    struct tls_context *tls;
    char host[HOST_MAX], port[8], authority[HOST_MAX + 16];
    struct dial_options options;
    struct log *log;
    struct metrics *metrics;
    struct shard *shard;
    struct dial_conn *conn; // NULL: not connected
    struct dial_call call;
    bool ready, answered, over;
    struct cli *cli; // of the call under way
};

static const struct http_limits limits = {.head_size_max = 65536,
                                          .body_size_max = BODY_MAX,
                                          .header_count_max = 100,
                                          .streams_max = 4,
                                          .abuse_max = 100,
                                          .out_size_max = BODY_MAX};

static bool fail(struct cli *cli, const char *text)
{
    if (cli->note[0] == 0) snprintf(cli->note, sizeof cli->note, "%s", text);
    return false;
}

// ---- open

static bool url_read(struct remote *r, struct cli *cli)
{
    const char *at = cli->admin;
    if (strncmp(at, "https://", 8) == 0) at += 8;
    bool v6 = *at == '[';
    size_t n = v6 ? strcspn(at + 1, "]") : strcspn(at, ":/");
    const char *rest = at + n + (v6 ? 2 : 0);
    size_t digits = *rest == ':' ? strspn(rest + 1, "0123456789") : 0;
    const char *end = rest + (*rest == ':' ? 1 + digits : 0);
    if (n == 0 || n >= HOST_MAX || digits > 5 || (*end != 0 && strcmp(end, "/") != 0) ||
        cli->admin == at)
        return fail(cli, "--admin is no URL of an admin listener; expected https://HOST:PORT");
    snprintf(r->host, sizeof r->host, "%.*s", (int)n, at + v6);
    snprintf(r->port, sizeof r->port, "%.*s", digits > 0 ? (int)digits : 3,
             digits > 0 ? rest + 1 : "443");
    snprintf(r->authority, sizeof r->authority, "%s%s%s:%s", v6 ? "[" : "", r->host, v6 ? "]" : "",
             r->port);
    return true;
}

static bool resolve(struct remote *r, struct cli *cli)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    int code = getaddrinfo(r->host, r->port, &hints, &found);
    if (code != 0) {
        snprintf(cli->note, sizeof cli->note, "%s cannot be resolved: %s", r->host,
                 gai_strerror(code));
        return false;
    }
    memcpy(&r->options.address, found->ai_addr, found->ai_addrlen);
    r->options.address_len = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

static bool tls_open(struct remote *r, struct cli *cli)
{
    char note[FILES_NOTE_MAX], why[256];
    struct tls_options o = {.alpn_http_1_1 = true, .now_s = clock_wall_s};
    arena_init(&r->arena, ARENA_MAX);
    if (failed(file_read(&o.chain_pem, &r->arena, note, AT_FDCWD, cli->cert)) ||
        failed(file_read(&o.key_pem, &r->arena, note, AT_FDCWD, cli->key)) ||
        failed(file_read(&o.trust_pem, &r->arena, note, AT_FDCWD, cli->trust)))
        return fail(cli, note);
    if (!failed(tls_context_new(&r->tls, why, sizeof why, false, &o))) return true;
    snprintf(cli->note, sizeof cli->note, "%s, %s and %s cannot be used: %s", cli->cert, cli->key,
             cli->trust, why);
    return false;
}

static bool shard_open(struct remote *r, struct cli *cli)
{
    struct log_options lo = {.level = LOG_ERROR, .fd = 2, .program = "certmill"};
    cluster_metrics_declare();
    store_metrics_declare();
    api_metrics_declare();
    if (failed(log_new(&r->log, &lo)) || failed(metrics_new(&r->metrics, 1)))
        return fail(cli, "out of memory");
    struct shard_options so = {
        .count = 1, .io = SHARD_IO_EPOLL, .metrics = r->metrics, .log = r->log, .name = "cli"};
    return !failed(shard_new(&r->shard, &so, 0)) ||
           fail(cli, "the event loop could not be started");
}

static void remote_close(void *door)
{
    struct remote *r = door;
    if (r->conn != NULL) dial_close(r->conn);
    for (int i = 0; r->conn != NULL && i < 50; i++) shard_turn(r->shard, TURN_MS);
    if (r->shard != NULL) shard_free(r->shard);
    tls_context_free(r->tls);
    log_free(r->log);
    metrics_free(r->metrics);
    arena_fini(&r->arena);
    free(r);
}

static bool remote_open(void **out, struct cli *cli)
{
    struct remote *r = calloc(1, sizeof *r);
    if (r == NULL) return fail(cli, "out of memory");
    arena_init(&r->arena, ARENA_MAX);
    r->options = (struct dial_options){
        .http = &limits, .version = HTTP_1_1, .connect_ms = CONNECT_MS, .handshake_ms = CONNECT_MS};
    cli->usage = !url_read(r, cli) || !tls_open(r, cli);
    if (!cli->usage && resolve(r, cli) && shard_open(r, cli)) {
        r->options.tls = r->tls;
        r->options.server_name = r->host;
        *out = r;
        return true;
    }
    remote_close(r);
    return false;
}

// ---- connect

static void on_ready(void *ctx, struct dial_conn *c)
{
    struct remote *r = ctx;
    (void)c;
    r->ready = true;
}

static void on_closed(void *ctx, struct dial_conn *c, struct err why, const char *note)
{
    struct remote *r = ctx;
    (void)c;
    (void)why;
    r->conn = NULL;
    r->ready = false;
    r->over = true;
    if (r->cli != NULL && !r->answered && r->cli->note[0] == 0)
        snprintf(r->cli->note, sizeof r->cli->note, "%s: %s", r->authority, note);
}

static bool connected(struct remote *r, struct cli *cli)
{
    static const struct dial_callbacks callbacks = {.ready = on_ready, .closed = on_closed};
    if (r->ready) return true;
    r->over = false;
    r->conn = dial_open(r->shard, &r->options, &callbacks, r);
    if (r->conn == NULL) return fail(cli, "no connection could be made");
    for (unsigned waited = 0; !r->ready && !r->over && waited < 2 * CONNECT_MS; waited += TURN_MS)
        shard_turn(r->shard, TURN_MS);
    return r->ready || fail(cli, "the listener does not answer");
}

// ---- the request

static bool unreserved(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("-_.~", c) != NULL);
}

static const char *percent(struct cli *cli, const char *text)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    for (const uint8_t *c = (const uint8_t *)text; *c != 0; c++)
        (void)!failed(unreserved(*c) ? buf_add(&b, slice_of(c, 1)) : buf_printf(&b, "%%%02X", *c));
    const char *out = arena_printf(&cli->arena, "%" SLICE_FMT, SLICE_ARG(buf_slice(&b)));
    buf_fini(&b);
    return out;
}

static const char *argument_of(const struct cli *cli, const struct admin_param *p)
{
    for (size_t i = 0; i < cli->argument_count; i++)
        if (cli->arguments[i].param == p) return cli->arguments[i].text;
    return "";
}

static const char *path_make(struct cli *cli)
{
    const char *path = "", *mark = "?";
    const struct admin_param *p = cli->op->params;
    for (const char *at = cli->op->path; *at != 0; at++) {
        if (*at != '*') {
            path = arena_printf(&cli->arena, "%s%c", path, *at);
            continue;
        }
        while (p->in != ADMIN_PATH) p++;
        path = arena_printf(&cli->arena, "%s%s", path, percent(cli, argument_of(cli, p)));
        p++;
    }
    for (size_t i = 0; i < cli->argument_count; i++) {
        const struct cli_argument *a = &cli->arguments[i];
        if (a->param->in != ADMIN_QUERY) continue;
        path = arena_printf(&cli->arena, "%s%s%s=%s", path, mark, a->param->name,
                            percent(cli, a->text));
        mark = "&";
    }
    return path;
}

static void texts_put(struct json_out *o, const char *text, const char *ends)
{
    json_array_begin(o);
    while (*text != 0) {
        size_t n = strcspn(text, ends);
        if (n > 0) json_put_string(o, slice_of(text, n));
        text += n + (text[n] != 0);
    }
    json_array_end(o);
}

// lines_take is the body that is a file of lines; false: the operation takes none.
static bool lines_take(const struct cli *cli, struct slice *out, struct slice *type)
{
    for (size_t i = 0; i < cli->argument_count; i++) {
        if (cli->arguments[i].param->type != ADMIN_LINES) continue;
        *out = slice_str(cli->arguments[i].text);
        *type = cli->arguments[i].text[strspn(cli->arguments[i].text, " \r\n")] == '{'
                    ? SLICE_LIT("application/x-ndjson")
                    : SLICE_LIT("text/csv");
        return true;
    }
    return false;
}

// body_make writes the members of the body; a number that is none stays a text, which the listener
// refuses as it should.
static bool body_make(struct cli *cli, struct slice *out)
{
    struct json_out o;
    struct buf b;
    buf_init(&b, BODY_MAX);
    json_out_begin(&o, &b);
    json_object_begin(&o);
    for (size_t i = 0; i < cli->argument_count; i++) {
        const struct admin_param *p = cli->arguments[i].param;
        const char *text = cli->arguments[i].text;
        if (p->in != ADMIN_BODY) continue;
        bool digits = text[0] != 0 && strlen(text) < 19 &&
                      strspn(text, "0123456789") == strlen(text);
        json_key(&o, p->name);
        if (p->type == ADMIN_TEXTS || p->type == ADMIN_MANY)
            texts_put(&o, text, p->type == ADMIN_TEXTS ? "," : "\r\n");
        else if (p->type == ADMIN_INT && digits)
            json_put_int(&o, atoll(text));
        else if (p->type == ADMIN_BOOL)
            json_put_bool(&o, strcmp(text, "true") == 0);
        else
            json_put_str(&o, text);
    }
    json_object_end(&o);
    bool ok = !failed(json_out_end(&o)) && !failed(arena_dup(out, &cli->arena, buf_slice(&b)));
    buf_fini(&b);
    return ok || fail(cli, "the request is too large");
}

// ---- ask

static void on_answer(struct dial_call *call, struct err why, const struct http_response *response,
                      bool unprocessed)
{
    struct remote *r = LIST_OWNER(call, struct remote, call);
    (void)why;
    (void)unprocessed;
    r->over = response == NULL;
    r->answered = response != NULL &&
                  !failed(arena_dup(&r->cli->body, &r->cli->arena, response->body));
    if (r->answered) r->cli->status = response->status;
}

static bool remote_ask(void *door, struct cli *cli)
{
    struct remote *r = door;
    bool post = strcmp(cli->op->method, "POST") == 0;
    struct http_header json = {SLICE_LIT("Content-Type"), SLICE_LIT("application/json")};
    struct http_request q = {.method = post ? HTTP_POST : HTTP_GET,
                             .method_text = slice_str(cli->op->method),
                             .path = slice_str(path_make(cli)),
                             .authority = slice_str(r->authority),
                             .secure = true,
                             .headers = &json,
                             .header_count = post};
    r->cli = cli;
    r->answered = false;
    if (post && !lines_take(cli, &q.body, &json.value) && !body_make(cli, &q.body)) return false;
    if (!connected(r, cli)) return false;
    r->over = false;
    r->call.done = on_answer;
    if (failed(dial_send(r->conn, &r->call, &q, ANSWER_MS)))
        return fail(cli, "the request could not be sent");
    while (!r->answered && !r->over) shard_turn(r->shard, TURN_MS); // the call has its deadline
    for (int i = 0; !r->answered && r->conn != NULL && i < 50; i++) // for the reason
        shard_turn(r->shard, TURN_MS);
    return r->answered || fail(cli, "there was no answer");
}

const struct cli_door cli_remote = {remote_open, remote_ask, remote_close};
