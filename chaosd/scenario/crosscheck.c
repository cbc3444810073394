/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/units.h"
#include "check/expect.h"
#include "scenario/refs.h"

#include <errno.h>
#include <string.h>

#define BAD(s, path, err, ...) doc_error((s)->doc, path, 0, err, -EINVAL, __VA_ARGS__)

static const char *name_at(const struct list *list, size_t stride, size_t i) {
    return *(const char *const *)((const char *)list->items + i * stride); /* loads, faults and roles begin with their name */
}

static bool has_name(const struct list *list, size_t stride, const char *name) {
    for (size_t i = 0; i < list->count; i++)
        if (!strcmp(name_at(list, stride, i), name))
            return true;
    return false;
}

/* "; did you mean ..." or the names there are: for a reference that leads nowhere. */
static void suggest(const struct list *list, size_t stride, const char *word, char *out, size_t size) {
    const char **names = calloc(list->count + 1, sizeof *names);
    cleanup_buf struct buf all = {0};
    for (size_t i = 0; i < list->count; i++) {
        buf_printf(&all, "%s%s", i ? ", " : "", name_at(list, stride, i));
        if (names)
            names[i] = name_at(list, stride, i);
    }
    const char *meant = names ? did_you_mean(word, names) : NULL;
    if (meant)
        snprintf(out, size, ", did you mean \"%s\"?", meant);
    else
        snprintf(out, size, "; declared: %.160s", buf_ok(&all) && list->count ? all.data : "none");
    free(names);
}

static int check_unique(const struct scenario *s, const struct list *list, size_t stride, const char *what, const char *key,
                        struct error *err) {
    char path[64];
    for (size_t i = 0; i < list->count; i++)
        for (size_t k = 0; k < i; k++)
            if (!strcmp(name_at(list, stride, i), name_at(list, stride, k))) {
                snprintf(path, sizeof path, "/%s/%zu/name", key, i);
                return BAD(s, path, err, "there is already a %s named \"%s\"", what, name_at(list, stride, i));
            }
    return 0;
}

/* --- selectors, wherever the shapes say there is one --- */

static int check_selector(const struct scenario *s, const struct selector *sel, const char *path, bool roles_allowed, struct error *err) {
    char at[600], hint[256];
    if (!s->cluster.kind)
        return BAD(s, path, err, "a selector needs a cluster: to select from");
    if (!sel->role)
        return 0;
    snprintf(at, sizeof at, "%s/role", path);
    if (!roles_allowed)
        return BAD(s, at, err, "a role cannot be selected by a role");
    if (has_name(&s->roles, sizeof(struct role), selector_role_name(sel)))
        return 0;
    suggest(&s->roles, sizeof(struct role), selector_role_name(sel), hint, sizeof hint);
    return BAD(s, at, err, "role \"%s\" is not declared%s", selector_role_name(sel), hint);
}

static int walk_shape(const struct scenario *s, const struct shape *shape, const void *value, struct buf *path, struct error *err);

static int walk_list(const struct scenario *s, const struct field *f, const struct list *list, struct buf *path, struct error *err) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < list->count; i++) {
        const char *item = (const char *)list->items + i * f->shape->size;
        size_t before = path->len;
        if (f->type == F_MAP)
            pointer_add(path, *(const char *const *)item);
        else
            buf_printf(path, "/%zu", i);
        r = walk_shape(s, f->shape, item, path, err);
        path->len = before;
    }
    return r;
}

static int walk_kind(const struct scenario *s, const struct kind_value *v, struct error *err) {
    if (!v->kind || !v->kind->shape || !v->params)
        return 0;
    cleanup_buf struct buf path = {0};
    buf_str(&path, v->path);
    return walk_shape(s, v->kind->shape, v->params, &path, err);
}

