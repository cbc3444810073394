/* SPDX-License-Identifier: Apache-2.0 */
/* Phases of a run: start the cluster, wait until every pod is ready, schedule (loads and faults), undo, drain, wait until all is steady again,
 * read ledgers back, end. */
#include "run.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/redact.h"
#include "base/signals.h"
#include "base/units.h"
#include "base/cleanup.h"
#include "fault/ask.h"
#include "io/child.h"
#include "run_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>

/* A stall is what could turn a good answer into a late one, or a quick one into a slow one: a quarter of the shortest deadline, or of
 * what a load calls slow, within bounds. */
#define STALL_LEAST_NS (10 * NS_PER_MS)
#define STALL_MOST_NS (100 * NS_PER_MS)

static const char *secret_get(const struct run *r, const char *name) {
    for (size_t i = 0; i < r->o->secret_count; i++)
        if (strcmp(r->o->secrets[i].name, name) == 0)
            return r->o->secrets[i].value;
    return NULL;
}

static const char *run_var(void *arg, const char *name) {
    struct run *r = arg;
    if (strcmp(name, "run.id") == 0)
        return r->o->name;
    if (strcmp(name, "run.seed") == 0)
        return r->seed_text;
    return strncmp(name, "secret.", 7) == 0 ? secret_get(r, name + 7) : NULL;
}

static const struct load_kind *load_kind_of(const struct load_spec *l) { return (const struct load_kind *)l->kind.kind; }

/* Phases. */

static void begin_draining(struct run *r) {
    r->phase = PHASE_DRAINING;
    timer_stop(r->act_timer);
    steady_stop(r, r->out->aborted);
    probes_stop(r);
    acts_revert_all(r);
    for (size_t i = 0; i < r->s->loads.count; i++)
        r->loads[i]->kind->stop(r->loads[i]);
    recorder_event(r->rec, "run", "run/loads-end", "info", NULL, NULL, NULL);
    run_step(r);
}

void run_abort(struct run *r, const char *why) {
    if (r->phase >= PHASE_DRAINING)
        return;
    r->out->aborted = true;
    recorder_event(r->rec, "run", "run/abort", "info", NULL, NULL, json_pack("{s:s}", "why", why));
    if (r->phase == PHASE_RUNNING)
        begin_draining(r);
    else
        r->phase = PHASE_DONE;
    run_step(r);
}

static void begin_checking(struct run *r) {
    cleanup_buf struct buf why = {0};
    recorder_event(r->rec, "run", "run/ready", "ok", NULL, NULL, NULL);
    timer_stop(r->phase_timer);
    if (acts_hopeless(r, &why)) { /* a load alone would teach nothing of the faults */
        recorder_event(r->rec, "run", "run/skip", "info", NULL, NULL, json_pack("{s:s}", "why", buf_ok(&why) ? why.data : "no fault has a candidate"));
        r->phase = PHASE_DONE;
        return;
    }
    r->phase = PHASE_CHECKING;
    probes_start(r);
}

static void begin_schedule(struct run *r) {
    r->phase = PHASE_RUNNING;
    r->schedule_mono = loop_now();
    recorder_event_at(r->rec, recorder_from_monotonic(r->rec, r->schedule_mono), "run", "run/schedule", "info", NULL, NULL, NULL);
    int64_t end = r->schedule_mono + r->s->duration_ns;
    for (size_t i = 0; i < r->s->loads.count; i++) {
        const struct load_spec *l = &SCENARIO_LOADS(r->s)[i];
        int64_t from = r->schedule_mono + l->start_ns;
        int64_t to = l->for_ns && from + l->for_ns < end ? from + l->for_ns : end;
        recorder_event(r->rec, "load", "load/start", "info", load_kind_of(l)->row.name, l->name, NULL);
        r->loads[i]->kind->begin(r->loads[i], from, to);
    }
    timer_at(r->phase_timer, end);
    r->lag_due = loop_now() + r->stall_ns / 4;
    timer_at(r->lag_timer, r->lag_due);
    probes_schedule(r);
    acts_due(r);
}

static void begin_ending(struct run *r) {
    r->phase = PHASE_ENDING;
    steady_stop(r, true); /* a person does not wait for it */
    if (!r->out->aborted)
        probes_end(r);
    if (!r->out->aborted)
        ledgers_read_all(r);
}

