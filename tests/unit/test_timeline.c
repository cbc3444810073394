/* SPDX-License-Identifier: Apache-2.0 */
/* The control plane's timeline of each act, against tables made by hand. Times in ms; offsets are the event's time less that of the act's "ok". */
#include "history_fixture.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "report/report.h"

#define HEADER "{\"schema\":1,\"scenario\":\"t\",\"seed\":7,\"faults\":[{\"name\":\"kill\",\"kind\":\"pod-delete\",\"holds\":false},{\"name\":\"drain\",\"kind\":\"node-drain\",\"holds\":true}]}"

static void pod_why(struct fixture *f, double t, const char *kind, const char *name, const char *uid, const char *workload, const char *node, const char *more) {
    char data[600];
    snprintf(data, sizeof data, "{\"uid\":\"%s\",\"workload\":\"%s\",\"owner\":\"rs\",\"node\":\"%s\",\"stamp\":\"T%g\"%s}", uid, workload, node, t, more);
    fixture_event(f, t, "cluster/pod", "info", kind, name, data);
}

static void pod(struct fixture *f, double t, const char *kind, const char *name, const char *uid, const char *workload, const char *node) {
    pod_why(f, t, kind, name, uid, workload, node, "");
}

/* There and ready from `t` on. */
static void up(struct fixture *f, double t, const char *name, const char *uid, const char *workload, const char *node) {
    static const char *const kinds[] = {"created", "scheduled", "started", "ready"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        pod(f, t, kinds[i], name, uid, workload, node);
}

static void endpoint(struct fixture *f, double t, const char *kind, const char *name, const char *uid, bool ready) {
    char data[200];
    snprintf(data, sizeof data, "{\"uid\":\"%s\",\"service\":\"web\",\"ready\":%s}", uid, ready ? "true" : "false");
    fixture_event(f, t, "cluster/endpoint", "info", kind, name, data);
}

static void workload(struct fixture *f, double t, const char *kind, const char *name, int replicas, int ready) {
    char data[100];
    snprintf(data, sizeof data, "{\"replicas\":%d,\"ready\":%d,\"updated\":%d}", replicas, ready, replicas);
    fixture_event(f, t, "cluster/workload", "info", kind, name, data);
}

static void api_event(struct fixture *f, double t, const char *reason, const char *target, const char *uid, const char *type, const char *message) {
    char data[300];
    snprintf(data, sizeof data, "{\"namespace\":\"shop\",\"message\":\"%s\",\"type\":\"%s\",\"count\":1,\"stamp\":\"T%g\",\"uid\":\"%s\"}", message, type, t, uid);
    fixture_event(f, t, "cluster/event", "info", reason, target, data);
}

/* Asked at t, and answered half a millisecond later. */
static void act(struct fixture *f, double t, int id, const char *fault, const char *target, const char *uid, const char *workload_name, const char *more) {
    char data[512];
    snprintf(data, sizeof data, "{\"id\":%d,\"fault\":\"%s\",\"occurrence\":%d,\"uid\":\"%s\",\"workload\":\"%s\",\"asked\":%.0f,\"seen\":%.0f,\"date\":\"D\"%s}", id, fault, id,
             uid, workload_name, t * 1e6, (t + 0.5) * 1e6, more);
    fixture_event(f, t, "fault/act", "invoke", "pod-delete", target, data);
    fixture_event(f, t + 0.5, "fault/act", "ok", "pod-delete", target, data);
    fixture_event(f, t, "fault/observed", "info", "", target, data);
}

struct row { const char *what; double at; const char *object; };

static void expect_timeline(const struct act_figures *f, const struct row *rows, size_t n) {
    for (size_t i = 0; i < n || i < f->timeline_count; i++) {
        const struct sighting *m = i < f->timeline_count ? &f->timeline[i] : NULL;
        if (!m || i >= n || strcmp(m->what, rows[i].what) != 0 || m->at != (int64_t)(rows[i].at * 1e6) || strcmp(m->object, rows[i].object) != 0)
            fail_msg("act %s, row %zu: have %s %f %s, want %s %f %s", f->target, i, m ? m->what : "nothing", m ? (double)m->at / 1e6 : 0, m ? m->object : "",
                     i < n ? rows[i].what : "nothing", i < n ? rows[i].at : 0, i < n ? rows[i].object : "");
    }
}
#define EXPECT(f, ...) expect_timeline(f, (const struct row[]){__VA_ARGS__}, sizeof((const struct row[]){__VA_ARGS__}) / sizeof(struct row))

static void expect_missing(const struct act_figures *f, const struct missing *rows, size_t n) {
    for (size_t i = 0; i < n || i < f->not_reached_count; i++) {
        const struct missing *m = i < f->not_reached_count ? &f->not_reached[i] : NULL;
        bool same = m && i < n && !strcmp(m->what, rows[i].what) && !strcmp(m->object, rows[i].object) && !strcmp(m->why ? m->why : "-", rows[i].why ? rows[i].why : "-");
        if (!same)
            fail_msg("act %s, missing %zu: have %s %s: %s, want %s: %s", f->target, i, m ? m->what : "nothing", m ? m->object : "", m && m->why ? m->why : "-",
                     i < n ? rows[i].what : "nothing", i < n && rows[i].why ? rows[i].why : "-");
    }
}
#define MISSING(f, ...) expect_missing(f, (const struct missing[]){__VA_ARGS__}, sizeof((const struct missing[]){__VA_ARGS__}) / sizeof(struct missing))

static const struct sighting *find(const struct act_figures *f, const char *what, const char *object) {
    for (size_t i = 0; i < f->timeline_count; i++)
        if (!strcmp(f->timeline[i].what, what) && !strcmp(f->timeline[i].object, object))
            return &f->timeline[i];
    fail_msg("%s of %s is not there", what, object);
    return NULL;
}

static void three_web(struct fixture *f) {
    fixture_init(f, HEADER);
    up(f, 100, "web-a", "a", "shop/web", "n1");
    up(f, 100, "web-b", "b", "shop/web", "n2");
    up(f, 100, "web-c", "c", "shop/web", "n2");
    workload(f, 101, "Deployment", "shop/web", 3, 3);
}

/* web-a of a Deployment is deleted at 1010 and comes back as web-d. The watch is quicker than the answer: stamped 0.3 ms before it. What another
 * workload does, a scaling a minute later, and an Event of web-b are not its doing. Ready again: 2510 - 1010. */
static void build_deployment(struct fixture *f) {
    three_web(f);
    act(f, 1010, 1, "kill", "web-a", "a", "shop/web", "");
    f->h.event_count -= 2; /* what the watch told before the answer stands before it in the history, too */
    struct event answer[2] = {f->h.events[f->h.event_count], f->h.events[f->h.event_count + 1]};
    pod(f, 1010.2, "terminating", "web-a", "a", "shop/web", "n1");
    f->h.events = realloc(f->h.events, (f->h.event_count + 2) * sizeof *f->h.events);
    memcpy(&f->h.events[f->h.event_count], answer, sizeof answer);
    f->h.event_count += 2;
    pod(f, 1012, "created", "web-d", "d", "shop/web", "");
    pod(f, 1015, "created", "api-x", "x", "shop/api", "");
    pod(f, 1020, "scheduled", "web-d", "d", "shop/web", "n2");
    endpoint(f, 1030, "unready", "web-a", "a", false);
    workload(f, 1040, "Deployment", "shop/web", 3, 2);
    api_event(f, 1050, "Killing", "Pod/web-a", "a", "Normal", "Stopping container web");
    api_event(f, 1051, "Killing", "Pod/web-a", "a", "Normal", "Stopping container log");
    api_event(f, 1052, "Pulled", "Pod/web-d", "d", "Normal", "there already");
    api_event(f, 1053, "Unhealthy", "Pod/web-b", "b", "Warning", "not its doing");
    pod(f, 2000, "started", "web-d", "d", "shop/web", "n2");
    endpoint(f, 2010, "added", "web-d", "d", false);
    pod(f, 2510, "ready", "web-d", "d", "shop/web", "n2");
    endpoint(f, 2550, "ready", "web-d", "d", true);
    workload(f, 2560, "Deployment", "shop/web", 3, 3);
    pod(f, 3000, "exited", "web-a", "a", "shop/web", "n1");
    endpoint(f, 3050, "removed", "web-a", "a", false);
    pod(f, 3060, "removed", "web-a", "a", "shop/web", "n1");
    pod(f, 60000, "created", "web-e", "e", "shop/web", "");
    api_event(f, 90000, "Unhealthy", "Pod/web-d", "d", "Warning", "much later");
}

static void test_deployment(void **state) {
    (void)state;
    struct fixture f;
    build_deployment(&f);
    struct judgement *j = judged(&f);
    const struct act_figures *a = &j->acts[0];
    assert_int_equal(a->redundancy, 1500 * MS);
    EXPECT(a, {"deletion stamped", 0.2, "web-a"}, {"accepted", 0.5, "web-a"}, {"replacement created", 2, "web-d"}, {"scheduled", 10, "web-d"},
           {"endpoint not ready", 20, "web-a"}, {"event Killing", 40, "web-a"}, {"started", 990, "web-d"}, {"ready", 1500, "web-d"},
           {"whole again", 1500, "shop/web"}, {"endpoint added", 1540, "web-d"}, {"containers ended", 1990, "web-a"}, {"endpoint gone", 2040, "web-a"},
           {"pod gone", 2050, "web-a"});
    assert_int_equal(a->not_reached_count, 0);
    assert_int_equal(find(a, "accepted", "web-a")->from, 0);
    assert_string_equal(find(a, "accepted", "web-a")->stamp, "D");
    assert_string_equal(find(a, "deletion stamped", "web-a")->stamp, "T1010.2");
    assert_null(find(a, "endpoint gone", "web-a")->stamp);
    assert_string_equal(find(a, "scheduled", "web-d")->note, "n2");
    assert_string_equal(find(a, "endpoint added", "web-d")->note, "web");
    assert_string_equal(find(a, "event Killing", "web-a")->note, "Stopping container web");
    assert_int_equal(find(a, "ready", "web-d")->from, UNKNOWN_NS);
    assert_false(find(a, "ready", "web-d")->late);
    judgement_free(j);
    fixture_free(&f);
}

/* db-1 comes back by its name with another uid; db-3 is new because somebody scales, and is nobody's replacement. The lease moves from db-1
 * to db-2 by way of nobody. Whole again: seen lost at 2005, ready at 6000; but four are wanted from 3000 on, and db-3 is ready at 7000. */
static void test_statefulset(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER);
    up(&f, 100, "db-0", "u0", "shop/db", "n1");
    up(&f, 100, "db-1", "u1", "shop/db", "n1");
    up(&f, 100, "db-2", "u2", "shop/db", "n2");
    workload(&f, 101, "StatefulSet", "shop/db", 3, 3);
    fixture_event(&f, 101, "cluster/lease", "info", "holder", "shop/db-lead", "{\"holder\":\"db-1\",\"stamp\":\"L1\"}");
    act(&f, 2000, 1, "kill", "db-1", "u1", "shop/db", "");
    pod(&f, 2005, "terminating", "db-1", "u1", "shop/db", "n1");
    pod(&f, 2500, "exited", "db-1", "u1", "shop/db", "n1");
    fixture_event(&f, 2550, "cluster/lease", "info", "holder", "shop/db-lead", "{\"holder\":\"\"}");
    pod(&f, 2600, "removed", "db-1", "u1", "shop/db", "n1");
    fixture_event(&f, 2700, "cluster/lease", "info", "holder", "shop/db-lead", "{\"holder\":\"db-2\",\"stamp\":\"L2\"}");
    workload(&f, 3000, "StatefulSet", "shop/db", 4, 2);
    pod(&f, 3010, "created", "db-3", "u3", "shop/db", "");
    pod(&f, 3020, "created", "db-1", "v1", "shop/db", "");
    pod(&f, 3030, "scheduled", "db-1", "v1", "shop/db", "n2");
    pod(&f, 5000, "started", "db-1", "v1", "shop/db", "n2");
    pod(&f, 6000, "ready", "db-1", "v1", "shop/db", "n2");
    pod(&f, 7000, "ready", "db-3", "u3", "shop/db", "n1");
    struct judgement *j = judged(&f);
    const struct act_figures *a = &j->acts[0];
    assert_int_equal(a->redundancy, 5000 * MS);
    EXPECT(a, {"accepted", 0.5, "db-1"}, {"deletion stamped", 5, "db-1"}, {"containers ended", 500, "db-1"}, {"pod gone", 600, "db-1"},
           {"lease moved", 700, "shop/db-lead"}, {"replacement created", 1020, "db-1"}, {"scheduled", 1030, "db-1"}, {"started", 3000, "db-1"},
           {"ready", 4000, "db-1"}, {"whole again", 5000, "shop/db"});
    assert_string_equal(find(a, "lease moved", "shop/db-lead")->note, "db-2");
    assert_int_equal(a->not_reached_count, 0);
    judgement_free(j);
    fixture_free(&f);
}

