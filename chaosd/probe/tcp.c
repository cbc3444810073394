/* SPDX-License-Identifier: Apache-2.0 */
/* The tcp probe: right when the port takes a connection. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/units.h"
#include "io/netsock.h"
#include "probe/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

const struct probe_kind probe_tcp;

struct tcp_probe {
    const struct template *host, *port;
};

static const struct field fields[] = {
    {.name = "host", .type = F_TEMPLATE, .offset = offsetof(struct tcp_probe, host), .def = "${pod.ip}",
     .doc = "Address that is asked, IPv4 or IPv6; no name is looked up."},
    {.name = "port", .type = F_TEMPLATE, .offset = offsetof(struct tcp_probe, port), .required = true, .doc = "Port, 1 to 65535."},
    {0},
};
static const struct shape shape = {.name = "tcp", .size = sizeof(struct tcp_probe), .fields = fields, .doc = "Opens a TCP connection."};

struct tcp_op {
    struct probe_op op; /* first */
    struct probe_context ctx;
    int fd;
    struct watch *watch;
    struct timer *timer; /* the time limit; or now, when the outcome was known at once */
    bool known, telling;
    int64_t asked_ns, seen_ns;
    const char *why; /* NULL: it took the connection */
    char text[128];
};

static void op_free(struct tcp_op *o) {
    watch_free(o->watch);
    timer_free(o->timer);
    closep(&o->fd);
    free(o);
}

static void tell(struct tcp_op *o) {
    cleanup_json json_t *nothing = json_object();
    watch_free(o->watch);
    o->watch = NULL;
    timer_stop(o->timer);
    o->telling = true;
    o->ctx.done(o->why, nothing, o->asked_ns, o->seen_ns, o->ctx.arg);
    op_free(o);
}

static void outcome(struct tcp_op *o, int error) {
    o->known = true;
    o->seen_ns = loop_now();
    if (error) {
        snprintf(o->text, sizeof o->text, "connect: %s", strerrordesc_np(error) ? strerrordesc_np(error) : "unknown error");
        o->why = o->text;
    }
}

static void on_connected(int events, void *arg) {
    (void)events;
    struct tcp_op *o = arg;
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(o->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    outcome(o, error);
    tell(o);
}

static void on_timer(void *arg) {
    struct tcp_op *o = arg;
    if (!o->known)
        outcome(o, ETIMEDOUT);
    tell(o);
}

static int address_of(const struct tcp_probe *p, const struct template_vars *vars, struct sockaddr_storage *ret, socklen_t *ret_len,
                      struct error *err) {
    cleanup_buf struct buf host = {0}, port = {0};
    int64_t number = 0;
    int rc = template_render(p->host, vars, &host, err);
    if (rc == 0)
        rc = template_render(p->port, vars, &port, err);
    if (rc < 0)
        return rc;
    if (parse_int(port.data ? port.data : "", &number, NULL) < 0 || number < 1 || number > 65535)
        return error_set(err, -EINVAL, "port \"%.40s\": expected 1 to 65535", port.data ? port.data : "");
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
    const char *name = host.data ? host.data : "";
    *ret = (struct sockaddr_storage){0};
    if (inet_pton(AF_INET, strcmp(name, "localhost") == 0 ? "127.0.0.1" : name, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)number);
        *ret_len = sizeof *v4;
    } else if (inet_pton(AF_INET6, name, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)number);
        *ret_len = sizeof *v6;
    } else {
        return error_set(err, -EINVAL, "host \"%.100s\": expected an address", name);
    }
    return 0;
}

static int begin(struct tcp_op *o, const struct sockaddr_storage *to, socklen_t len, struct error *err) {
    int rc = timer_new(o->ctx.loop, on_timer, o, &o->timer, err);
    if (rc < 0)
        return rc;
    o->fd = net_socket(o->ctx.netns_fd, to->ss_family, SOCK_STREAM, 0, err);
    if (o->fd < 0)
        return o->fd;
    o->asked_ns = loop_now();
    int error = connect(o->fd, (const struct sockaddr *)to, len) == 0 ? 0 : errno;
    if (error != EINPROGRESS) {
        outcome(o, error);
        timer_at(o->timer, o->seen_ns); /* told from the loop, never from within */
        return 0;
    }
    timer_at(o->timer, o->asked_ns + o->ctx.timeout_ns);
    return watch_new(o->ctx.loop, o->fd, WATCH_WRITE, on_connected, o, &o->watch, err);
}

static int start(const void *params, const struct probe_context *ctx, struct probe_op **ret, struct error *err) {
    struct sockaddr_storage to;
    socklen_t len = 0;
    int rc = address_of(params, ctx->vars, &to, &len, err);
    if (rc < 0)
        return rc;
    struct tcp_op *o = calloc(1, sizeof *o);
    if (!o)
        return error_set(err, -ENOMEM, "out of memory");
    o->op.kind = &probe_tcp;
    o->ctx = *ctx;
    o->ctx.vars = NULL;
    o->fd = -1;
    if ((rc = begin(o, &to, len, err)) < 0) {
        op_free(o);
        return rc;
    }
    *ret = &o->op;
    return 0;
}

static void cancel(struct probe_op *op) {
    struct tcp_op *o = (struct tcp_op *)(void *)op;
    if (!o->telling)
        op_free(o);
}

const struct probe_kind probe_tcp = {
    .row = {"tcp", &shape, "A TCP connection that is taken."},
    .start = start,
    .cancel = cancel,
};