/* What must run before the schedule does. A load that never will ends the wait. */
static bool loads_ready(struct run *r) {
    for (size_t i = 0; i < r->s->loads.count; i++) {
        cleanup_buf struct buf why = {0};
        int rc = r->loads[i]->kind->ready ? r->loads[i]->kind->ready(r->loads[i], &why) : 1;
        if (rc < 0)
            run_never_ready(r, why.data);
        if (rc <= 0)
            return false;
    }
    return true;
}

void run_step(struct run *r) {
    if (r->phase == PHASE_WAITING && pods_all_ready(r, NULL) && loads_ready(r))
        begin_checking(r);
    if (r->phase == PHASE_CHECKING && !probes_asking(r))
        begin_schedule(r);
    if (r->phase == PHASE_DRAINING && acts_idle(r) && ((r->loads_running == 0 && asks_settled(&r->env)) || r->interrupts > 1))
        r->phase = PHASE_SETTLING;
    if (r->phase == PHASE_SETTLING && (r->out->aborted || r->interrupts || steady_after(r)))
        begin_ending(r);
    if (r->phase == PHASE_ENDING && ((!probes_asking(r) && ledgers_done(r)) || r->interrupts))
        r->phase = PHASE_DONE;
    if (r->phase == PHASE_DONE)
        loop_stop(r->loop);
}

void run_never_ready(struct run *r, const char *why) {
    cleanup_buf struct buf waiting = {0};
    char limit[32];
    if (!why && pods_all_ready(r, &waiting))
        for (size_t i = 0; i < r->s->loads.count && !waiting.len; i++)
            if (r->loads[i]->kind->ready)
                r->loads[i]->kind->ready(r->loads[i], &waiting);
    format_duration(r->s->ready_timeout_ns, limit, sizeof limit);
    r->out->never_ready = true;
    if (why)
        error_set(&r->out->trouble, 0, "not ready: %s", why);
    else
        error_set(&r->out->trouble, 0, "not ready within %s: %s", limit, waiting.data ? waiting.data : "");
    recorder_event(r->rec, "run", "run/ready", "fail", NULL, NULL, json_pack("{s:s}", "why", r->out->trouble.text));
    r->phase = PHASE_DONE;
    run_step(r);
}

static void on_phase_timer(void *arg) {
    struct run *r = arg;
    if (r->phase == PHASE_WAITING)
        run_never_ready(r, NULL);
    else if (r->phase == PHASE_RUNNING)
        begin_draining(r);
}

static void on_act_timer(void *arg) { acts_due(arg); }

/* From the last tick that came in time to the first that does again: what piled up in between is not worked off when the loop turns again. */
static void end_stall(struct run *r, int64_t now) {
    if (!r->stalled_since)
        return;
    r->stalled_until = now;
    recorder_event(r->rec, "self", "self/stall", "info", NULL, NULL,
                   json_pack("{s:I,s:I}", "from", (json_int_t)recorder_from_monotonic(r->rec, r->stalled_since), "to",
                             (json_int_t)recorder_from_monotonic(r->rec, now)));
    r->stalled_since = 0;
}

/* Self-watch: a timer that comes late says that the loop did not turn. It also notices a recorder that can no longer write. */
static void on_lag_timer(void *arg) {
    struct run *r = arg;
    int64_t now = loop_now(), every = r->stall_ns / 4;
    if (now - r->lag_due > r->stall_ns && !r->stalled_since)
        r->stalled_since = r->lag_due - every;
    else if (now - r->lag_due <= every)
        end_stall(r, now);
    recorder_flush(r->rec, NULL);
    if (!r->out->tool_trouble && recorder_error(r->rec, &r->out->trouble) < 0) {
        r->out->tool_trouble = true;
        run_abort(r, "the history can no longer be written");
    }
    r->lag_due = now + every;
    timer_at(r->lag_timer, r->lag_due);
}

/* The watch itself may not have had its turn yet. */
bool run_stalled(const struct run *r, int64_t since) {
    return r->stalled_since || r->stalled_until >= since || (r->lag_due && loop_now() - r->lag_due > r->stall_ns);
}

static void on_signal(int events, void *arg) {
    (void)events;
    struct run *r = arg;
    struct signalfd_siginfo info;
    if (read(r->signal_fd, &info, sizeof info) != sizeof info)
        return;
    char why[64];
    snprintf(why, sizeof why, "SIG%s", sigabbrev_np((int)info.ssi_signo));
    r->interrupts++;
    run_abort(r, why);
    run_step(r);
}

static void on_load_ended(void *arg) {
    struct load_end *e = arg;
    struct run *r = e->run;
    r->loads_running--;
    recorder_event(r->rec, "load", "load/end", "info", load_kind_of(e->spec)->row.name, e->spec->name, NULL);
    run_step(r);
}

