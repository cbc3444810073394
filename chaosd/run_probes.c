/* SPDX-License-Identifier: Apache-2.0 */
/* The scenario's probes: who is asked when. Only changes of an answer are written, counts at the end, so that a probe that asks ten
 * times a second for a week leaves a line or two. */
#include "base/redact.h"
#include "run_internal.h"

#include <string.h>

enum { CHANGES_MOST = 1000 }; /* of one that is asked; one that flaps for a week must not fill the disk */

struct asker { /* one question of one pod, of whoever has a role, or of nobody in particular */
    struct asker *next;
    struct run *run;
    const struct probe_spec *spec;
    struct follow *pod;   /* NULL: by role, or none */
    const char *role_pod; /* who had the role when last asked; of a follow */
    int64_t id;
    struct timer *timer;
    struct probe_op *op;
    bool on, once, fresh; /* fresh: not answered since it was last begun */
    int64_t tries, round_asked;
    int64_t good, bad, unsure, written, unwritten;
    bool answered, ok; /* the last answer that counts, asked and seen at: */
    int64_t last_asked, last_seen;
};

static void on_answer(const char *why, const json_t *captured, int64_t asked, int64_t seen, void *arg);

/* --- asking --- */

static struct follow *who(struct asker *a) {
    struct run *r = a->run;
    struct candidate list[MAX_PODS];
    if (a->pod || !a->spec->selector)
        return a->pod;
    size_t n = pods_candidates(r, a->spec->selector, list, MAX_PODS);
    for (size_t i = 0; i < n; i++)
        if (pods_fit_role(r, list[i].uid, a->spec->selector))
            return pods_find(r, list[i].uid);
    return NULL;
}

static void ask(struct asker *a) {
    struct run *r = a->run;
    struct error err = {""};
    const struct probe_kind *kind = (const struct probe_kind *)a->spec->kind.kind;
    struct follow *pod = who(a);
    int64_t now = loop_now();
    a->role_pod = pod && !a->pod ? pod->name : NULL;
    if (a->spec->selector && !pod) {
        if (a->spec->selector->role)
            error_set(&err, 0, "no pod has the role \"%s\"", a->spec->selector->role);
        on_answer(*err.text ? err.text : "no pod matches the selector", NULL, now, now, a);
        return;
    }
    struct probe_context ctx = {
        .loop = r->loop, .http = r->http, .netns_fd = r->cluster ? r->cluster->kind->netns(r->cluster) : -1,
        .cgroup_fd = r->cluster ? r->cluster->kind->clients_group(r->cluster) : -1, .timeout_ns = a->spec->timeout_ns,
        .vars = pod ? &pod->vars : &r->vars, .done = on_answer, .arg = a,
    };
    if (kind->start(a->spec->kind.params, &ctx, &a->op, &err) < 0) {
        a->op = NULL;
        on_answer(err.text, NULL, now, now, a);
    }
}

static void on_timer(void *arg) {
    struct asker *a = arg;
    if (!a->on || a->op)
        return;
    if (a->spec->mode == PROBE_ON_FAULT && !acts_felt(a->run))
        a->on = false;
    else
        ask(a);
}

/* --- answers --- */

/* Whatever a program answers, the history is JSON, and holds no secret. */
static json_t *safe(const char *text) {
    char out[400];
    snprintf(out, sizeof out, "%s", text);
    redact(out);
    for (unsigned char *c = (unsigned char *)out; *c; c++)
        *c = *c < 0x20 || *c > 0x7e ? '?' : *c;
    return json_string(out);
}

static const char *name_of(const struct asker *a) { return a->pod ? a->pod->name : ""; }

static void write_answer(struct asker *a, const char *why, const json_t *captured, int64_t asked, int64_t seen) {
    struct recorder *rec = a->run->rec;
    const char *value = json_string_value(json_object_get(captured, "value"));
    json_t *data = json_pack("{s:s,s:I,s:b,s:I,s:I}", "probe", a->spec->name, "id", (json_int_t)a->id, "ok", !why, "asked",
                             (json_int_t)recorder_from_monotonic(rec, asked), "seen", (json_int_t)recorder_from_monotonic(rec, seen));
    if (why)
        json_object_set_new(data, "why", safe(why));
    if (value)
        json_object_set_new(data, "value", safe(value));
    if (a->role_pod)
        json_object_set_new(data, "pod", json_string(a->role_pod));
    if (a->answered) {
        json_object_set_new(data, "before_asked", json_integer(recorder_from_monotonic(rec, a->last_asked)));
        json_object_set_new(data, "before_seen", json_integer(recorder_from_monotonic(rec, a->last_seen)));
    }
    recorder_event(rec, "probe", "probe/answer", "info", a->spec->kind.kind->name, name_of(a), data);
}

static void decided(struct asker *a, const char *why, const json_t *captured, int64_t asked, int64_t seen) {
    bool ok = !why, tell = a->once || a->fresh || !a->answered || a->ok != ok;
    *(ok ? &a->good : &a->bad) += 1;
    if (tell && a->written >= CHANGES_MOST) {
        a->unwritten++;
    } else if (tell) {
        a->written++;
        write_answer(a, why, captured, asked, seen);
    }
    a->answered = true;
    a->fresh = false;
    a->ok = ok;
    a->last_asked = asked;
    a->last_seen = seen;
}

