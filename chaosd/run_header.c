/* SPDX-License-Identifier: Apache-2.0 */
/* The header of the history: what a verdict needs to know of the scenario, so that it needs no scenario. */
#include "base/hash.h"
#include "base/json.h"
#include "base/cleanup.h"
#include "run_internal.h"

#include <inttypes.h>
#include <sys/utsname.h>

static const struct load_kind *load_kind_of(const struct load_spec *l) { return (const struct load_kind *)l->kind.kind; }

static json_t *header_loads(const struct scenario *s) {
    json_t *list = json_array();
    for (size_t i = 0; i < s->loads.count; i++) {
        const struct load_spec *l = &SCENARIO_LOADS(s)[i];
        json_t *one = json_pack("{s:s}", "name", l->name);
        cleanup_json json_t *more = load_kind_of(l)->describe(l);
        json_object_update(one, more);
        json_object_set_new(one, "goods", json_integer(l->window->goods));
        json_object_set_new(one, "over_ns", json_integer(l->window->over_ns));
        if (l->slow_ns)
            json_object_set_new(one, "slow_ns", json_integer(l->slow_ns));
        if (l->control)
            json_object_set_new(one, "control", json_true());
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *header_faults(const struct run_options *o) {
    const struct scenario *s = o->scenario;
    json_t *list = json_array();
    for (size_t i = 0; i < s->faults.count; i++) {
        const struct fault_kind *k = (const struct fault_kind *)SCENARIO_FAULTS(s)[i].kind.kind;
        json_array_append_new(list, json_pack("{s:s,s:s,s:b,s:s*}", "name", SCENARIO_FAULTS(s)[i].name, "kind", k->row.name, "holds", k->holds, "unable",
                                              o->unable ? o->unable[i] : NULL));
    }
    return list;
}

static json_t *header_probes(const struct scenario *s) {
    json_t *list = json_array();
    for (size_t i = 0; i < s->probes.count; i++) {
        const struct probe_spec *p = &SCENARIO_PROBES(s)[i];
        json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "name", p->name, "kind", p->kind.kind->name, "mode", probe_mode_names[p->mode]));
    }
    return list;
}

static json_t *header_plan(const struct plan *p) {
    json_t *list = json_array();
    for (size_t i = 0; i < p->count; i++) {
        char draw[20];
        snprintf(draw, sizeof draw, "%016" PRIx64, p->acts[i].draw);
        json_array_append_new(list, json_pack("{s:I,s:i,s:I,s:I,s:s}", "fault", (json_int_t)p->acts[i].fault, "occurrence",
                                              (int)p->acts[i].occurrence, "at_ns", (json_int_t)p->acts[i].at_ns, "for_ns",
                                              (json_int_t)p->acts[i].for_ns, "draw", draw));
    }
    return list;
}

static json_t *header_workloads(const struct scenario *s) {
    const struct cluster_kind *k = (const struct cluster_kind *)s->cluster.kind;
    return k && k->workloads ? k->workloads(&s->cluster) : json_array();
}

json_t *run_header(const struct run_options *o, const char *yaml) {
    struct utsname u;
    char digest[40];
    snprintf(digest, sizeof digest, "fnv1a64:%016" PRIx64, hash_text(HASH_SEED, yaml));
    uname(&u);
    json_t *expect = json_array();
    for (size_t i = 0; i < o->scenario->expect.count; i++)
        json_array_append_new(expect, json_string(o->scenario->expect.items[i]));
    return json_pack("{s:s,s:s,s:I,s:s,s:{s:s,s:s},s:s,s:I,s:I,s:o,s:o,s:o,s:o,s:o,s:o}", "run", o->name, "scenario", o->scenario->name, "seed",
                     (json_int_t)o->plan->seed, "version", CHAOSD_VERSION, "host", "kernel", u.release, "machine", u.machine, "digest", digest,
                     "duration_ns", (json_int_t)o->scenario->duration_ns, "settle_ns", (json_int_t)o->scenario->settle_ns, "loads",
                     header_loads(o->scenario), "faults", header_faults(o), "probes", header_probes(o->scenario), "workloads", header_workloads(o->scenario), "expect",
                     expect, "plan", header_plan(o->plan));
}
