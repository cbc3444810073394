/* SPDX-License-Identifier: Apache-2.0 */
#include "drill.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/redact.h"
#include "base/units.h"
#include "check/expect.h"
#include "cluster/cluster.h"
#include "fault/fault.h"
#include "load/load.h"
#include "preflight.h"
#include "probe/probe.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

/* Every kind's first member is its row, so a table of kinds is a table of rows. */
static const struct kind_set all_kinds = {.groups = {
    [KIND_FAULT] = (const struct kind_row *const *)fault_kinds,
    [KIND_LOAD] = (const struct kind_row *const *)load_kinds,
    [KIND_PROBE] = (const struct kind_row *const *)probe_kinds,
    [KIND_CLUSTER] = (const struct kind_row *const *)cluster_kinds,
}};

static int split(struct arena *a, const char *option, const char *text, struct setting *ret, struct error *err) {
    const char *eq = strchr(text, '=');
    if (!eq || eq == text)
        return error_set(err, -EINVAL, "--%s %.*s: expected NAME=VALUE", option, eq ? 0 : 64, text);
    ret->name = arena_strndup(a, text, (size_t)(eq - text));
    ret->value = arena_strdup(a, eq + 1);
    return ret->name && ret->value ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static int parse_seed(const char *text, uint64_t *ret, struct error *err) {
    if (!text) { /* 31 bits: easy to say and to type */
        uint32_t r = 1;
        if (getrandom(&r, sizeof r, 0) != sizeof r)
            return error_errno(err, "getrandom");
        *ret = r >> 1;
        return 0;
    }
    int64_t v;
    int rc = parse_int(text, &v, err);
    if (rc < 0)
        return error_wrap(err, rc, "--seed");
    if (v < 0)
        return error_set(err, -EINVAL, "--seed %s: expected 0 or more", text);
    *ret = (uint64_t)v;
    return 0;
}

/* Secrets: what is declared gets a value from --set-secret or the environment, and from nowhere else. */

static bool declared_secret(const struct scenario *s, const char *name) {
    for (size_t i = 0; i < s->secrets.count; i++)
        if (strcmp(s->secrets.items[i], name) == 0)
            return true;
    return false;
}

static int secret_from_file(struct drill *d, struct setting *s, struct error *err) {
    cleanup_buf struct buf text = {0};
    int rc = fs_read(s->value + 1, 65536, &text, err);
    if (rc < 0)
        return error_wrap(err, rc, "--set-secret %s", s->name);
    while (text.len && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
        text.data[--text.len] = 0;
    s->value = arena_strdup(d->arena, text.data);
    return s->value ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static int given_secrets(struct drill *d, const struct drill_options *o, struct error *err) {
    for (size_t i = 0; i < o->set_secret.count; i++) {
        struct setting *s = &d->secrets[d->secret_count];
        int rc = split(d->arena, "set-secret", o->set_secret.items[i], s, err);
        if (rc < 0)
            return rc;
        if (!declared_secret(d->scenario, s->name))
            return error_set(err, -EINVAL, "--set-secret %s: the scenario declares no such secret (its `secrets:` list)", s->name);
        if (s->value[0] == '@' && (rc = secret_from_file(d, s, err)) < 0)
            return rc;
        d->secret_count++;
    }
    return 0;
}

static int secrets_from_environment(struct drill *d, struct error *err) {
    const struct strings *list = &d->scenario->secrets;
    for (size_t i = 0; i < list->count && d->secret_count < DRILL_MAX_SETTINGS; i++) {
        const char *name = list->items[i];
        bool given = false;
        for (size_t k = 0; k < d->secret_count; k++)
            given |= strcmp(d->secrets[k].name, name) == 0;
        if (given)
            continue;
        char variable[128];
        snprintf(variable, sizeof variable, "CHAOSD_SECRET_%s", name);
        for (char *p = variable; *p; p++)
            *p = *p == '-' || *p == '.' ? '_' : (char)toupper((unsigned char)*p);
        const char *value = getenv(variable);
        if (!value)
            return error_set(err, -EINVAL, "secret \"%s\" has no value: give --set-secret %s=... or set %s", name, name, variable);
        d->secrets[d->secret_count++] = (struct setting){name, value};
    }
    return 0;
}

static int open_parts(const char *path, const struct drill_options *o, struct drill *d, struct error *err) {
    struct setting set[ARRAY_SIZE(o->set.items)];
    for (size_t i = 0; i < o->set.count; i++) {
        int rc = split(d->arena, "set", o->set.items[i], &set[i], err);
        if (rc < 0)
            return rc;
    }
    uint64_t seed = 0;
    int rc = parse_seed(o->seed, &seed, err);
    if (rc < 0)
        return rc;
    struct scenario_options so = {.kinds = &all_kinds, .set = set, .set_count = o->set.count};
    if ((rc = scenario_load(path, &so, &d->scenario, err)) < 0 || (rc = drill_check(d->scenario, err)) < 0 ||
        (rc = given_secrets(d, o, err)) < 0 || (rc = secrets_from_environment(d, err)) < 0)
        return rc;
    for (size_t i = 0; i < d->secret_count; i++)
        redact_learn(d->secrets[i].value);
    return plan_make(d->scenario, seed, &d->plan, err);
}

int drill_open(const char *path, const struct drill_options *o, struct drill *ret, struct error *err) {
    struct drill d = {.arena = arena_new()};
    int rc = d.arena ? open_parts(path, o, &d, err) : error_set(err, -ENOMEM, "out of memory");
    if (rc < 0)
        drill_close(&d);
    else
        *ret = d;
    return rc;
}

void drill_close(struct drill *d) {
    plan_free(&d->plan);
    scenario_free(d->scenario);
    arena_free(d->arena);
    *d = (struct drill){0};
}

static int preflight_probes(const struct scenario *s, bool print, struct error *err) {
    int rc = 0;
    for (size_t i = 0; i < s->probes.count; i++) {
        const struct probe_spec *p = &SCENARIO_PROBES(s)[i];
        const struct probe_kind *k = (const struct probe_kind *)p->kind.kind;
        struct error why = {""};
        int one = k->preflight ? k->preflight(p->kind.params, &why) : 0;
        if (one < 0 && rc == 0)
            rc = error_set(err, one, "probe %s: %s", p->name, why.text);
        if (print && one < 0)
            printf("no  probe %s: %s\n", p->name, why.text);
        else if (print)
            printf("ok  probe %s: %s\n", p->name, k->row.name);
    }
    return rc;
}

static int preflight_faults(struct drill *d, bool strict, bool usable, bool print, struct error *err) {
    const struct scenario *s = d->scenario;
    int rc = 0;
    d->unable = arena_alloc(d->arena, (s->faults.count + 1) * sizeof *d->unable);
    if (!d->unable)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < s->faults.count; i++) {
        const struct fault_spec *f = &SCENARIO_FAULTS(s)[i];
        const struct fault_kind *k = (const struct fault_kind *)f->kind.kind;
        struct error why = {""};
        if (usable && k->preflight && k->preflight(f, &why) < 0 && !(d->unable[i] = arena_strdup(d->arena, why.text)))
            return error_set(err, -ENOMEM, "out of memory");
        if (strict && d->unable[i] && rc == 0)
            rc = error_set(err, -EOPNOTSUPP, "fault %s: %s cannot be done here: %s", f->name, k->row.name, why.text);
        if (print && d->unable[i])
            printf("%s  fault %s: %s would be skipped: %s\n", strict ? "no" : "!!", f->name, k->row.name, why.text);
        else if (print)
            printf("%s  fault %s: %s\n", usable ? "ok" : "no", f->name, k->row.name);
        else if (d->unable[i] && !strict)
            fprintf(stderr, "chaosd: warning: fault %s is skipped: %s cannot be done here: %s\n", f->name, k->row.name, why.text);
    }
    return rc;
}

int drill_preflight(struct drill *d, bool strict, bool print, struct error *err) {
    const struct scenario *s = d->scenario;
    const struct cluster_kind *k = (const struct cluster_kind *)s->cluster.kind;
    int rc = k && k->preflight ? k->preflight(s, err) : 0;
    if (print)
        printf("ok  scenario %s: %zu load%s, %zu fault%s, %zu planned act%s\n", s->name, s->loads.count, s->loads.count == 1 ? "" : "s",
               s->faults.count, s->faults.count == 1 ? "" : "s", d->plan.count, d->plan.count == 1 ? "" : "s");
    if (print && k && rc < 0)
        printf("no  cluster %s: %s\n", k->row.name, err->text);
    else if (print && k)
        printf("ok  cluster %s%s%s\n", k->row.name, k->at_hand ? ": " : "", k->at_hand ? k->at_hand : "");
    struct error also;
    int able = rc == 0 || print ? preflight_faults(d, strict, rc == 0, print, rc < 0 ? &also : err) : 0;
    rc = rc < 0 ? rc : able;
    int (*const rest[])(const struct scenario *s, bool print, struct error *err) = {preflight_loads, preflight_probes};
    for (size_t i = 0; i < ARRAY_SIZE(rest); i++) {
        int one = rc == 0 || print ? rest[i](s, print, rc < 0 ? &also : err) : 0;
        rc = rc < 0 ? rc : one;
    }
    return rc;
}

int drill_access(struct drill *d, struct error *err) {
    const struct scenario *s = d->scenario;
    const struct cluster_kind *k = (const struct cluster_kind *)s->cluster.kind;
    cleanup_buf struct buf said = {0};
    if (!k || !k->access || (k->preflight && k->preflight(s, err) < 0)) /* that is told already */
        return 0;
    struct cluster_need *needs = arena_alloc(d->arena, (s->faults.count + 1) * sizeof *needs);
    for (size_t i = 0; needs && i < s->faults.count; i++) {
        const struct fault_spec *f = &SCENARIO_FAULTS(s)[i];
        const struct fault_kind *kind = (const struct fault_kind *)f->kind.kind;
        const struct pod_target *t = kind->target ? kind->target(f->kind.params) : NULL;
        needs[i] = (struct cluster_need){arena_printf(d->arena, "fault %s", f->name), kind->rules, t ? &t->selector->namespaces : NULL, t ? t->selector : NULL};
        if (!needs[i].who)
            return error_set(err, -ENOMEM, "out of memory");
    }
    int rc = needs ? k->access(s, needs, s->faults.count, &said, err) : error_set(err, -ENOMEM, "out of memory");
    if (buf_ok(&said) && said.len)
        fputs(said.data, stdout);
    if (rc < 0 && rc != -EACCES)
        printf("no  cluster %s: %s\n", k->row.name, err->text);
    return rc;
}
