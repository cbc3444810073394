/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a driver load: started, spoken to by lines, started anew when they end, and ended. */
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/redact.h"
#include "load/driver_priv.h"
#include "load/hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

extern char **environ;

#define DELAY_LEAST_NS (100 * NS_PER_MS)
#define DELAY_MOST_NS (5 * NS_PER_S)
#define CLOSED_NS (500 * NS_PER_MS) /* from the end of its output to SIGKILL */
#define LIVED_NS (10 * NS_PER_S) /* after that long, the next restart is a quick one again */
enum { NOISE_MOST = 5, STDIN_MS = 2000, TERM_MS = 1000, KILL_MS = 1000, WAITING_MOST = 256 << 10 };

static void tell(struct worker *w, const char *kind, const char *why) {
    char text[256] = "";
    snprintf(text, sizeof text, "%s", why ? why : "");
    redact(text);
    for (unsigned char *c = (unsigned char *)text; *c; c++) /* whatever a program prints, the history is JSON */
        *c = *c < 0x20 || *c > 0x7e ? '?' : *c;
    json_t *data = json_pack("{s:i, s:s*}", "worker", (int)w->index, "why", why ? text : NULL);
    if (w->child)
        json_object_set_new(data, "pid", json_integer(child_pid(w->child)));
    recorder_event(w->run->open.ctx.recorder, "load", "load/driver", "info", kind, w->run->name, data);
}

/* A line that is no answer stands for the oldest one that is owed: a program that prints something else does not serve. */
static void noise(struct worker *w, const char *why) {
    struct op *o = driver_oldest(w->run, w);
    if (w->run->noise++ < NOISE_MOST)
        tell(w, "noise", why);
    w->owed -= w->owed > 0;
    if (o && o->told)
        driver_end_read(w->run, o, LEDGER_UNKNOWN, why);
    else if (o)
        driver_finish(w->run, o, REASON_PROTOCOL, 0);
}

/* --- answers --- */

static void answer_read(struct worker *w, struct op *o, const json_t *line, bool ok) {
    const json_t *value = json_object_get(line, "value");
    char wanted[LEDGER_TEXT];
    ledger_value(w->run->keys, ledger_entry(w->run->keys, o->a.index), wanted);
    if (!ok)
        driver_end_read(w->run, o, LEDGER_UNKNOWN, json_str_or(line, "error", "the program could not read it"));
    else if (json_is_null(value))
        driver_end_read(w->run, o, LEDGER_ABSENT, NULL);
    else if (!json_is_string(value))
        driver_end_read(w->run, o, LEDGER_UNKNOWN, "an answer to a read needs \"value\": a string or null");
    else if (strcmp(json_string_value(value), wanted) == 0)
        driver_end_read(w->run, o, LEDGER_PRESENT, NULL);
    else
        driver_end_read(w->run, o, LEDGER_OTHER, "another value is there");
}

static void answer(struct worker *w, struct op *o, const json_t *line, size_t len) {
    const json_t *ok = json_object_get(line, "ok");
    w->owed -= w->owed > 0;
    if (!json_is_boolean(ok) && o->told)
        driver_end_read(w->run, o, LEDGER_UNKNOWN, "an answer needs \"ok\": true or false");
    else if (o->told)
        answer_read(w, o, line, json_is_true(ok));
    else if (!json_is_boolean(ok))
        driver_finish(w->run, o, REASON_PROTOCOL, len);
    else if (loop_now() > o->until_ns)
        driver_finish(w->run, o, REASON_TIMEOUT, len);
    else
        driver_finish(w->run, o, json_is_true(ok) ? REASON_NONE : REASON_STATUS, len);
}

