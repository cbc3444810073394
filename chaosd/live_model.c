/* SPDX-License-Identifier: Apache-2.0 */
#include "live_model.h"
#include "base/json.h"
#include "progress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How long an act that holds nothing is shown when its victim's readiness never changes. */
#define SHOWN_NS (INT64_C(3) * 1000000000)

int live_model_init(struct live_model *m, const struct scenario *s, const struct plan *p) {
    *m = (struct live_model){.scenario = s->name, .seed = p->seed, .duration_ns = s->duration_ns, .plan = p,
                             .fault_specs = SCENARIO_FAULTS(s), .schedule_t = -1};
    m->loads = calloc(s->loads.count + 1, sizeof *m->loads);
    if (!m->loads)
        return -ENOMEM;
    m->load_count = s->loads.count;
    for (size_t i = 0; i < m->load_count; i++) {
        const struct load_spec *l = &SCENARIO_LOADS(s)[i];
        m->loads[i].name = l->name;
        m->loads[i].control = l->control;
        m->loads[i].external = l->kind.kind && strcmp(l->kind.kind->name, "exec") == 0;
    }
    for (; m->role_count < s->roles.count && m->role_count < LIVE_ROLES; m->role_count++)
        m->roles[m->role_count].name = SCENARIO_ROLES(s)[m->role_count].name;
    return 0;
}

static void fault_drop(struct live_model *m, size_t i) {
    free(m->faults[i].what);
    free(m->faults[i].target);
    memmove(&m->faults[i], &m->faults[i + 1], (--m->fault_count - i) * sizeof *m->faults);
}

void live_model_free(struct live_model *m) {
    while (m->fault_count)
        fault_drop(m, m->fault_count - 1);
    for (size_t i = 0; i < m->pod_count; i++) {
        free(m->pods[i].name);
        free(m->pods[i].state);
    }
    for (size_t i = 0; i < LIVE_EVENTS; i++)
        free(m->events[i].text);
    for (size_t i = 0; i < m->role_count; i++)
        free(m->roles[i].holder);
    free(m->pods);
    free(m->loads);
    free(m->aborted);
    *m = (struct live_model){0};
}

/* A copy in place of what was there. Out of memory: nothing is shown there, the run goes on. */
static void set_text(char **at, const char *s) {
    free(*at);
    *at = s ? strdup(s) : NULL;
}

static size_t pod_place(const struct live_model *m, const char *name) {
    size_t low = 0, high = m->pod_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (strverscmp(m->pods[mid].name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct live_pod *pod_find(struct live_model *m, const char *name) {
    size_t at = pod_place(m, name);
    return at < m->pod_count && strcmp(m->pods[at].name, name) == 0 ? &m->pods[at] : NULL;
}

static struct live_pod *pod_get(struct live_model *m, const char *name) {
    size_t at = pod_place(m, name);
    if (at < m->pod_count && strcmp(m->pods[at].name, name) == 0)
        return &m->pods[at];
    if (m->pod_count == m->pod_cap) {
        size_t cap = m->pod_cap ? 2 * m->pod_cap : 16;
        struct live_pod *pods = realloc(m->pods, cap * sizeof *pods);
        if (!pods)
            return NULL;
        m->pods = pods;
        m->pod_cap = cap;
    }
    char *copy = strdup(name);
    if (!copy)
        return NULL;
    memmove(&m->pods[at + 1], &m->pods[at], (m->pod_count++ - at) * sizeof *m->pods);
    m->pods[at] = (struct live_pod){.name = copy};
    return &m->pods[at];
}

static void pod_event(struct live_model *m, const char *kind, const char *name, const json_t *data) {
    /* What each event says of the pod: does it run, is it ready, is it frozen (-1: as before). */
    static const struct { const char *kind, *state; int running, ready, frozen; } rows[] = {
        {"created", "created", 0, 0, 0},   {"started", "running", 1, 0, 0},  {"exited", "exited", 0, 0, 0},
        {"ready", "running", 1, 1, -1},    {"unready", "running", -1, 0, -1}, {"frozen", "frozen", -1, -1, 1},
        {"thawed", "running", -1, -1, 0},  {"backoff", "backoff", 0, 0, 0},  {"failed", "failed", 0, 0, 0},
    };
    if (strcmp(kind, "removed") == 0) {
        struct live_pod *gone = pod_find(m, name);
        if (gone) {
            free(gone->name);
            free(gone->state);
            memmove(gone, gone + 1, (size_t)(m->pods + m->pod_count-- - gone - 1) * sizeof *gone);
        }
        return;
    }
    struct live_pod *p = pod_get(m, name);
    if (!p)
        return;
    p->restarts = json_int_or(data, "restarts", p->restarts);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].kind, kind) == 0) {
            p->running = rows[i].running < 0 ? p->running : rows[i].running;
            p->ready = rows[i].ready < 0 ? p->ready : rows[i].ready;
            p->frozen = rows[i].frozen < 0 ? p->frozen : rows[i].frozen;
            set_text(&p->state, p->frozen ? "frozen" : rows[i].state);
        }
}

/* The victim of an act that holds nothing: the act is over for a watcher when the victim is back. */
static void victim_event(struct live_model *m, const char *kind, const char *name) {
    for (size_t i = m->fault_count; i-- > 0;) {
        struct live_fault *f = &m->faults[i];
        if (f->until || !f->target || strcmp(f->target, name) != 0)
            continue;
        f->down |= strcmp(kind, "exited") == 0 || strcmp(kind, "unready") == 0;
        if (f->down && (strcmp(kind, "ready") == 0 || strcmp(kind, "removed") == 0))
            fault_drop(m, i);
    }
}

