/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* For tests that need a kernel: skipping without root, turning the loop until something is so, what is there before and after. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "cluster/cgroup.h"
#include "io/loop.h"

#include <dirent.h>
#include <net/if.h>
#include <string.h>

#define NEED_ROOT()                                  \
    do {                                             \
        if (geteuid() != 0) {                        \
            print_message("# skipped: needs root\n"); \
            skip();                                  \
        }                                            \
    } while (0)

#define OK(call)                              \
    do {                                      \
        if ((call) < 0)                       \
            fail_msg("%s: %s", #call, err.text); \
    } while (0)

struct turn {
    struct loop *loop;
    struct timer *timer;
    bool (*so)(void *arg);
    void *arg;
    int64_t until;
    bool met;
};

static inline void turn_look(void *arg) {
    struct turn *t = arg;
    t->met = t->so && t->so(t->arg);
    if (t->met || loop_now() >= t->until)
        loop_stop(t->loop);
    else
        timer_after(t->timer, NS_PER_MS);
}

/* Turns the loop until so() says true, at most so long. so NULL: for the whole time. */
static inline bool turn_until(struct loop *l, bool (*so)(void *arg), void *arg, int64_t most_ns) {
    struct turn t = {.loop = l, .so = so, .arg = arg, .until = loop_now() + most_ns};
    if (timer_new(l, turn_look, &t, &t.timer, NULL) < 0)
        return false;
    timer_at(t.timer, 0);
    loop_run(l);
    timer_free(t.timer);
    return t.met;
}

static inline int visible(const struct dirent *e) { return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0; }

/* Runs of this very test are named t<pid>...; those of others that are under way are not ours to see. */
static inline bool of_others(const char *name, const char *prefix) {
    char ours[64];
    snprintf(ours, sizeof ours, "%st%x", prefix, (unsigned)getpid() & 0xfffff);
    return strncmp(name, prefix, strlen(prefix)) == 0 && strncmp(name, ours, strlen(ours)) != 0;
}

static inline void list_folder(struct buf *b, const char *path, const char *prefix) {
    struct dirent **list = NULL;
    int n = scandir(path, &list, visible, alphasort);
    for (int i = 0; i < n; i++) {
        if ((!prefix || !of_others(list[i]->d_name, prefix)) && !strstr(list[i]->d_name, ".log") && (list[i]->d_type == DT_DIR || prefix))
            buf_printf(b, "%s/%s\n", path, list[i]->d_name);
        free(list[i]);
    }
    free(list);
}

/* All that a cluster could leave behind, as text: control groups, namespaces, folders, links. */
static inline char *snapshot(const char *state_dir) {
    cleanup_buf struct buf b = {0};
    struct cgroup_tree trees[16];
    int n = cgroup_trees(trees, 16, NULL);
    for (int i = 0; i < n; i++)
        list_folder(&b, trees[i].path, "");
    list_folder(&b, "/run/netns", "chaosd-");
    list_folder(&b, state_dir, NULL);
    struct if_nameindex *links = if_nameindex();
    for (struct if_nameindex *l = links; l && l->if_name; l++)
        buf_printf(&b, "link %u %s\n", l->if_index, l->if_name);
    if_freenameindex(links);
    return buf_take(&b);
}
