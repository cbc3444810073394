/* SPDX-License-Identifier: Apache-2.0 */
/* Evidence: what the pods' own logs, which lie in the run's folder, say around each act. By their own stamps, a line without one
 * belonging to the line before it. Only names that the history knows are opened, and never through a link. */
#include "base/cleanup.h"
#include "base/json.h"
#include "base/timestamp.h"
#include "report/html_model.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define BEFORE_NS INT64_C(1000000000)
#define AFTER_NS INT64_C(5000000000)
#define LOG_MOST_BYTES ((size_t)64 << 20) /* of one log; a soak's may be larger */
#define TIME_LIMIT ((int64_t)1 << 60)

enum { LINES_CARD = 40, LINES_POD = 20, LINE_MOST = 400 };

struct moment { int64_t at; size_t card; };

struct around { /* one pod's lines around one act: the last ones before it, the first ones after it */
    struct log_line before[LINES_POD], after[LINES_POD];
    size_t seen_before, seen_after;
    size_t others; /* lines of the card that are not the victim's */
};

struct search {
    struct page *p;
    struct evidence *list;
    struct moment *moments; /* by time */
    size_t count;
    struct around *around;  /* by card */
    const char *pod;
    int64_t offset; /* wall clock - run's clock */
};

static int by_time(const void *a, const void *b) {
    const struct moment *x = a, *y = b;
    return x->at != y->at ? (x->at > y->at) - (x->at < y->at) : (x->card > y->card) - (x->card < y->card);
}

static bool is_victim(const struct search *s, size_t card) { return !strcmp(s->p->j->acts[s->p->cards[card]].target, s->pod); }

/* A victim's own log gets half of the card; the others share the rest. A quarter is for what came before the act. */
static void quota(const struct search *s, size_t card, size_t *ret_before, size_t *ret_after) {
    size_t others = s->p->pod_count > 1 ? s->p->pod_count - 1 : 1, share = (LINES_CARD - LINES_POD) / others;
    size_t most = is_victim(s, card) ? LINES_POD : share < 2 ? 2 : share;
    *ret_before = most < 4 ? 1 : most / 4;
    *ret_after = most - *ret_before;
}

static void keep(struct search *s, const struct moment *m, const char *line, int64_t t) {
    struct around *r = &s->around[m->card];
    size_t before, after;
    quota(s, m->card, &before, &after);
    bool early = t < m->at;
    if (!early && r->seen_after == after)
        return;
    struct log_line *place = early ? &r->before[r->seen_before++ % before] : &r->after[r->seen_after++];
    *place = (struct log_line){s->pod, arena_strndup(s->p->a, line, strnlen(line, LINE_MOST)), t - m->at};
    if (!place->text)
        s->p->failed = true;
}