/* n1 is drained: web-a and api-a stand on it, web-b does not. What replaces them may come in any order; the node is free again when the act is
 * undone. api is whole by its own word, web by its redundancy: the act was chosen by a pod of web. */
static void test_drain(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER);
    up(&f, 100, "web-a", "a", "shop/web", "n1");
    up(&f, 100, "web-b", "b", "shop/web", "n2");
    up(&f, 100, "api-a", "p", "shop/api", "n1");
    workload(&f, 101, "Deployment", "shop/web", 2, 2);
    workload(&f, 101, "Deployment", "shop/api", 1, 1);
    act(&f, 1000, 1, "drain", "n1", "a", "shop/web", ",\"pod\":\"web-a\",\"for_ns\":9000000000");
    fixture_event(&f, 1005, "cluster/node", "info", "cordoned", "n1", "{\"stamp\":\"\"}");
    fixture_event(&f, 1006, "cluster/node", "info", "unready", "n2", "{\"stamp\":\"\"}"); /* another node's trouble */
    pod(&f, 1010, "terminating", "api-a", "p", "shop/api", "n1");
    pod(&f, 1020, "created", "api-b", "q", "shop/api", "");
    workload(&f, 1021, "Deployment", "shop/api", 1, 0);
    pod(&f, 1100, "terminating", "web-a", "a", "shop/web", "n1");
    pod(&f, 1110, "created", "web-d", "d", "shop/web", "");
    pod(&f, 1300, "removed", "api-a", "p", "shop/api", "n1");
    pod(&f, 1400, "removed", "web-a", "a", "shop/web", "n1");
    pod(&f, 1500, "scheduled", "api-b", "q", "shop/api", "n2");
    pod(&f, 1500, "scheduled", "web-d", "d", "shop/web", "n2");
    pod(&f, 2000, "started", "api-b", "q", "shop/api", "n2");
    pod(&f, 2000, "started", "web-d", "d", "shop/web", "n2");
    pod(&f, 2500, "ready", "api-b", "q", "shop/api", "n2");
    workload(&f, 2501, "Deployment", "shop/api", 1, 1);
    pod(&f, 3000, "ready", "web-d", "d", "shop/web", "n2");
    fixture_event(&f, 10000, "fault/revert", "ok", "drain", "n1", "{\"id\":1}");
    fixture_event(&f, 10005, "cluster/node", "info", "uncordoned", "n1", "{\"stamp\":\"\"}");
    struct judgement *j = judged(&f);
    const struct act_figures *a = &j->acts[0];
    assert_int_equal(a->redundancy, 2000 * MS);
    EXPECT(a, {"accepted", 0.5, "n1"}, {"cordoned", 5, "n1"}, {"deletion stamped", 10, "api-a"}, {"replacement created", 20, "api-b"},
           {"deletion stamped", 100, "web-a"}, {"replacement created", 110, "web-d"}, {"pod gone", 300, "api-a"}, {"pod gone", 400, "web-a"},
           {"scheduled", 500, "api-b"}, {"scheduled", 500, "web-d"}, {"started", 1000, "api-b"}, {"started", 1000, "web-d"}, {"ready", 1500, "api-b"},
           {"whole again", 1501, "shop/api"}, {"ready", 2000, "web-d"}, {"whole again", 2000, "shop/web"}, {"uncordoned", 9005, "n1"});
    assert_int_equal(a->not_reached_count, 0);
    judgement_free(j);
    fixture_free(&f);
}