static struct live_fault *fault_find(struct live_model *m, int64_t id, size_t *ret_at) {
    for (size_t i = 0; i < m->fault_count; i++)
        if (m->faults[i].id == id) {
            *ret_at = i;
            return &m->faults[i];
        }
    return NULL;
}

static void act_event(struct live_model *m, const char *phase, const char *kind, const char *target, int64_t t, const json_t *data) {
    size_t at;
    int64_t id = json_int_or(data, "id", -1);
    struct live_fault *f = fault_find(m, id, &at);
    if (strcmp(phase, "fail") == 0 && f)
        fault_drop(m, at);
    if (strcmp(phase, "invoke") != 0 || f || m->fault_count == LIVE_FAULTS)
        return;
    struct buf what = {0};
    buf_printf(&what, "%s #%lld", json_str_or(data, "fault", ""), (long long)json_int_or(data, "occurrence", 0));
    int64_t held = json_int_or(data, "for_ns", 0);
    f = &m->faults[m->fault_count++];
    *f = (struct live_fault){.id = id, .what = buf_take(&what), .target = strdup(target), .since = t, .until = held ? t + held : 0};
    snprintf(f->kind, sizeof f->kind, "%s", kind);
}

static void fault_event(struct live_model *m, const char *op, const char *phase, const json_t *data) {
    size_t at;
    struct live_fault *f = fault_find(m, json_int_or(data, "id", -1), &at);
    if (!f)
        return;
    if (strcmp(op, "fault/observed") == 0)
        f->observed = true;
    else if (strcmp(op, "fault/trouble") == 0)
        f->troubled = true;
    else if (strcmp(op, "fault/measured") == 0)
        return;
    else if (strcmp(phase, "invoke") == 0)
        f->reverting = true;
    else if (strcmp(phase, "ok") == 0) /* one that could not be reverted stays in sight */
        fault_drop(m, at);
}

static void role_event(struct live_model *m, const char *role, const char *holder) {
    for (size_t i = 0; i < m->role_count; i++)
        if (strcmp(m->roles[i].name, role) == 0)
            set_text(&m->roles[i].holder, *holder ? holder : NULL);
}

static void run_event(struct live_model *m, const char *op, const char *phase, int64_t t, const json_t *data) {
    if (strcmp(op, "run/ready") == 0 && strcmp(phase, "invoke") == 0) {
        m->phase = LIVE_WAITING;
        m->began_waiting = t;
    } else if (strcmp(op, "run/schedule") == 0) {
        m->phase = LIVE_RUNNING;
        m->schedule_t = t;
    } else if (strcmp(op, "run/loads-end") == 0) {
        m->phase = LIVE_DRAINING;
    } else if (strcmp(op, "run/abort") == 0) {
        set_text(&m->aborted, json_str_or(data, "why", "aborted"));
    } else if (strcmp(op, "run/end") == 0) {
        m->phase = LIVE_ENDED;
    }
}

static enum live_tone tone_of(const char *op, const char *phase, const char *kind) {
    if (strcmp(phase, "fail") == 0 || strcmp(op, "fault/trouble") == 0 || strcmp(op, "run/abort") == 0 || strcmp(kind, "exited") == 0 || strcmp(kind, "failed") == 0)
        return TONE_BAD;
    if (strncmp(op, "fault/", 6) == 0 || strncmp(op, "self/", 5) == 0 || strcmp(kind, "unready") == 0 || strcmp(kind, "frozen") == 0)
        return TONE_WARN;
    return strcmp(op, "cluster/pod") == 0 && (strcmp(kind, "ready") == 0 || strcmp(kind, "thawed") == 0) ? TONE_GOOD : TONE_PLAIN;
}

void live_model_event(struct live_model *m, const json_t *e) {
    const char *op = json_str_or(e, "op", ""), *phase = json_str_or(e, "phase", ""), *kind = json_str_or(e, "kind", "");
    const char *target = json_str_or(e, "target", "");
    const json_t *data = json_object_get(e, "data");
    int64_t t = json_int_or(e, "t", 0);
    m->now = t > m->now ? t : m->now;
    if (strcmp(op, "cluster/pod") == 0) {
        pod_event(m, kind, target, data);
        victim_event(m, kind, target);
    } else if (strcmp(op, "fault/act") == 0) {
        act_event(m, phase, kind, target, t, data);
    } else if (strncmp(op, "fault/", 6) == 0) {
        fault_event(m, op, phase, data);
    } else if (strcmp(op, "role/now") == 0) {
        role_event(m, kind, target);
    } else {
        run_event(m, op, phase, t, data);
    }
    struct buf line = {0};
    if (progress_say(e, &line) && buf_ok(&line)) {
        struct live_event *at = &m->events[m->event_count++ % LIVE_EVENTS];
        free(at->text);
        *at = (struct live_event){t, tone_of(op, phase, kind), buf_take(&line)};
    }
    buf_free(&line);
}

void live_model_sample(struct live_model *m, const struct sample *s) {
    if (s->load < m->load_count)
        live_window_add(&m->loads[s->load].window, s);
}

void live_model_tick(struct live_model *m, int64_t now_ns, const struct load_figures *loads) {
    m->now = now_ns;
    for (size_t i = 0; loads && i < m->load_count; i++)
        m->loads[i].in_flight = loads[i].in_flight;
    for (size_t i = m->fault_count; i-- > 0;)
        if (!m->faults[i].until && !m->faults[i].down && now_ns - m->faults[i].since > SHOWN_NS)
            fault_drop(m, i);
}
