/* SPDX-License-Identifier: Apache-2.0 */
/* What the interpreter knows of pods: readiness and roles by polling, targets for loads, candidates for faults. */
#include "base/cleanup.h"
#include "base/json.h"
#include "run_internal.h"

#include <errno.h>
#include <search.h>
#include <string.h>

/* A frozen or dead answerer must not hide the next one for long, so each pod is asked on its own. */
#define QUICK_NS (25 * NS_PER_MS)
#define QUICK_FOR_NS (15 * NS_PER_S)
#define BOOT_NS (50 * NS_PER_MS) /* between readiness questions to a pod that is not ready yet */

struct selection { /* a load's selector resolved, until the pod list changes */
    struct selection *next;
    const struct selector *selector;
    bool ready_only;
    unsigned generation;
    size_t count;
    struct follow *pods[MAX_PODS];
};

static const char *follow_var(void *arg, const char *name) {
    struct follow *f = arg;
    if (strncmp(name, "pod.", 4) != 0)
        return f->run->vars.get(f->run->vars.arg, name);
    const struct pod *p = f->run->cluster->kind->pod(f->run->cluster, f->uid);
    return p ? pod_var(p, name) : NULL;
}

/* A drill may follow thousands of pods, and asks for them by uid with each event, by name with each sample of a program. */
static int by_uid(const void *a, const void *b) { return strcmp(((const struct follow *)a)->uid, ((const struct follow *)b)->uid); }
static int by_name(const void *a, const void *b) { return strcmp(((const struct follow *)a)->name, ((const struct follow *)b)->name); }

static struct follow *found(void *at) { return at ? *(struct follow **)at : NULL; }

struct follow *pods_find(struct run *r, const char *uid) { return found(tfind(&(struct follow){.uid = (char *)uid}, &r->pods_by_uid, by_uid)); }

/* Of several of one name, a StatefulSet's for one, the latest. */
static bool index_pod(struct run *r, struct follow *f) {
    struct follow **name = tsearch(f, &r->pods_by_name, by_name);
    if (name)
        *name = f;
    return name && tsearch(f, &r->pods_by_uid, by_uid);
}

static void left_as_it_is(void *f) { (void)f; }

const struct role *run_role(const struct run *r, const char *name, size_t *ret_index) {
    for (size_t i = 0; i < r->s->roles.count; i++)
        if (strcmp(SCENARIO_ROLES(r->s)[i].name, name) == 0) {
            *ret_index = i;
            return &SCENARIO_ROLES(r->s)[i];
        }
    return NULL;
}

static struct candidate as_candidate(const struct pod *p) {
    return (struct candidate){.uid = p->uid, .name = p->name, .namespace = p->namespace, .node = p->node, .phase = pod_phase_names[p->phase],
                              .labels = p->labels, .annotations = p->annotations, .owners = p->owners, .created_s = p->created_s,
                              .now_s = clock_wall_ns() / NS_PER_S, .of_node = p->of_node, .tag = p};
}

size_t pods_candidates(struct run *r, const struct selector *s, struct candidate *list, size_t max) {
    if (!r->cluster)
        return 0;
    const struct pod *pods[MAX_PODS];
    size_t n = r->cluster->kind->pods(r->cluster, pods, max < MAX_PODS ? max : MAX_PODS);
    for (size_t i = 0; i < n; i++)
        list[i] = as_candidate(pods[i]);
    return selector_filter(s, list, n);
}

/* Roles. */

static void role_now(struct run *r, const struct role *role, size_t index, const char *uid, const char *name, const json_t *captured, int64_t asked,
                     int64_t seen) {
    struct role_state *st = &r->roles[index];
    bool same_holder = (!uid && !st->holder_uid) || (uid && st->holder_uid && strcmp(uid, st->holder_uid) == 0);
    if (same_holder && (!uid || json_equal(st->data, captured)))
        return;
    free(st->holder_uid);
    st->holder_uid = uid ? strdup(uid) : NULL;
    json_decref(st->data);
    st->data = uid ? json_deep_copy(captured) : NULL;
    recorder_event(r->rec, "probe", "role/now", "info", role->name, uid ? name : "",
                   json_pack("{s:I,s:I,s:O?}", "asked", (json_int_t)recorder_from_monotonic(r->rec, asked), "seen",
                             (json_int_t)recorder_from_monotonic(r->rec, seen), "data", st->data));
}

