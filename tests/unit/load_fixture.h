/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A load of any kind from its text, run on a loop of its own, with the samples it left. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "load/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>

struct rig {
    struct loop *loop;
    struct arena *arena;
    struct doc *doc;
    struct load_spec spec;
    struct load_context ctx;
    struct load *load;
    struct load_figures figures;
    struct timer *timer;
    char dir[64];
    struct sample *samples; /* by planned time */
    size_t count;
    int ended;
    bool ended_by_timer;
    /* answers to reads */
    int answers;
    enum ledger_answer answer;
    char why[300];
};

static inline const char *rig_secret(void *arg, const char *name) {
    (void)arg;
    return strcmp(name, "secret.word") == 0 ? "s3cret" : strcmp(name, "run.id") == 0 ? "the-run" : NULL;
}
static const struct template_vars rig_vars = {rig_secret, NULL};

static inline void rig_ended(void *arg) {
    struct rig *r = arg;
    r->ended++;
    r->load->kind->figures(r->load, &r->figures);
    loop_stop(r->loop);
}

static inline const struct load_kind *rig_kind(const char *name) {
    for (size_t i = 0; load_kinds[i]; i++)
        if (strcmp(load_kinds[i]->row.name, name) == 0)
            return load_kinds[i];
    fail_msg("no load kind %s", name);
    return NULL;
}

/* Decodes only: 0, or the schema's error. */
static inline int rig_decode(struct rig *r, const char *kind, const char *text, struct error *err) {
    const struct load_kind *k = rig_kind(kind);
    r->arena = arena_new();
    void *params = arena_alloc(r->arena, k->row.shape->size);
    int rc = doc_parse("load.yaml", text, strlen(text), &r->doc, err);
    if (rc == 0)
        rc = schema_decode(r->doc, "", k->row.shape, NULL, r->arena, params, err);
    r->spec = (struct load_spec){.name = "writes", .kind = {.kind = &k->row, .params = params, .path = ""}};
    return rc;
}

static inline int rig_new(struct rig *r, const char *kind, const char *text, struct error *err) {
    signal(SIGPIPE, SIG_IGN);
    *r = (struct rig){0};
    int rc = rig_decode(r, kind, text, err);
    if (rc < 0)
        return rc;
    strcpy(r->dir, "/tmp/chaosd-test-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    assert_return_code(loop_new(&r->loop, err), 0);
    r->ctx = (struct load_context){.loop = r->loop, .seed = 7, .index = 3, .netns_fd = -1, .cgroup_fd = -1, .dir = r->dir,
                                   .secrets = &rig_vars, .ended = rig_ended, .ended_arg = r};
    cleanup_json json_t *header = json_object();
    assert_return_code(recorder_open(&r->ctx.recorder, r->dir, header, &clock_monotonic, err), 0);
    return rig_kind(kind)->new(&r->spec, &r->ctx, &r->load, err);
}

static inline void rig_start(struct rig *r, const char *kind, const char *text) {
    struct error err = {{0}};
    if (rig_new(r, kind, text, &err) < 0)
        fail_msg("%s", err.text);
}

/* Runs the load to its end; it stays, so that its ledger can be read. */
static inline void rig_run(struct rig *r, int64_t for_ns) {
    int64_t start = loop_now();
    r->load->kind->begin(r->load, start, start + for_ns);
    loop_run(r->loop);
    assert_int_equal(r->ended, 1);
    assert_int_equal(r->figures.in_flight, 0);
}

static inline void rig_told(enum ledger_answer answer, const char *why, uint32_t entry, void *arg) {
    struct rig *r = arg;
    assert_true(entry > 0);
    r->answers++;
    r->answer = answer;
    snprintf(r->why, sizeof r->why, "%s", why ? why : "");
    loop_stop(r->loop);
}

static inline enum ledger_answer rig_read(struct rig *r, uint32_t entry) {
    int before = r->answers;
    assert_int_equal(r->load->kind->read(r->load, entry, rig_told, r), 0);
    assert_int_equal(r->answers, before); /* never from in there */
    loop_run(r->loop);
    assert_int_equal(r->answers, before + 1);
    return r->answer;
}

static inline void rig_stop_loop(void *arg) { loop_stop(((struct rig *)arg)->loop); }

static inline void rig_turn(struct rig *r, int64_t ms) {
    if (!r->timer)
        assert_return_code(timer_new(r->loop, rig_stop_loop, r, &r->timer, NULL), 0);
    timer_after(r->timer, ms * NS_PER_MS);
    loop_run(r->loop);
}

static inline int rig_by_planned(const void *a, const void *b) {
    const struct sample *x = a, *y = b;
    return (x->planned_ns > y->planned_ns) - (x->planned_ns < y->planned_ns);
}

/* The load is freed; what it left can be looked at. */
static inline void rig_close(struct rig *r) {
    char path[100], header[64];
    r->load->kind->free(r->load);
    r->load = NULL;
    assert_return_code(recorder_close(r->ctx.recorder, NULL), 0);
    snprintf(path, sizeof path, "%s/samples.bin", r->dir);
    cleanup_fclose FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(header, sizeof header, 1, f), 1);
    r->samples = calloc(5000, sizeof *r->samples);
    r->count = fread(r->samples, sizeof *r->samples, 5000, f);
    qsort(r->samples, r->count, sizeof *r->samples, rig_by_planned);
}

static inline size_t rig_count(const struct rig *r, enum outcome outcome, enum reason reason) {
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++)
        n += r->samples[i].outcome == outcome && r->samples[i].reason == reason;
    return n;
}

/* How often a text stands in the history, or in a file of the run's. */
static inline size_t rig_says(const struct rig *r, const char *file, const char *text) {
    char path[160];
    cleanup_buf struct buf b = {0};
    size_t n = 0;
    snprintf(path, sizeof path, "%s/%s", r->dir, file);
    assert_return_code(fs_read(path, 1 << 20, &b, NULL), 0);
    for (const char *p = b.data; p && (p = strstr(p, text)); p++)
        n++;
    return n;
}

static inline void rig_free(struct rig *r) {
    timer_free(r->timer);
    loop_free(r->loop);
    if (*r->dir)
        fs_remove_tree(r->dir, NULL);
    free(r->samples);
    doc_free(r->doc);
    arena_free(r->arena);
}