/* Decoded values beside their rows, so that data that merely looks like a selector is left alone. */
static int walk_shape(const struct scenario *s, const struct shape *shape, const void *value, struct buf *path, struct error *err) {
    int r = 0;
    for (const struct field *f = shape->fields; r == 0 && f->name; f++) {
        const char *member = (const char *)value + f->offset;
        size_t before = path->len;
        if (f->type != F_OBJECT && f->type != F_LIST && f->type != F_MAP && f->type != F_KIND)
            continue;
        pointer_add(path, f->name);
        if (!buf_ok(path))
            return error_set(err, -ENOMEM, "out of memory");
        if (f->type == F_KIND) {
            r = walk_kind(s, (const struct kind_value *)member, err);
        } else if (f->type != F_OBJECT) {
            r = walk_list(s, f, (const struct list *)member, path, err);
        } else if (*(const void *const *)member) {
            const void *object = *(const void *const *)member;
            path->data[path->len] = 0;
            r = f->shape == &selector_shape ? check_selector(s, object, path->data, true, err) : walk_shape(s, f->shape, object, path, err);
        }
        path->len = before;
    }
    return r;
}

static int check_selectors(const struct scenario *s, struct error *err) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < s->roles.count; i++) {
        cleanup_buf struct buf path = {0};
        buf_str(&path, "/roles");
        pointer_add(&path, SCENARIO_ROLES(s)[i].name);
        buf_str(&path, "/of");
        r = buf_ok(&path) ? check_selector(s, SCENARIO_ROLES(s)[i].of, path.data, false, err) : error_set(err, -ENOMEM, "out of memory");
    }
    for (size_t i = 0; r == 0 && i < s->loads.count; i++)
        r = walk_kind(s, &SCENARIO_LOADS(s)[i].kind, err);
    for (size_t i = 0; r == 0 && i < s->faults.count; i++)
        r = walk_kind(s, &SCENARIO_FAULTS(s)[i].kind, err);
    for (size_t i = 0; r == 0 && i < s->probes.count; i++) {
        const struct selector *sel = SCENARIO_PROBES(s)[i].selector;
        char path[64];
        snprintf(path, sizeof path, "/probes/%zu/selector", i);
        r = sel ? check_selector(s, sel, path, true, err) : 0;
    }
    return r;
}

/* --- times --- */

/* "X" for messages; the ring keeps a sentence's figures apart. */
static const char *show(int64_t ns) {
    static _Thread_local char ring[4][64];
    static _Thread_local unsigned turn;
    char *out = ring[turn++ % ARRAY_SIZE(ring)];
    format_duration(ns, out, sizeof ring[0]);
    return out;
}

static int check_at(const struct scenario *s, const struct fault_spec *f, const char *path, struct error *err) {
    char at[96];
    if (f->count) {
        snprintf(at, sizeof at, "%s/count", path);
        return doc_error(s->doc, at, 1, err, -EINVAL, "count goes with every; with at, each time is one act");
    }
    for (size_t i = 0; i < f->at.count; i++) {
        snprintf(at, sizeof at, "%s/at/%zu", path, i);
        if (f->at.ns[i] >= s->duration_ns)
            return BAD(s, at, err, "%s is not before the end: the duration is %s", show(f->at.ns[i]), show(s->duration_ns));
        if (f->for_ns > s->duration_ns - f->at.ns[i])
            return BAD(s, at, err, "at %s for %s ends after the duration of %s", show(f->at.ns[i]), show(f->for_ns), show(s->duration_ns));
        if (f->for_ns + s->settle_ns > s->duration_ns - f->at.ns[i])
            return BAD(s, at, err, "after %s%s%s less than settle (%s) is left of the duration of %s to see the recovery: raise duration, or lower settle",
                       show(f->at.ns[i]), f->for_ns ? " and " : "", f->for_ns ? show(f->for_ns) : "", show(s->settle_ns), show(s->duration_ns));
        for (size_t k = 0; k < i; k++)
            if (f->at.ns[k] == f->at.ns[i])
                return BAD(s, at, err, "%s stands there twice: use mode and value to take several pods at once", show(f->at.ns[i]));
    }
    return 0;
}

