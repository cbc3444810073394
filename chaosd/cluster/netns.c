/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/netns.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/units.h"
#include "cluster/local_net.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define NSFS_MAGIC_NUMBER 0x6e736673
#define OWN_PATH "/proc/self/ns/net"

enum { MOST_NAMES = 256 };

/* -ENOENT: nothing there; -EINVAL: it is no namespace. */
static int inode_of(const char *path, uint64_t *ret) {
    struct stat s;
    struct statfs fs;
    if (stat(path, &s) < 0 || statfs(path, &fs) < 0)
        return -errno;
    *ret = s.st_ino;
    return fs.f_type == NSFS_MAGIC_NUMBER ? 0 : -EINVAL;
}

int netns_own(struct netns *ret, struct error *err) {
    *ret = (struct netns){.path = OWN_PATH, .said = "this machine"};
    return inode_of(ret->path, &ret->inode) < 0 ? error_errno(err, OWN_PATH) : 0;
}

const char *netns_to_open(const char *path) { return strcmp(path, OWN_PATH) == 0 ? NULL : path; }

static void comm_of(const char *pid, char *out, size_t size) {
    char path[300];
    snprintf(path, sizeof path, "/proc/%s/comm", pid);
    cleanup_fclose FILE *f = fopen(path, "re");
    if (!f || !fgets(out, (int)size, f))
        snprintf(out, size, "?");
    out[strcspn(out, "\n")] = 0;
    for (char *p = out; *p; p++) /* any process may call itself anything */
        if (*p < ' ' || *p > '~')
            *p = '?';
}

static int process(const char *pid, struct netns *ret) {
    char comm[32];
    *ret = (struct netns){0};
    snprintf(ret->path, sizeof ret->path, "/proc/%s/ns/net", pid);
    int rc = inode_of(ret->path, &ret->inode);
    if (rc < 0)
        return rc;
    comm_of(pid, comm, sizeof comm);
    snprintf(ret->said, sizeof ret->said, "process %.20s (%s)", pid, comm);
    return 0;
}

int netns_of_process(pid_t pid, struct netns *ret, struct error *err) {
    char text[16];
    snprintf(text, sizeof text, "%d", (int)pid);
    int rc = process(text, ret);
    if (rc == -ENOENT)
        return error_set(err, -ESRCH, "no process %d", (int)pid);
    return rc < 0 ? error_set(err, rc, "the namespace of process %d: %s", (int)pid, strerror(-rc)) : 0;
}

/* --- names --- */

static int shown(const struct dirent *e) { return e->d_name[0] != '.'; }

static int no_such_name(const char *name, struct error *err) {
    struct dirent **list = NULL;
    const char *names[MOST_NAMES + 1] = {0};
    char clip[CLIP_SIZE];
    cleanup_buf struct buf some = {0};
    int n = scandir(LOCAL_NETNS_DIR, &list, shown, alphasort);
    for (int i = 0; i < n && i < MOST_NAMES; i++) {
        names[i] = list[i]->d_name;
        if (i < 8)
            buf_printf(&some, "%s%s", i ? ", " : "", list[i]->d_name);
    }
    const char *near = did_you_mean(name, names);
    text_clip(name, clip);
    int rc = near       ? error_set(err, -ENOENT, "no network namespace \"%s\", did you mean \"%s\"?", clip, near)
             : some.len ? error_set(err, -ENOENT, "no network namespace \"%s\": there %s %s%s", clip, n == 1 ? "is" : "are", some.data, n > 8 ? ", ..." : "")
                        : error_set(err, -ENOENT, "no network namespace \"%s\": none has a name here (a container's is found by --pid)", clip);
    for (int i = 0; i < n; i++)
        free(list[i]);
    free(list);
    return rc;
}

int netns_named(const char *name, struct netns *ret, struct error *err) {
    bool is_path = strchr(name, '/') != NULL;
    *ret = (struct netns){0};
    if (strlen(name) >= sizeof ret->said || !*name)
        return error_set(err, -EINVAL, "expected a name as `ip netns list` shows them, or a path");
    snprintf(ret->path, sizeof ret->path, "%s%s", is_path ? "" : LOCAL_NETNS_DIR "/", name);
    snprintf(ret->said, sizeof ret->said, "%s", name);
    int rc = inode_of(ret->path, &ret->inode);
    if (rc == -ENOENT && !is_path)
        return no_such_name(name, err);
    if (rc == -EINVAL)
        return error_set(err, rc, "%s is no network namespace", ret->path);
    return rc < 0 ? error_set(err, rc, "%s: %s", ret->path, strerror(-rc)) : 0;
}

/* --- all --- */

struct seen {
    struct netns *list;
    size_t count, room;
};

static int see(struct seen *s, const struct netns *n) {
    for (size_t i = 0; i < s->count; i++)
        if (s->list[i].inode == n->inode)
            return 0;
    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : 32;
        void *more = realloc(s->list, room * sizeof *s->list);
        if (!more)
            return -ENOMEM;
        s->list = more;
        s->room = room;
    }
    s->list[s->count++] = *n;
    return 0;
}

static int see_named(struct seen *s) {
    struct dirent **list = NULL;
    int n = scandir(LOCAL_NETNS_DIR, &list, shown, alphasort), rc = 0;
    for (int i = 0; i < n; i++) {
        struct netns one;
        if (rc == 0 && netns_named(list[i]->d_name, &one, NULL) == 0)
            rc = see(s, &one);
        free(list[i]);
    }
    free(list);
    return rc;
}

static int see_processes(struct seen *s) {
    DIR *proc = opendir("/proc");
    int rc = proc ? 0 : -errno;
    for (struct dirent *e; proc && rc == 0 && (e = readdir(proc));) {
        struct netns one;
        if (isdigit((unsigned char)*e->d_name) && process(e->d_name, &one) == 0)
            rc = see(s, &one);
    }
    if (proc)
        closedir(proc);
    return rc;
}

int netns_all(struct netns **ret, struct error *err) {
    struct seen s = {0};
    struct netns own;
    int rc = netns_own(&own, err);
    if (rc < 0)
        return rc;
    if ((rc = see(&s, &own)) == 0 && (rc = see_named(&s)) == 0)
        rc = see_processes(&s);
    if (rc < 0) {
        free(s.list);
        return error_set(err, rc, "looking for network namespaces: %s", strerror(-rc));
    }
    *ret = s.list;
    return (int)s.count;
}

int netns_find(uint64_t inode, const char *path, struct netns *ret) {
    cleanup_free struct netns *all = NULL;
    uint64_t there;
    if (path && inode_of(path, &there) == 0 && there == inode) {
        struct netns found = {.inode = inode};
        snprintf(found.path, sizeof found.path, "%s", path); /* path may be ret's own */
        *ret = found;
        return 0;
    }
    int n = netns_all(&all, NULL);
    for (int i = 0; i < n; i++)
        if (all[i].inode == inode) {
            *ret = all[i];
            return 0;
        }
    return n < 0 ? n : -ENOENT;
}
