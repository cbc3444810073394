/* SPDX-License-Identifier: Apache-2.0 */
/* Requests over time, in buckets of their planned time; and the worst of them as they were. */
#include "base/cleanup.h"
#include "base/json.h"
#include "check/latency.h"
#include "report/html_model.h"

#include <string.h>

enum { BUCKETS_MOST = 800, LOADS_MOST = 16, WORST_EACH = 100, TARGETS = 65536 };

static bool usable(const struct sample *s, size_t loads) {
    return s->load < loads && s->lane < LANE_COUNT && s->outcome < OUTCOME_COUNT && s->reason < REASON_COUNT;
}

/* 1, 2 or 5 times a power of ten, no less than want. */
static int64_t round_up(int64_t want) {
    for (int64_t unit = 1000000; unit < INT64_MAX / 100; unit *= 10)
        for (int64_t k = 1; k <= 5; k = k == 2 ? 5 : k * 2)
            if (unit * k >= want)
                return unit * k;
    return want;
}

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

struct buckets {
    int64_t step, first; /* the first one's number, counted from zero */
    size_t count;
    struct bucket { uint32_t good, bad, stalled, latencies; size_t at; } *list; /* at: where its latencies begin */
    int64_t *ns;
};

static void buckets_free(struct buckets *b) {
    free(b->list);
    free(b->ns);
}

static size_t bucket_of(const struct page *p, const struct buckets *b, const struct sample *s) {
    int64_t n = floor_div(s->planned_ns - p->zero, b->step) - b->first;
    return n < 0 ? 0 : (size_t)n >= b->count ? b->count - 1 : (size_t)n;
}

static int layout(const struct page *p, size_t load, size_t loads, struct buckets *b) {
    const struct history *h = p->j->history;
    int64_t from = INT64_MAX, to = INT64_MIN, n = 0;
    for (size_t i = 0; i < h->sample_count; i++) {
        const struct sample *s = &h->samples[i];
        if (s->load != load || !usable(s, loads))
            continue;
        n++;
        from = s->planned_ns < from ? s->planned_ns : from;
        to = s->planned_ns > to ? s->planned_ns : to;
    }
    if (!n)
        return 0;
    int64_t span = to - from + 1, most = n / 5 + 1; /* a bucket of less than five requests has no percentiles worth a line */
    most = most > BUCKETS_MOST ? BUCKETS_MOST : most;
    b->step = round_up(span / most + 1);
    b->first = floor_div(from - p->zero, b->step);
    b->count = (size_t)(floor_div(to - p->zero, b->step) - b->first + 1);
    b->list = calloc(b->count, sizeof *b->list);
    b->ns = calloc((size_t)n, sizeof *b->ns);
    return b->list && b->ns ? 0 : -1;
}

static int64_t latency(const struct sample *s) {
    int64_t ns = s->end_ns - s->planned_ns;
    return s->outcome != OUTCOME_GOOD ? LATENCY_BAD : ns < 0 ? 0 : ns;
}

/* Counts first, then places: the latencies of a bucket lie together. */
static void fill(const struct page *p, size_t load, size_t loads, struct buckets *b) {
    const struct history *h = p->j->history;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < h->sample_count; i++) {
            const struct sample *s = &h->samples[i];
            if (s->load != load || !usable(s, loads))
                continue;
            struct bucket *k = &b->list[bucket_of(p, b, s)];
            if (pass && s->outcome != OUTCOME_UNSENT_STALL)
                b->ns[k->at + k->latencies++] = latency(s);
            if (pass)
                continue;
            k->good += s->outcome == OUTCOME_GOOD;
            k->bad += s->outcome == OUTCOME_BAD || s->outcome == OUTCOME_UNSENT_CAP;
            k->stalled += s->outcome == OUTCOME_UNSENT_STALL;
        }
        for (size_t i = 0, at = 0; !pass && i < b->count; at += b->list[i].good + b->list[i].bad, i++)
            b->list[i].at = at;
    }
}

