/* SPDX-License-Identifier: Apache-2.0 */
#include "history/journal.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

/* undo.jsonl holds {"id":1,"undo":{...}} before the act and {"id":1,"done":true} once it is undone; undo.new is it while it is
 * written anew. */
#define FILE_NAME "undo.jsonl"
#define NEW_NAME "undo.new"
#define LOCK_NAME "lock"
#define READY_NAME "ready"
#define MAX_BYTES (64 << 20)
#define COMPACT_BYTES (1 << 20)

struct entry { /* not done yet */
    int64_t id;
    json_t *undo;
};

struct journal {
    char *dir;
    int lock, fd;
    bool locked;
    struct entry *entries;
    size_t count, cap;
    int64_t last_id;
    size_t appended; /* bytes since the file was last written anew */
};

/* Who is not root drills a Kubernetes, or something by its URL, and finds a folder of its own where its like are. */
const char *journal_state_dir(void) {
    static char own[PATH_MAX];
    const char *dir = getenv("CHAOSD_STATE_DIR"), *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    const bool named = state && *state == '/';
    if (dir && *dir)
        return dir;
    if (geteuid() == 0 || (!named && !(home && *home == '/')))
        return "/var/lib/chaosd";
    snprintf(own, sizeof own, "%s%s/chaosd", named ? state : home, named ? "" : "/.local/state");
    return own;
}

/* One folder's name: nothing that could lead elsewhere. */
static bool name_fits(const char *run) {
    if (!*run || *run == '.' || strlen(run) > 200)
        return false;
    for (const char *p = run; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("-_.", *p))
            return false;
    return true;
}

static void journal_free(struct journal *j) {
    if (!j)
        return;
    for (size_t i = 0; i < j->count; i++)
        json_decref(j->entries[i].undo);
    closep(&j->fd);
    closep(&j->lock);
    free(j->entries);
    free(j->dir);
    free(j);
}
static void journal_freep(struct journal **j) { journal_free(*j); }
#define cleanup_journal cleanup(journal_freep)

static int journal_new(const char *run, struct journal **ret, struct error *err) {
    if (!name_fits(run))
        return error_set(err, -EINVAL, "'%s' is no name of a run", run);
    struct journal *j = calloc(1, sizeof *j);
    if (!j || asprintf(&j->dir, "%s/%s", journal_state_dir(), run) < 0) {
        free(j);
        return error_set(err, -ENOMEM, "out of memory");
    }
    j->lock = j->fd = -1;
    *ret = j;
    return 0;
}

static int sync_folder(const char *path, struct error *err) {
    cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return error_errno(err, "%s", path);
    return 0;
}

static char *file_in(const struct journal *j, const char *name) {
    char *path = NULL;
    return asprintf(&path, "%s/%s", j->dir, name) < 0 ? NULL : path;
}

/* A child that a run killed just now had not brought to exec yet shares its lock for a moment: a run that is alive holds it longer. */
static int wait_lock(int fd) {
    for (int tries = 0;; tries++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EINTR && (errno != EWOULDBLOCK || tries >= 30))
            return -errno;
        struct timespec pause = {.tv_nsec = 10 * NS_PER_MS};
        nanosleep(&pause, NULL);
    }
}

/* -EBUSY: held by another; -ESTALE: the folder went away meanwhile: try again. */
static int take_lock(struct journal *j, struct error *err) {
    cleanup_free char *path = file_in(j, LOCK_NAME);
    if (!path)
        return error_set(err, -ENOMEM, "out of memory");
    j->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (j->lock < 0)
        return errno == ENOENT ? error_set(err, -ESTALE, "%s: gone", path) : error_errno(err, "%s", path);
    int rc = wait_lock(j->lock);
    if (rc == -EWOULDBLOCK)
        return error_set(err, -EBUSY, "%s: this run is alive: it holds the lock", j->dir);
    if (rc < 0)
        return error_errno(err, "%s", path);
    struct stat ours, there;
    if (fstat(j->lock, &ours) < 0 || stat(path, &there) < 0 || ours.st_ino != there.st_ino) {
        closep(&j->lock);
        j->lock = -1;
        return error_set(err, -ESTALE, "%s: gone", path);
    }
    j->locked = true;
    return 0;
}

