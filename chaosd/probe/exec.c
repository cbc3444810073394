/* SPDX-License-Identifier: Apache-2.0 */
/* The exec probe: a program that answers with its exit status; 0 is right. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "io/child.h"
#include "probe/probe.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

extern char **environ;
const struct probe_kind probe_exec;

enum { REAP_MS = 1000 };

struct exec_probe {
    struct templates command;
};

static const struct field fields[] = {
    {.name = "command", .type = F_TEMPLATES, .offset = offsetof(struct exec_probe, command), .required = true, .min = 1, .max = 256,
     .doc = "Program and arguments, run beside the pods on their network; exit status 0 is right. No shell."},
    {0},
};
static const struct shape shape = {.name = "exec", .size = sizeof(struct exec_probe), .fields = fields, .doc = "Runs a program."};

struct exec_op {
    struct probe_op op; /* first */
    struct probe_context ctx;
    struct child *child;
    struct timer *timer;
    bool timed_out, telling;
    int64_t asked_ns;
};

static void op_free(struct exec_op *o) {
    timer_free(o->timer);
    child_free(o->child);
    free(o);
}

/* With all that it started: a child leads a session of its own. */
static void kill_all(struct exec_op *o) {
    if (child_signal(o->child, SIGKILL, NULL) == 0) /* it is there, so its number is its own */
        kill(-child_pid(o->child), SIGKILL);
}

static void on_timer(void *arg) {
    struct exec_op *o = arg;
    o->timed_out = true;
    kill_all(o); /* the answer is told when it is gone */
}

static void on_exited(const struct child_exit *e, void *arg) {
    struct exec_op *o = arg;
    char tmp[80] = "";
    int64_t seen = loop_now();
    if (o->timed_out)
        snprintf(tmp, sizeof tmp, "no end within %.3f ms", (double)o->ctx.timeout_ns / (double)NS_PER_MS);
    else if (e->signalled)
        snprintf(tmp, sizeof tmp, "ended by signal %d", e->code);
    else if (e->code)
        snprintf(tmp, sizeof tmp, "exit status %d", e->code);
    cleanup_json json_t *nothing = json_object();
    timer_stop(o->timer);
    o->telling = true;
    o->ctx.done(tmp[0] ? tmp : NULL, nothing, o->asked_ns, seen, o->ctx.arg);
    op_free(o);
}

static void free_argv(char ***argv) {
    for (char **a = *argv; a && *a; a++)
        free(*a);
    free(*argv);
}

static int render_argv(const struct exec_probe *p, const struct template_vars *vars, char **argv, struct error *err) {
    for (size_t i = 0; i < p->command.count; i++) {
        cleanup_buf struct buf b = {0};
        int rc = template_render(p->command.items[i], vars, &b, err);
        if (rc < 0)
            return rc;
        if (!(argv[i] = buf_take(&b)))
            return error_set(err, -ENOMEM, "out of memory");
    }
    return argv[0][0] ? 0 : error_set(err, -EINVAL, "the command's program is empty");
}

static int spawn(struct exec_op *o, char **argv, struct error *err) {
    int rc = timer_new(o->ctx.loop, on_timer, o, &o->timer, err);
    if (rc < 0)
        return rc;
    const struct child_spec spec = {
        .argv = argv, .envp = environ, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1, .netns_fd = o->ctx.netns_fd,
        .cgroup_fd = o->ctx.cgroup_fd,
        .exited = on_exited, .arg = o,
    };
    o->asked_ns = loop_now();
    rc = child_spawn(o->ctx.loop, &spec, &o->child, err);
    if (rc == 0)
        timer_at(o->timer, o->asked_ns + o->ctx.timeout_ns);
    return rc;
}

static int start(const void *params, const struct probe_context *ctx, struct probe_op **ret, struct error *err) {
    const struct exec_probe *p = params;
    cleanup(free_argv) char **argv = calloc(p->command.count + 1, sizeof *argv);
    struct exec_op *o = calloc(1, sizeof *o);
    int rc = argv && o ? render_argv(p, ctx->vars, argv, err) : error_set(err, -ENOMEM, "out of memory");
    if (rc == 0) {
        o->op.kind = &probe_exec;
        o->ctx = *ctx;
        o->ctx.vars = NULL;
        rc = spawn(o, argv, err);
    }
    if (rc < 0) {
        if (o)
            op_free(o);
        return rc;
    }
    *ret = &o->op;
    return 0;
}

static void cancel(struct probe_op *op) {
    struct exec_op *o = (struct exec_op *)(void *)op;
    if (o->telling)
        return;
    kill_all(o);
    struct pollfd gone = {.fd = child_pidfd(o->child), .events = POLLIN};
    poll(&gone, 1, REAP_MS); /* a killed process ends in well under a millisecond; child_free takes its status */
    op_free(o);
}

const struct probe_kind probe_exec = {
    .row = {"exec", &shape, "A program whose exit status answers."},
    .start = start,
    .cancel = cancel,
};
