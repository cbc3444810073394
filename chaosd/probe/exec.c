/* SPDX-License-Identifier: Apache-2.0 */
/* The exec probe: a program that answers with its exit status and, where asked, with what it prints. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "io/child.h"
#include "probe/probe.h"
#include "scenario/answer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

extern char **environ;
const struct probe_kind probe_exec;

enum { REAP_MS = 1000 };

struct exec_probe {
    struct templates command;
    int64_t status;
    struct answer_spec *expect;
};

static const struct field fields[] = {
    {.name = "command", .type = F_TEMPLATES, .offset = offsetof(struct exec_probe, command), .required = true, .min = 1, .max = 256,
     .doc = "Program and arguments, run beside the pods on their network. No shell."},
    {.name = "status", .type = F_INT, .offset = offsetof(struct exec_probe, status), .def = "0", .min = 0, .max = 255,
     .doc = "The exit status that is right."},
    {.name = "expect", .type = F_OBJECT, .offset = offsetof(struct exec_probe, expect), .shape = &answer_shape,
     .doc = "What it must print on its standard output, line ends at its end left out."},
    {0},
};
static const struct shape shape = {.name = "exec", .size = sizeof(struct exec_probe), .fields = fields, .doc = "Runs a program."};

struct exec_op {
    struct probe_op op; /* first */
    struct probe_context ctx;
    struct child *child;
    struct timer *timer;
    struct watch *output; /* of what it prints; NULL: nobody asks, or it has closed it */
    int output_fd;
    struct buf text;
    struct answer answer;
    int64_t status;
    bool timed_out, too_big, telling;
    int64_t asked_ns;
};

static void op_free(struct exec_op *o) {
    timer_free(o->timer);
    child_free(o->child);
    watch_free(o->output);
    closep(&o->output_fd);
    buf_free(&o->text);
    answer_free(&o->answer);
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

/* All that there is to read just now; false: nothing more will come. */
static bool read_output(struct exec_op *o) {
    char chunk[4096];
    for (;;) {
        ssize_t n = read(o->output_fd, chunk, sizeof chunk);
        if (n <= 0)
            return n < 0 && (errno == EAGAIN || errno == EINTR);
        buf_add(&o->text, chunk, (size_t)n);
        o->too_big = !buf_ok(&o->text) || o->text.len > (size_t)o->answer.spec->max;
        if (o->too_big)
            return false;
    }
}

static void on_output(int events, void *arg) {
    (void)events;
    struct exec_op *o = arg;
    if (read_output(o))
        return;
    watch_free(o->output);
    o->output = NULL;
    if (o->too_big)
        kill_all(o); /* it may go on for ever */
}

static bool judge_output(struct exec_op *o, char *why, size_t size) {
    size_t len = o->text.len;
    while (len && (o->text.data[len - 1] == '\n' || o->text.data[len - 1] == '\r'))
        len--;
    return answer_judge(&o->answer, o->text.data, len, true, why, size) == ANSWER_RIGHT;
}

/* NULL: all is right. */
static const char *find_fault(struct exec_op *o, const struct child_exit *e, char *tmp, size_t size) {
    if (o->timed_out)
        snprintf(tmp, size, "no end within %.3f ms", (double)o->ctx.timeout_ns / (double)NS_PER_MS);
    else if (o->too_big)
        snprintf(tmp, size, "printed over %lld bytes", (long long)o->answer.spec->max);
    else if (e->signalled)
        snprintf(tmp, size, "ended by signal %d", e->code);
    else if (e->code != o->status)
        snprintf(tmp, size, o->status ? "exit status %d, wanted %lld" : "exit status %d", e->code, (long long)o->status);
    else if (!o->answer.spec || judge_output(o, tmp, size))
        return NULL;
    return tmp;
}

static void on_exited(const struct child_exit *e, void *arg) {
    struct exec_op *o = arg;
    char tmp[320], shown[SHOWN_SIZE];
    int64_t seen = loop_now();
    if (o->output)
        read_output(o); /* what it printed last */
    const char *why = find_fault(o, e, tmp, sizeof tmp);
    cleanup_json json_t *captured = o->text.len ? json_pack("{s:s}", "value", bytes_shown(o->text.data, o->text.len, shown)) : json_object();
    timer_stop(o->timer);
    o->telling = true;
    o->ctx.done(why, captured, o->asked_ns, seen, o->ctx.arg);
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

static int watch_output(struct exec_op *o, int *ret_child_fd, struct error *err) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_errno(err, "pipe");
    o->output_fd = ends[0];
    *ret_child_fd = ends[1];
    fcntl(ends[0], F_SETFL, O_NONBLOCK); /* our end alone */
    return watch_new(o->ctx.loop, ends[0], WATCH_READ, on_output, o, &o->output, err);
}

static int spawn(struct exec_op *o, char **argv, struct error *err) {
    cleanup_close int stdout_fd = -1;
    int rc = timer_new(o->ctx.loop, on_timer, o, &o->timer, err);
    if (rc == 0 && o->answer.spec)
        rc = watch_output(o, &stdout_fd, err);
    if (rc < 0)
        return rc;
    const struct child_spec spec = {
        .argv = argv, .envp = environ, .stdin_fd = -1, .stdout_fd = stdout_fd, .stderr_fd = -1, .netns_fd = o->ctx.netns_fd,
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
    if (o) {
        o->op.kind = &probe_exec;
        o->ctx = *ctx;
        o->output_fd = -1;
        o->status = p->status;
    }
    if (rc == 0 && p->expect)
        rc = answer_prepare(p->expect, ENCODING_TEXT, ctx->vars, &o->answer, err);
    if (rc == 0) {
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

static int preflight(const void *params, struct error *err) {
    const struct template *program = ((const struct exec_probe *)params)->command.items[0];
    cleanup_free char *found = NULL;
    return template_is_literal(program) ? child_find(template_text(program), environ, &found, err) : 0;
}

const struct probe_kind probe_exec = {
    .row = {"exec", &shape, "A program whose exit status, and output, answers."},
    .start = start,
    .cancel = cancel,
    .preflight = preflight,
};
