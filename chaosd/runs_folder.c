/* SPDX-License-Identifier: Apache-2.0 */
#include "runs_folder.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#define SUMMARY_MOST ((size_t)2 << 30) /* a run of a million faults has some 600 MB of it */

static bool stat_in(const char *dir, const char *folder, const char *file, struct stat *st) {
    char path[PATH_MAX];
    return snprintf(path, sizeof path, "%s/%s/%s", dir, folder, file) < (int)sizeof path && stat(path, st) == 0 && S_ISREG(st->st_mode);
}

static bool is_run(const char *dir, const char *folder) {
    struct stat st;
    char path[PATH_MAX];
    /* "latest" is a link to one that is listed anyway. */
    if (folder[0] == '.' || snprintf(path, sizeof path, "%s/%s", dir, folder) >= (int)sizeof path || lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return false;
    return stat_in(dir, folder, "summary.json", &st) || stat_in(dir, folder, "history.jsonl", &st);
}

static int add_row(struct runs *r, size_t *cap, const char *folder) {
    if (r->count == *cap) {
        size_t more = *cap ? 2 * *cap : 64;
        struct run_row *rows = arena_alloc(r->arena, more * sizeof *rows); /* the old ones stay behind: at most as much again */
        if (!rows)
            return -ENOMEM;
        if (r->count)
            memcpy(rows, r->rows, r->count * sizeof *rows);
        r->rows = rows;
        *cap = more;
    }
    char *name = arena_strdup(r->arena, folder);
    if (!name)
        return -ENOMEM;
    r->rows[r->count++] = (struct run_row){.folder = name, .availability = NAN, .downtime_ms = NAN};
    return 0;
}

int run_folders(const char *dir, struct runs *r, struct error *err) {
    DIR *d = opendir(dir);
    size_t cap = 0;
    int rc = 0;
    if (!d)
        return error_errno(err, "%s", dir);
    for (struct dirent *e; rc == 0 && (e = readdir(d));)
        if (is_run(dir, e->d_name))
            rc = add_row(r, &cap, e->d_name);
    closedir(d);
    return rc < 0 ? error_set(err, rc, "out of memory") : 0;
}

bool run_stamp(const char *dir, const char *folder, char ret[RUN_STAMP_SIZE]) {
    struct stat st;
    if (!stat_in(dir, folder, "summary.json", &st))
        return false;
    snprintf(ret, RUN_STAMP_SIZE, "%" PRIu64 ".%" PRId64 ".%09ld.%" PRId64, (uint64_t)st.st_ino, (int64_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
             (int64_t)st.st_size);
    return true;
}

static const char *copy(struct arena *a, const json_t *o, const char *key, bool *failed) {
    char tmp[64];
    const char *text = json_text(json_object_get(o, key), tmp, sizeof tmp), *kept = text ? arena_strdup(a, text) : NULL;
    *failed |= text && !kept;
    return kept;
}

static int read_names(struct run_row *row, const json_t *o, struct arena *a) {
    bool failed = false;
    row->scenario = copy(a, o, "scenario", &failed);
    row->seed = copy(a, o, "seed", &failed);
    row->wall_ns = json_int_or(o, "wall_ns", 0);
    return failed ? -ENOMEM : 0;
}

/* The worst of the loads, each as a whole. */
static void read_loads(struct run_row *row, const json_t *loads) {
    size_t i, k;
    json_t *load, *window;
    json_array_foreach(loads, i, load) {
        if (json_is_true(json_object_get(load, "control")))
            continue;
        const json_t *share = json_at(load, "availability.requests"), *windows = json_object_get(load, "downtime");
        if (json_is_number(share) && !(row->availability <= json_number_value(share)))
            row->availability = json_number_value(share);
        if (json_is_array(windows) && isnan(row->downtime_ms))
            row->downtime_ms = 0;
        json_array_foreach(windows, k, window) {
            const json_t *most = json_object_get(window, "max_ms"), *least = json_object_get(window, "min_ms");
            double ms = json_is_number(most) ? json_number_value(most) : json_number_value(least);
            row->downtime_open |= !json_is_number(most);
            row->downtime_ms = ms > row->downtime_ms ? ms : row->downtime_ms;
        }
    }
}

static json_t *load_summary(const char *dir, const char *folder) {
    char path[PATH_MAX];
    cleanup_buf struct buf text = {0};
    snprintf(path, sizeof path, "%s/%s/summary.json", dir, folder);
    if (fs_read(path, SUMMARY_MOST, &text, NULL) < 0 || !text.data)
        return NULL;
    return json_loadb(text.data, text.len, 0, NULL);
}

/* Only the first line: a run that goes on may have a long history. */
static json_t *load_header(const char *dir, const char *folder) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s/history.jsonl", dir, folder);
    cleanup_fclose FILE *f = fopen(path, "re");
    return f ? json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
}

int run_read(const char *dir, struct run_row *row, struct arena *a) {
    bool failed = false;
    cleanup_json json_t *summary = load_summary(dir, row->folder);
    if (json_is_object(summary)) {
        row->verdict = copy(a, summary, "verdict", &failed);
        row->why = copy(a, summary, "why", &failed);
        read_loads(row, json_object_get(summary, "loads"));
        return failed ? -ENOMEM : read_names(row, summary, a);
    }
    cleanup_json json_t *header = load_header(dir, row->folder);
    return read_names(row, header, a);
}
