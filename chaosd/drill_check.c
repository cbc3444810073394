/* SPDX-License-Identifier: Apache-2.0 */
/* What the kinds themselves have to say of a scenario, with positions: what its rows alone cannot know. */
#include "base/cleanup.h"
#include "base/json.h"
#include "check/expect.h"
#include "cluster/local.h"
#include "drill.h"
#include "fault/ask.h"
#include "load/load.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Another kind does the like where this one cannot be done. */
static int unfit(const struct scenario *s, const struct fault_spec *f, const struct cluster_kind *cluster, struct error *err) {
    const struct fault_kind *k = (const struct fault_kind *)f->kind.kind;
    const char *instead = NULL;
    for (const struct fault_kind *const *other = fault_kinds; k->like && *other && !instead; other++)
        if ((*other)->like && strcmp((*other)->like, k->like) == 0 && fault_in(*other, cluster->abilities))
            instead = (*other)->row.name;
    return doc_error(s->doc, f->path, 0, err, -EINVAL, "fault \"%s\": %s needs %s, which a %s cluster does not give%s%s%s", f->name, k->row.name,
                     k->needs & CLUSTER_OBJECTS      ? "an API server"
                     : k->needs & CLUSTER_CONTAINERS ? "pods of containers"
                     : k->needs & CLUSTER_NETWORK    ? "the pods' network at hand"
                                                     : "the pods' processes at hand",
                     cluster->row.name, instead ? "; " : "", instead ? instead : "", instead ? " does the like there" : "");
}

/* From here on its kind is as the cluster does it. */
static int check_fault(const struct scenario *s, struct fault_spec *f, struct error *err) {
    const struct fault_kind *k = (const struct fault_kind *)f->kind.kind;
    struct schema_at at = {s->doc, f->kind.path, s->arena};
    char path[512];
    if (!s->cluster.kind)
        return doc_error(s->doc, f->path, 0, err, -EINVAL, "fault \"%s\" takes pods, but the scenario has no `cluster:`", f->name);
    const struct cluster_kind *cluster = (const struct cluster_kind *)s->cluster.kind;
    const struct fault_kind *in = fault_in(k, cluster->abilities);
    if (!in)
        return unfit(s, f, cluster, err);
    f->kind.kind = &in->row;
    k = in;
    snprintf(path, sizeof path, "%s/for", f->path);
    if (k->holds && f->for_ns <= 0)
        return doc_error(s->doc, f->path, 0, err, -EINVAL, "fault \"%s\": %s is held for a while: add `for: 5s`", f->name, k->row.name);
    if (!k->holds && f->for_ns > 0)
        return doc_error(s->doc, path, 1, err, -EINVAL, "fault \"%s\": %s holds nothing, so `for` says nothing: remove it", f->name, k->row.name);
    return k->check ? k->check(f, &at, err) : 0;
}

static json_t *describe(const struct load_spec *l) { return ((const struct load_kind *)l->kind.kind)->describe(l); }

static int check_slow(const struct scenario *s, size_t index, struct error *err) {
    const struct load_spec *l = &SCENARIO_LOADS(s)[index];
    cleanup_json json_t *more = describe(l);
    int64_t deadline = json_int_or(more, "deadline_ns", 0);
    char path[64];
    if (!l->slow_ns || !deadline || l->slow_ns < deadline)
        return 0;
    snprintf(path, sizeof path, "/load/%zu/slow", index);
    return doc_error(s->doc, path, 0, err, -EINVAL, "load \"%s\": what is slow must be less than its deadline: what takes longer than that is bad", l->name);
}

static int check_loads(const struct scenario *s, struct error *err) {
    int rc = 0;
    for (size_t i = 0; i < s->loads.count && rc == 0; i++) {
        const struct load_spec *l = &SCENARIO_LOADS(s)[i];
        const struct load_kind *k = (const struct load_kind *)l->kind.kind;
        rc = k->check ? k->check(l, &(struct schema_at){s->doc, l->kind.path, s->arena}, err) : 0;
        if (rc == 0)
            rc = check_slow(s, i, err);
    }
    return rc;
}

