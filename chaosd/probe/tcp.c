/* SPDX-License-Identifier: Apache-2.0 */
/* The tcp probe: right when the port takes a connection and, where asked, gives the right answer. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/units.h"
#include "io/tcp.h"
#include "probe/probe.h"
#include "scenario/answer.h"

#include <errno.h>
#include <string.h>

const struct probe_kind probe_tcp;

struct tcp_probe {
    const struct template *host, *port;
    struct exchange_spec exchange;
};

static const struct field fields[] = {
    {.name = "host", .type = F_TEMPLATE, .offset = offsetof(struct tcp_probe, host), .def = "${pod.ip}",
     .doc = "Address that is asked, IPv4 or IPv6; no name is looked up."},
    {.name = "port", .type = F_TEMPLATE, .offset = offsetof(struct tcp_probe, port), .required = true, .doc = "Port, 1 to 65535."},
    EXCHANGE_FIELDS(struct tcp_probe, exchange),
    {0},
};

/* What is written out is an address and a port now, or never. */
static int check_place(const struct tcp_probe *p, const struct schema_at *at, struct error *err) {
    const char *host = template_is_literal(p->host) ? template_text(p->host) : "127.0.0.1";
    bool literal = template_is_literal(p->port);
    struct tcp_address to;
    struct error why = {""};
    int64_t port = 1;
    if (literal && (parse_int(template_text(p->port), &port, NULL) < 0 || port < 1 || port > 65535))
        return schema_bad(at, "port", err, "port %.60s: expected a number from 1 to 65535", template_text(p->port));
    return tcp_address(host, port, &to, &why) < 0 ? schema_bad(at, "host", err, "%s", why.text) : 0;
}

static int check(void *value, const struct schema_at *at, struct error *err) {
    const struct tcp_probe *p = value;
    int rc = check_place(p, at, err);
    return rc < 0 ? rc : exchange_check(&p->exchange, at, err);
}

static const struct shape shape = {
    .name = "tcp", .size = sizeof(struct tcp_probe), .fields = fields, .check = check, .doc = "Opens a TCP connection, and talks over it where told to.",
};

struct tcp_probe_op {
    struct probe_op op; /* first */
    struct probe_context ctx;
    struct tcp *tcp;
    struct answer answer;
    bool telling;
};

static void op_free(struct tcp_probe_op *o) {
    tcp_free(o->tcp);
    answer_free(&o->answer);
    free(o);
}

static int judge(const char *data, size_t len, bool closed, char *why, size_t size, void *arg) {
    static const int ends[] = {
        [ANSWER_MORE] = TCP_MORE, [ANSWER_RIGHT] = TCP_OK, [ANSWER_WRONG] = TCP_WRONG, [ANSWER_CUT] = TCP_RESET, [ANSWER_TOO_BIG] = TCP_TOO_BIG,
    };
    struct tcp_probe_op *o = arg;
    return ends[answer_judge(&o->answer, data, len, closed, why, size)];
}

static void on_done(const struct tcp_result *r, void *arg) {
    struct tcp_probe_op *o = arg;
    char shown[SHOWN_SIZE];
    cleanup_json json_t *captured = r->len ? json_pack("{s:s}", "value", bytes_shown(r->data, r->len, shown)) : json_object();
    o->telling = true;
    o->ctx.done(r->error ? r->why : NULL, captured, r->start_ns, r->end_ns, o->ctx.arg);
    op_free(o);
}

static int address_of(const struct tcp_probe *p, const struct template_vars *vars, struct tcp_address *ret, struct error *err) {
    cleanup_buf struct buf host = {0}, port = {0};
    int64_t number = 0;
    int rc = template_render(p->host, vars, &host, err);
    if (rc == 0)
        rc = template_render(p->port, vars, &port, err);
    if (rc < 0)
        return rc;
    if (parse_int(port.data, &number, NULL) < 0 || number < 1 || number > 65535)
        return error_set(err, -EINVAL, "port \"%.40s\": expected 1 to 65535", port.data);
    return tcp_address(host.data, number, ret, err);
}

static int begin(struct tcp_probe_op *o, const struct tcp_probe *p, struct error *err) {
    const struct exchange_spec *x = &p->exchange;
    const enum encoding encoding = (enum encoding)x->encoding;
    cleanup_buf struct buf send = {0};
    struct tcp_request q = {
        .netns_fd = o->ctx.netns_fd, .max = x->expect ? (size_t)x->expect->max : 0, .judge = x->expect ? judge : NULL, .done = on_done, .arg = o,
    };
    int rc = address_of(p, o->ctx.vars, &q.address, err);
    if (rc == 0 && x->send)
        rc = bytes_render(x->send, encoding, o->ctx.vars, &send, err);
    if (rc == 0 && x->expect)
        rc = answer_prepare(x->expect, encoding, o->ctx.vars, &o->answer, err);
    if (rc == 0)
        rc = tcp_new(o->ctx.loop, &o->tcp, err);
    if (rc < 0)
        return rc;
    q.send = send.data;
    q.send_len = send.len;
    q.deadline_ns = loop_now() + o->ctx.timeout_ns;
    return tcp_start(o->tcp, &q, NULL, err);
}

static int start(const void *params, const struct probe_context *ctx, struct probe_op **ret, struct error *err) {
    struct tcp_probe_op *o = calloc(1, sizeof *o);
    if (!o)
        return error_set(err, -ENOMEM, "out of memory");
    o->op.kind = &probe_tcp;
    o->ctx = *ctx;
    int rc = begin(o, params, err);
    o->ctx.vars = NULL;
    if (rc < 0)
        op_free(o);
    else
        *ret = &o->op;
    return rc;
}

static void cancel(struct probe_op *op) {
    struct tcp_probe_op *o = (struct tcp_probe_op *)(void *)op;
    if (!o->telling)
        op_free(o);
}

const struct probe_kind probe_tcp = {
    .row = {"tcp", &shape, "A TCP connection that is taken, and what is answered over it."},
    .start = start,
    .cancel = cancel,
};
