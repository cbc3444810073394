/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A local cluster for tests, from the rows themselves: JSON in, cluster out; every event is kept. */
#include "net_util.h"

#include "cluster/local.h"
#include "cluster/undo.h"
#include "scenario/doc.h"

#include <errno.h>
#include <signal.h>

#define SLEEPER "{name: s, command: [sleep, '600'], stopTimeout: 10ms}"

struct told {
    enum cluster_event e;
    char pod[32];
    json_t *data;
};

struct bench {
    char dir[64], run[9];
    struct error err;
    struct loop *loop;
    struct journal *journal;
    struct cluster *cluster;
    struct doc *doc;
    struct arena *arena;
    struct local_config config;
    struct told told[256];
    size_t count, from; /* from: where has_told() looks on */
    char *before;
};

static inline void bench_event(enum cluster_event e, const struct pod *p, int64_t at_ns, json_t *data, void *arg) {
    struct bench *b = arg;
    (void)at_ns;
    assert_true(b->count < ARRAY_SIZE(b->told));
    assert_non_null(data);
    struct told *t = &b->told[b->count++];
    t->e = e;
    snprintf(t->pod, sizeof t->pod, "%s", p->name);
    t->data = data;
}

/* What a test that failed half-way leaves: the next would trip over it. */
static json_t *bench_left;
static char bench_dir[64];

static inline int bench_clean(void **state) {
    (void)state;
    struct error err = {{0}};
    if (bench_left && undo_apply(bench_left, &err) < 0)
        print_error("%s\n", err.text);
    if (bench_left)
        fs_remove_tree(bench_dir, NULL);
    json_decref(bench_left);
    bench_left = NULL;
    return 0;
}

static inline void bench_new(struct bench *b) {
    static unsigned turn;
    *b = (struct bench){.dir = "/var/tmp/test-local-XXXXXX"};
    assert_non_null(mkdtemp(b->dir));
    setenv("CHAOSD_STATE_DIR", b->dir, 1);
    snprintf(b->run, sizeof b->run, "t%x%x", (unsigned)getpid() & 0xfffff, turn++ & 0xff);
    b->before = snapshot(b->dir);
    snprintf(bench_dir, sizeof bench_dir, "%s", b->dir);
    bench_left = json_pack("{s:s, s:s, s:s++}", "kind", "local-cluster", "run", b->run, "state", b->dir, "/", b->run);
    assert_int_equal(loop_new(&b->loop, &b->err), 0);
    assert_int_equal(journal_open("test-run", &b->journal, &b->err), 0);
}

static inline int bench_start(struct bench *b, const char *json) {
    b->arena = arena_new();
    int rc = doc_parse("test", json, strlen(json), &b->doc, &b->err);
    if (rc == 0)
        rc = schema_decode(b->doc, "", cluster_local.row.shape, NULL, b->arena, &b->config, &b->err);
    struct kind_value v = {.kind = &cluster_local.row, .params = &b->config, .path = ""};
    struct cluster_options o = {.loop = b->loop, .journal = b->journal, .run = b->run, .log_dir = b->dir, .event = bench_event, .arg = b};
    return rc < 0 ? rc : cluster_local.start(&v, &o, &b->cluster, &b->err);
}

/* The cluster is stopped, and everything is as it was. */
static inline void bench_free(struct bench *b) {
    int rc = b->cluster ? cluster_local.stop(b->cluster, &b->err) : 0;
    if (rc < 0)
        fail_msg("stop: %s", b->err.text);
    assert_true(journal_clean(b->journal));
    rc = journal_close(b->journal, &b->err);
    assert_int_equal(rc, 0);
    cleanup_free char *after = snapshot(b->dir);
    assert_string_equal(b->before, after);
    for (size_t i = 0; i < b->count; i++)
        json_decref(b->told[i].data);
    doc_free(b->doc);
    arena_free(b->arena);
    loop_free(b->loop);
    free(b->before);
    fs_remove_tree(b->dir, NULL);
    json_decref(bench_left);
    bench_left = NULL;
}

struct wanted {
    struct bench *b;
    enum cluster_event e;
    const char *pod;
    const struct told *found;
};

static inline bool was_told(void *arg) {
    struct wanted *w = arg;
    for (size_t i = w->b->from; i < w->b->count; i++)
        if (w->b->told[i].e == w->e && strcmp(w->b->told[i].pod, w->pod) == 0) {
            w->found = &w->b->told[i];
            w->b->from = i + 1;
            return true;
        }
    return false;
}

/* Turns the loop until the event comes, after the last one found. */
static inline const struct told *wait_for(struct bench *b, enum cluster_event e, const char *pod) {
    struct wanted w = {b, e, pod, NULL};
    if (!turn_until(b->loop, was_told, &w, 10 * NS_PER_S))
        fail_msg("no \"%s\" of %s in 10 s", cluster_event_names[e], pod);
    return w.found;
}

static inline const struct pod *pod_named(struct bench *b, const char *name) {
    char uid[128];
    snprintf(uid, sizeof uid, "%s-%s", b->run, name);
    const struct pod *p = cluster_local.pod(b->cluster, uid);
    assert_non_null(p);
    return p;
}

struct log_wanted {
    const char *path, *text;
    char content[8192];
};

static inline bool log_has(void *arg) {
    struct log_wanted *w = arg;
    cleanup_buf struct buf b = {0};
    if (fs_read(w->path, sizeof w->content - 1, &b, NULL) < 0 || !b.data)
        return false;
    snprintf(w->content, sizeof w->content, "%s", b.data);
    return strstr(b.data, w->text) != NULL;
}

/* The pod's log, once it holds the text. */
static inline const char *wait_log(struct bench *b, const char *pod, const char *text) {
    static struct log_wanted w;
    char path[128];
    snprintf(path, sizeof path, "%s/%s.log", b->dir, pod);
    w.path = path;
    w.text = text;
    w.content[0] = 0;
    if (!turn_until(b->loop, log_has, &w, 10 * NS_PER_S))
        fail_msg("%s does not say \"%s\": %s", pod, text, w.content);
    return w.content;
}

static inline bool gone(pid_t pid) { return kill(pid, 0) < 0 && errno == ESRCH; }

static inline long number(const struct told *t, const char *key) { return (long)json_integer_value(json_object_get(t->data, key)); }