/* The replacement finds no node: what must follow is missing, with the scheduler's words, and the recovery is censored. */
static void build_unschedulable(struct fixture *f) {
    three_web(f);
    act(f, 1010, 1, "kill", "web-a", "a", "shop/web", "");
    pod(f, 1015, "terminating", "web-a", "a", "shop/web", "n1");
    api_event(f, 1018, "FailedScheduling", "Pod/web-d", "d", "Warning", "0/2 nodes are available: 2 Insufficient cpu.");
    pod_why(f, 1020, "created", "web-d", "d", "shop/web", "", ",\"why\":\"Unschedulable\"");
    endpoint(f, 1030, "unready", "web-a", "a", false);
    pod(f, 1200, "exited", "web-a", "a", "shop/web", "n1");
    endpoint(f, 1210, "removed", "web-a", "a", false);
    pod(f, 1220, "removed", "web-a", "a", "shop/web", "n1");
    fixture_event(f, 9000, "run/end", "info", "", "", "{}");
}

static void test_unschedulable(void **state) {
    (void)state;
    struct fixture f;
    build_unschedulable(&f);
    struct judgement *j = judged(&f);
    const struct act_figures *a = &j->acts[0];
    EXPECT(a, {"accepted", 0.5, "web-a"}, {"deletion stamped", 5, "web-a"}, {"event FailedScheduling", 8, "web-d"}, {"replacement created", 10, "web-d"},
           {"endpoint not ready", 20, "web-a"}, {"containers ended", 190, "web-a"}, {"endpoint gone", 200, "web-a"}, {"pod gone", 210, "web-a"});
    MISSING(a, {"scheduled", "web-d", "0/2 nodes are available: 2 Insufficient cpu."}, {"started", "web-d", NULL}, {"ready", "web-d", NULL},
            {"endpoint added", "web-d", NULL}, {"whole again", "shop/web", NULL});
    assert_true(a->censored && a->short_of);
    assert_int_equal(a->redundancy, UNKNOWN_NS);
    judgement_free(j);
    fixture_free(&f);
}