static void on_line(const char *text, size_t len, bool cut, void *arg) {
    struct worker *w = arg;
    char why[160];
    cleanup_json json_t *line = cut ? NULL : json_loadb(text, len, 0, NULL);
    const json_t *id = json_object_get(line, "id");
    uint64_t n = json_is_integer(id) && json_integer_value(id) > 0 ? (uint64_t)json_integer_value(id) : 0;
    struct op *o = n ? driver_op(w->run, n) : NULL;
    if (o && o->worker == w) {
        answer(w, o, line, len);
    } else if (n && n <= w->run->op_seq * w->run->op_count + w->run->op_count) {
        w->owed -= w->owed > 0; /* too late, or twice: its request has its sample */
    } else {
        const char *what = cut ? "a line longer than 64 KiB" : json_is_object(line) ? "an answer without a known \"id\"" : "no JSON object";
        snprintf(why, sizeof why, "%s: %.100s", what, text);
        noise(w, why);
    }
}

/* --- processes --- */

static void shut(struct worker *w) {
    line_reader_free(take_ptr(w->reader));
    line_writer_free(take_ptr(w->writer));
    child_free(take_ptr(w->child));
    w->owed = 0;
}

/* False: it has ended already. */
static bool kill_group(const struct worker *w, int sig) {
    if (child_signal(w->child, sig, NULL) < 0)
        return false;
    kill(-child_pid(w->child), sig); /* it was there, so its number is its own; it leads a session */
    return true;
}

/* Its output is closed: there is nothing more to be had from the program. Mostly it is just ending, and its own end is what is told. */
static void on_output_end(int rc, void *arg) {
    struct worker *w = arg;
    (void)rc;
    line_reader_free(take_ptr(w->reader));
    if (w->child)
        timer_after(w->again, CLOSED_NS);
}

static void on_input_broken(int rc, void *arg) {
    struct worker *w = arg;
    (void)rc;
    line_writer_free(take_ptr(w->writer));
}

static void on_exited(const struct child_exit *e, void *arg) {
    struct worker *w = arg;
    char why[120];
    if (w->reader)
        line_reader_drain(w->reader); /* what it said before its end counts */
    if (e->signalled)
        snprintf(why, sizeof why, "ended by signal %d%s", e->code, w->unruly ? ", after it had closed its output" : "");
    else
        snprintf(why, sizeof why, "ended with status %d", e->code);
    tell(w, "ended", why);
    shut(w);
    driver_give_up(w->run, w, REASON_RESET, why);
    w->delay_ns = loop_now() - w->started_ns > LIVED_NS || !w->delay_ns ? DELAY_LEAST_NS : 2 * w->delay_ns;
    w->delay_ns = w->delay_ns > DELAY_MOST_NS ? DELAY_MOST_NS : w->delay_ns;
    timer_after(w->again, w->delay_ns);
}

static int start(struct worker *w, struct error *err) {
    struct driver_run *l = w->run;
    int in[2], out[2], rc;
    if (pipe2(in, O_CLOEXEC) < 0)
        return error_errno(err, "pipe");
    cleanup_close int child_in = in[0], our_in = in[1];
    if (pipe2(out, O_CLOEXEC) < 0)
        return error_errno(err, "pipe");
    cleanup_close int our_out = out[0], child_out = out[1];
    const struct child_spec spec = {
        .argv = l->argv, .envp = l->envp, .cwd = l->cwd, .stdin_fd = child_in, .stdout_fd = child_out, .stderr_fd = l->log_fd,
        .netns_fd = l->open.ctx.netns_fd, .cgroup_fd = l->open.ctx.cgroup_fd, .clone_flags = l->open.ctx.hosts ? CLONE_NEWNS : 0,
        .setup = hosts_enter, .setup_arg = (void *)l->open.ctx.hosts, .exited = on_exited, .arg = w,
    };
    const struct line_reader_spec reader = {.fd = our_out, .max_line = DRIVER_LINE_MOST, .line = on_line, .ended = on_output_end, .arg = w};
    const struct line_writer_spec writer = {.fd = our_in, .max_waiting = WAITING_MOST, .broken = on_input_broken, .arg = w};
    if ((rc = line_reader_new(l->open.ctx.loop, &reader, &w->reader, err)) == 0) {
        take_fd(&our_out);
        if ((rc = line_writer_new(l->open.ctx.loop, &writer, &w->writer, err)) == 0)
            take_fd(&our_in);
    }
    if (rc == 0)
        rc = child_spawn(l->open.ctx.loop, &spec, &w->child, err);
    if (rc < 0) {
        shut(w);
        return rc;
    }
    w->unruly = false;
    w->started_ns = loop_now();
    tell(w, "started", NULL);
    return 0;
}