static void role_answer(struct poller *p, const char *why, const json_t *captured, int64_t asked, int64_t seen) {
    struct run *r = p->pod->run;
    p->holds = why == NULL;
    const char *holder = r->roles[p->role_index].holder_uid;
    if (p->holds)
        role_now(r, p->role, p->role_index, p->pod->uid, p->pod->name, captured, asked, seen);
    else if (holder && strcmp(holder, p->pod->uid) == 0)
        role_now(r, p->role, p->role_index, NULL, NULL, NULL, asked, seen);
}

bool pods_fit_role(struct run *r, const char *uid, const struct selector *s) {
    struct follow *f = pods_find(r, uid);
    const char *name = selector_role_name(s);
    for (struct poller *p = f && name ? f->pollers : NULL; p; p = p->next)
        if (p->role && strcmp(p->role->name, name) == 0)
            return selector_role_negated(s) ? !p->holds && r->roles[p->role_index].holder_uid : p->holds;
    return name == NULL;
}

void pods_hurry_roles(struct run *r) {
    r->quick_until = loop_now() + QUICK_FOR_NS;
    for (struct follow *f = r->pods; f; f = f->next)
        for (struct poller *p = f->pollers; p; p = p->next)
            if (p->role && !p->op)
                timer_after(p->timer, 0);
}

/* Polling. */

static void ready_answer(struct poller *p, const char *why) {
    struct run *r = p->pod->run;
    const struct pod *pod = r->cluster->kind->pod(r->cluster, p->pod->uid);
    p->failures = why ? p->failures + 1 : 0;
    if (!why && pod && !pod->ready)
        r->cluster->kind->set_ready(r->cluster, p->pod->uid, true, NULL);
    else if (why && pod && pod->ready && p->failures >= p->ready->failures)
        r->cluster->kind->set_ready(r->cluster, p->pod->uid, false, why);
}

static int64_t poll_interval(const struct poller *p) {
    struct run *r = p->pod->run;
    if (p->ready) {
        const struct pod *pod = r->cluster->kind->pod(r->cluster, p->pod->uid);
        return pod && !pod->ready && p->ready->interval_ns > BOOT_NS ? BOOT_NS : p->ready->interval_ns;
    }
    return loop_now() < r->quick_until && p->role->interval_ns > QUICK_NS ? QUICK_NS : p->role->interval_ns;
}

static void on_answer(const char *why, const json_t *captured, int64_t asked, int64_t seen, void *arg) {
    struct poller *p = arg;
    p->op = NULL;
    if (p->ready)
        ready_answer(p, why);
    else
        role_answer(p, why, captured, asked, seen);
    timer_at(p->timer, asked + poll_interval(p));
}

/* It may have come to match since it was first seen, or not yet. */
static bool may_hold(const struct role *role, const struct pod *pod) {
    struct candidate c = as_candidate(pod);
    return selector_matches(role->of, &c);
}