/* No pod is made at all: a quota. The workload's own warning says why; of a pod that nobody made none is awaited. */
static void test_never_created(void **state) {
    (void)state;
    struct fixture f;
    three_web(&f);
    fixture_event(&f, 100, "cluster/pod", "info", "created", "lone", "{\"uid\":\"l\",\"workload\":\"shop/lone\",\"node\":\"n1\"}");
    act(&f, 1010, 1, "kill", "web-a", "a", "shop/web", "");
    pod(&f, 1015, "terminating", "web-a", "a", "shop/web", "n1");
    pod(&f, 1200, "removed", "web-a", "a", "shop/web", "n1");
    api_event(&f, 1300, "FailedCreate", "ReplicaSet/web-7d9f", "r", "Warning", "exceeded quota");
    act(&f, 2010, 2, "kill", "lone", "l", "shop/lone", "");
    fixture_event(&f, 2020, "cluster/pod", "info", "removed", "lone", "{\"uid\":\"l\",\"workload\":\"shop/lone\",\"node\":\"n1\"}");
    struct judgement *j = judged(&f);
    EXPECT(&j->acts[0], {"accepted", 0.5, "web-a"}, {"deletion stamped", 5, "web-a"}, {"pod gone", 190, "web-a"}, {"event FailedCreate", 290, "web-7d9f"});
    MISSING(&j->acts[0], {"replacement created", "shop/web", "exceeded quota"}, {"whole again", "shop/web", NULL});
    EXPECT(&j->acts[1], {"accepted", 0.5, "lone"}, {"pod gone", 10, "lone"});
    MISSING(&j->acts[1], {"replacement created", "shop/lone", "nothing owns the pod, so that nothing makes it anew"}, {"whole again", "shop/lone", NULL});
    judgement_free(j);
    fixture_free(&f);
}

