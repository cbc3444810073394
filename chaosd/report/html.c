/* SPDX-License-Identifier: Apache-2.0 */
/* report.html: one file that needs nothing else. The page's sources are embedded, its data stands in it as JSON, and a policy keeps
 * it from running or fetching anything that is not its own. */
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/json.h"
#include "report/external.h"
#include "report/html_assets.h"
#include "report/html_model.h"
#include "report/kinds.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { FIGURES_MOST = 200, CHECKS_MOST = 500 };
#define TIME_LIMIT ((int64_t)1 << 61)

static void arena_freep(struct arena **a) { arena_free(*a); }

void page_time(struct page *p, int64_t t) {
    bool known = t > -TIME_LIMIT && t < TIME_LIMIT;
    jw_ms(&p->w, known ? t - p->zero : UNKNOWN_NS);
}

static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

/* From shortly before the schedule, as getting ready may take longer than the drill, to the last thing that happened. */
static void choose_axis(struct page *p) {
    const struct history *h = p->j->history;
    int64_t first = INT64_MAX, to = INT64_MIN;
    for (size_t i = 0; i < h->event_count; i++) {
        first = min64(first, h->events[i].t);
        to = max64(to, h->events[i].t);
    }
    for (size_t i = 0; i < h->sample_count; i++) {
        first = min64(first, h->samples[i].planned_ns);
        to = max64(to, max64(h->samples[i].end_ns, h->samples[i].planned_ns));
    }
    bool scheduled = p->j->schedule_t != UNKNOWN_NS;
    p->zero = scheduled ? p->j->schedule_t : 0;
    first = first == INT64_MAX ? p->zero : first;
    to = to == INT64_MIN ? p->zero : to;
    int64_t lead = scheduled ? max64(to - p->zero, 0) / 25 : 0;
    p->from = scheduled ? min64(p->zero, max64(first, p->zero - lead)) : first;
    p->to = to > p->from ? to : p->from + 1000000000;
}