/* A threshold on a lane that its load does not have would never be judged. */
static int check_lane(const struct scenario *s, size_t index, struct error *err) {
    struct expect e;
    if (expect_parse(s->expect.items[index], &e, err) < 0)
        return -EINVAL;
    for (size_t i = 0; *e.lane && i < s->loads.count; i++) {
        const struct load_spec *l = &SCENARIO_LOADS(s)[i];
        if (strcmp(l->name, e.of))
            continue;
        cleanup_json json_t *more = describe(l);
        cleanup_buf struct buf have = {0};
        bool found = false;
        size_t k;
        json_t *lane;
        json_array_foreach(json_object_get(more, "lanes"), k, lane) {
            found |= !strcmp(json_string_value(lane), e.lane);
            buf_printf(&have, "%s%s", k ? ", " : "", json_string_value(lane));
        }
        char path[64];
        snprintf(path, sizeof path, "/expect/%zu", index);
        if (!found)
            return doc_error(s->doc, path, 0, err, -EINVAL, "\"%s\": load \"%s\" has no lane %s; it has: %s", s->expect.items[index], l->name, e.lane,
                             buf_ok(&have) && have.len ? have.data : "none");
    }
    return 0;
}

/* A limit on a load that tells of no requests can never be judged. */
static int check_told(const struct scenario *s, size_t index, struct error *err) {
    struct expect e;
    char path[64];
    if (expect_parse(s->expect.items[index], &e, err) < 0)
        return -EINVAL;
    for (size_t i = 0; *e.of && e.metric != METRIC_RECOVERY && i < s->loads.count; i++) {
        const struct load_spec *l = &SCENARIO_LOADS(s)[i];
        cleanup_json json_t *more = strcmp(l->name, e.of) ? NULL : describe(l);
        snprintf(path, sizeof path, "/expect/%zu", index);
        if (!strcmp(json_str_or(more, "samples", ""), "none"))
            return doc_error(s->doc, path, 0, err, -EINVAL, "load \"%s\" tells of no requests: give it samples, or limit another load", l->name);
    }
    return 0;
}

/* More ready pods than there are of a workload cannot be left: every act on it would be refused. */
static int check_min_ready(const struct scenario *s, struct error *err) {
    const struct local_config *local = s->cluster.kind == &cluster_local.row ? s->cluster.params : NULL;
    struct candidate *all = NULL;
    size_t n = local ? local_declared(&s->cluster, s->arena, &all) : 0;
    for (size_t i = 0; all && i < s->faults.count; i++) {
        const struct fault_spec *f = &SCENARIO_FAULTS(s)[i];
        const struct fault_kind *k = (const struct fault_kind *)f->kind.kind;
        const struct pod_target *t = k->target ? k->target(f->kind.params) : NULL;
        for (size_t p = 0; t && p < n; p++) {
            const struct workload *w = all[p].tag;
            if (selector_matches(t->selector, &all[p]) && s->guards->min_ready > w->replicas)
                return doc_error(s->doc, "/guards/minReady", 0, err, -EINVAL,
                                 "minReady %" PRId64 " is more than the %" PRId64 " replica%s of workload \"%s\": fault \"%s\" could never be carried out there",
                                 s->guards->min_ready, w->replicas, w->replicas == 1 ? "" : "s", w->name, f->name);
        }
    }
    return 0;
}

int drill_check(const struct scenario *s, struct error *err) {
    int rc = 0;
    for (size_t i = 0; i < s->faults.count && rc == 0; i++)
        rc = check_fault(s, &((struct fault_spec *)s->faults.items)[i], err);
    if (rc == 0)
        rc = check_loads(s, err);
    for (size_t i = 0; i < s->expect.count && rc == 0; i++)
        if ((rc = check_told(s, i, err)) == 0)
            rc = check_lane(s, i, err);
    return rc == 0 ? check_min_ready(s, err) : rc;
}