/* Nothing was heard from 1100 to 4000; then the list told, with the new pod before the old one's end. What came to light within a second of the
 * gap's end may be as old as the gap; what followed is not, and neither is what another watch told. */
static void test_gap(void **state) {
    (void)state;
    struct fixture f;
    three_web(&f);
    act(&f, 1010, 1, "kill", "web-a", "a", "shop/web", "");
    pod(&f, 1015, "terminating", "web-a", "a", "shop/web", "n1");
    fixture_event(&f, 1500, "cluster/api", "info", "troubled", "pods", "{\"why\":\"connection refused\"}");
    endpoint(&f, 2000, "unready", "web-a", "a", false);
    pod(&f, 4000, "created", "web-d", "d", "shop/web", "n2");
    pod(&f, 4000, "scheduled", "web-d", "d", "shop/web", "n2");
    pod(&f, 4000, "exited", "web-a", "a", "shop/web", "n1");
    pod(&f, 4000, "removed", "web-a", "a", "shop/web", "n1");
    fixture_event(&f, 4000, "cluster/api", "info", "gap", "pods", "{\"from\":1100000000,\"to\":4000000000,\"relisted\":true}");
    endpoint(&f, 4000, "removed", "web-a", "a", false);
    pod(&f, 6000, "started", "web-d", "d", "shop/web", "n2");
    pod(&f, 6500, "ready", "web-d", "d", "shop/web", "n2");
    endpoint(&f, 6510, "added", "web-d", "d", true);
    struct judgement *j = judged(&f);
    const struct act_figures *a = &j->acts[0];
    EXPECT(a, {"accepted", 0.5, "web-a"}, {"deletion stamped", 5, "web-a"}, {"API troubled", 490, "pods"}, {"endpoint not ready", 990, "web-a"},
           {"API gap", 2990, "pods"}, {"containers ended", 2990, "web-a"}, {"endpoint gone", 2990, "web-a"}, {"pod gone", 2990, "web-a"},
           {"replacement created", 2990, "web-d"}, {"scheduled", 2990, "web-d"}, {"started", 4990, "web-d"}, {"ready", 5490, "web-d"},
           {"whole again", 5490, "shop/web"}, {"endpoint added", 5500, "web-d"});
    static const char *const late[] = {"containers ended", "pod gone", "replacement created", "scheduled"};
    size_t n = 0;
    for (size_t i = 0; i < a->timeline_count; i++) {
        bool want = false;
        for (size_t k = 0; k < sizeof late / sizeof *late; k++)
            want |= !strcmp(late[k], a->timeline[i].what);
        assert_int_equal(a->timeline[i].late, want);
        n += want && a->timeline[i].from == 90 * MS;
    }
    assert_int_equal(n, 4);
    assert_int_equal(find(a, "API gap", "pods")->from, 90 * MS);
    assert_int_equal(a->not_reached_count, 0);
    judgement_free(j);
    fixture_free(&f);
}

/* Nothing is heard any more: that is the reason for what is missing, not the end of the record. */
static void test_deaf(void **state) {
    (void)state;
    struct fixture f;
    three_web(&f);
    act(&f, 1010, 1, "kill", "web-a", "a", "shop/web", "");
    pod(&f, 1015, "terminating", "web-a", "a", "shop/web", "n1");
    fixture_event(&f, 1500, "cluster/api", "info", "troubled", "pods", "{\"why\":\"connection refused\"}");
    struct judgement *j = judged(&f);
    static const char why[] = "pods could not be followed any more: connection refused";
    MISSING(&j->acts[0], {"containers ended", "web-a", why}, {"pod gone", "web-a", NULL}, {"replacement created", "shop/web", why}, {"whole again", "shop/web", NULL});
    judgement_free(j);
    fixture_free(&f);
}

/* Two acts on one workload, 500 ms apart: each pod is the replacement of one; the first one's observation ends as the second is asked for
 * (1510 - 1010). One on another workload ends neither. */
