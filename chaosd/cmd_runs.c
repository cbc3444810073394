/* SPDX-License-Identifier: Apache-2.0 */
/* chaosd runs: the stored runs, newest first. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "check/words.h"
#include "cmd.h"
#include "report/grid.h"
#include "runs_index.h"
#include "terminal.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct options {
    const char *dir;
    int64_t most;
    bool json, rebuild;
};

static const struct option_row rows[] = {
    {"dir", 'd', OPT_STRING, offsetof(struct options, dir), "DIR", "Folder of runs (default: runs)."},
    {"number", 'n', OPT_INT, offsetof(struct options, most), "N", "The newest N only."},
    {"json", 0, OPT_FLAG, offsetof(struct options, json), NULL, "Prints an array of objects; what is not known is null."},
    {"rebuild", 0, OPT_FLAG, offsetof(struct options, rebuild), NULL, "Makes the index anew from the folders."},
    {0},
};

static bool stamp(int64_t wall_ns, bool iso, char *out, size_t size) {
    time_t wall = (time_t)(wall_ns / NS_PER_S);
    struct tm tm;
    return wall_ns > 0 && gmtime_r(&wall, &tm) &&
           (iso ? strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm) : strftime(out, size, "%Y-%m-%d %H:%M:%S", &tm)) > 0;
}

static json_t *number_or_null(double v, double unit) { return isnan(v) || isinf(v) ? json_null() : json_real(round(v * unit) / unit); }

static void arena_freep(struct arena **a) { arena_free(*a); }

/* A folder may be named by any bytes; JSON holds text. */
static json_t *row_json(const struct run_row *r, struct arena *a) {
    char when[32];
    const char *folder = text_clean(a, r->folder);
    bool known = stamp(r->wall_ns, true, when, sizeof when);
    return json_pack("{s:s, s:s?, s:s?, s:s?, s:s?, s:s?, s:o, s:o, s:b}", "run", folder ? folder : "", "when", known ? when : NULL, "scenario", r->scenario,
                     "seed", r->seed, "verdict", r->verdict, "why", r->why, "availability", number_or_null(r->availability, 1e9),
                     "worst_downtime_ms", number_or_null(r->downtime_ms, 1e3), "downtime_open", r->downtime_open);
}

static int print_json(const struct runs *r, size_t n) {
    cleanup_json json_t *list = json_array();
    cleanup(arena_freep) struct arena *a = arena_new();
    if (!a)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (json_array_append_new(list, row_json(&r->rows[i], a)) < 0)
            return -ENOMEM;
    if (json_dumpf(list, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15)) < 0)
        return -ENOMEM;
    printf("\n");
    return 0;
}

static void put_row(struct grid *g, const struct run_row *r) {
    char when[32], n[WORDS_SIZE], down[WORDS_SIZE + 16] = "?";
    if (r->downtime_ms > 0 || r->downtime_open)
        snprintf(down, sizeof down, "%s%s", r->downtime_open ? "over " : "", words_ms(r->downtime_ms, n));
    else if (!isnan(r->downtime_ms))
        snprintf(down, sizeof down, "none");
    grid_cell(g, "%s", stamp(r->wall_ns, false, when, sizeof when) ? when : "?");
    grid_cell(g, "%s", r->scenario ? r->scenario : "?");
    grid_cell(g, "%s", r->seed ? r->seed : "?");
    grid_cell(g, "%s", r->verdict ? r->verdict : "unfinished");
    grid_cell(g, "%s", isnan(r->availability) ? "?" : words_percent(r->availability, n));
    grid_cell(g, "%s", down);
    grid_cell(g, "%s", r->folder);
}

static int print_table(const struct runs *r, size_t n) {
    static const struct { const char *title; bool right, shrink; } columns[] = {
        {"when (UTC)", false, false}, {"scenario", false, true},      {"seed", true, false}, {"verdict", false, false},
        {"available", true, false},   {"worst downtime", true, false}, {"run", false, true},
    };
    cleanup(arena_freep) struct arena *a = arena_new();
    cleanup_buf struct buf out = {0};
    struct grid g = {.arena = a};
    if (!a)
        return -ENOMEM;
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
        grid_column(&g, columns[i].title, columns[i].right, columns[i].shrink);
    for (size_t i = 0; i < n; i++)
        put_row(&g, &r->rows[i]);
    grid_render(&g, terminal_width(10000), &out); /* nothing is cut for a pipe; a terminal gives up what the folder's name says anyway */
    if (!buf_ok(&out))
        return -ENOMEM;
    fwrite(out.data, 1, out.len, stdout);
    return 0;
}

static int main_runs(int argc, char **argv) {
    struct options o = {.dir = "runs", .most = INT64_MAX};
    struct error err;
    struct runs r;
    int first, code = options_parse(&command_runs, argc, argv, &o, &first);
    if (code)
        return code - 1;
    if (o.most < 1) {
        error_set(&err, 0, "-n wants a number from 1 on");
        return fail(EXIT_USAGE, &err);
    }
    int rc = runs_list(o.dir, o.rebuild, &r, &err);
    if (rc < 0)
        return fail(rc == -ENOMEM ? EXIT_INTERNAL : EXIT_USAGE, &err);
    size_t n = (uint64_t)o.most < r.count ? (size_t)o.most : r.count;
    if (r.note)
        fprintf(stderr, "chaosd: %s; the folders themselves were read\n", r.note);
    if (n == 0 && !o.json)
        fprintf(stderr, "chaosd: no runs in %s\n", o.dir);
    else if ((o.json ? print_json(&r, n) : print_table(&r, n)) < 0) {
        error_set(&err, 0, "out of memory");
        code = fail(EXIT_INTERNAL, &err);
    }
    runs_free(&r);
    return code;
}

const struct command command_runs = {
    .name = "runs", .args = "", .min_args = 0, .max_args = 0, .options = rows, .run = main_runs,
    .doc = "Lists stored runs, newest first.",
    .more = "DIR/.index.sqlite only remembers what the folders say; it may be removed at any time. \"unfinished\": not judged yet, or\n"
            "chaosd was killed; `chaosd report RUN` judges what there is.",
};
