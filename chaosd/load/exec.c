/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a program beside the faults: started, perhaps waited for, at the end of its time left alone for a while, asked to end,
 * killed; then its output is read, and everything about it written down in one event. */
#include "base/cleanup.h"
#include "base/harmful.h"
#include "base/redact.h"
#include "base/utf8.h"
#include "load/exec_priv.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#define NOTE_EVERY_NS NS_PER_S     /* the wall clock beside ours */
#define OUTPUT_PATIENCE_NS NS_PER_S /* somebody else may hold its pipes */

const struct load_kind load_exec;

static struct exec_run *run_of(struct load *l) { return (struct exec_run *)(void *)l; }

void exec_note_clock(struct exec_run *l) {
    wallclock_note(&l->clock, clock_wall_ns(), recorder_now(l->ctx.recorder));
}

static void on_note(void *arg) {
    struct exec_run *l = arg;
    exec_note_clock(l);
    timer_after(l->note, NOTE_EVERY_NS);
}

/* --- what is written down --- */

static void put(json_t *o, const char *key, json_t *value) { json_object_set_new(o, key, value); }

/* Foreign bytes: what is no UTF-8 would cost the event. */
static json_t *words(const char *text) {
    cleanup_buf struct buf clean = {0};
    buf_add(&clean, "", 0);
    while (*text && clean.len < sizeof((struct error *)0)->text) {
        size_t bad = harmful(text), n = bad ? bad : utf8_decode(text, UTF8_MOST, NULL);
        buf_add(&clean, bad ? "?" : text, bad ? 1 : n);
        text += n;
    }
    return buf_ok(&clean) ? json_string(redact(clean.data)) : NULL;
}

static json_t *exit_data(const struct exec_run *l) {
    json_t *d = json_object();
    if (l->start_error.text[0])
        put(d, "why", words(l->start_error.text));
    if (l->started) {
        put(d, "from", json_integer(recorder_from_monotonic(l->ctx.recorder, l->began_ns)));
        put(d, "to", json_integer(recorder_from_monotonic(l->ctx.recorder, l->ended_ns)));
        put(d, l->exit.signalled ? "signal" : "code", json_integer(l->exit.code));
    }
    put(d, "asked", json_boolean(l->asked));
    put(d, "killed", json_boolean(l->killed));
    put(d, "left", json_integer((json_int_t)l->left));
    put(d, "samples", json_integer((json_int_t)l->figures.planned));
    put(d, "unreadable", json_integer(l->unreadable));
    if (l->unreadable) {
        put(d, "unreadable_first", json_integer(l->first_unreadable));
        put(d, "unreadable_why", words(l->first_why));
    }
    if (l->no_samples[0])
        put(d, "no_samples", words(l->no_samples));
    if (l->last_words[0])
        put(d, "last_words", words(l->last_words));
    put(d, "cut", json_boolean(l->out.cut || l->err.cut));
    put(d, "clock_step", json_integer(l->clock.largest_step_ns));
    return d;
}

static void report_exit(struct exec_run *l) {
    if (l->told)
        return;
    l->told = true;
    bool ok = l->started && !l->killed && !l->exit.signalled && l->exit.code == l->p->pass_status;
    recorder_event(l->ctx.recorder, "load", "load/exit", ok || (l->asked && !l->killed) ? "ok" : "fail", "exec", l->name, exit_data(l));
}

/* --- its life --- */

static void finish(struct exec_run *l) {
    timer_stop(l->note);
    report_exit(l);
    l->done = true;
    if (!l->begun && l->ctx.changed) /* the schedule waits for what will not come */
        l->ctx.changed(l->ctx.ended_arg);
    else
        timer_at(l->timer, loop_now()); /* the end is told from a clean stack: the load may be freed in it */
}

/* The first sight of its end: whatever it left running is ended too, which closes its pipes. */
static void on_end(struct exec_run *l) {
    l->ended_ns = loop_now();
    l->left = exec_place_sweep(&l->place);
    if (l->killed)
        l->left = 0; /* swept with it, and told as that */
    exec_forget_secrets(l);
    exec_note_clock(l);
    timer_at(l->timer, l->ended_ns + OUTPUT_PATIENCE_NS);
}

void exec_progress(struct exec_run *l) {
    if (!l->exited || l->done)
        return;
    if (!l->ended_ns)
        on_end(l);
    if (!exec_outputs_done(l))
        return;
    if (l->report && !l->file_read && (l->begun || l->is_ready)) {
        /* Parsing while another load sends could make that one late. */
        if (!l->over || l->file)
            return;
        exec_read_report(l);
        if (!l->file_read)
            return;
    }
    finish(l);
}

static void ask_to_end(struct exec_run *l) {
    l->asked = true;
    if (child_signal(l->child, SIGTERM, NULL) == 0) /* it is there, so its number is its own; it leads a group, as at a terminal */
        kill(-child_pid(l->child), SIGTERM);
    timer_after(l->timer, l->p->stop_timeout_ns);
}

static void time_is_over(struct exec_run *l, int64_t ask_at) {
    l->over = true;
    l->ask_at_ns = ask_at;
    exec_progress(l);
    if (!l->exited)
        timer_at(l->timer, ask_at);
}