static int check_every(const struct scenario *s, const struct fault_spec *f, const char *path, struct error *err) {
    char at[96];
    /* What is counted is promised, so it must fit however the gaps are drawn. */
    int64_t room = s->duration_ns - f->for_ns - s->settle_ns, acts = f->count ? f->count : 1;
    int64_t from = f->count ? f->every.to_ns : f->every.from_ns, need;
    if (room >= 0 && from <= room / acts)
        return 0;
    snprintf(at, sizeof at, "%s/%s", path, f->count ? "count" : "every");
    if (__builtin_mul_overflow(acts, from, &need) || __builtin_add_overflow(need, f->for_ns, &need) ||
        __builtin_add_overflow(need, s->settle_ns, &need))
        return BAD(s, at, err, "the acts do not fit into the duration of %s", show(s->duration_ns));
    bool one = acts == 1;
    cleanup_buf struct buf why = {0};
    buf_printf(&why, "%lld act%s at the %s gap of %s", (long long)acts, one ? "" : "s", f->count ? "longest" : "shortest", show(from));
    buf_printf(&why, ", held %s, with %s to settle, take%s %s", f->for_ns ? show(f->for_ns) : "0s", show(s->settle_ns), one ? "s" : "",
               show(need));
    return BAD(s, at, err, "%s: longer than the duration of %s", buf_ok(&why) ? why.data : "the acts take too long", show(s->duration_ns));
}

/* As the rows see it: a key with nothing behind it is no key. */
static bool is_given(const json_t *object, const char *key) {
    const json_t *v = json_object_get(object, key);
    return v && !json_is_null(v);
}

static int check_fault(const struct scenario *s, size_t index, struct error *err) {
    const struct fault_spec *f = &SCENARIO_FAULTS(s)[index];
    const json_t *raw = json_array_get(json_object_get(doc_root(s->doc), "faults"), index);
    bool every = is_given(raw, "every"), at = is_given(raw, "at");
    char path[64], member[80];
    snprintf(path, sizeof path, "/faults/%zu", index);
    if (at && every)
        return BAD(s, path, err, "fault \"%s\" has both at and every: give one", f->name);
    if (!at && !every)
        return BAD(s, path, err, "fault \"%s\" needs a time: at: 10s, at: [10s, 30s] or every: 15s..25s", f->name);
    if (f->for_ns > s->duration_ns) {
        snprintf(member, sizeof member, "%s/for", path);
        return BAD(s, member, err, "for %s is longer than the duration of %s", show(f->for_ns), show(s->duration_ns));
    }
    if (every)
        return check_every(s, f, path, err);
    if (!f->at.count)
        return BAD(s, path, err, "fault \"%s\" has an empty list of times in at", f->name);
    return check_at(s, f, path, err);
}

static int check_load(const struct scenario *s, size_t index, struct error *err) {
    const struct load_spec *l = &SCENARIO_LOADS(s)[index];
    char path[64];
    if (l->start_ns >= s->duration_ns) {
        snprintf(path, sizeof path, "/load/%zu/start", index);
        return BAD(s, path, err, "start %s is not before the end: the duration is %s", show(l->start_ns), show(s->duration_ns));
    }
    if (l->for_ns > s->duration_ns - l->start_ns) {
        snprintf(path, sizeof path, "/load/%zu/for", index);
        return BAD(s, path, err, "from %s for %s ends after the duration of %s", show(l->start_ns), show(l->for_ns), show(s->duration_ns));
    }
    return 0;
}

/* A control backs the other loads' figures; alone it would leave nothing to judge. */
static int check_controls(const struct scenario *s, struct error *err) {
    for (size_t i = 0; i < s->loads.count; i++)
        if (!SCENARIO_LOADS(s)[i].control)
            return 0;
    return s->loads.count ? BAD(s, "/load/0/control", err, "every load is a control: there must be one that the faults may touch") : 0;
}

