/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario/scenario.h"

#include "base/cleanup.h"
#include "scenario/refs.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

struct cluster_spec { struct kind_value kind; };

/* The document as its rows see it; the public struct comes first, so that it is what callers get. */
struct raw {
    struct scenario s;
    struct cluster_spec *cluster;
    json_t *parameters;
};

static const struct field cluster_fields[] = {
    {.name = "kind", .type = F_KIND, .offset = offsetof(struct cluster_spec, kind), .kinds = KIND_CLUSTER, .required = true,
     .doc = "Which cluster."},
    {0},
};
static const struct shape cluster_shape = {
    .name = "cluster", .size = sizeof(struct cluster_spec), .fields = cluster_fields, .doc = "Where the pods are.",
};

static const struct field role_fields[] = {
    {.name = "of", .type = F_OBJECT, .offset = offsetof(struct role, of), .required = true, .shape = &selector_shape,
     .doc = "The pods that may hold the role."},
    {.name = "http", .type = F_OBJECT, .offset = offsetof(struct role, http), .required = true, .shape = &step_shape,
     .doc = "Asked of each of them; the role is held where the answer is right."},
    {.name = "interval", .type = F_DURATION, .offset = offsetof(struct role, interval_ns), .def = "100ms", .min = 10000000,
     .max = 3600000000000, .doc = "How often they are asked during the run."},
    {.name = "timeout", .type = F_DURATION, .offset = offsetof(struct role, timeout_ns), .def = "1s", .min = 1000000, .max = 3600000000000,
     .doc = "How long an answer may take."},
    {0},
};
static const struct shape role_shape = {
    .name = "role", .size = sizeof(struct role), .fields = role_fields, .doc = "Something that one pod of many is, told by its own status.",
};

static const struct field window_fields[] = {
    {.name = "goods", .type = F_INT, .offset = offsetof(struct window_spec, goods), .def = "5", .min = 1, .max = 1000000,
     .doc = "Good requests in a row that end a downtime."},
    {.name = "over", .type = F_DURATION, .offset = offsetof(struct window_spec, over_ns), .def = "1s",
     .doc = "How long they must go on before the downtime counts as over."},
    {0},
};
static const struct shape window_shape = {
    .name = "window", .size = sizeof(struct window_spec), .fields = window_fields, .doc = "When a downtime is over; shorter gaps merge.",
};

static const struct field load_fields[] = {
    {.name = "name", .type = F_NAME, .offset = offsetof(struct load_spec, name), .required = true,
     .doc = "Its name in thresholds and reports."},
    {.name = "kind", .type = F_KIND, .offset = offsetof(struct load_spec, kind), .kinds = KIND_LOAD, .required = true,
     .doc = "What is sent."},
    {.name = "start", .type = F_DURATION, .offset = offsetof(struct load_spec, start_ns), .def = "0", .doc = "When it starts."},
    {.name = "for", .type = F_DURATION, .offset = offsetof(struct load_spec, for_ns),
     .doc = "How long it goes on; until the end when not given."},
    {.name = "window", .type = F_OBJECT, .offset = offsetof(struct load_spec, window), .shape = &window_shape,
     .doc = "When a downtime of this load is over."},
    {.name = "slow", .type = F_DURATION, .offset = offsetof(struct load_spec, slow_ns), .min = 1000,
     .max = 3600000000000,
     .doc = "A good answer that takes longer is slow, and makes a window of degradation; told by the time before the first fault when not given."},
    {.name = "control", .type = F_BOOL, .offset = offsetof(struct load_spec, control), .def = "false",
     .doc = "It goes to something that no fault touches. Where it fails as well, chaosd or its machine is suspect, and the other loads' windows are not judged."},
    {0},
};
static const struct shape load_shape = {
    .name = "load", .size = sizeof(struct load_spec), .fields = load_fields,
    .doc = "Requests that are sent as planned, whatever the answers.",
};