static void stop_run(struct asker *a, const char *why) {
    char text[500];
    const char *on = a->role_pod ? a->role_pod : name_of(a);
    snprintf(text, sizeof text, "probe %s%s%s: %s", a->spec->name, *on ? " on " : "", on, why);
    redact(text);
    run_abort(a->run, text);
}

static void on_answer(const char *why, const json_t *captured, int64_t asked, int64_t seen, void *arg) {
    struct asker *a = arg;
    struct run *r = a->run;
    bool unsure = why && run_stalled(r, asked);
    a->op = NULL;
    if (a->tries++ == 0)
        a->round_asked = asked;
    timer_at(a->timer, asked + a->spec->interval_ns);
    if (unsure)
        a->unsure++;
    else if (why && a->tries < a->spec->attempts)
        return;
    else
        decided(a, why, captured, a->round_asked, seen);
    a->tries = 0;
    if (unsure || (!a->once && !why))
        return;
    a->on = !a->once;
    if (why && (a->spec->stop || r->phase == PHASE_CHECKING))
        stop_run(a, why);
    else
        run_step(r);
}

/* --- when --- */

static struct asker *add_asker(struct run *r, const struct probe_spec *p, struct follow *pod) {
    struct asker *a = calloc(1, sizeof *a), **last = &r->askers;
    if (!a || timer_new(r->loop, on_timer, a, &a->timer, NULL) < 0) {
        free(a);
        run_abort(r, "out of memory");
        return NULL;
    }
    a->run = r;
    a->spec = p;
    a->pod = pod;
    a->id = ++r->asker_seq;
    while (*last)
        last = &(*last)->next;
    return *last = a;
}

static bool has_askers(const struct run *r, const struct probe_spec *p) {
    for (const struct asker *a = r->askers; a; a = a->next)
        if (a->spec == p)
            return true;
    return false;
}

static void make_askers(struct run *r, const struct probe_spec *p) {
    struct candidate list[MAX_PODS];
    size_t n = p->selector && !p->selector->role ? pods_candidates(r, p->selector, list, MAX_PODS) : 0;
    for (size_t i = 0; i < n; i++)
        add_asker(r, p, pods_find(r, list[i].uid));
    if (n == 0)
        add_asker(r, p, NULL);
}

static void begin(struct run *r, unsigned modes, bool once) {
    for (size_t i = 0; i < r->s->probes.count; i++) {
        const struct probe_spec *p = &SCENARIO_PROBES(r->s)[i];
        if (!(modes & 1u << p->mode))
            continue;
        if (!has_askers(r, p))
            make_askers(r, p);
        for (struct asker *a = r->askers; a; a = a->next) {
            if (a->spec != p || a->on)
                continue;
            a->on = true;
            a->once = once;
            a->fresh = true;
            a->tries = 0;
            timer_after(a->timer, p->delay_ns);
        }
    }
}

void probes_start(struct run *r) { begin(r, 1u << PROBE_START | 1u << PROBE_EDGE, true); }
void probes_schedule(struct run *r) { begin(r, 1u << PROBE_CONTINUOUS, false); }
void probes_end(struct run *r) { begin(r, 1u << PROBE_END | 1u << PROBE_EDGE, true); }

void probes_act(struct run *r) {
    r->fault_felt = true;
    begin(r, 1u << PROBE_ON_FAULT, false);
}

/* What is under way goes uncounted: nobody waited for its answer. */
void probes_stop(struct run *r) {
    for (struct asker *a = r->askers; a; a = a->next) {
        a->on = false;
        timer_stop(a->timer);
        probe_cancel(a->op);
        a->op = NULL;
    }
}

bool probes_asking(const struct run *r) {
    for (const struct asker *a = r->askers; a; a = a->next)
        if (a->on && a->once)
            return true;
    return false;
}

void probes_summarise(struct run *r) {
    for (const struct asker *a = r->askers; a; a = a->next) {
        json_t *data = json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I}", "probe", a->spec->name, "id", (json_int_t)a->id, "asked",
                                 (json_int_t)(a->good + a->bad + a->unsure), "good", (json_int_t)a->good, "bad", (json_int_t)a->bad, "unsure",
                                 (json_int_t)a->unsure, "unwritten", (json_int_t)a->unwritten);
        if (a->answered) {
            json_object_set_new(data, "ok", json_boolean(a->ok));
            json_object_set_new(data, "last_asked", json_integer(recorder_from_monotonic(r->rec, a->last_asked)));
            json_object_set_new(data, "last_seen", json_integer(recorder_from_monotonic(r->rec, a->last_seen)));
        }
        recorder_event(r->rec, "probe", "probe/summary", "info", a->spec->kind.kind->name, name_of(a), data);
    }
}

void probes_free(struct run *r) {
    while (r->askers) {
        struct asker *a = r->askers;
        r->askers = a->next;
        probe_cancel(a->op);
        timer_free(a->timer);
        free(a);
    }
}