static void on_load_changed(void *arg) {
    struct load_end *e = arg;
    if (e->run->phase == PHASE_WAITING)
        run_step(e->run);
}

/* Start and end. */

static int make_loads(struct run *r, struct error *err) {
    r->loads = calloc(r->s->loads.count + 1, sizeof *r->loads);
    r->load_ends = calloc(r->s->loads.count + 1, sizeof *r->load_ends);
    if (!r->loads || !r->load_ends)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < r->s->loads.count; i++) {
        const struct load_spec *l = &SCENARIO_LOADS(r->s)[i];
        r->load_ends[i] = (struct load_end){r, l};
        int64_t length = l->for_ns && l->for_ns < r->s->duration_ns - l->start_ns ? l->for_ns : r->s->duration_ns - l->start_ns;
        struct load_context ctx = {
            .length_ns = length, .dir = r->o->dir, .cgroup_fd = r->cluster ? r->cluster->kind->clients_group(r->cluster) : -1,
            .hosts = r->cluster && r->cluster->kind->hosts ? r->cluster->kind->hosts(r->cluster) : NULL,
            .target = pods_target, .changed = on_load_changed,
            .loop = r->loop, .recorder = r->rec, .seed = r->o->plan->seed, .index = (uint16_t)i,
            .netns_fd = r->cluster ? r->cluster->kind->netns(r->cluster) : -1,
            .resolve = pods_resolve, .resolve_arg = r, .secrets = &r->vars,
            .ended = on_load_ended, .ended_arg = &r->load_ends[i],
        };
        int rc = load_kind_of(l)->new(l, &ctx, &r->loads[i], err);
        if (rc < 0)
            return error_wrap(err, rc, "load %s", l->name);
        r->loads_running++;
    }
    return 0;
}

static int64_t stall_limit(const json_t *loads) {
    int64_t shortest = 4 * STALL_MOST_NS;
    size_t i;
    json_t *load;
    json_array_foreach(loads, i, load) {
        int64_t deadline = json_int_or(load, "deadline_ns", shortest), slow = json_int_or(load, "slow_ns", shortest);
        shortest = deadline < shortest ? deadline : shortest;
        shortest = slow < shortest ? slow : shortest;
    }
    return shortest / 4 < STALL_LEAST_NS ? STALL_LEAST_NS : shortest / 4;
}

static int catch_signals(struct run *r, sigset_t *saved, struct error *err) {
    r->signal_fd = signals_catch(saved, err);
    if (r->signal_fd < 0)
        return r->signal_fd;
    return watch_new(r->loop, r->signal_fd, WATCH_READ, on_signal, r, &r->signal_watch, err);
}

static void on_faults_changed(struct fault_env *env) { run_step((struct run *)((char *)env - offsetof(struct run, env))); }

/* What acts need and may take its time: programs for the kernel, names. */
static int prepare_faults(struct run *r, struct error *err) {
    r->env.loop = r->loop;
    r->env.cluster = r->cluster;
    r->env.run = r->id;
    r->env.barred = guard_barred;
    r->env.doc = r->s->doc;
    r->env.changed = on_faults_changed;
    int rc = 0;
    for (size_t i = 0; i < r->s->faults.count && rc == 0; i++) {
        const struct fault_spec *f = &SCENARIO_FAULTS(r->s)[i];
        const struct fault_kind *k = (const struct fault_kind *)f->kind.kind;
        if (k->prepare && !(r->o->unable && r->o->unable[i]) && (rc = k->prepare(&r->env, f, err)) < 0)
            error_wrap(err, rc, "fault %s", f->name);
    }
    return rc;
}

