/* SPDX-License-Identifier: Apache-2.0 */
#include "runs_index.h"
#include "base/cleanup.h"
#include "runs_folder.h"

#include <errno.h>
#include <math.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>

enum { APPLICATION_ID = 0x43484153, VERSION = 1, BUSY_MS = 2000 };

static const char schema[] =
    "CREATE TABLE runs(folder TEXT PRIMARY KEY, stamp TEXT NOT NULL, scenario TEXT, seed TEXT, verdict TEXT, why TEXT, wall_ns INTEGER,"
    " availability REAL, downtime_ms REAL, downtime_open INTEGER) WITHOUT ROWID;";

struct index {
    sqlite3 *db;
    sqlite3_stmt *get, *put;
    char why[256]; /* it cannot be used, or empty */
};

static int bad(struct index *x, const char *what) {
    if (!x->why[0])
        snprintf(x->why, sizeof x->why, "%s: %s", what, x->db ? sqlite3_errmsg(x->db) : "out of memory");
    return -EIO;
}

static int exec(struct index *x, const char *sql) { return sqlite3_exec(x->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : bad(x, "index"); }

static int number(struct index *x, const char *sql, int *ret) {
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(x->db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW ? 0 : bad(x, "index");
    if (rc == 0)
        *ret = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    return rc;
}

static void index_close(struct index *x) {
    sqlite3_finalize(x->get);
    sqlite3_finalize(x->put);
    sqlite3_close(x->db);
    x->db = NULL;
    x->get = x->put = NULL;
}

/* -EUCLEAN: what is there is not our index as this version writes it. */
static int prepare(struct index *x) {
    int id, version, tables;
    sqlite3_busy_timeout(x->db, BUSY_MS);
    sqlite3_db_config(x->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    int rc = exec(x, "PRAGMA trusted_schema=OFF; PRAGMA journal_mode=DELETE; PRAGMA synchronous=OFF; BEGIN IMMEDIATE");
    if (rc < 0 || (rc = number(x, "PRAGMA application_id", &id)) < 0 || (rc = number(x, "PRAGMA user_version", &version)) < 0 ||
        (rc = number(x, "SELECT count(*) FROM sqlite_master", &tables)) < 0)
        return rc;
    if (tables == 0 && (id == 0 || id == APPLICATION_ID)) {
        char sql[512];
        snprintf(sql, sizeof sql, "%s PRAGMA application_id=%d; PRAGMA user_version=%d", schema, APPLICATION_ID, VERSION);
        rc = exec(x, sql);
    } else if (id != APPLICATION_ID || version != VERSION) {
        snprintf(x->why, sizeof x->why, "index: of another program or version");
        return -EUCLEAN;
    }
    if (rc == 0 &&
        (sqlite3_prepare_v2(x->db, "SELECT scenario, seed, verdict, why, wall_ns, availability, downtime_ms, downtime_open FROM runs"
                                   " WHERE folder=? AND stamp=?", -1, &x->get, NULL) != SQLITE_OK ||
         sqlite3_prepare_v2(x->db, "INSERT OR REPLACE INTO runs VALUES(?,?,?,?,?,?,?,?,?,?)", -1, &x->put, NULL) != SQLITE_OK))
        rc = bad(x, "index");
    return rc;
}

static bool broken(struct index *x, int rc) {
    int code = x->db ? sqlite3_errcode(x->db) : SQLITE_OK;
    return rc == -EUCLEAN || code == SQLITE_NOTADB || code == SQLITE_CORRUPT || code == SQLITE_ERROR;
}

static int try_open(struct index *x, const char *path) {
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW;
    *x = (struct index){0};
    return sqlite3_open_v2(path, &x->db, flags, NULL) == SQLITE_OK ? prepare(x) : bad(x, "index");
}

/* A journal of the old file must not be played back into the new one. */
static void forget(const char *path) {
    char journal[4300];
    snprintf(journal, sizeof journal, "%s-journal", path);
    unlink(journal);
    unlink(path);
}

/* Opened, in a transaction; a broken one is made anew. Failure: x->why tells, and there is nothing to close. */
static int index_open(struct index *x, const char *dir, bool rebuild) {
    char path[4200];
    struct stat st;
    snprintf(path, sizeof path, "%s/" RUNS_INDEX_FILE, dir);
    if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        *x = (struct index){.why = "index: not a file"};
        return -EIO;
    }
    if (rebuild)
        forget(path);
    int rc = try_open(x, path);
    if (rc < 0 && broken(x, rc)) {
        char why[sizeof x->why];
        memcpy(why, x->why, sizeof why);
        index_close(x);
        forget(path);
        rc = try_open(x, path);
        if (rc == 0)
            memcpy(x->why, why, sizeof why);
    }
    if (rc < 0)
        index_close(x);
    return rc;
}

static const char *text_of(struct arena *a, sqlite3_stmt *s, int i) {
    const char *text = (const char *)sqlite3_column_text(s, i);
    return text ? arena_strdup(a, text) : NULL;
}

static double real_of(sqlite3_stmt *s, int i) { return sqlite3_column_type(s, i) == SQLITE_NULL ? NAN : sqlite3_column_double(s, i); }

/* 1: there it was. */
static int index_get(struct index *x, const char *stamp, struct run_row *row, struct arena *a) {
    sqlite3_reset(x->get);
    sqlite3_bind_text(x->get, 1, row->folder, -1, SQLITE_STATIC);
    sqlite3_bind_text(x->get, 2, stamp, -1, SQLITE_STATIC);
    int step = sqlite3_step(x->get);
    if (step == SQLITE_ROW) {
        row->scenario = text_of(a, x->get, 0);
        row->seed = text_of(a, x->get, 1);
        row->verdict = text_of(a, x->get, 2);
        row->why = text_of(a, x->get, 3);
        row->wall_ns = sqlite3_column_int64(x->get, 4);
        row->availability = real_of(x->get, 5);
        row->downtime_ms = real_of(x->get, 6);
        row->downtime_open = sqlite3_column_int(x->get, 7);
    }
    int rc = step == SQLITE_ROW ? 1 : step == SQLITE_DONE ? 0 : bad(x, "index");
    sqlite3_reset(x->get);
    return rc;
}

static void bind_real(sqlite3_stmt *s, int i, double v) {
    if (!isnan(v))
        sqlite3_bind_double(s, i, v);
}

static int index_put(struct index *x, const char *stamp, const struct run_row *row) {
    const char *const texts[] = {row->folder, stamp, row->scenario, row->seed, row->verdict, row->why};
    sqlite3_reset(x->put);
    sqlite3_clear_bindings(x->put);
    for (int i = 0; i < (int)ARRAY_SIZE(texts); i++)
        sqlite3_bind_text(x->put, i + 1, texts[i], -1, SQLITE_STATIC);
    sqlite3_bind_int64(x->put, 7, row->wall_ns);
    bind_real(x->put, 8, row->availability);
    bind_real(x->put, 9, row->downtime_ms);
    sqlite3_bind_int(x->put, 10, row->downtime_open);
    int rc = sqlite3_step(x->put) == SQLITE_DONE ? 0 : bad(x, "index");
    sqlite3_reset(x->put);
    return rc;
}

/* Rows of folders that are gone. */
static int index_prune(struct index *x, const struct runs *r) {
    sqlite3_stmt *put = NULL;
    size_t judged = 0;
    int rows;
    for (size_t i = 0; i < r->count; i++)
        judged += r->rows[i].verdict != NULL;
    int rc = number(x, "SELECT count(*) FROM runs", &rows);
    if (rc < 0 || (size_t)rows == judged) /* every judged run of the list has its row, so a surplus is what is gone */
        return rc;
    rc = exec(x, "CREATE TEMP TABLE seen(folder TEXT PRIMARY KEY)");
    if (rc == 0 && sqlite3_prepare_v2(x->db, "INSERT OR IGNORE INTO seen VALUES(?)", -1, &put, NULL) != SQLITE_OK)
        rc = bad(x, "index");
    for (size_t i = 0; rc == 0 && i < r->count; i++)
        if (r->rows[i].verdict) {
            sqlite3_bind_text(put, 1, r->rows[i].folder, -1, SQLITE_STATIC);
            rc = sqlite3_step(put) == SQLITE_DONE ? 0 : bad(x, "index");
            sqlite3_reset(put);
        }
    sqlite3_finalize(put);
    return rc < 0 ? rc : exec(x, "DELETE FROM runs WHERE folder NOT IN (SELECT folder FROM seen)");
}

/* From the index, or from the folder and then into the index. A run without a verdict is not remembered: it may still go on. */
static int fill(struct index *x, const char *dir, struct run_row *row, struct arena *a) {
    char stamp[RUN_STAMP_SIZE];
    bool whole = run_stamp(dir, row->folder, stamp);
    int rc = x && whole ? index_get(x, stamp, row, a) : 0;
    if (rc == 1)
        return 0;
    int read = run_read(dir, row, a);
    if (read < 0)
        return read;
    if (rc == 0 && x && whole && row->verdict)
        rc = index_put(x, stamp, row);
    return rc < 0 ? -EIO : 0;
}

/* Newest first; then by name, so that the order is one. */
static int newest(const void *a, const void *b) {
    const struct run_row *x = a, *y = b;
    return x->wall_ns != y->wall_ns ? (x->wall_ns < y->wall_ns) - (x->wall_ns > y->wall_ns) : strverscmp(y->folder, x->folder);
}

int runs_list(const char *dir, bool rebuild, struct runs *ret, struct error *err) {
    struct runs r = {.arena = arena_new()};
    struct index x;
    int rc = r.arena ? run_folders(dir, &r, err) : error_set(err, -ENOMEM, "out of memory");
    if (rc < 0) {
        arena_free(r.arena);
        return rc;
    }
    bool indexed = index_open(&x, dir, rebuild) == 0;
    const char *remade = indexed && x.why[0] ? "the index was broken and has been made anew" : NULL;
    for (size_t i = 0; i < r.count && rc != -ENOMEM; i++)
        if ((rc = fill(indexed ? &x : NULL, dir, &r.rows[i], r.arena)) == -EIO && indexed) {
            index_close(&x);
            indexed = false;
        }
    if (indexed && (index_prune(&x, &r) < 0 || exec(&x, "COMMIT") < 0)) {
        index_close(&x);
        indexed = false;
    }
    if (indexed)
        index_close(&x);
    const char *note = indexed ? remade : x.why;
    r.note = note ? arena_strdup(r.arena, note) : NULL;
    if (rc == -ENOMEM) {
        arena_free(r.arena);
        return error_set(err, -ENOMEM, "out of memory");
    }
    if (r.count)
        qsort(r.rows, r.count, sizeof *r.rows, newest);
    *ret = r;
    return 0;
}

void runs_free(struct runs *r) {
    arena_free(r->arena);
    *r = (struct runs){0};
}

void runs_index_add(const char *dir, const char *folder, bool create) {
    char path[4200];
    struct index x;
    struct arena *a = arena_new();
    struct run_row row = {.folder = folder};
    snprintf(path, sizeof path, "%s/" RUNS_INDEX_FILE, dir);
    if (a && (create || access(path, F_OK) == 0) && index_open(&x, dir, false) == 0) {
        if (fill(&x, dir, &row, a) == 0)
            exec(&x, "COMMIT");
        index_close(&x); /* without the commit nothing has happened; the next listing sees to it */
    }
    arena_free(a);
}
