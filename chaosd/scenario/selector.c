/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario/selector.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/units.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PPM_WHOLE 1000000

const char *const select_mode_names[] = {
    [MODE_ONE] = "one", [MODE_ALL] = "all", [MODE_FIXED] = "fixed", [MODE_FIXED_PERCENT] = "fixed-percent",
    [MODE_RANDOM_MAX_PERCENT] = "random-max-percent", NULL,
};

const char *const select_phase_names[] = {"Pending", "Running", "CrashLoopBackOff", "Ended", NULL};

static const char *const operator_names[] = {
    [OP_IN] = "In", [OP_NOT_IN] = "NotIn", [OP_EXISTS] = "Exists", [OP_DOES_NOT_EXIST] = "DoesNotExist", NULL,
};

static const char *name_of(const struct candidate *c) { return c->name; }
static const char *namespace_of(const struct candidate *c) { return c->namespace; }
static const char *node_of(const struct candidate *c) { return c->node; }
static const char *phase_of(const struct candidate *c) { return c->phase; }

/* The fields a pod can be selected by: what the API server itself supports, as far as every provider knows them. */
static const struct {
    const char *name;
    const char *(*get)(const struct candidate *c);
} pod_fields[] = {
    {"metadata.name", name_of},
    {"metadata.namespace", namespace_of},
    {"spec.nodeName", node_of},
    {"status.phase", phase_of},
};

static int expression_check(void *value, const struct schema_at *at, struct error *err) {
    const struct expression *e = value;
    bool takes = e->op == OP_IN || e->op == OP_NOT_IN;
    if (takes && !e->values.count)
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "operator %s needs values", operator_names[e->op]);
    if (!takes && e->values.count)
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "operator %s takes no values", operator_names[e->op]);
    return 0;
}

static const struct field expression_fields[] = {
    {.name = "key", .type = F_STRING, .offset = offsetof(struct expression, key), .required = true, .doc = "The label's key."},
    {.name = "operator", .type = F_ENUM, .offset = offsetof(struct expression, op), .required = true, .values = operator_names,
     .doc = "In and NotIn compare with the values, Exists and DoesNotExist look for the key alone."},
    {.name = "values", .type = F_STRINGS, .offset = offsetof(struct expression, values), .doc = "What In and NotIn compare with."},
    {0},
};
static const struct shape expression_shape = {
    .name = "expression", .size = sizeof(struct expression), .fields = expression_fields, .check = expression_check,
    .doc = "A label expression with Kubernetes' meaning: NotIn holds too where the label is absent.",
};

static int owner_check(void *value, const struct schema_at *at, struct error *err) {
    const struct owner_selector *o = value;
    const char *p = o->kind;
    while (isalnum((unsigned char)*p))
        p++;
    if (*p || p == o->kind)
        return schema_bad(at, "kind", err, "\"%s\" is no kind of object: expected the like of Deployment, StatefulSet, DaemonSet, ReplicaSet", o->kind);
    if (o->name && !*o->name)
        return schema_bad(at, "name", err, "an empty name: leave it out for any %s", o->kind);
    return 0;
}

static const struct field owner_fields[] = {
    {.name = "kind", .type = F_STRING, .offset = offsetof(struct owner_selector, kind), .required = true,
     .doc = "Its kind, as in Deployment, StatefulSet, DaemonSet, ReplicaSet, Job; upper and lower case are one."},
    {.name = "name", .type = F_STRING, .offset = offsetof(struct owner_selector, name), .doc = "Its name; any when not given."},
    {0},
};
static const struct shape owner_shape = {
    .name = "owner", .size = sizeof(struct owner_selector), .fields = owner_fields, .check = owner_check,
    .doc = "Something that made the pod, directly or through another: a ReplicaSet, and the Deployment that made it.",
};