static void test_close_together(void **state) {
    (void)state;
    struct fixture f;
    three_web(&f);
    up(&f, 100, "api-a", "p", "shop/api", "n1");
    act(&f, 1010, 1, "kill", "web-a", "a", "shop/web", "");
    pod(&f, 1015, "terminating", "web-a", "a", "shop/web", "n1");
    pod(&f, 1020, "created", "web-d", "d", "shop/web", "");
    act(&f, 1110, 2, "kill", "api-a", "p", "shop/api", "");
    pod(&f, 1120, "scheduled", "web-d", "d", "shop/web", "n2");
    act(&f, 1510, 3, "kill", "web-b", "b", "shop/web", "");
    pod(&f, 1515, "terminating", "web-b", "b", "shop/web", "n2");
    pod(&f, 1520, "created", "web-e", "e", "shop/web", "");
    pod(&f, 1600, "removed", "web-a", "a", "shop/web", "n1");
    pod(&f, 1610, "removed", "web-b", "b", "shop/web", "n2");
    pod(&f, 2000, "started", "web-d", "d", "shop/web", "n2");
    pod(&f, 2100, "ready", "web-d", "d", "shop/web", "n2");
    pod(&f, 2110, "scheduled", "web-e", "e", "shop/web", "n2");
    pod(&f, 2200, "started", "web-e", "e", "shop/web", "n2");
    pod(&f, 2300, "ready", "web-e", "e", "shop/web", "n2");
    struct judgement *j = judged(&f);
    EXPECT(&j->acts[0], {"accepted", 0.5, "web-a"}, {"deletion stamped", 5, "web-a"}, {"replacement created", 10, "web-d"}, {"scheduled", 110, "web-d"},
           {"pod gone", 590, "web-a"}, {"whole again", 1290, "shop/web"}); /* a victim is followed to its end; the redundancy's own moment: both are back */
    MISSING(&j->acts[0], {"started", "web-d", "the next act, kill #3, began 500 ms after this one"}, {"ready", "web-d", NULL});
    EXPECT(&j->acts[2], {"accepted", 0.5, "web-b"}, {"deletion stamped", 5, "web-b"}, {"replacement created", 10, "web-e"}, {"pod gone", 100, "web-b"},
           {"scheduled", 600, "web-e"}, {"started", 690, "web-e"}, {"ready", 790, "web-e"}, {"whole again", 790, "shop/web"});
    assert_int_equal(j->acts[2].not_reached_count, 0);
    judgement_free(j);
    fixture_free(&f);
}

/* A whole workload is restarted: whatever pod it gets is the act's, also where one comes before another goes. A container that ends without its
 * pod comes back in place. */
static void test_workload_and_in_place(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER);
    up(&f, 100, "web-a", "a", "shop/web", "n1");
    workload(&f, 101, "Deployment", "shop/web", 1, 1);
    up(&f, 102, "one-a", "o", "shop/one", "n1");
    act(&f, 1010, 1, "kill", "Deployment web", "a", "shop/web", ",\"pod\":\"web-a\"");
    up(&f, 1100, "web-b", "b", "shop/web", "n2");
    pod(&f, 1200, "terminating", "web-a", "a", "shop/web", "n1");
    pod(&f, 1300, "removed", "web-a", "a", "shop/web", "n1");
    act(&f, 2010, 2, "kill", "one-a", "o", "shop/one", "");
    pod(&f, 2020, "exited", "one-a", "o", "shop/one", "n1");
    pod(&f, 2100, "started", "one-a", "o", "shop/one", "n1");
    pod(&f, 2200, "ready", "one-a", "o", "shop/one", "n1");
    struct judgement *j = judged(&f);
    EXPECT(&j->acts[0], {"accepted", 0.5, "Deployment web"}, {"replacement created", 90, "web-b"}, {"scheduled", 90, "web-b"},
           {"started", 90, "web-b"}, {"ready", 90, "web-b"}, {"deletion stamped", 190, "web-a"}, {"pod gone", 290, "web-a"});
    EXPECT(&j->acts[1], {"accepted", 0.5, "one-a"}, {"containers ended", 10, "one-a"}, {"started", 90, "one-a"}, {"ready", 190, "one-a"}, {"whole again", 190, "shop/one"});
    assert_int_equal(j->acts[0].not_reached_count + j->acts[1].not_reached_count, 0);
    assert_int_equal(j->acts[0].redundancy, 0);
    judgement_free(j);
    fixture_free(&f);
}

/* A local cluster has no control plane: no timeline, and no key for one says otherwise. */
static void test_local(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER);
    up(&f, 100, "web-a", "a", "web", "n1");
    act(&f, 1010, 1, "kill", "web-a", "a", "web", "");
    pod(&f, 1020, "exited", "web-a", "a", "web", "n1");
    struct judgement *j = judged(&f);
    assert_int_equal(j->acts[0].timeline_count, 0);
    assert_int_equal(j->acts[0].not_reached_count, 0);
    judgement_free(j);
    fixture_free(&f);
}

