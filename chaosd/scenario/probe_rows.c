/* SPDX-License-Identifier: Apache-2.0 */
/* probes: what is asked beside the loads, when, and what must be right of it. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/units.h"
#include "scenario/refs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *const probe_mode_names[] = {
    [PROBE_START] = "start", [PROBE_END] = "end", [PROBE_EDGE] = "edge", [PROBE_CONTINUOUS] = "continuous", [PROBE_ON_FAULT] = "on-fault", NULL,
};

#define P(member) offsetof(struct probe_spec, member)
static const struct field probe_fields[] = {
    {.name = "name", .type = F_NAME, .offset = P(name), .required = true, .doc = "Its name in checks, thresholds and reports."},
    {.name = "kind", .type = F_KIND, .offset = P(kind), .kinds = KIND_PROBE, .required = true, .doc = "How it is asked."},
    {.name = "mode", .type = F_ENUM, .offset = P(mode), .required = true, .values = probe_mode_names,
     .doc = "When: start, once every pod is ready and before anything is done (a wrong answer stops the run there); end, when the loads "
            "have ended and all is reverted; edge, at both; continuous, from the schedule's start to its end; on-fault, from an act until "
            "it is undone and every pod is ready again. (Litmus calls them SOT, EOT, Edge, Continuous and OnChaos.)"},
    {.name = "selector", .type = F_OBJECT, .offset = P(selector), .shape = &selector_shape,
     .doc = "The pods that are asked, each on its own, also while they are down; with a role, whoever has it then. Asked once without."},
    {.name = "interval", .type = F_DURATION, .offset = P(interval_ns), .def = "1s", .min = 10 * NS_PER_MS, .max = 3600 * NS_PER_S,
     .doc = "From one question to the next; also from one attempt to the next."},
    {.name = "timeout", .type = F_DURATION, .offset = P(timeout_ns), .def = "1s", .min = NS_PER_MS, .max = 3600 * NS_PER_S,
     .doc = "How long an answer may take."},
    {.name = "initialDelay", .type = F_DURATION, .offset = P(delay_ns), .def = "0", .max = 86400 * NS_PER_S,
     .doc = "Before the first question: after all are ready, the schedule's start, the act, or the end."},
    {.name = "attempts", .type = F_INT, .offset = P(attempts), .def = "1", .min = 1, .max = 1000,
     .doc = "Questions in a row that must go wrong for one wrong answer."},
    {.name = "stopOnFailure", .type = F_BOOL, .offset = P(stop),
     .doc = "A wrong answer ends the run: what is held is reverted, the verdict is aborted. With mode start it always does."},
    {0},
};
#undef P

const struct shape probe_spec_shape = {
    .name = "probe", .size = sizeof(struct probe_spec), .fields = probe_fields,
    .doc = "A question asked beside the loads; a wrong answer fails the run, unless a threshold of expect on probe(NAME) says how many may be wrong.",
};

/* --- what may stand in its templates --- */

struct ref_check {
    const struct scenario *s;
    const struct probe_spec *p;
    const char *under; /* "/probes/3/" */
    struct error *err;
};

static int check_text(const char *path, const char *text, void *arg) {
    const struct ref_check *c = arg;
    struct ref r;
    if (strncmp(path, c->under, strlen(c->under)) != 0)
        return 0;
    while (ref_next(&text, &r)) {
        bool pod = strncmp(r.name, "pod.", 4) == 0;
        if (pod && !c->p->selector)
            return doc_error(c->s->doc, path, 0, c->err, -EINVAL, "${%s}: probe \"%s\" asks no pod; give it a selector", r.name, c->p->name);
        if (!pod && strncmp(r.name, "secret.", 7) != 0 && strncmp(r.name, "run.", 4) != 0)
            return doc_error(c->s->doc, path, 0, c->err, -EINVAL, "${%s}: a probe knows pod, run and secret only", r.name);
    }
    return 0;
}

/* A default may speak of the pod too. */
static int check_defaults(const struct scenario *s, const struct probe_spec *p, const char *path, struct error *err) {
    const json_t *raw = doc_value(s->doc, p->kind.path);
    for (const struct field *f = p->kind.kind->shape->fields; !p->selector && f->name; f++)
        if (f->def && strstr(f->def, "${pod.") && !json_object_get(raw, f->name))
            return doc_error(s->doc, path, 0, err, -EINVAL, "probe \"%s\" asks no pod: give it a selector, or %s.%s", p->name, p->kind.kind->name, f->name);
    return 0;
}

int probe_crosscheck(const struct scenario *s, size_t index, struct error *err) {
    const struct probe_spec *p = &SCENARIO_PROBES(s)[index];
    char path[64], member[80], under[64], a[64], b[64];
    snprintf(path, sizeof path, "/probes/%zu", index);
    snprintf(under, sizeof under, "/probes/%zu/", index);
    if (p->mode == PROBE_ON_FAULT && !s->faults.count) {
        snprintf(member, sizeof member, "%s/mode", path);
        return doc_error(s->doc, member, 0, err, -EINVAL, "probe \"%s\" is asked on-fault, but the scenario has no faults", p->name);
    }
    if (p->mode == PROBE_END && p->stop) {
        snprintf(member, sizeof member, "%s/stopOnFailure", path);
        return doc_error(s->doc, member, 1, err, -EINVAL, "at the end there is nothing left to stop");
    }
    if (p->mode >= PROBE_CONTINUOUS && p->delay_ns >= s->duration_ns) {
        format_duration(p->delay_ns, a, sizeof a);
        format_duration(s->duration_ns, b, sizeof b);
        snprintf(member, sizeof member, "%s/initialDelay", path);
        return doc_error(s->doc, member, 0, err, -EINVAL, "initialDelay %s is not before the end: the duration is %s", a, b);
    }
    if (p->selector && selector_role_negated(p->selector)) {
        snprintf(member, sizeof member, "%s/selector/role", path);
        return doc_error(s->doc, member, 0, err, -EINVAL, "a probe asks who has a role, not who has it not");
    }
    int rc = check_defaults(s, p, path, err);
    return rc < 0 ? rc : refs_walk(s->doc, check_text, &(struct ref_check){s, p, under, err}, err);
}