static int check_fields(const struct selector *s, const struct schema_at *at, struct error *err) {
    const char *names[ARRAY_SIZE(pod_fields) + 1] = {NULL};
    for (size_t k = 0; k < ARRAY_SIZE(pod_fields); k++)
        names[k] = pod_fields[k].name;
    for (size_t i = 0; i < s->field_selectors.count; i++) {
        const char *key = s->field_selectors.items[i].key, *meant;
        bool known = false;
        for (size_t k = 0; k < ARRAY_SIZE(pod_fields); k++)
            known |= !strcmp(key, pod_fields[k].name);
        if (known)
            continue;
        char path[512];
        snprintf(path, sizeof path, "%s/fieldSelectors/%s", at->path, key);
        meant = did_you_mean(key, names);
        return doc_error(at->doc, path, 1, err, -EINVAL, "pods cannot be selected by field \"%s\"%s%s%s; there are metadata.name, "
                         "metadata.namespace, spec.nodeName and status.phase",
                         key, meant ? ", did you mean \"" : "", meant ? meant : "", meant ? "\"" : "");
    }
    return 0;
}

static int selector_check(void *value, const struct schema_at *at, struct error *err) {
    const struct selector *s = value;
    for (size_t i = 0; i < s->pods.count; i++) {
        const char *pod = s->pods.items[i], *slash = strchr(pod, '/');
        const char *name = slash ? slash + 1 : pod;
        if (*name && slash != pod && !strchr(name, '/'))
            continue;
        char path[512];
        snprintf(path, sizeof path, "%s/pods/%zu", at->path, i);
        return doc_error(at->doc, path, 0, err, -EINVAL, "\"%s\" names no pod: expected \"name\" or \"namespace/name\"", pod);
    }
    return check_fields(s, at, err);
}

/* A selector, and what is excluded from one, which has no role and excludes nothing itself. */
#define SELECTOR_FIELDS                                                                                                                    \
    {.name = "namespaces", .type = F_STRINGS, .offset = offsetof(struct selector, namespaces), .doc = "Only in these; none given: in all."}, \
        {.name = "labelSelectors", .type = F_STRING_MAP, .offset = offsetof(struct selector, label_selectors),                             \
         .doc = "Labels the pod must carry, all of them."},                                                                                \
        {.name = "expressionSelectors", .type = F_LIST, .offset = offsetof(struct selector, expression_selectors),                         \
         .shape = &expression_shape, .doc = "Label expressions that must all hold."},                                                      \
        {.name = "fieldSelectors", .type = F_STRING_MAP, .offset = offsetof(struct selector, field_selectors),                             \
         .doc = "Fields the pod must show: metadata.name, metadata.namespace, spec.nodeName, status.phase."},                              \
        {.name = "annotationSelectors", .type = F_STRING_MAP, .offset = offsetof(struct selector, annotation_selectors),                   \
         .doc = "Annotations the pod must carry, all of them."},                                                                           \
        {.name = "nodes", .type = F_STRINGS, .offset = offsetof(struct selector, nodes), .doc = "Only pods on these nodes."},              \
        {.name = "pods", .type = F_STRINGS, .offset = offsetof(struct selector, pods), .doc = "Only these, as name or namespace/name."},   \
        {.name = "owners", .type = F_LIST, .offset = offsetof(struct selector, owners), .shape = &owner_shape,                             \
         .doc = "Only pods that one of these made. A pod without an owner is none of theirs."},                                            \
        {.name = "phases", .type = F_ENUMS, .offset = offsetof(struct selector, phases), .values = select_phase_names,                     \
         .doc = "Only pods in one of these phases."},                                                                                      \
        {.name = "minAge", .type = F_DURATION, .offset = offsetof(struct selector, min_age_ns),                                            \
         .doc = "Only pods that were made this long ago; whose age is not known is out."}

static bool asks_nothing(const struct selector *s) {
    return !s->namespaces.count && !s->label_selectors.count && !s->expression_selectors.count && !s->field_selectors.count &&
           !s->annotation_selectors.count && !s->nodes.count && !s->pods.count && !s->owners.count && !s->phases.count && !s->min_age_ns;
}

static int exclude_check(void *value, const struct schema_at *at, struct error *err) {
    if (asks_nothing(value))
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "exclude says nothing, so it would mean every pod: name who is left out, or remove it");
    return selector_check(value, at, err);
}