/* A hundred and fifty pods leave a node: no more is kept than a report takes, but the first and the last of each kind are. */
static void test_many(void **state) {
    (void)state;
    struct fixture f;
    char name[32];
    fixture_init(&f, HEADER);
    workload(&f, 1, "Deployment", "shop/web", 150, 150);
    for (int i = 0; i < 150; i++) {
        snprintf(name, sizeof name, "web-%03d", i);
        up(&f, 100, strdup(name), name, "shop/web", "n1"); /* events borrow their names */
    }
    act(&f, 1000, 1, "drain", "n1", "web-000", "shop/web", ",\"pod\":\"web-000\"");
    for (int i = 0; i < 150; i++)
        for (int k = 0; k < 2; k++) {
            const struct event *e = &f.h.events[1 + 4 * i];
            pod(&f, 1100 + i * 10 + k * 2000, k ? "removed" : "terminating", e->target, json_string_value(json_object_get(e->data, "uid")), "shop/web", "n1");
        }
    struct judgement *j = judged(&f);
    const struct act_figures *a = &j->acts[0];
    assert_int_equal(a->timeline_count, 100);
    assert_int_equal(a->timeline_left_out, 301 - 100);
    find(a, "deletion stamped", "web-000");
    assert_int_equal(find(a, "pod gone", "web-149")->at, (1100 + 1490 + 2000 - 1000) * MS);
    find(a, "pod gone", "web-000");
    judgement_free(j);
    for (int i = 0; i < 150; i++)
        free((char *)(uintptr_t)f.h.events[1 + 4 * i].target);
    fixture_free(&f);
}

/* Redundancy follows what is wanted. Scaled from 2 to 3 by the act at 1010, the third is ready at 3000: 1990 ms. At 5000 one of three is deleted;
 * it still says ready as it ends, its namesake with another uid is ready at 7000: 1990 after the act at 5010. At 9000 nobody wants more than two. */
static void test_redundancy(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER);
    up(&f, 100, "db-0", "u0", "shop/db", "n1");
    up(&f, 100, "db-1", "u1", "shop/db", "n1");
    up(&f, 100, "job-x", "j", "shop/job", "n1");
    workload(&f, 101, "StatefulSet", "shop/db", 2, 2);
    act(&f, 1010, 1, "kill", "StatefulSet db", "u0", "shop/db", ",\"pod\":\"db-0\"");
    workload(&f, 1020, "StatefulSet", "shop/db", 3, 2);
    up(&f, 3000, "db-2", "u2", "shop/db", "n1");
    act(&f, 5010, 2, "kill", "db-1", "u1", "shop/db", "");
    pod(&f, 5015, "terminating", "db-1", "u1", "shop/db", "n1");
    pod(&f, 5020, "ready", "db-1", "u1", "shop/db", "n1");
    pod(&f, 6000, "removed", "db-1", "u1", "shop/db", "n1");
    up(&f, 7000, "db-1", "v1", "shop/db", "n1");
    act(&f, 9010, 3, "kill", "db-2", "u2", "shop/db", "");
    workload(&f, 9012, "StatefulSet", "shop/db", 2, 3);
    pod(&f, 9015, "terminating", "db-2", "u2", "shop/db", "n1");
    pod(&f, 9020, "removed", "db-2", "u2", "shop/db", "n1");
    act(&f, 11010, 4, "kill", "job-x", "j", "shop/job", ""); /* of a kind that nobody tells the replicas of: as many as there were */
    pod(&f, 11020, "terminating", "job-x", "j", "shop/job", "n1");
    up(&f, 11510, "job-y", "k", "shop/job", "n1");
    pod(&f, 12000, "removed", "job-x", "j", "shop/job", "n1");
    struct judgement *j = judged(&f);
    static const int want[] = {1990, 1990, 0, 500};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(j->acts[i].redundancy, want[i] * MS);
    assert_int_equal(j->acts[2].not_reached_count, 0); /* nobody wants another db-2 */
    judgement_free(j);
    fixture_free(&f);
}

/* Two faults of one moment: each is asked for before the other is answered. Neither ends what is seen of the other: the load's failures from 1100
 * to 1300 are both acts', and so is its recovery (the first good one ends at 1310); db is whole again after 2500 - 1005. */
static void test_one_moment(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, "{\"schema\":1,\"loads\":[{\"name\":\"w\",\"lanes\":[\"reused\"],\"deadline_ns\":500000000}]}");
    fixture_requests(&f, 0, 1100, 10, OUTCOME_GOOD);
    fixture_requests(&f, 1100, 1300, 50, OUTCOME_BAD);
    fixture_requests(&f, 1300, 6000, 10, OUTCOME_GOOD);
    up(&f, 10, "web-a", "a", "shop/web", "n1");
    up(&f, 10, "db-0", "d", "shop/db", "n1");
    workload(&f, 11, "Deployment", "shop/web", 1, 1);
    workload(&f, 11, "StatefulSet", "shop/db", 1, 1);
    act(&f, 1005.25, 1, "kill", "web-a", "a", "shop/web", "");
    act(&f, 1005, 2, "drain", "db-0", "d", "shop/db", "");
    pod(&f, 1007, "terminating", "db-0", "d", "shop/db", "n1");
    pod(&f, 1012, "terminating", "web-a", "a", "shop/web", "n1");
    up(&f, 2000, "web-b", "b", "shop/web", "n1");
    up(&f, 2500, "db-0", "e", "shop/db", "n1");
    struct judgement *j = judged(&f);
    assert_int_equal(j->acts[0].redundancy, 994 * MS + 3 * MS / 4); /* 2000 - 1005.25 */
    assert_int_equal(j->acts[1].redundancy, 1495 * MS);
    for (size_t i = 0; i < 2; i++) {
        assert_true(j->acts[i].noticed && !j->acts[i].censored);
        assert_int_equal(j->acts[i].sustained, 1310 * MS - j->acts[i].at);
    }
    judgement_free(j);
    fixture_free(&f);
}