static int set_up(struct run *r, sigset_t *saved, struct error *err) {
    char path[4096];
    cleanup_free char *yaml = doc_to_yaml(r->s->doc);
    cleanup_json json_t *header = yaml ? run_header(r->o, yaml) : NULL;
    r->vars = (struct template_vars){run_var, r};
    snprintf(r->seed_text, sizeof r->seed_text, "%" PRIu64, r->o->plan->seed);
    r->roles = calloc(r->s->roles.count + 1, sizeof *r->roles);
    if (!header || !r->roles)
        return error_set(err, -ENOMEM, "out of memory");
    r->stall_ns = stall_limit(json_object_get(header, "loads"));
    snprintf(path, sizeof path, "%s/scenario.yaml", r->o->dir);
    int rc = fs_write(path, yaml, strlen(yaml), err);
    if (rc < 0 || (rc = loop_new(&r->loop, err)) < 0 || (rc = catch_signals(r, saved, err)) < 0 || (rc = http_new(r->loop, 256, &r->http, err)) < 0 ||
        (rc = timer_new(r->loop, on_phase_timer, r, &r->phase_timer, err)) < 0 ||
        (rc = timer_new(r->loop, on_act_timer, r, &r->act_timer, err)) < 0 || (rc = steady_start(r, err)) < 0 ||
        (rc = timer_new(r->loop, on_lag_timer, r, &r->lag_timer, err)) < 0 || (r->s->cluster.kind && (rc = journal_open(r->o->name, &r->journal, err)) < 0) ||
        (rc = recorder_open(&r->rec, r->o->dir, header, &clock_monotonic, err)) < 0)
        return rc;
    if (r->o->event)
        recorder_listen(r->rec, r->o->event, r->o->arg);
    if (r->o->sample)
        recorder_listen_samples(r->rec, r->o->sample, r->o->arg);
    r->phase = PHASE_STARTING;
    rc = cluster_start(r, err);
    if (rc == 0)
        rc = prepare_faults(r, err);
    if (rc == 0)
        rc = make_loads(r, err);
    if (rc == 0)
        rc = ledgers_start(r, err);
    return rc < 0 ? rc : ticks_start(r, err);
}

static void wait_and_run(struct run *r) {
    r->phase = PHASE_WAITING;
    recorder_event(r->rec, "run", "run/ready", "invoke", NULL, NULL, NULL);
    timer_after(r->phase_timer, r->s->ready_timeout_ns);
    if (!r->cluster)
        run_step(r); /* a cluster tells of its pods first */
    if (r->phase != PHASE_DONE)
        loop_run(r->loop);
    timer_stop(r->lag_timer);
    end_stall(r, loop_now());
}

static int end_records(struct run *r, bool ran) {
    struct error err;
    if (r->journal && !journal_clean(r->journal)) {
        if (!r->out->left)
            error_set(&r->out->trouble, 0, "the undo journal still has records");
        r->out->left = true;
    }
    redact(r->out->trouble.text);
    if (r->rec && ran) {
        if (r->out->left)
            recorder_event(r->rec, "self", "self/left", "info", NULL, NULL, json_pack("{s:s}", "why", r->out->trouble.text));
        recorder_event(r->rec, "run", "run/end", "info", NULL, NULL, json_pack("{s:I}", "samples", (json_int_t)recorder_samples(r->rec)));
    }
    if (r->rec && recorder_close(r->rec, &err) < 0 && !r->out->tool_trouble) {
        r->out->tool_trouble = true;
        r->out->trouble = err;
    }
    return journal_close(r->journal, &err);
}

/* Everything is undone before anything is judged; what could not be stays in the journal for `chaosd revert`. */
static int tear_down(struct run *r, const sigset_t *saved, bool ran) {
    struct error err;
    ticks_stop(r);
    ledgers_free(r);
    for (size_t i = 0; r->loads && i < r->s->loads.count; i++)
        if (r->loads[i])
            r->loads[i]->kind->free(r->loads[i]);
    free(r->loads);
    free(r->load_ends);
    if (ran) {
        probes_summarise(r);
        marks_collect(r);
    }
    probes_free(r);
    acts_free(r);
    fault_env_close(&r->env);
    if (r->cluster && r->cluster->kind->stop(r->cluster, &err) < 0) {
        r->out->left = true;
        r->out->trouble = err;
    }
    r->cluster = NULL;
    pods_free(r);
    http_free(r->http);
    int rc = end_records(r, ran);
    timer_free(r->phase_timer);
    timer_free(r->act_timer);
    timer_free(r->steady.timer);
    timer_free(r->lag_timer);
    watch_free(r->signal_watch);
    loop_free(r->loop);
    signals_let_go(r->signal_fd, saved); /* one that came while all was undone would end us before the verdict */
    return rc;
}

int run_execute(const struct run_options *o, struct run_outcome *ret, struct error *err) {
    struct run r = {.o = o, .s = o->scenario, .out = ret, .signal_fd = -1};
    sigset_t saved;
    sigprocmask(SIG_BLOCK, NULL, &saved);
    signal(SIGPIPE, SIG_IGN); /* libcurl over TLS may raise it */
    child_raise_files();
    child_raise_priority();
    *ret = (struct run_outcome){0};
    int rc = set_up(&r, &saved, err);
    if (rc == 0)
        wait_and_run(&r);
    tear_down(&r, &saved, rc == 0);
    return rc;
}