static void on_poll(void *arg) {
    struct poller *p = arg;
    struct run *r = p->pod->run;
    const struct pod *pod = r->cluster->kind->pod(r->cluster, p->pod->uid);
    if (!pod || pod->phase != POD_RUNNING || p->op || r->phase == PHASE_DONE)
        return;
    if (p->role && !may_hold(p->role, pod)) {
        int64_t now = loop_now();
        on_answer("it is none of the role's pods", NULL, now, now, p);
        return;
    }
    struct probe_context ctx = {
        .loop = r->loop, .http = r->http, .netns_fd = r->cluster->kind->netns(r->cluster), .vars = &p->pod->vars, .done = on_answer, .arg = p,
        .cgroup_fd = r->cluster->kind->clients_group(r->cluster),
        .timeout_ns = p->ready ? p->ready->timeout_ns : p->role->timeout_ns,
    };
    struct error err;
    int rc;
    if (p->ready)
        rc = ((const struct probe_kind *)p->ready->kind.kind)->start(p->ready->kind.params, &ctx, &p->op, &err);
    else
        rc = probe_http_start(p->role->http, &ctx, &p->op, &err);
    if (rc < 0) {
        p->op = NULL;
        int64_t now = loop_now();
        on_answer(err.text, NULL, now, now, p);
    }
}

static struct poller *add_poller(struct follow *f) {
    struct poller *p = calloc(1, sizeof *p);
    if (!p || timer_new(f->run->loop, on_poll, p, &p->timer, NULL) < 0) {
        free(p);
        return NULL;
    }
    p->pod = f;
    p->next = f->pollers;
    f->pollers = p;
    return p;
}

static void follow_free(struct run *r, struct follow *f) {
    if (f->uid && pods_find(r, f->uid) == f)
        tdelete(f, &r->pods_by_uid, by_uid);
    if (f->name && found(tfind(f, &r->pods_by_name, by_name)) == f)
        tdelete(f, &r->pods_by_name, by_name);
    while (f->pollers) {
        struct poller *p = f->pollers;
        f->pollers = p->next;
        probe_cancel(p->op);
        timer_free(p->timer);
        free(p);
    }
    free(f->uid);
    free(f->name);
    free(f);
}

static struct follow *follow(struct run *r, const struct pod *pod) {
    struct follow *f = calloc(1, sizeof *f);
    if (f && (!(f->uid = strdup(pod->uid)) || !(f->name = strdup(pod->name)) || !index_pod(r, f))) {
        follow_free(r, f);
        return NULL;
    }
    if (!f)
        return NULL;
    f->run = r;
    f->vars = (struct template_vars){follow_var, f};
    f->target_id = -1;
    f->next = r->pods;
    r->pods = f;
    struct poller *p;
    if (pod->ready_spec && (p = add_poller(f)))
        p->ready = pod->ready_spec;
    struct candidate c = as_candidate(pod);
    for (size_t i = 0; i < r->s->roles.count; i++)
        if (selector_may_match(SCENARIO_ROLES(r->s)[i].of, &c) && (p = add_poller(f))) {
            p->role = &SCENARIO_ROLES(r->s)[i];
            p->role_index = i;
        }
    return f;
}

static void pod_gone(struct follow *f) {
    for (struct poller *p = f->pollers; p; p = p->next) {
        timer_stop(p->timer);
        probe_cancel(p->op);
        p->op = NULL;
        p->failures = 0;
        int64_t now = loop_now();
        if (p->role)
            role_answer(p, "the pod ended", NULL, now, now);
    }
}

void pods_event(struct run *r, enum cluster_event e, const struct pod *pod, int64_t at_ns, json_t *data) {
    struct follow *f = pods_find(r, pod->uid);
    if (!f && !(f = follow(r, pod))) {
        json_decref(data);
        return;
    }
    recorder_event_at(r->rec, recorder_from_monotonic(r->rec, at_ns ? at_ns : loop_now()), "cluster", "cluster/pod", "info", cluster_event_names[e], pod->name,
                      data);
    r->generation++;
    if (e == CL_POD_STARTED)
        for (struct poller *p = f->pollers; p; p = p->next)
            timer_after(p->timer, 0);
    if (e == CL_POD_EXITED)
        pod_gone(f);
}