static const struct field fault_fields[] = {
    {.name = "name", .type = F_NAME, .offset = offsetof(struct fault_spec, name), .required = true,
     .doc = "Its name in thresholds and reports; its random numbers hang on it."},
    {.name = "kind", .type = F_KIND, .offset = offsetof(struct fault_spec, kind), .kinds = KIND_FAULT, .required = true,
     .doc = "What is done."},
    {.name = "at", .type = F_DURATIONS, .offset = offsetof(struct fault_spec, at), .doc = "At these times."},
    {.name = "every", .type = F_DURATION_RANGE, .offset = offsetof(struct fault_spec, every), .min = 1000000,
     .doc = "After random gaps within the range, drawn from the seed; instead of at."},
    {.name = "count", .type = F_INT, .offset = offsetof(struct fault_spec, count), .min = 1, .max = 1000000,
     .doc = "How many acts, with every; as many as fit the duration when not given."},
    {.name = "for", .type = F_DURATION, .offset = offsetof(struct fault_spec, for_ns), .doc = "How long it is held."},
    {0},
};
static const struct shape fault_shape = {
    .name = "fault", .size = sizeof(struct fault_spec), .fields = fault_fields, .doc = "What goes wrong, to whom, and when.",
};

#define AT(member) offsetof(struct raw, member)
static const struct field scenario_fields[] = {
    {.name = "name", .type = F_NAME, .offset = AT(s.name), .required = true, .doc = "The scenario's name; run folders are named by it."},
    {.name = "description", .type = F_STRING, .offset = AT(s.description), .doc = "One sentence for people."},
    {.name = "parameters", .type = F_JSON, .offset = AT(parameters),
     .doc = "Name to default of what ${name} stands for; --set name=value overrides."},
    {.name = "secrets", .type = F_STRINGS, .offset = AT(s.secrets),
     .doc = "Names that ${secret.NAME} may use; values come from the command line or the environment and are never stored."},
    {.name = "cluster", .type = F_OBJECT, .offset = AT(cluster), .shape = &cluster_shape, .doc = "Where the pods are."},
    {.name = "roles", .type = F_MAP, .offset = AT(s.roles), .shape = &role_shape, .doc = "Roles by name, for selector.role."},
    {.name = "load", .type = F_LIST, .offset = AT(s.loads), .max = 1000, .shape = &load_shape,
     .doc = "What is asked of the system meanwhile."},
    {.name = "faults", .type = F_LIST, .offset = AT(s.faults), .max = 1000, .shape = &fault_shape, .doc = "What goes wrong."},
    {.name = "probes", .type = F_LIST, .offset = AT(s.probes), .max = 100, .shape = &probe_spec_shape,
     .doc = "Questions whose right answers are the steady state: before, during and after."},
    {.name = "guards", .type = F_OBJECT, .offset = AT(s.guards), .shape = &guards_shape, .doc = "What chaosd refuses to do."},
    {.name = "duration", .type = F_DURATION, .offset = AT(s.duration_ns), .required = true, .min = 1000000, .max = 315360000000000000,
     .doc = "How long the schedule lasts, once every pod is ready."},
    {.name = "readyTimeout", .type = F_DURATION, .offset = AT(s.ready_timeout_ns), .def = "60s", .min = 1000000, .max = 86400000000000,
     .doc = "How long to wait for every pod to be ready."},
    {.name = "settle", .type = F_DURATION, .offset = AT(s.settle_ns), .def = "5s",
     .doc = "Time kept free after the end of an act, within the duration, so that its recovery is seen."},
    {.name = "expect", .type = F_STRINGS, .offset = AT(s.expect), .max = 1000,
     .doc = "Thresholds that decide the verdict, as in availability(writes) >= 95%."},
    {0},
};
const struct shape scenario_shape = {
    .name = "scenario", .size = sizeof(struct raw), .fields = scenario_fields,
    .doc = "What is drilled, under which load, and what its users may notice.",
};