static void on_line(struct search *s, const char *line, int64_t t) {
    size_t lo = 0, hi = s->count;
    while (lo < hi) { /* the first act that this line may still come after */
        size_t mid = lo + (hi - lo) / 2;
        if (s->moments[mid].at + AFTER_NS < t)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (; lo < s->count && s->moments[lo].at - BEFORE_NS <= t && !s->p->failed; lo++)
        keep(s, &s->moments[lo], line, t);
}

static void add(struct search *s, size_t card, const struct log_line *line) {
    struct evidence *e = &s->list[card];
    bool victim = is_victim(s, card);
    if (e->count < LINES_CARD && (victim || s->around[card].others < LINES_CARD - LINES_POD)) {
        e->lines[e->count++] = *line;
        s->around[card].others += !victim;
    }
}

static void flush(struct search *s) {
    for (size_t i = 0; i < s->p->card_count; i++) {
        struct around *r = &s->around[i];
        size_t before, after;
        quota(s, i, &before, &after);
        size_t n = r->seen_before < before ? r->seen_before : before;
        for (size_t k = 0; k < n; k++)
            add(s, i, &r->before[(r->seen_before - n + k) % before]);
        for (size_t k = 0; k < r->seen_after; k++)
            add(s, i, &r->after[k]);
        r->seen_before = r->seen_after = 0;
    }
}

static void read_log(struct search *s, FILE *log) {
    cleanup_free char *line = NULL;
    size_t size = 0, read = 0;
    int64_t wall, t = TIME_LIMIT;
    for (ssize_t n; read < LOG_MOST_BYTES && !s->p->failed && (n = getline(&line, &size, log)) > 0; read += (size_t)n) {
        if (line[n - 1] == '\n')
            line[n - 1] = 0;
        if (timestamp_find(line, &wall) && __builtin_sub_overflow(wall, s->offset, &t))
            t = TIME_LIMIT;
        if (*line && t > -TIME_LIMIT && t < TIME_LIMIT)
            on_line(s, line, t);
    }
}

/* who: the pod, or the file of a program's output, whose name is then without a suffix. */
static void search_log(struct search *s, const char *who, const char *suffix) {
    char path[4096];
    struct stat st;
    s->pod = who;
    if (!*who || *who == '.' || strchr(who, '/') ||
        snprintf(path, sizeof path, "%s/logs/%s%s", s->p->j->history->dir, who, suffix) >= (int)sizeof path)
        return;
    cleanup_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return; /* a run without logs has no evidence */
    cleanup_fclose FILE *log = fdopen(fd, "r");
    if (!log)
        return;
    take_fd(&fd);
    read_log(s, log);
    flush(s);
}

static int by_offset(const void *a, const void *b) {
    const struct log_line *x = a, *y = b;
    return x->at != y->at ? (x->at > y->at) - (x->at < y->at) : 0;
}

/* Stable, as lines of one stamp must keep their order; at most LINES_CARD of them. */
static void order(struct evidence *e) {
    for (size_t i = 1; i < e->count; i++)
        for (size_t k = i; k > 0 && by_offset(&e->lines[k], &e->lines[k - 1]) < 0; k--) {
            struct log_line swap = e->lines[k];
            e->lines[k] = e->lines[k - 1];
            e->lines[k - 1] = swap;
        }
}

static void search_all(struct search *s) {
    const struct page *p = s->p;
    for (size_t i = 0; i < p->card_count; i++)
        if (p->j->acts[p->cards[i]].acted)
            s->moments[s->count++] = (struct moment){p->j->acts[p->cards[i]].at, i};
    qsort(s->moments, s->count, sizeof *s->moments, by_time);
    for (size_t i = 0; i < p->pod_count && s->count && !p->failed; i++)
        search_log(s, p->pods[i], ".log");
    for (size_t i = 0; i < 2 * p->j->external_count && s->count && !p->failed; i++) {
        const char *file = arena_printf(p->a, "%s.%s", p->j->externals[i / 2].load, i % 2 ? "err" : "out");
        if (file)
            search_log(s, file, "");
    }
    for (size_t i = 0; i < p->card_count; i++)
        order(&s->list[i]);
}

struct evidence *page_evidence(struct page *p) {
    size_t n = p->card_count + 1;
    struct evidence *list = arena_alloc(p->a, n * sizeof *list);
    cleanup_free struct moment *moments = calloc(n, sizeof *moments);
    cleanup_free struct around *around = calloc(n, sizeof *around);
    struct log_line *lines = arena_alloc(p->a, n * LINES_CARD * sizeof *lines);
    const json_t *wall = json_object_get(p->j->history->header, "wall_ns");
    if (!list || !moments || !around || !lines)
        return NULL;
    for (size_t i = 0; i < p->card_count; i++)
        list[i].lines = lines + i * LINES_CARD;
    struct search s = {.p = p, .list = list, .moments = moments, .around = around};
    s.offset = json_is_integer(wall) ? json_integer_value(wall) : 0;
    if (json_is_integer(wall) && p->j->history->dir)
        search_all(&s);
    return p->failed ? NULL : list;
}