bool pods_all_ready(struct run *r, struct buf *waiting) {
    if (!r->cluster)
        return true;
    if (r->cluster->kind->waiting)
        return !r->cluster->kind->waiting(r->cluster, waiting);
    const struct pod *pods[MAX_PODS];
    size_t n = r->cluster->kind->pods(r->cluster, pods, MAX_PODS);
    bool all = true;
    for (size_t i = 0; i < n; i++)
        if (!pods[i]->ready) {
            if (waiting)
                buf_printf(waiting, "%s%s (%s, %u restarts)", all ? "" : ", ", pods[i]->name, pod_phase_names[pods[i]->phase], pods[i]->restarts);
            all = false;
        }
    return all;
}

/* Targets of loads. */

static struct selection *select_pods(struct run *r, const struct selector *s, bool ready_only) {
    struct selection *sel = r->selections;
    while (sel && (sel->selector != s || sel->ready_only != ready_only))
        sel = sel->next;
    if (!sel) {
        sel = calloc(1, sizeof *sel);
        if (!sel)
            return NULL;
        *sel = (struct selection){.next = r->selections, .selector = s, .ready_only = ready_only, .generation = r->generation - 1};
        r->selections = sel;
    }
    if (sel->generation == r->generation)
        return sel;
    struct candidate list[MAX_PODS];
    size_t n = pods_candidates(r, s, list, MAX_PODS);
    sel->count = 0;
    for (size_t i = 0; i < n; i++) {
        const struct pod *p = list[i].tag;
        struct follow *f = !ready_only || p->ready ? pods_find(r, p->uid) : NULL;
        if (f)
            sel->pods[sel->count++] = f;
    }
    sel->generation = r->generation;
    return sel;
}

int pods_resolve(void *arg, const struct selector *s, bool ready_only, uint64_t turn, struct load_target *ret) {
    struct run *r = arg;
    struct selection *sel = select_pods(r, s, ready_only);
    if (!sel)
        return -ENOMEM;
    if (sel->count == 0)
        return -ENOENT;
    struct follow *f = sel->pods[turn % sel->count];
    if (f->target_id < 0) {
        f->target_id = r->next_target_id++;
        recorder_event(r->rec, "load", "load/target", "info", NULL, f->name, json_pack("{s:i}", "id", f->target_id));
    }
    *ret = (struct load_target){.name = f->name, .id = (uint16_t)f->target_id, .vars = &f->vars};
    return 0;
}

static uint16_t new_target(struct run *r, const char *name) {
    if (r->next_target_id >= SAMPLE_NO_TARGET)
        return SAMPLE_NO_TARGET;
    recorder_event(r->rec, "load", "load/target", "info", NULL, name, json_pack("{s:i}", "id", r->next_target_id));
    return (uint16_t)r->next_target_id++;
}

uint16_t pods_target(void *arg, const char *name) {
    struct run *r = arg;
    struct follow *f = found(tfind(&(struct follow){.name = (char *)name}, &r->pods_by_name, by_name));
    if (f) {
        f->target_id = f->target_id < 0 ? new_target(r, name) : f->target_id;
        return (uint16_t)f->target_id;
    }
    for (struct named_target *t = r->targets; t; t = t->next)
        if (!strcmp(t->name, name))
            return t->id;
    struct named_target *t = calloc(1, sizeof *t);
    if (!t || !(t->name = strdup(name))) {
        free(t);
        return SAMPLE_NO_TARGET;
    }
    t->next = r->targets;
    r->targets = t;
    return t->id = new_target(r, name);
}

void pods_free(struct run *r) {
    while (r->targets) {
        struct named_target *t = r->targets;
        r->targets = t->next;
        free(t->name);
        free(t);
    }
    tdestroy(take_ptr(r->pods_by_uid), left_as_it_is);
    tdestroy(take_ptr(r->pods_by_name), left_as_it_is);
    while (r->pods) {
        struct follow *f = r->pods;
        r->pods = f->next;
        follow_free(r, f);
    }
    while (r->selections) {
        struct selection *sel = r->selections;
        r->selections = sel->next;
        free(sel);
    }
    for (size_t i = 0; r->roles && i < r->s->roles.count; i++) {
        free(r->roles[i].holder_uid);
        json_decref(r->roles[i].data);
    }
    free(r->roles);
}
