/* SPDX-License-Identifier: Apache-2.0 */
/* Who else is there: interfaces, what others attached, and which runs have something here, dead or alive. */
#include "view.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int netem_devices(struct netem_ns *ns, struct netem_device **ret, char *why) {
    char run[NETEM_RUN_SIZE];
    struct view v;
    uint32_t id;
    int count = 0, rc = view_all(ns, &v, why);
    *ret = rc == 0 ? calloc(v.link_count + 1, sizeof **ret) : NULL;
    if (rc == 0 && !*ret)
        rc = netem_why(why, -ENOMEM, "out of memory");
    for (size_t i = 0; rc == 0 && i < v.link_count; i++)
        if (!view_is_ifb(&v.links[i], &id, run)) {
            struct netem_device *d = &(*ret)[count++];
            snprintf(d->name, sizeof d->name, "%s", v.links[i].name);
            d->loopback = v.links[i].loopback;
        }
    view_free(&v);
    return rc < 0 ? rc : count;
}

static void name_device(const struct view *v, int index, char out[NETEM_DEV_SIZE]) {
    const struct msg_link *l = view_link_at(v, index);
    snprintf(out, NETEM_DEV_SIZE, "%s", l ? l->name : "?");
}

int netem_others(struct netem_ns *ns, struct netem_other **ret, char *why) {
    char run[NETEM_RUN_SIZE];
    struct view v;
    uint32_t id;
    int count = 0, rc = view_all(ns, &v, why);
    *ret = rc == 0 ? calloc(v.filter_count + v.queue_count + 1, sizeof **ret) : NULL;
    if (rc == 0 && !*ret)
        rc = netem_why(why, -ENOMEM, "out of memory");
    for (size_t i = 0; rc == 0 && i < v.filter_count; i++) {
        const struct msg_filter *f = &v.filters[i];
        if (f->table || view_whose(f, &id, run) != VIEW_FOREIGN)
            continue;
        struct netem_other *o = &(*ret)[count++];
        *o = (struct netem_other){.filter = true, .direction = f->parent == MSG_IN_PARENT ? NETEM_IN : NETEM_OUT, .priority = f->priority};
        snprintf(o->kind, sizeof o->kind, "%s", f->kind);
        name_device(&v, f->index, o->dev);
    }
    for (size_t i = 0; rc == 0 && i < v.queue_count; i++)
        if (strcmp(v.queues[i].kind, "netem") == 0 && v.queues[i].handle != MSG_QUEUE_HANDLE) {
            struct netem_other *o = &(*ret)[count++];
            *o = (struct netem_other){.kind = "netem"};
            name_device(&v, v.queues[i].index, o->dev);
        }
    view_free(&v);
    return rc < 0 ? rc : count;
}

/* --- alive? Whoever loaded a classifier keeps it open as long as it lives; the filters keep it without anybody. --- */

static bool has_program(const char *fdinfo, uint32_t program) {
    char line[128];
    unsigned long got = 0;
    FILE *f = fopen(fdinfo, "re");
    while (f && fgets(line, sizeof line, f))
        sscanf(line, "prog_id: %lu", &got);
    if (f)
        fclose(f);
    return got == program;
}

static bool holds(const char *pid, uint32_t program) {
    char path[300], target[64];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
    DIR *fds = opendir(path);
    for (struct dirent *e; fds && !found && (e = readdir(fds));) {
        snprintf(path, sizeof path, "/proc/%.20s/fd/%.20s", pid, e->d_name);
        ssize_t n = readlink(path, target, sizeof target - 1);
        target[n > 0 ? n : 0] = 0;
        snprintf(path, sizeof path, "/proc/%.20s/fdinfo/%.20s", pid, e->d_name);
        found = strstr(target, "bpf-prog") && has_program(path, program);
    }
    if (fds)
        closedir(fds);
    return found;
}

static int holder_of(uint32_t program) {
    int found = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *e; proc && !found && (e = readdir(proc));)
        if (isdigit((unsigned char)*e->d_name) && atoi(e->d_name) != getpid() && holds(e->d_name, program))
            found = atoi(e->d_name);
    if (proc)
        closedir(proc);
    return found;
}

struct owners { struct netem_owner *list; int count; };

static struct netem_owner *owner(struct owners *o, const char *run) {
    for (int i = 0; i < o->count; i++)
        if (strcmp(o->list[i].run, run) == 0)
            return &o->list[i];
    struct netem_owner *fresh = &o->list[o->count++];
    snprintf(fresh->run, sizeof fresh->run, "%s", run);
    return fresh;
}

int netem_owners(struct netem_ns *ns, struct netem_owner **ret, char *why) {
    char run[NETEM_RUN_SIZE];
    struct view v;
    uint32_t id;
    int rc = view_all(ns, &v, why);
    struct owners o = {rc == 0 ? calloc(v.filter_count + v.link_count + 1, sizeof *o.list) : NULL, 0};
    if (rc == 0 && !o.list)
        rc = netem_why(why, -ENOMEM, "out of memory");
    for (size_t i = 0; rc == 0 && i < v.filter_count; i++)
        if (view_whose(&v.filters[i], &id, run) != VIEW_FOREIGN) {
            struct netem_owner *of = owner(&o, run);
            if (!of->pid)
                of->pid = holder_of(v.filters[i].program);
        }
    for (size_t i = 0; rc == 0 && i < v.link_count; i++)
        if (view_is_ifb(&v.links[i], &id, run))
            owner(&o, run);
    view_free(&v);
    *ret = o.list;
    return rc < 0 ? rc : o.count;
}