static const struct field exclude_fields[] = {SELECTOR_FIELDS, {0}};
static const struct shape exclude_shape = {
    .name = "exclude", .size = sizeof(struct selector), .fields = exclude_fields, .check = exclude_check,
    .doc = "Whom a selector leaves out: a pod is out when every criterion given here holds.",
};

static const struct field selector_fields[] = {
    SELECTOR_FIELDS,
    {.name = "exclude", .type = F_OBJECT, .offset = offsetof(struct selector, exclude), .shape = &exclude_shape, .doc = "But not these pods."},
    {.name = "role", .type = F_STRING, .offset = offsetof(struct selector, role),
     .doc = "Only the pods that hold this role (see roles) at the moment of the act; \"!leader\": "
            "only those that do not while another does."},
    {0},
};
const struct shape selector_shape = {
    .name = "selector", .size = sizeof(struct selector), .fields = selector_fields, .check = selector_check,
    .doc = "Which pods; every criterion given must hold, and none given means every pod.",
};

int pod_target_check(struct pod_target *t, const struct schema_at *at, struct error *err) {
    const char *mode = select_mode_names[t->mode];
    char path[512];
    snprintf(path, sizeof path, "%s/value", at->path);
    if (t->mode == MODE_ONE || t->mode == MODE_ALL)
        return t->value ? doc_error(at->doc, path, 1, err, -EINVAL, "mode %s takes no value", mode) : 0;
    bool number = t->mode == MODE_FIXED;
    if (!t->value)
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "mode %s needs a value, as in value: %s", mode, number ? "2" : "\"50%\"");
    if (number) {
        if (parse_int(t->value, &t->fixed, NULL) < 0 || t->fixed < 1)
            return doc_error(at->doc, path, 0, err, -EINVAL, "mode fixed needs a whole number from 1 on, not \"%s\"", t->value);
    } else if (parse_percent(t->value, &t->ppm, NULL) < 0 || t->ppm < 1 || t->ppm > PPM_WHOLE) {
        return doc_error(at->doc, path, 0, err, -EINVAL, "mode %s needs a percentage above 0%% and up to 100%%, as in \"50%%\", not \"%s\"",
                         mode, t->value);
    }
    return 0;
}

static bool listed(const struct strings *list, const char *word) {
    for (size_t i = 0; word && i < list->count; i++)
        if (!strcmp(list->items[i], word))
            return true;
    return false;
}

static bool carries_all(const struct pairs *wanted, const json_t *have) {
    for (size_t i = 0; i < wanted->count; i++) {
        const char *value = json_string_value(json_object_get(have, wanted->items[i].key));
        if (!value || strcmp(value, wanted->items[i].value))
            return false;
    }
    return true;
}

static bool expressions_hold(const struct selector *s, const json_t *labels) {
    const struct expression *e = s->expression_selectors.items;
    for (size_t i = 0; i < s->expression_selectors.count; i++) {
        const char *value = json_string_value(json_object_get(labels, e[i].key));
        const bool holds[] = {
            [OP_IN] = value && listed(&e[i].values, value),
            [OP_NOT_IN] = !value || !listed(&e[i].values, value),
            [OP_EXISTS] = value,
            [OP_DOES_NOT_EXIST] = !value,
        };
        if (!holds[e[i].op])
            return false;
    }
    return true;
}

/* ever: what the pod's life may still bring passes. */
static bool fields_match(const struct selector *s, const struct candidate *c, bool ever) {
    for (size_t i = 0; i < s->field_selectors.count; i++) {
        const struct pair *wanted = &s->field_selectors.items[i];
        const char *(*get)(const struct candidate *c) = NULL, *value;
        for (size_t k = 0; k < ARRAY_SIZE(pod_fields); k++)
            if (!strcmp(pod_fields[k].name, wanted->key))
                get = pod_fields[k].get;
        value = get ? get(c) : NULL;
        if (ever && (get == phase_of || (get == node_of && !value)))
            continue;
        if (!value || strcmp(value, wanted->value))
            return false;
    }
    return true;
}