static int open_file(struct journal *j, struct error *err) {
    cleanup_free char *path = file_in(j, FILE_NAME);
    if (!path)
        return error_set(err, -ENOMEM, "out of memory");
    j->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (j->fd < 0)
        return error_errno(err, "%s", path);
    int rc = sync_folder(j->dir, err);
    return rc < 0 ? rc : sync_folder(journal_state_dir(), err);
}

static struct entry *find(const struct journal *j, int64_t id) {
    for (size_t i = 0; i < j->count; i++)
        if (j->entries[i].id == id)
            return &j->entries[i];
    return NULL;
}

static int remember(struct journal *j, int64_t id, const json_t *undo, struct error *err) {
    if (j->count == j->cap) {
        size_t cap = j->cap ? j->cap * 2 : 16;
        struct entry *e = realloc(j->entries, cap * sizeof *e);
        if (!e)
            return error_set(err, -ENOMEM, "out of memory");
        j->entries = e;
        j->cap = cap;
    }
    json_t *copy = json_deep_copy(undo);
    if (!copy)
        return error_set(err, -ENOMEM, "out of memory");
    j->entries[j->count++] = (struct entry){.id = id, .undo = copy};
    if (id > j->last_id)
        j->last_id = id;
    return 0;
}

static void forget(struct journal *j, struct entry *e) {
    json_decref(e->undo);
    memmove(e, e + 1, (size_t)(j->entries + j->count - e - 1) * sizeof *e);
    j->count--;
}

static int read_line(struct journal *j, const char *line, size_t len, struct error *err) {
    cleanup_json json_t *o = json_loadb(line, len, 0, NULL);
    const json_t *id = json_object_get(o, "id"), *undo = json_object_get(o, "undo");
    if (!json_is_integer(id))
        return 0; /* torn by a crash, before its act could follow */
    struct entry *known = find(j, json_integer_value(id));
    if (json_is_object(undo) && !known)
        return remember(j, json_integer_value(id), undo, err);
    if (known && json_is_true(json_object_get(o, "done")))
        forget(j, known);
    return 0;
}

static int read_all(struct journal *j, struct error *err) {
    cleanup_free char *path = file_in(j, FILE_NAME);
    cleanup_buf struct buf text = {0};
    int rc = path ? fs_read(path, MAX_BYTES, &text, err) : error_set(err, -ENOMEM, "out of memory");
    if (rc < 0)
        return rc;
    size_t at = 0;
    for (char *end; rc == 0 && at < text.len && (end = memchr(text.data + at, '\n', text.len - at)); at = (size_t)(end - text.data) + 1)
        rc = read_line(j, text.data + at, (size_t)(end - text.data) - at, err);
    if (rc < 0 || at == text.len)
        return rc;
    /* A torn last line. Cut off when the file is ours alone, else closed so that what we add stands on a line of its own. */
    if (j->locked ? ftruncate(j->fd, (off_t)at) < 0 : write(j->fd, "\n", 1) != 1)
        return error_errno(err, "%s", path);
    return 0;
}

int journal_open(const char *run, struct journal **ret, struct error *err) {
    cleanup_journal struct journal *j = NULL;
    int rc = journal_new(run, &j, err);
    if (rc < 0)
        return rc;
    do {
        rc = fs_mkdirs(j->dir, err);
        if (rc == 0)
            rc = take_lock(j, err);
    } while (rc == -ESTALE);
    if (rc == 0)
        rc = open_file(j, err);
    if (rc == 0)
        rc = read_all(j, err);
    if (rc == 0)
        *ret = take_ptr(j);
    return rc < 0 ? error_wrap(err, rc, "undo journal") : 0;
}