static void greet(struct worker *w) {
    struct driver_run *l = w->run;
    cleanup_json json_t *hello = json_pack("{s:s, s:s, s:i, s:I}", "op", "start", "load", l->name, "worker", (int)w->index, "deadline_ms",
                                           (json_int_t)(l->p->deadline_ns / NS_PER_MS));
    cleanup_free char *line = hello ? json_dumps(hello, JSON_COMPACT) : NULL;
    if (line && w->writer)
        line_writer_put(w->writer, line, strlen(line));
}

static void on_again(void *arg) {
    struct worker *w = arg;
    struct error err;
    if (w->child) { /* lives on without an output */
        w->unruly = kill_group(w, SIGKILL);
        return;
    }
    if (start(w, &err) == 0) {
        if (w->run->greeted)
            greet(w);
        return;
    }
    tell(w, "ended", err.text);
    timer_after(w->again, DELAY_MOST_NS);
}

void workers_greet(struct driver_run *l) {
    l->greeted = true;
    for (int64_t i = 0; i < l->p->workers; i++)
        if (l->workers[i].child)
            greet(&l->workers[i]);
}

struct worker *workers_pick(struct driver_run *l, int64_t most) {
    struct worker *best = NULL;
    int64_t n = l->p->workers, turn = l->turn++ % n;
    for (int64_t i = 0; i < n; i++) {
        struct worker *w = &l->workers[(turn + i) % n];
        if (w->child && w->reader && w->writer && w->owed < most && (!best || w->owed < best->owed))
            best = w;
    }
    return best;
}

bool workers_up(const struct driver_run *l) {
    for (int64_t i = 0; i < l->p->workers; i++)
        if (l->workers[i].child && l->workers[i].writer)
            return true;
    return false;
}

void workers_drain(struct driver_run *l) {
    for (int64_t i = 0; i < l->p->workers; i++)
        if (l->workers[i].reader)
            line_reader_drain(l->workers[i].reader);
}

int worker_send(struct worker *w, const char *line, size_t len) {
    int rc = line_writer_put(w->writer, line, len);
    w->owed += rc == 0;
    return rc;
}

/* --- start and end --- */

static int render(const struct driver_run *l, const struct template *t, const char *prefix, char **ret, struct error *err) {
    cleanup_buf struct buf b = {0};
    static const struct template_vars none = {0};
    buf_str(&b, prefix);
    int rc = template_render(t, l->open.ctx.secrets ? l->open.ctx.secrets : &none, &b, err);
    return rc < 0 ? rc : (*ret = buf_take(&b)) ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static int make_argv(struct driver_run *l, struct error *err) {
    size_t inherited = 0;
    while (environ[inherited])
        inherited++;
    l->argv = calloc(l->p->command.count + 1, sizeof *l->argv);
    l->envp = calloc(inherited + l->p->env.count + 1, sizeof *l->envp);
    int rc = l->argv && l->envp ? 0 : error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; rc == 0 && i < l->p->command.count; i++)
        rc = render(l, l->p->command.items[i], "", &l->argv[i], err);
    for (size_t i = 0; rc == 0 && i < l->p->env.count; i++) { /* first: the first of two is what a program sees */
        char name[256];
        if (snprintf(name, sizeof name, "%s=", l->p->env.items[i].key) >= (int)sizeof name)
            return error_set(err, -EINVAL, "env %.40s...: the name is too long", name);
        rc = render(l, l->p->env.items[i].value, name, &l->envp[i], err);
    }
    for (size_t i = 0; rc == 0 && i < inherited; i++)
        if (!(l->envp[l->p->env.count + i] = strdup(environ[i])))
            rc = error_set(err, -ENOMEM, "out of memory");
    return rc;
}