/* --- thresholds --- */

/* As the scenario says it, whatever the load's kind. */
static bool keeps_ledger(const struct scenario *s, const char *load) {
    const json_t *loads = json_object_get(doc_root(s->doc), "load");
    for (size_t i = 0; i < s->loads.count; i++) {
        const struct load_spec *l = &SCENARIO_LOADS(s)[i];
        const json_t *params = json_object_get(json_array_get(loads, i), l->kind.kind ? l->kind.kind->name : "");
        if ((!*load || !strcmp(load, l->name)) && is_given(params, "ledger"))
            return true;
    }
    return false;
}

static int check_expect(const struct scenario *s, size_t index, struct error *err) {
    struct expect e;
    struct error why = {""};
    char path[64], hint[256];
    snprintf(path, sizeof path, "/expect/%zu", index);
    if (expect_parse(s->expect.items[index], &e, &why) < 0)
        return BAD(s, path, err, "%s", why.text);
    bool fault = e.metric == METRIC_RECOVERY, probe = e.metric == METRIC_PROBE;
    const struct list *list = probe ? &s->probes : fault ? &s->faults : &s->loads;
    size_t stride = probe ? sizeof(struct probe_spec) : fault ? sizeof(struct fault_spec) : sizeof(struct load_spec);
    if (probe && !list->count)
        return BAD(s, path, err, "\"%s\" needs a probe, and there is none", s->expect.items[index]);
    if (probe && !*e.of)
        return BAD(s, path, err, "\"%s\": say which probe, as in probe(%s) >= 99%%", s->expect.items[index], name_at(list, stride, 0));
    if (!probe && !s->loads.count && !(fault && e.milestone == MILESTONE_REDUNDANCY))
        return BAD(s, path, err, "\"%s\" needs a load to measure it with, and there is none", s->expect.items[index]);
    bool known = !*e.of || has_name(list, stride, e.of);
    if (known && e.metric >= METRIC_LEDGER_LOST && !keeps_ledger(s, e.of))
        return BAD(s, path, err, "\"%s\" needs a load that keeps a ledger: ledger: {...} in %s", s->expect.items[index], *e.of ? e.of : "one");
    if (!list->count)
        return BAD(s, path, err, "\"%s\" needs a fault, and there is none", s->expect.items[index]);
    if (known)
        return 0;
    suggest(list, stride, e.of, hint, sizeof hint);
    return BAD(s, path, err, "\"%s\": there is no %s \"%s\"%s", s->expect.items[index], probe ? "probe" : fault ? "fault" : "load", e.of, hint);
}

int scenario_crosscheck(const struct scenario *s, struct error *err) {
    if (!s->loads.count && !s->faults.count)
        return BAD(s, "", err, "nothing to do: the scenario needs at least one load or fault");
    int r = check_unique(s, &s->loads, sizeof(struct load_spec), "load", "load", err);
    if (r == 0)
        r = check_unique(s, &s->faults, sizeof(struct fault_spec), "fault", "faults", err);
    if (r == 0)
        r = check_unique(s, &s->probes, sizeof(struct probe_spec), "probe", "probes", err);
    for (size_t i = 0; r == 0 && i < s->loads.count; i++)
        r = check_load(s, i, err);
    if (r == 0)
        r = check_controls(s, err);
    for (size_t i = 0; r == 0 && i < s->faults.count; i++)
        r = check_fault(s, i, err);
    if (r == 0)
        r = check_selectors(s, err);
    for (size_t i = 0; r == 0 && i < s->probes.count; i++)
        r = probe_crosscheck(s, i, err);
    for (size_t i = 0; r == 0 && i < s->expect.count; i++)
        r = check_expect(s, i, err);
    return r;
}