int journal_reopen(const char *run, bool force, struct journal **ret, struct error *err) {
    cleanup_journal struct journal *j = NULL;
    int rc = journal_new(run, &j, err);
    if (rc < 0)
        return rc;
    if (access(j->dir, F_OK) < 0)
        return errno == ENOENT ? error_set(err, -ENOENT, "no run '%s' in %s", run, journal_state_dir()) : error_errno(err, "%s", j->dir);
    rc = take_lock(j, err);
    if (rc == -ESTALE)
        return error_set(err, -ENOENT, "no run '%s' in %s", run, journal_state_dir());
    if (rc == -EBUSY && force)
        rc = 0;
    if (rc == 0)
        rc = open_file(j, err);
    if (rc == 0)
        rc = read_all(j, err);
    if (rc == 0)
        *ret = take_ptr(j);
    return rc;
}

/* The whole line is on the disk on return; what a full disk let through of it is taken back. */
static int append(struct journal *j, const json_t *line, struct error *err) {
    cleanup_free char *text = json_dumps(line, JSON_COMPACT);
    cleanup_free char *whole = NULL;
    if (!text || asprintf(&whole, "%s\n", text) < 0)
        return error_set(err, -ENOMEM, "undo journal: out of memory");
    const off_t before = lseek(j->fd, 0, SEEK_END);
    size_t len = strlen(whole), done = 0;
    while (done < len) {
        ssize_t n = write(j->fd, whole + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        done += (size_t)n;
    }
    j->appended += done;
    if (done == len && fdatasync(j->fd) == 0)
        return 0;
    int rc = error_errno(err, "undo journal: %s/" FILE_NAME, j->dir);
    if (before >= 0 && ftruncate(j->fd, before) < 0 && done)
        error_wrap(err, rc, "a torn line is left");
    return rc;
}

int journal_add(struct journal *j, const json_t *undo, int64_t *ret_id, struct error *err) {
    if (!json_is_string(json_object_get(undo, "kind")))
        return error_set(err, -EINVAL, "an undo record needs a kind");
    int64_t id = j->last_id + 1;
    cleanup_json json_t *line = json_pack("{s:I, s:O}", "id", (json_int_t)id, "undo", undo);
    if (!line)
        return error_set(err, -ENOMEM, "undo journal: out of memory");
    int rc = remember(j, id, undo, err);
    if (rc < 0)
        return rc;
    rc = append(j, line, err);
    if (rc < 0) {
        json_decref(j->entries[--j->count].undo);
        return rc;
    }
    if (ret_id)
        *ret_id = id;
    return 0;
}

static int write_pending(const struct journal *j, int fd) {
    for (size_t i = 0; i < j->count; i++) {
        cleanup_json json_t *line = json_pack("{s:I, s:O}", "id", (json_int_t)j->entries[i].id, "undo", j->entries[i].undo);
        if (!line || json_dumpfd(line, fd, JSON_COMPACT) < 0 || write(fd, "\n", 1) != 1)
            return -1;
    }
    return fdatasync(fd);
}

/* A run of weeks must not leave a file that cannot be read any more: once in a while it is written anew, with what is not done yet.
 * The old file stands until the new one is on the disk; where that fails, it goes on as it is. */
static void compact(struct journal *j) {
    j->appended = 0;
    cleanup_free char *path = file_in(j, FILE_NAME), *fresh = file_in(j, NEW_NAME);
    if (!path || !fresh || !j->locked)
        return;
    int fd = open(fresh, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    if (write_pending(j, fd) < 0 || rename(fresh, path) < 0) {
        close(fd);
        unlink(fresh);
        return;
    }
    closep(&j->fd);
    j->fd = fd;
    sync_folder(j->dir, NULL);
}

int journal_done(struct journal *j, int64_t id, struct error *err) {
    struct entry *e = find(j, id);
    if (!e)
        return id > 0 && id <= j->last_id ? 0 : error_set(err, -ENOENT, "undo journal: no record %lld", (long long)id);
    cleanup_json json_t *line = json_pack("{s:I, s:b}", "id", (json_int_t)id, "done", 1);
    if (!line)
        return error_set(err, -ENOMEM, "undo journal: out of memory");
    int rc = append(j, line, err);
    if (rc == 0)
        forget(j, e);
    if (j->appended > COMPACT_BYTES)
        compact(j);
    return rc;
}

bool journal_clean(const struct journal *j) { return j->count == 0; }

static int remove_file(const struct journal *j, const char *name, struct error *err) {
    cleanup_free char *path = file_in(j, name);
    if (!path)
        return error_set(err, -ENOMEM, "out of memory");
    if (unlink(path) < 0 && errno != ENOENT)
        return error_errno(err, "%s", path);
    return 0;
}

int journal_mark_ready(struct journal *j, bool ready, struct error *err) {
    if (!ready)
        return remove_file(j, READY_NAME, err);
    cleanup_free char *path = file_in(j, READY_NAME);
    if (!path)
        return error_set(err, -ENOMEM, "out of memory");
    cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 ? error_errno(err, "%s", path) : 0;
}

bool journal_is_ready(const char *run) {
    struct journal *j = NULL;
    if (journal_new(run, &j, NULL) < 0)
        return false;
    cleanup_free char *path = file_in(j, READY_NAME);
    journal_free(j);
    return path && access(path, F_OK) == 0;
}

int journal_close(struct journal *j, struct error *err) {
    if (!j)
        return 0;
    int rc = 0;
    if (journal_clean(j)) {
        static const char *const files[] = {FILE_NAME, NEW_NAME, READY_NAME, LOCK_NAME};
        for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(files); i++)
            rc = remove_file(j, files[i], err);
        /* A file that is not ours keeps the folder: it is not for us to remove. */
        if (rc == 0 && rmdir(j->dir) < 0 && errno != ENOENT && errno != ENOTEMPTY && errno != EEXIST)
            rc = error_errno(err, "%s", j->dir);
    }
    journal_free(j);
    return rc;
}

size_t journal_pending(const struct journal *j, int64_t *ids, const json_t **undos, size_t max) {
    size_t n = 0;
    for (size_t i = j->count; i-- > 0 && n < max; n++) {
        if (ids)
            ids[n] = j->entries[i].id;
        if (undos)
            undos[n] = j->entries[i].undo;
    }
    return n;
}

static int is_run(const struct dirent *e) {
    if (e->d_name[0] == '.' || !name_fits(e->d_name))
        return 0;
    static const char *const marks[] = {FILE_NAME, LOCK_NAME};
    for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
        char path[4096];
        int n = snprintf(path, sizeof path, "%s/%s/%s", journal_state_dir(), e->d_name, marks[i]);
        if (n < (int)sizeof path && access(path, F_OK) == 0)
            return 1;
    }
    return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

int journal_runs(char ***ret, size_t *ret_count, struct error *err) {
    struct dirent **list = NULL;
    int n = scandir(journal_state_dir(), &list, is_run, by_name);
    if (n < 0 && errno != ENOENT)
        return error_errno(err, "%s", journal_state_dir());
    if (n < 0)
        n = 0; /* no run was ever here */
    char **names = calloc((size_t)n + 1, sizeof *names);
    bool ok = names != NULL;
    for (int i = 0; i < n; i++) {
        if (names)
            ok = (names[i] = strdup(list[i]->d_name)) && ok;
        free(list[i]);
    }
    free(list);
    if (!ok) {
        for (int i = 0; names && i < n; i++)
            free(names[i]);
        free(names);
        return error_set(err, -ENOMEM, "out of memory");
    }
    *ret = names;
    *ret_count = (size_t)n;
    return 0;
}
