/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster of a run: its start, and what it tells. */
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"
#include "cluster/kubernetes.h"
#include "fault/ask.h"
#include "run_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

void run_clock_of(const struct run *r, json_t *data) {
    static const char *const names[] = {"asked", "seen", "from", "to"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char key[16];
        snprintf(key, sizeof key, "%s_mono", names[i]);
        int64_t at = json_int_or(data, key, -1);
        if (at >= 0) {
            json_object_set_new(data, names[i], json_integer(recorder_from_monotonic(r->rec, at)));
            json_object_del(data, key);
        }
    }
}

static void on_cluster_event(enum cluster_event e, const struct pod *p, int64_t at_ns, json_t *data, void *arg) {
    struct run *r = arg;
    pods_event(r, e, p, at_ns, data);
    acts_event(r, e, p);
    asks_pods_changed(&r->env);
    steady_event(r);
    if (r->phase == PHASE_WAITING && e == CL_POD_READY)
        run_step(r);
    else if (r->phase == PHASE_DRAINING)
        run_step(r);
}

static void on_cluster_other(const char *op, const char *kind, const char *target, int64_t at_ns, json_t *data, void *arg) {
    struct run *r = arg;
    run_clock_of(r, data);
    recorder_event_at(r->rec, recorder_from_monotonic(r->rec, at_ns ? at_ns : loop_now()), "cluster", op, "info", kind, target, data);
}

static void on_cluster_changed(void *arg) {
    struct run *r = arg;
    steady_event(r);
    if (r->phase == PHASE_WAITING)
        run_step(r);
}

static void on_cluster_failed(const struct error *why, void *arg) {
    struct run *r = arg;
    if (r->phase == PHASE_WAITING)
        run_never_ready(r, why->text);
    else
        run_abort(r, why->text);
}

/* What could be struck some time, whatever a pod is called and wherever it is just now: its replacement has another name, on another node. */
static bool on_selected(const struct candidate *c, void *arg) {
    const struct run *r = arg;
    char why[256];
    const struct pod p = {.name = c->name, .namespace = c->namespace, .labels = c->labels};
    if (guard_bars(r, &p, why, sizeof why))
        return false;
    for (size_t i = 0; i < r->s->faults.count; i++) {
        const struct fault_spec *f = &SCENARIO_FAULTS(r->s)[i];
        struct selector wide = *((const struct fault_kind *)f->kind.kind)->target(f->kind.params)->selector;
        const struct selector *out = wide.exclude;
        wide.pods.count = wide.nodes.count = wide.field_selectors.count = 0;
        if (out && (out->pods.count || out->nodes.count || out->field_selectors.count))
            wide.exclude = NULL;
        if (selector_may_match(&wide, c))
            return true;
    }
    return false;
}

static void add_keys(const struct selector *s, const char **keys, size_t *count, size_t max) {
    for (size_t i = 0; i < s->annotation_selectors.count; i++) {
        size_t known = 0;
        while (known < *count && strcmp(keys[known], s->annotation_selectors.items[i].key) != 0)
            known++;
        if (known == *count && *count < max)
            keys[(*count)++] = s->annotation_selectors.items[i].key;
    }
}

/* Of annotations that the faults' selectors speak of; in the scenario's arena. NULL: out of memory. */
static const char **annotation_keys(const struct run *r) {
    enum { MOST = 64 };
    size_t count = 0;
    const char **keys = arena_alloc(r->s->arena, (MOST + 1) * sizeof *keys);
    for (size_t i = 0; keys && i < r->s->faults.count; i++) {
        const struct fault_spec *f = &SCENARIO_FAULTS(r->s)[i];
        add_keys(((const struct fault_kind *)f->kind.kind)->target(f->kind.params)->selector, keys, &count, MOST);
    }
    return keys;
}

static const char *environment(const char *name) { return getenv(name); }

int cluster_start(struct run *r, struct error *err) {
    if (!r->s->cluster.kind)
        return 0;
    const struct cluster_kind *k = (const struct cluster_kind *)r->s->cluster.kind;
    char logs[4096];
    snprintf(logs, sizeof logs, "%s/logs", r->o->dir);
    int rc = fs_mkdirs(logs, err);
    if (rc < 0)
        return rc;
    uint32_t random;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return error_errno(err, "getrandom");
    snprintf(r->id, sizeof r->id, "%06x", random & 0xffffff);
    const char **annotations = annotation_keys(r);
    if (!annotations)
        return error_set(err, -ENOMEM, "out of memory");
    struct cluster_options co = {.loop = r->loop, .scenario = r->s, .journal = r->journal, .run = r->id, .log_dir = logs, .vars = &r->vars,
                                 .event = on_cluster_event, .selected = on_selected, .annotations = annotations, .other = on_cluster_other,
                                 .changed = on_cluster_changed, .failed = on_cluster_failed, .arg = r};
    if (k->abilities & CLUSTER_OBJECTS) {
        kubernetes_self_read(environment, KUBERNETES_ACCOUNT_DIR, &r->self);
        r->budget = kubernetes_budget_left;
    }
    rc = k->start(&r->s->cluster, &co, &r->cluster, err);
    if (rc < 0 || !k->context)
        return rc;
    rc = guards_check_context(r->s->guards, r->s->doc, k->context(r->cluster), err); /* nothing was asked of it yet */
    r->out->refused = rc < 0;
    return rc;
}