static int by_ns(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* -1: the quantile falls on a bad request; null: there was none. */
static void put_quantile(struct jw *w, const struct buckets *b, size_t i, int64_t ppm) {
    const struct bucket *k = &b->list[i];
    if (!k->latencies) {
        jw_null(w);
        return;
    }
    int64_t ns = b->ns[k->at + quantile_rank(k->latencies, ppm)];
    jw_real(w, ns == LATENCY_BAD ? -1 : (double)ns / 1e6, ns < 100000000 ? 2 : 0);
}

static void put_counts(struct jw *w, const struct buckets *b, const char *key, size_t offset) {
    jw_begin(jw_key(w, key), '[');
    for (size_t i = 0; i < b->count; i++) {
        uint32_t n;
        memcpy(&n, (const char *)&b->list[i] + offset, sizeof n);
        jw_int(w, n);
    }
    jw_end(w, ']');
}

static void put_buckets(struct page *p, struct buckets *b) {
    static const struct { const char *key; int64_t ppm; } quantiles[] = {{"p50", 500000}, {"p90", 900000}, {"p99", 990000}};
    struct jw *w = &p->w;
    if (!b->count)
        return;
    jw_ms(jw_key(w, "from"), b->first * b->step);
    jw_ms(jw_key(w, "step"), b->step);
    put_counts(w, b, "good", offsetof(struct bucket, good));
    put_counts(w, b, "bad", offsetof(struct bucket, bad));
    put_counts(w, b, "stalled", offsetof(struct bucket, stalled));
    for (size_t i = 0; i < b->count; i++)
        qsort(b->ns + b->list[i].at, b->list[i].latencies, sizeof *b->ns, by_ns);
    for (size_t q = 0; q < ARRAY_SIZE(quantiles); q++) {
        jw_begin(jw_key(w, quantiles[q].key), '[');
        for (size_t i = 0; i < b->count; i++)
            put_quantile(w, b, i, quantiles[q].ppm);
        jw_end(w, ']');
    }
}

static bool worse(const struct sample *a, const struct sample *b) {
    int64_t x = a->end_ns - a->planned_ns, y = b->end_ns - b->planned_ns;
    return x != y ? x > y : a->planned_ns < b->planned_ns;
}

struct worst { const struct sample *list[WORST_EACH]; size_t count; };

static void worst_add(struct worst *t, const struct sample *s) {
    if (t->count == WORST_EACH && !worse(s, t->list[WORST_EACH - 1]))
        return;
    size_t i = t->count < WORST_EACH ? t->count++ : WORST_EACH - 1;
    for (; i && worse(s, t->list[i - 1]); i--)
        t->list[i] = t->list[i - 1];
    t->list[i] = s;
}

static void put_sample(struct page *p, const struct sample *s) {
    struct jw *w = &p->w;
    jw_begin(w, '[');
    page_time(p, s->planned_ns);
    jw_ms(w, s->end_ns - s->planned_ns);
    jw_int(w, s->load);
    jw_text(w, lane_names[s->lane]);
    jw_int(w, s->target == SAMPLE_NO_TARGET ? -1 : s->target);
    jw_text(w, s->outcome == OUTCOME_GOOD ? NULL : reason_names[s->reason]);
    jw_int(w, s->status);
    jw_end(w, ']');
}

/* The slowest good ones and the longest bad ones, half each: when there are many bad ones they would be all of the list. */
static void put_worst(struct page *p, size_t loads, bool *wanted) {
    const struct history *h = p->j->history;
    struct worst good = {.count = 0}, bad = {.count = 0};
    for (size_t i = 0; i < h->sample_count; i++)
        if (usable(&h->samples[i], loads) && h->samples[i].outcome != OUTCOME_UNSENT_STALL)
            worst_add(h->samples[i].outcome == OUTCOME_GOOD ? &good : &bad, &h->samples[i]);
    jw_begin(jw_key(&p->w, "worst"), '[');
    for (int part = 0; part < 2; part++) {
        const struct worst *t = part ? &good : &bad;
        for (size_t i = 0; i < t->count; i++) {
            put_sample(p, t->list[i]);
            wanted[t->list[i]->target] = true;
        }
    }
    jw_end(&p->w, ']');
}

static void put_targets(struct page *p, bool *wanted) {
    const struct history *h = p->j->history;
    struct jw *w = &p->w;
    jw_begin(jw_key(w, "targets"), '[');
    for (size_t i = 0; i < h->event_count; i++) {
        const struct event *e = &h->events[i];
        int64_t id = strcmp(e->op, "load/target") ? -1 : json_int_or(e->data, "id", -1);
        if (id < 0 || id >= TARGETS || !wanted[id])
            continue;
        wanted[id] = false; /* said once */
        jw_begin(w, '[');
        jw_int(w, id);
        jw_text(w, e->target);
        jw_end(w, ']');
    }
    jw_end(w, ']');
}

static void put_load(struct page *p, size_t load, size_t loads) {
    const json_t *spec = json_array_get(json_object_get(p->j->history->header, "loads"), load);
    cleanup(buckets_free) struct buckets b = {0};
    struct jw *w = &p->w;
    if (layout(p, load, loads, &b) < 0) {
        p->failed = true;
        return;
    }
    fill(p, load, loads, &b);
    jw_begin(w, '{');
    jw_text(jw_key(w, "name"), json_str_or(spec, "name", ""));
    jw_text(jw_key(w, "kind"), json_str_or(spec, "kind", ""));
    jw_real(jw_key(w, "rate"), (double)json_int_or(spec, "rate_micro", 0) / 1e6, 3);
    jw_real(jw_key(w, "deadline"), (double)json_int_or(spec, "deadline_ns", 0) / 1e6, 3);
    put_buckets(p, &b);
    jw_end(w, '}');
}

void page_series(struct page *p) {
    size_t loads = json_array_size(json_object_get(p->j->history->header, "loads"));
    cleanup_free bool *wanted = calloc(TARGETS, sizeof *wanted);
    if (!wanted) {
        p->failed = true;
        return;
    }
    jw_begin(jw_key(&p->w, "loads"), '[');
    for (size_t i = 0; i < loads && i < LOADS_MOST && !p->failed; i++)
        put_load(p, i, loads);
    jw_end(&p->w, ']');
    jw_int(jw_key(&p->w, "loads_left_out"), loads > LOADS_MOST ? (int64_t)(loads - LOADS_MOST) : 0);
    put_worst(p, loads, wanted);
    put_targets(p, wanted);
}