static bool owned(const struct selector *s, const struct candidate *c) {
    const struct owner_selector *wanted = s->owners.items;
    for (size_t i = 0; i < s->owners.count; i++)
        for (size_t k = 0; c->owners && k < c->owners->count; k++)
            if (!strcasecmp(wanted[i].kind, c->owners->items[k].kind) && (!wanted[i].name || !strcmp(wanted[i].name, c->owners->items[k].name)))
                return true;
    return !s->owners.count;
}

static bool in_phase(const struct selector *s, const struct candidate *c) {
    for (size_t i = 0; i < s->phases.count; i++)
        if (c->phase && !strcmp(c->phase, select_phase_names[s->phases.items[i]]))
            return true;
    return !s->phases.count;
}

static bool old_enough(const struct selector *s, const struct candidate *c) {
    return !s->min_age_ns || (c->created_s && c->now_s - c->created_s >= (s->min_age_ns + NS_PER_S - 1) / NS_PER_S);
}

static bool pod_listed(const struct selector *s, const struct candidate *c) {
    if (!c->name)
        return false;
    for (size_t i = 0; i < s->pods.count; i++) {
        const char *pod = s->pods.items[i], *slash = strchr(pod, '/');
        if (strcmp(slash ? slash + 1 : pod, c->name))
            continue;
        size_t len = slash ? (size_t)(slash - pod) : 0;
        if (!slash || (c->namespace && strlen(c->namespace) == len && !memcmp(pod, c->namespace, len)))
            return true;
    }
    return false;
}

static bool node_matches(const struct selector *s, const struct candidate *c, bool ever) {
    return !s->nodes.count || (ever && !c->node) || listed(&s->nodes, c->node);
}

/* All that is no matter of time. */
static bool lasting(const struct selector *s, const struct candidate *c, bool ever) {
    return (!s->namespaces.count || listed(&s->namespaces, c->namespace)) && node_matches(s, c, ever) &&
           (!s->pods.count || pod_listed(s, c)) && carries_all(&s->label_selectors, c->labels) &&
           carries_all(&s->annotation_selectors, c->annotations) && fields_match(s, c, ever) && expressions_hold(s, c->labels) && owned(s, c);
}

bool selector_matches(const struct selector *s, const struct candidate *c) {
    if (!s)
        return true;
    if (!lasting(s, c, false) || !in_phase(s, c) || (c->now_s && !old_enough(s, c)))
        return false;
    const struct selector *out = s->exclude; /* without a clock nobody is known to be of an age */
    return !out || !lasting(out, c, false) || !in_phase(out, c) || !old_enough(out, c);
}

static bool matter_of_time(const struct selector *s) {
    bool phase = s->phases.count || s->min_age_ns;
    for (size_t i = 0; i < s->field_selectors.count; i++)
        phase |= !strcmp(s->field_selectors.items[i].key, "status.phase");
    return phase;
}

bool selector_may_match(const struct selector *s, const struct candidate *c) {
    if (!s)
        return true;
    const struct selector *out = s->exclude;
    return lasting(s, c, true) && !(out && !matter_of_time(out) && lasting(out, c, false));
}

/* --- for people --- */

struct saying { struct buf *out; bool begun; };

static void part(struct saying *w, const char *what) {
    buf_printf(w->out, "%s%s", w->begun ? ", " : "", what);
    w->begun = true;
}

static void say_list(struct saying *w, const char *what, const struct strings *list) {
    for (size_t i = 0; i < list->count; i++) {
        if (i == 0)
            part(w, what);
        buf_printf(w->out, "%s %s", i ? "," : list->count > 1 ? "s" : "", list->items[i]);
    }
}

static void say_pairs(struct saying *w, const char *what, const struct pairs *list) {
    for (size_t i = 0; i < list->count; i++) {
        if (i == 0)
            part(w, what);
        buf_printf(w->out, "%s %s=%s", i ? "," : list->count > 1 ? "s" : "", list->items[i].key, list->items[i].value);
    }
}

