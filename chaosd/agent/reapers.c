/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/reapers.h"

#include "agent/pod_cgroup.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"
#include "cluster/undo.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { TEXT_MOST = 65536 };

static int read_of(const char *pid, const char *name, struct buf *ret) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%.20s/%s", pid, name);
    return fs_read(path, TEXT_MOST, ret, NULL);
}

/* "chaosd\0__reap\0DEADLINE\0{...}\0" */
static json_t *record_of(const struct buf *b) {
    const char *words[4] = {0}, *end = b->data + b->len;
    size_t n = 0;
    for (const char *p = b->data; p && p < end && n < ARRAY_SIZE(words); p += strlen(p) + 1)
        words[n++] = p;
    if (n < ARRAY_SIZE(words) || strcmp(words[1], "__reap") != 0)
        return NULL;
    json_t *undo = json_loads(words[3], 0, NULL);
    if (strcmp(json_str_or(undo, "kind", ""), "thaw") == 0 && json_is_array(json_object_get(undo, "cgroups")) && json_object_get(undo, "by"))
        return undo;
    json_decref(undo);
    return NULL;
}

/* Whoever may start processes in a pod could write anything into their arguments. */
static bool is_trusted(const char *pid) {
    char path[64];
    struct stat s;
    struct pod_cgroup group;
    cleanup_buf struct buf text = {0};
    snprintf(path, sizeof path, "/proc/%.20s", pid);
    return stat(path, &s) == 0 && s.st_uid == 0 && read_of(pid, "cgroup", &text) == 0 && text.len && !pod_cgroup_parse(text.data, &group);
}

/* In which processes' numbers mean something. */
static json_int_t own_numbers(void) {
    struct stat s;
    return stat("/proc/self/ns/pid", &s) == 0 ? (json_int_t)s.st_ino : 0;
}

json_t *reaper_agent(void) {
    uint64_t start = 0;
    proc_start_time(getpid(), &start, NULL);
    return json_pack("{s:I, s:I, s:I}", "pid", (json_int_t)getpid(), "start_time", (json_int_t)start, "pidns", own_numbers());
}

static pid_t alive(const json_t *by) {
    const json_int_t pid = json_int_or(by, "pid", 0);
    uint64_t start;
    if (json_int_or(by, "pidns", 0) != own_numbers())
        return -1;
    return pid > 0 && proc_start_time((int)pid, &start, NULL) == 0 && (json_int_t)start == json_int_or(by, "start_time", -1) ? (pid_t)pid : 0;
}

static bool look(const char *pid, struct reaper_seen *ret) {
    cleanup_buf struct buf line = {0};
    *ret = (struct reaper_seen){.pid = (pid_t)atoi(pid)};
    if (proc_start_time(ret->pid, &ret->start_time, NULL) < 0 || read_of(pid, "cmdline", &line) < 0 || !line.len || !(ret->undo = record_of(&line)))
        return false;
    if (!is_trusted(pid)) {
        json_decref(ret->undo);
        return false;
    }
    ret->agent = alive(json_object_get(ret->undo, "by"));
    return true;
}

int reapers_seen(struct reaper_seen **ret, struct error *err) {
    struct reaper_seen *list = NULL, one;
    size_t n = 0;
    DIR *proc = opendir("/proc");
    if (!proc)
        return error_errno(err, "/proc");
    for (struct dirent *e; (e = readdir(proc));) {
        if (*e->d_name < '1' || *e->d_name > '9' || !look(e->d_name, &one))
            continue;
        void *more = realloc(list, (n + 1) * sizeof *list);
        if (!more) {
            json_decref(one.undo);
            break;
        }
        list = more;
        list[n++] = one;
    }
    closedir(proc);
    *ret = list;
    return (int)n;
}

void reapers_free(struct reaper_seen *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        json_decref(list[i].undo);
    free(list);
}

int reaper_seen_end(const struct reaper_seen *r, struct error *err) {
    cleanup_json json_t *undo = json_pack("{s:s, s:I, s:I}", "kind", "reaper", "pid", (json_int_t)r->pid, "start_time", (json_int_t)r->start_time);
    return undo ? undo_apply(undo, err) : error_set(err, -ENOMEM, "out of memory");
}