static const char *category(const char *name) {
    static const struct { const char *prefix, *category; } rows[] = {
        {"complete", "The drill itself"}, {"baseline", "The drill itself"},
        {"observed", "The drill itself"}, {"reverted", "The drill itself"},
        {"availability", "Availability"}, {"errors", "Availability"}, {"downtime", "Downtime"}, {"degradation", "Degradation"}, {"recovery", "Recovery"}, {"p(", "Latency"},
        {"latency", "Latency"}, {"probe", "Steady state"}, {"external(", "Other programs"}, {"sla(", "Other programs"}, {"ledger", "Data"}, {"rpo", "Data"}, {"lost", "Data"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (!strncmp(name, rows[i].prefix, strlen(rows[i].prefix)))
            return rows[i].category;
    return "Other limits";
}

static void put_checks(struct page *p) {
    struct jw *w = &p->w;
    size_t n = p->j->check_count;
    jw_begin(jw_key(w, "checks"), '[');
    for (size_t i = 0; i < n && i < CHECKS_MOST; i++) {
        const struct check_result *c = &p->j->checks[i];
        jw_begin(w, '[');
        jw_text(w, category(c->name));
        jw_text(w, c->name);
        jw_text(w, verdict_names[c->verdict]);
        jw_text(w, c->why);
        jw_end(w, ']');
    }
    jw_end(w, ']');
    jw_int(jw_key(w, "checks_left_out"), n > CHECKS_MOST ? (int64_t)(n - CHECKS_MOST) : 0);
}

/* -1: the figure falls on a bad request. */
static void put_latency(struct jw *w, double ms) { jw_real(w, __builtin_isinf(ms) ? -1 : ms, 3); }

static void put_figures(struct page *p) {
    struct jw *w = &p->w;
    size_t n = p->j->lane_count;
    jw_begin(jw_key(w, "figures"), '[');
    for (size_t i = 0; i < n && i < FIGURES_MOST; i++) {
        const struct lane_figures *f = &p->j->lanes[i];
        if (f->silent)
            continue;
        jw_begin(w, '{');
        jw_text(jw_key(w, "load"), f->load);
        jw_int(jw_key(w, "load_index"), f->load_index);
        jw_text(jw_key(w, "lane"), f->lane >= 0 ? lane_names[f->lane] : NULL);
        jw_text(jw_key(w, "target"), f->target);
        jw_int(jw_key(w, "planned"), f->planned);
        jw_int(jw_key(w, "good"), f->good);
        jw_int(jw_key(w, "windows"), (int64_t)f->downtime_count);
        if (f->control)
            jw_bool(jw_key(w, "control"), true);
        jw_real(jw_key(w, "available"), f->by_requests, 9);
        put_latency(jw_key(w, "p50"), f->p50_ms);
        put_latency(jw_key(w, "p90"), f->p90_ms);
        put_latency(jw_key(w, "p99"), f->p99_ms);
        put_latency(jw_key(w, "max"), f->max_ms);
        jw_begin(jw_key(w, "reasons"), '{');
        for (int r = REASON_NONE + 1; r < REASON_COUNT; r++)
            if (f->reasons[r])
                jw_int(jw_key(w, reason_names[r]), f->reasons[r]);
        jw_end(w, '}');
        jw_end(w, '}');
    }
    jw_end(w, ']');
    jw_int(jw_key(w, "figures_left_out"), n > FIGURES_MOST ? (int64_t)(n - FIGURES_MOST) : 0);
}

/* What the figures of other programs' loads rest on. */
static void put_programs(struct page *p) {
    jw_begin(jw_key(&p->w, "programs"), '[');
    for (size_t i = 0; i < p->j->external_count && i < FIGURES_MOST; i++) {
        cleanup_buf struct buf line = {0};
        external_say(&p->j->externals[i], &line);
        jw_text(&p->w, buf_ok(&line) ? line.data : NULL);
    }
    jw_end(&p->w, ']');
}

static void put_run(struct page *p) {
    static const char *const keys[] = {"run", "scenario", "seed", "version", "digest", "host"};
    const json_t *h = p->j->history->header;
    struct jw *w = &p->w;
    jw_begin(jw_key(w, "meta"), '{');
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        jw_json(jw_key(w, keys[i]), json_object_get(h, keys[i]));
    jw_text(jw_key(w, "verdict"), verdict_names[p->j->verdict]);
    jw_real(jw_key(w, "wall_ms"), (double)json_int_or(h, "wall_ns", 0) / 1e6, 0);
    jw_key(w, "start");
    page_time(p, 0);
    jw_key(w, "from");
    page_time(p, p->from);
    jw_key(w, "to");
    page_time(p, p->to);
    jw_key(w, "loads_end");
    page_time(p, p->j->loads_end_t);
    jw_int(jw_key(w, "samples"), (int64_t)p->j->history->sample_count);
    jw_end(w, '}');
}

static int write_model(const struct judgement *j, struct buf *out) {
    cleanup(arena_freep) struct arena *a = arena_new();
    struct page p = {.j = j, .w = {.out = out}, .a = a};
    static void (*const parts[])(struct page *) = {
        put_run, put_checks, put_figures, put_programs, page_series, page_lanes, page_probes, page_pods, page_choose_cards, page_cards,
    };
    if (!a)
        return -ENOMEM;
    choose_axis(&p);
    jw_begin(&p.w, '{');
    for (size_t i = 0; i < ARRAY_SIZE(parts) && !p.failed; i++)
        parts[i](&p);
    jw_end(&p.w, '}');
    return p.failed || !buf_ok(out) ? -ENOMEM : 0;
}

struct fill {
    const struct judgement *j;
    struct buf model;
    char nonce[40];
};

/* What the policy lets run carries the data's own digest: a text in the data cannot know it. */
static void make_nonce(struct fill *f) {
    uint64_t a = HASH_SEED, b = UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < f->model.len; i++) {
        a = hash_byte(a, (unsigned char)f->model.data[i]);
        b = (b + a) * UINT64_C(0xff51afd7ed558ccd);
        b ^= b >> 32;
    }
    snprintf(f->nonce, sizeof f->nonce, "%016" PRIx64 "%016" PRIx64, a, b);
}

static void put_title(const struct fill *f, struct buf *out) {
    html_text(out, json_str_or(f->j->history->header, "scenario", "unnamed"));
}

static void put_nonce(const struct fill *f, struct buf *out) { buf_str(out, f->nonce); }
static void put_data(const struct fill *f, struct buf *out) { buf_add(out, f->model.data, f->model.len); }
static void put_verdict(const struct fill *f, struct buf *out) { html_verdict(f->j, out); }
static void put_verdict_name(const struct fill *f, struct buf *out) { buf_str(out, verdict_names[f->j->verdict]); }
static void put_headline(const struct fill *f, struct buf *out) { html_headline(f->j, out); }

/* A file of the page. The hint at a source map goes: a debugger would look for it. */
static bool put_asset(const char *name, struct buf *out) {
    static const char map[] = "\n//# sourceMappingURL";
    const struct html_asset *a = html_asset(name);
    if (!a)
        return false;
    size_t len = (size_t)(a->end - a->begin);
    const char *hint = memmem(a->begin, len, map, sizeof map - 1);
    buf_add(out, a->begin, hint ? (size_t)(hint - a->begin) : len);
    return true;
}

static bool put_slot(const struct fill *f, const char *name, struct buf *out) {
    static const struct { const char *name; void (*put)(const struct fill *f, struct buf *out); } rows[] = {
        {"title", put_title}, {"nonce", put_nonce}, {"data", put_data}, {"verdict", put_verdict}, {"verdict-name", put_verdict_name},
        {"headline", put_headline},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (!strcmp(rows[i].name, name)) {
            rows[i].put(f, out);
            return true;
        }
    return put_asset(name, out);
}

/* Slots of the page are written {{name}}. */
static int fill_page(const struct fill *f, struct buf *out, struct error *err) {
    const struct html_asset *page = html_asset("page");
    const char *at = page->begin;
    while (at < page->end) {
        const char *open = memmem(at, (size_t)(page->end - at), "{{", 2);
        const char *close = open ? memmem(open, (size_t)(page->end - open), "}}", 2) : NULL;
        char name[32];
        buf_add(out, at, (size_t)((close ? open : page->end) - at));
        if (!close)
            break;
        snprintf(name, sizeof name, "%.*s", (int)(close - open - 2), open + 2);
        if (!put_slot(f, name, out))
            return error_set(err, -EINVAL, "page: unknown slot %s", name);
        at = close + 2;
    }
    return buf_ok(out) ? 0 : error_set(err, -ENOMEM, "page: out of memory");
}

static int render(const struct judgement *j, struct buf *out, struct error *err) {
    struct fill f = {.j = j};
    int rc = write_model(j, &f.model);
    if (rc < 0) {
        error_set(err, rc, "page: out of memory");
    } else {
        make_nonce(&f);
        rc = fill_page(&f, out, err);
    }
    buf_free(&f.model);
    return rc;
}

const struct report_kind report_html = {.name = "html", .file = "report.html", .render = render};