static void say_expressions(struct saying *w, const struct selector *s) {
    const struct expression *e = s->expression_selectors.items;
    for (size_t i = 0; i < s->expression_selectors.count; i++) {
        part(w, "label ");
        buf_printf(w->out, "%s %s", e[i].key, operator_names[e[i].op]);
        for (size_t k = 0; k < e[i].values.count; k++)
            buf_printf(w->out, "%s%s%s", k ? ", " : " (", e[i].values.items[k], k + 1 < e[i].values.count ? "" : ")");
    }
}

static void say_life(struct saying *w, const struct selector *s) {
    const struct owner_selector *o = s->owners.items;
    char age[32];
    for (size_t i = 0; i < s->owners.count; i++) {
        if (i == 0)
            part(w, "owner");
        buf_printf(w->out, "%s %s%s%s", i ? " or" : "", o[i].kind, o[i].name ? "/" : "", o[i].name ? o[i].name : "");
    }
    for (size_t i = 0; i < s->phases.count; i++) {
        if (i == 0)
            part(w, "phase");
        buf_printf(w->out, "%s %s", i ? " or" : "", select_phase_names[s->phases.items[i]]);
    }
    format_duration(s->min_age_ns, age, sizeof age);
    if (s->min_age_ns)
        part(w, "at least ");
    if (s->min_age_ns)
        buf_printf(w->out, "%s old", age);
}

void selector_say(const struct selector *s, struct buf *out) {
    struct saying w = {.out = out};
    say_pairs(&w, "label", &s->label_selectors);
    say_expressions(&w, s);
    say_pairs(&w, "field", &s->field_selectors);
    say_pairs(&w, "annotation", &s->annotation_selectors);
    say_life(&w, s);
    say_list(&w, "pod", &s->pods);
    say_list(&w, "on node", &s->nodes);
    if (s->role) {
        part(&w, "role ");
        buf_str(out, s->role);
    }
    if (!w.begun)
        part(&w, "any pod");
    say_list(&w, "in namespace", &s->namespaces);
    if (s->exclude) {
        buf_str(out, "; but not ");
        selector_say(s->exclude, out);
    }
}

static int compare_text(const char *a, const char *b) { return strcmp(a ? a : "", b ? b : ""); }

static int compare_candidates(const void *pa, const void *pb) {
    const struct candidate *a = pa, *b = pb;
    int r = compare_text(a->namespace, b->namespace);
    if (!r)
        r = compare_text(a->name, b->name);
    return r ? r : compare_text(a->uid, b->uid);
}

size_t selector_filter(const struct selector *s, struct candidate *list, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (selector_matches(s, &list[i]))
            list[kept++] = list[i];
    if (kept > 1)
        qsort(list, kept, sizeof *list, compare_candidates);
    return kept;
}

static size_t victims_wanted(const struct pod_target *t, struct rng *rng, size_t count) {
    size_t share = (size_t)((unsigned __int128)count * (uint64_t)t->ppm / PPM_WHOLE);
    switch ((enum select_mode)t->mode) {
    case MODE_ONE:
        return 1;
    case MODE_ALL:
        return count;
    case MODE_FIXED:
        return (uint64_t)t->fixed < count ? (size_t)t->fixed : count;
    case MODE_FIXED_PERCENT:
        return share ? share : 1;
    case MODE_RANDOM_MAX_PERCENT:
        return (size_t)rng_below(rng, (uint64_t)share + 1);
    }
    return 0;
}

size_t selector_draw(const struct pod_target *t, uint64_t draw, struct candidate *list, size_t count) {
    if (!count)
        return 0;
    struct rng rng;
    rng_seed(&rng, draw);
    size_t n = victims_wanted(t, &rng, count);
    if (n >= count)
        return count; /* everyone: nothing to draw, and the order stays readable */
    for (size_t i = 0; i < n; i++) {
        size_t k = i + (size_t)rng_below(&rng, count - i);
        struct candidate chosen = list[k];
        list[k] = list[i];
        list[i] = chosen;
    }
    return n;
}