static int write_files(struct driver_run *l, struct error *err) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < l->p->files.count; i++) {
        const char *name = l->p->files.items[i].key;
        cleanup_free char *text = NULL;
        if ((rc = render(l, l->p->files.items[i].value, "", &text, err)) < 0)
            return error_wrap(err, rc, "file %s", name);
        rc = fs_write_in(l->cwd, name, text, strlen(text), err);
    }
    return rc;
}

int workers_prepare(struct driver_run *l, struct error *err) {
    cleanup_free char *logs = NULL, *log = NULL;
    if (asprintf(&l->cwd, "%s/driver/%s", l->open.ctx.dir, l->name) < 0 || asprintf(&logs, "%s/logs", l->open.ctx.dir) < 0 ||
        asprintf(&log, "%s/driver.%s.log", logs, l->name) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    int rc = make_argv(l, err);
    if (rc < 0 || (rc = fs_mkdirs(l->cwd, err)) < 0 || (rc = fs_mkdirs(logs, err)) < 0 || (rc = write_files(l, err)) < 0)
        return rc;
    l->log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    return l->log_fd < 0 ? error_errno(err, "%s", log) : 0;
}

int workers_start(struct driver_run *l, struct error *err) {
    l->workers = calloc((size_t)l->p->workers, sizeof *l->workers);
    if (!l->workers)
        return error_set(err, -ENOMEM, "out of memory");
    int rc = 0;
    for (int64_t i = 0; rc == 0 && i < l->p->workers; i++) {
        struct worker *w = &l->workers[i];
        *w = (struct worker){.run = l, .index = (unsigned)i};
        rc = timer_new(l->open.ctx.loop, on_again, w, &w->again, err);
        if (rc == 0)
            rc = start(w, err);
    }
    return rc;
}

/* Waits until none runs, at most so long. The loop does not turn: exits are seen by the pidfds. */
static bool all_gone(struct driver_run *l, int most_ms) {
    int64_t until = loop_now() + most_ms * NS_PER_MS;
    for (int64_t i = 0; i < l->p->workers; i++) {
        if (!l->workers[i].child)
            continue;
        int64_t left = until - loop_now();
        struct pollfd p = {.fd = child_pidfd(l->workers[i].child), .events = POLLIN};
        if (poll(&p, 1, left > 0 ? (int)(left / NS_PER_MS) + 1 : 0) <= 0)
            return false;
    }
    return true;
}

static void free_strings(char **list) {
    for (char **s = list; s && *s; s++)
        free(*s);
    free(list);
}

void workers_stop(struct driver_run *l) {
    static const struct { int sig, most_ms; } asks[] = {{0, STDIN_MS}, {SIGTERM, TERM_MS}, {SIGKILL, KILL_MS}};
    for (int64_t i = 0; l->workers && i < l->p->workers; i++)
        line_writer_free(take_ptr(l->workers[i].writer)); /* the end of its stdin */
    for (size_t k = 0; l->workers && k < ARRAY_SIZE(asks); k++) {
        for (int64_t i = 0; asks[k].sig && i < l->p->workers; i++)
            if (l->workers[i].child)
                kill_group(&l->workers[i], asks[k].sig);
        if (all_gone(l, asks[k].most_ms))
            break;
    }
    for (int64_t i = 0; l->workers && i < l->p->workers; i++) {
        shut(&l->workers[i]);
        timer_free(l->workers[i].again);
    }
    free(l->workers);
    l->workers = NULL;
    free_strings(l->argv);
    free_strings(l->envp);
    free(l->cwd);
    if (l->log_fd >= 0)
        close(l->log_fd);
}