/* Decoded from an empty object: the defaults are those of the rows. */
static int decode_defaults(const struct shape *shape, struct arena *a, void **ret, struct error *err) {
    struct doc *empty = NULL;
    void *value = arena_alloc(a, shape->size);
    int r = value ? doc_parse("defaults", "{}", 2, &empty, err) : error_set(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = schema_decode(empty, "", shape, NULL, a, value, err);
    doc_free(empty);
    if (r == 0)
        *ret = value;
    return r;
}

static int fill_defaults(struct scenario *s, struct error *err) {
    void *guards = s->guards, *window = NULL, *steady = NULL;
    int r = guards ? 0 : decode_defaults(&guards_shape, s->arena, &guards, err);
    s->guards = guards;
    if (r == 0)
        r = decode_defaults(&steady_shape, s->arena, &steady, err);
    if (r == 0) {
        s->guards->steady_given = s->guards->steady != NULL;
        s->guards->steady = s->guards->steady_given ? s->guards->steady : steady;
    }
    if (r == 0)
        r = decode_defaults(&window_shape, s->arena, &window, err);
    struct load_spec *loads = s->loads.items;
    for (size_t i = 0; r == 0 && i < s->loads.count; i++)
        if (!loads[i].window)
            loads[i].window = window;
    struct fault_spec *faults = s->faults.items;
    for (size_t i = 0; r == 0 && i < s->faults.count; i++)
        if (!(faults[i].path = arena_printf(s->arena, "/faults/%zu", i)))
            r = error_set(err, -ENOMEM, "out of memory");
    return r;
}

static int check_secret_names(const struct scenario *s, struct error *err) {
    char path[64];
    for (size_t i = 0; i < s->secrets.count; i++) {
        const char *p = s->secrets.items[i];
        snprintf(path, sizeof path, "/secrets/%zu", i);
        while (isalnum((unsigned char)*p) || *p == '_' || *p == '-')
            p++;
        if (*p || p == s->secrets.items[i])
            return doc_error(s->doc, path, 0, err, -EINVAL, "secret \"%s\": a name is of letters, digits, _ and -", s->secrets.items[i]);
        for (size_t k = 0; k < i; k++)
            if (!strcmp(s->secrets.items[k], s->secrets.items[i]))
                return doc_error(s->doc, path, 0, err, -EINVAL, "secret \"%s\" is listed twice", s->secrets.items[i]);
    }
    return 0;
}

static int resolve(struct raw *raw, const struct scenario_options *o, struct error *err) {
    struct scenario *s = &raw->s;
    struct arena *a = s->arena;
    struct doc *d = s->doc;
    if (!json_is_object(doc_root(d)))
        return doc_error(d, "", 0, err, -EINVAL, "expected a scenario: a map with name, duration and at least one load or fault");
    int r = parameters_apply(d, o, err);
    if (r == 0)
        r = schema_decode(d, "", &scenario_shape, o ? o->kinds : NULL, a, raw, err);
    s->arena = a; /* decoding zeroes everything */
    s->doc = d;
    if (r < 0)
        return r;
    if (raw->cluster)
        s->cluster = raw->cluster->kind;
    r = check_secret_names(s, err);
    if (r == 0)
        r = refs_check(d, &s->secrets, err);
    if (r == 0)
        r = fill_defaults(s, err);
    return r == 0 ? scenario_crosscheck(s, err) : r;
}

/* Takes the doc in any case. */
static int from_doc(struct doc *d, const struct scenario_options *o, struct scenario **ret, struct error *err) {
    struct arena *a = arena_new();
    struct raw *raw = a ? arena_alloc(a, sizeof *raw) : NULL;
    if (!raw) {
        arena_free(a);
        doc_free(d);
        return error_set(err, -ENOMEM, "out of memory");
    }
    raw->s.arena = a;
    raw->s.doc = d;
    int r = resolve(raw, o, err);
    if (r < 0)
        scenario_free(&raw->s);
    else
        *ret = &raw->s;
    return r;
}

int scenario_load(const char *path, const struct scenario_options *o, struct scenario **ret, struct error *err) {
    struct doc *d = NULL;
    int r = doc_load(path, &d, err);
    return r < 0 ? r : from_doc(d, o, ret, err);
}

int scenario_parse(const char *name, const char *text, size_t len, const struct scenario_options *o, struct scenario **ret,
                   struct error *err) {
    struct doc *d = NULL;
    int r = doc_parse(name, text, len, &d, err);
    return r < 0 ? r : from_doc(d, o, ret, err);
}

void scenario_free(struct scenario *s) {
    if (!s)
        return;
    struct arena *a = s->arena; /* holds s itself */
    doc_free(s->doc);
    arena_free(a);
}