static void on_timer(void *arg) {
    struct exec_run *l = arg;
    int64_t now = loop_now();
    if (l->done) {
        if (l->begun && l->ctx.ended)
            l->ctx.ended(l->ctx.ended_arg);
        return;
    }
    if (l->exited && !exec_outputs_done(l) && now >= l->ended_ns + OUTPUT_PATIENCE_NS) {
        exec_outputs_drain(l);
        exec_progress(l);
    }
    if (l->done)
        return;
    if (l->begun && !l->over && now >= l->to_ns) {
        time_is_over(l, l->to_ns + l->p->finish_ns);
    } else if (l->over && !l->exited && !l->asked && now >= l->ask_at_ns) {
        ask_to_end(l);
    } else if (l->over && l->asked && !l->exited && !l->killed) {
        l->killed = true;
        exec_place_sweep(&l->place);
        timer_after(l->timer, l->p->stop_timeout_ns + NS_PER_S);
    } else if (l->killed && !l->exited) { /* not even so: it hangs in the kernel, and nobody waits for it */
        l->exited = true;
        l->exit = (struct child_exit){.signalled = true, .code = SIGKILL};
        exec_progress(l);
    } else if (l->begun && !l->over) {
        timer_at(l->timer, l->to_ns);
    }
}

static int start_program(struct exec_run *l) {
    exec_note_clock(l);
    int rc = exec_start(l, &l->start_error);
    if (rc < 0) {
        l->exited = true;
        l->ended_ns = loop_now();
        exec_forget_secrets(l);
        return rc;
    }
    timer_after(l->note, NOTE_EVERY_NS);
    return 0;
}

void exec_seems_ready(struct exec_run *l) {
    l->is_ready = true;
    if (l->ctx.changed)
        l->ctx.changed(l->ctx.ended_arg);
}

/* Started at the first call, as the pods are ready then. */
static int ready(struct load *load, struct buf *why) {
    struct exec_run *l = run_of(load);
    if (!l->p->ready || l->is_ready)
        return 1;
    if (!l->preparing) {
        l->preparing = true;
        if (start_program(l) < 0) {
            report_exit(l);
            l->done = true;
        }
    }
    if (!l->done) {
        buf_printf(why, "load %s (it has not printed \"%s\")", l->name, l->p->ready);
        return 0;
    }
    if (!l->started)
        buf_printf(why, "load %s: %s", l->name, l->start_error.text);
    else
        buf_printf(why, "load %s ended with %s %d before it printed \"%s\"%s%s", l->name, l->exit.signalled ? "signal" : "status", l->exit.code,
                   l->p->ready, l->last_words[0] ? ": " : "", l->last_words);
    return -1;
}

static void begin(struct load *load, int64_t start_mono_ns, int64_t end_mono_ns) {
    struct exec_run *l = run_of(load);
    l->begun = true;
    l->to_ns = end_mono_ns;
    timer_at(l->start_timer, start_mono_ns);
}

static void on_start(void *arg) {
    struct exec_run *l = arg;
    if (l->over)
        return;
    if (!l->preparing)
        start_program(l);
    if (l->exited)
        exec_progress(l);
    timer_at(l->timer, l->done ? loop_now() : l->to_ns);
}

/* Before its time was over somebody wants the run to end: no more waiting then. */
static void stop(struct load *load) {
    struct exec_run *l = run_of(load);
    int64_t now = loop_now();
    if (l->over || l->done)
        return;
    bool cut_short = now < l->to_ns;
    if (!l->started && !l->exited) { /* its start never came */
        l->over = true;
        timer_stop(l->start_timer);
        l->exited = true;
        l->ended_ns = now;
        l->told = true;
        finish(l);
        return;
    }
    time_is_over(l, cut_short ? now : l->to_ns + l->p->finish_ns);
}

static void figures(const struct load *load, struct load_figures *ret) { *ret = ((const struct exec_run *)(const void *)load)->figures; }

/* The run is over whatever it does: killed, and its end awaited. */
static void end_now(struct exec_run *l) {
    l->killed = true;
    exec_place_sweep(&l->place);
    struct pollfd gone = {.fd = child_pidfd(l->child), .events = POLLIN};
    poll(&gone, 1, 1000);
    l->ended_ns = loop_now();
    l->exit = (struct child_exit){.signalled = true, .code = SIGKILL};
    exec_forget_secrets(l);
}

static void run_free(struct load *load) {
    struct exec_run *l = run_of(load);
    if (!l)
        return;
    if (l->started && !l->exited)
        end_now(l);
    if (l->started)
        report_exit(l);
    child_free(l->child);
    exec_outputs_close(l);
    exec_place_close(&l->place);
    timer_free(l->timer);
    timer_free(l->note);
    timer_free(l->start_timer);
    wallclock_free(&l->clock);
    for (size_t i = 0; i < l->target_count; i++)
        free(l->targets[i].name);
    free(l->dir);
    free(l->report);
    free(l);
}

static int run_new(const struct load_spec *spec, const struct load_context *ctx, struct load **ret, struct error *err) {
    struct exec_run *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(err, -ENOMEM, "out of memory");
    l->load.kind = &load_exec;
    l->name = spec->name;
    l->p = spec->kind.params;
    l->ctx = *ctx;
    l->place.cgroup_fd = -1;
    snprintf(l->seconds, sizeof l->seconds, "%g", (double)ctx->length_ns / 1e9);
    int rc = timer_new(ctx->loop, on_timer, l, &l->timer, err);
    if (rc == 0)
        rc = timer_new(ctx->loop, on_note, l, &l->note, err);
    if (rc == 0)
        rc = timer_new(ctx->loop, on_start, l, &l->start_timer, err);
    if (rc < 0) {
        run_free(&l->load);
        return rc;
    }
    *ret = &l->load;
    return 0;
}

const struct load_kind load_exec = {
    .row = {"exec", &exec_load_shape, "Any program, as another load generator: h2load, k6, Rally, a script."},
    .preflight = exec_load_preflight,
    .new = run_new,
    .ready = ready,
    .begin = begin,
    .stop = stop,
    .figures = figures,
    .describe = exec_load_describe,
    .free = run_free,
};