static char *rendered(const struct judgement *j, const char *kind) {
    struct buf b = {0};
    struct error err = {""};
    if (report_kind(kind)->render(j, &b, &err) < 0)
        fail_msg("%s", err.text);
    return buf_take(&b);
}

static void expect_parts(const char *text, const char *const *parts, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!strstr(text, parts[i]))
            fail_msg("missing: %s\nin: %s", parts[i], text);
}

static void test_reports(void **state) {
    (void)state;
    static const char why[] = "0/2 nodes are available: 2 Insufficient cpu.";
    static const char *const lines[] = {
        "\nThe control plane (ms from the act, as chaosd saw it;", "\n kill #1 on web-a\n", "\n  0..0.5  accepted                web-a  D\n",
        "\n       5  deletion stamped        web-a  T1015\n", "\n      20  endpoint not ready      web-a                 web\n",
        "\n  Not reached: scheduled of web-d (0/2 nodes are available: 2 Insufficient cpu.), started, ready,\n    endpoint added; whole again of shop/web\n"};
    static const char *const marks[] = {
        "\n### The control plane\n\n<code>kill</code> 1 on <code>web-a</code>\n\n| ms | what | of | server's time | |\n", "\n| 0..0.5 | accepted | <code>web-a</code> | D |  |\n",
        "\nNot reached: scheduled of web-d (0/2 nodes are available: 2 Insufficient cpu.), started, ready, endpoint added; whole again of shop/web.\n"};
    struct fixture f;
    build_unschedulable(&f);
    struct judgement *j = judged(&f);
    cleanup_free char *text = rendered(j, "text"), *markdown = rendered(j, "markdown"), *json = rendered(j, "json");
    expect_parts(text, lines, sizeof lines / sizeof *lines);
    expect_parts(markdown, marks, sizeof marks / sizeof *marks);
    json_t *summary = json_loads(json, 0, NULL), *fault = json_array_get(json_object_get(summary, "faults"), 0), *want;
    want = json_pack("{s:s,s:f,s:f,s:s,s:s,s:n,s:b}", "what", "accepted", "at_ms", 0.5, "from_ms", 0.0, "stamp", "D", "object", "web-a", "note", "late", 0);
    assert_true(json_equal(json_array_get(json_object_get(fault, "timeline"), 0), want));
    json_decref(want);
    want = json_pack("{s:s,s:s,s:s}", "what", "scheduled", "object", "web-d", "why", why);
    assert_true(json_equal(json_array_get(json_object_get(fault, "not_reached"), 0), want));
    assert_true(json_is_null(json_object_get(json_array_get(json_object_get(fault, "not_reached"), 1), "why")));
    json_decref(want);
    json_decref(summary);
    judgement_free(j);
    fixture_free(&f);
}

/* What a local cluster's reports say is what they said before. */
static void test_local_reports(void **state) {
    (void)state;
    static const char *const kinds[] = {"text", "markdown", "json", "html"}, *const words[] = {"control plane (", "### The control plane", "\"timeline\":", "\"timeline\":"};
    struct fixture f;
    fixture_init(&f, HEADER);
    up(&f, 100, "web-a", "a", "web", "n1");
    act(&f, 1010, 1, "kill", "web-a", "a", "web", "");
    struct judgement *j = judged(&f);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        cleanup_free char *text = rendered(j, kinds[i]);
        if (strstr(text, words[i]))
            fail_msg("%s speaks of a control plane", kinds[i]);
    }
    judgement_free(j);
    fixture_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deployment),    cmocka_unit_test(test_statefulset), cmocka_unit_test(test_drain),          cmocka_unit_test(test_unschedulable),
        cmocka_unit_test(test_never_created), cmocka_unit_test(test_gap),         cmocka_unit_test(test_close_together), cmocka_unit_test(test_deaf), cmocka_unit_test(test_workload_and_in_place),
        cmocka_unit_test(test_local),         cmocka_unit_test(test_many),        cmocka_unit_test(test_redundancy),     cmocka_unit_test(test_reports),
        cmocka_unit_test(test_local_reports), cmocka_unit_test(test_one_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
