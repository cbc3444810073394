/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node_cluster.h"

#include "agent/pod_find.h"
#include "agent/pod_group.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "cluster/cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#define LOOK_FAST_NS NS_PER_MS
#define LOOK_SLOW_NS (20 * NS_PER_MS)
#define LOOK_IDLE_NS (500 * NS_PER_MS) /* a reaper, or a person, may thaw it too */
#define FAST_FOR_NS (20 * NS_PER_MS)
#define SLOW_FOR_NS NS_PER_S

struct victim;

struct part { /* a container */
    struct victim *victim;
    char id[CONTAINER_ID_SIZE];
    int pidfd; /* of its first process */
    struct watch *watch;
    char *group; /* NULL: it is not to be frozen */
    bool over;
};

struct victim {
    struct victim *next;
    struct node *node;
    struct pod pub;
    char *key, *pod_uid, *name, *namespace;
    struct part *parts;
    size_t part_count;
    int holder; /* pidfd of who holds the pod's network */
    struct watch *holder_watch;
    uint64_t netns;
    int netns_fd;
    char netns_path[64], device[POD_DEVICE_SIZE];
    struct timer *look;
    int64_t look_since_ns;
    bool adopt, want_frozen, want_thawed;
};

struct node {
    struct cluster base;
    struct node_cluster_spec spec;
    struct victim *victims;
};

static struct node *node_of(struct cluster *c) { return (struct node *)c; }

static struct victim *find(struct cluster *c, const char *key) {
    for (struct victim *v = node_of(c)->victims; v; v = v->next)
        if (strcmp(v->key, key) == 0)
            return v;
    return NULL;
}

static void tell(struct victim *v, enum cluster_event e) { v->node->spec.event(e, v->key, v->node->spec.arg); }

/* --- coming and going --- */

static void victim_free(struct victim *v) {
    for (size_t i = 0; i < v->part_count; i++) {
        watch_free(v->parts[i].watch);
        closep(&v->parts[i].pidfd);
        free(v->parts[i].group);
    }
    watch_free(v->holder_watch);
    closep(&v->holder);
    closep(&v->netns_fd);
    timer_free(v->look);
    free(v->parts);
    free(v->key);
    free(v->pod_uid);
    free(v->name);
    free(v->namespace);
    free(v);
}

static void on_part_over(int events, void *arg) {
    struct part *p = arg;
    struct victim *v = p->victim;
    (void)events;
    watch_free(take_ptr(p->watch));
    p->over = true;
    for (size_t i = 0; i < v->part_count; i++)
        if (!v->parts[i].over)
            return;
    tell(v, CL_POD_EXITED);
}

/* The pidfd first, the start after it: a recycled number is not followed. */
static int follow(struct victim *v, const struct pod_process *p, void (*over)(int events, void *arg), void *arg, int *ret_fd, struct watch **ret,
                  struct error *err) {
    uint64_t start;
    *ret_fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    if (*ret_fd < 0)
        return error_set(err, errno == ESRCH ? -ENOENT : -errno, "process %d: %s", (int)p->pid, strerror(errno));
    if (proc_start_time((int)p->pid, &start, NULL) < 0 || start != p->start_ticks)
        return error_set(err, -ENOENT, "pod %s/%s ended while it was looked at", v->namespace, v->name);
    return watch_new(v->node->spec.loop, *ret_fd, WATCH_READ, over, arg, ret, err);
}

static int take_part(struct victim *v, const struct pod_container *c, bool freezes, struct error *err) {
    struct part *p = &v->parts[v->part_count++];
    char group[CGROUP_PATH_MAX];
    *p = (struct part){.victim = v, .pidfd = -1};
    snprintf(p->id, sizeof p->id, "%s", c->id);
    int rc = follow(v, &c->first, on_part_over, p, &p->pidfd, &p->watch, err);
    if (rc == 0 && freezes && (rc = pod_group(v->node->spec.proc_fd, c, group, err)) == 0 && !(p->group = strdup(group)))
        rc = error_set(err, -ENOMEM, "out of memory");
    return rc;
}

static int take_parts(struct victim *v, const struct pod_found *f, const struct node_victim_spec *s, struct error *err) {
    const char *id = s->fault->container_id;
    int rc = 0;
    v->parts = calloc(f->container_count, sizeof *v->parts);
    if (!v->parts)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < f->container_count && rc == 0; i++) {
        const struct pod_container *c = &f->containers[i];
        if (!c->sandbox && (!id || strncmp(c->id, id, strlen(id)) == 0))
            rc = take_part(v, c, s->freezes, err);
    }
    if (rc == 0 && v->part_count == 0)
        return error_set(err, -ENOENT, "container %s (%.12s) of pod %s/%s does not run here (any more)", s->fault->container_name, id ? id : "",
                         v->namespace, v->name);
    return rc;
}

static int take_network(struct victim *v, const struct pod_found *f, bool device_named, struct error *err) {
    v->netns = f->netns;
    snprintf(v->netns_path, sizeof v->netns_path, "/proc/%d/ns/net", (int)f->holder.pid);
    v->netns_fd = pod_netns_open(v->node->spec.proc_fd, f, err);
    if (v->netns_fd < 0)
        return v->netns_fd;
    int rc = pod_device(v->netns_fd, v->device, err);
    return rc < 0 && device_named ? 0 : rc;
}

static void on_holder_over(int events, void *arg);

static int look_it_up(struct victim *v, const struct node_victim_spec *s, struct error *err) {
    struct pod_found f;
    int rc = pod_find(v->node->spec.proc_fd, v->pod_uid, s->fault->host_network || (s->adopt && !s->network) ? POD_FIND_HOST_NETWORK : 0, &f, err);
    if (rc < 0) {
        if (rc == -EAGAIN)
            pod_found_free(&f);
        return rc;
    }
    rc = follow(v, &f.holder, on_holder_over, v, &v->holder, &v->holder_watch, err);
    if (rc == 0)
        rc = s->network ? take_network(v, &f, s->device, err) : take_parts(v, &f, s, err);
    pod_found_free(&f);
    return rc;
}

/* Where there is no sandbox it is a container's process, and another may hold the same network by now. */
static void on_holder_over(int events, void *arg) {
    struct victim *v = arg;
    struct pod_found f;
    (void)events;
    watch_free(take_ptr(v->holder_watch));
    closep(&v->holder);
    v->holder = -1;
    int rc = pod_find(v->node->spec.proc_fd, v->pod_uid, POD_FIND_HOST_NETWORK, &f, NULL);
    if (rc == 0 || rc == -EAGAIN) {
        if (!v->netns || f.netns == v->netns)
            rc = follow(v, &f.holder, on_holder_over, v, &v->holder, &v->holder_watch, NULL);
        else
            rc = -ENOENT;
        pod_found_free(&f);
    }
    if (rc < 0)
        tell(v, CL_POD_REMOVED);
}

static void on_look(void *arg);

int node_cluster_add(struct cluster *c, const struct node_victim_spec *s, struct error *err) {
    struct node *n = node_of(c);
    struct victim *v = calloc(1, sizeof *v);
    if (!v)
        return error_set(err, -ENOMEM, "out of memory");
    *v = (struct victim){.node = n, .holder = -1, .netns_fd = -1, .adopt = s->adopt, .key = strdup(s->fault->uid),
                         .pod_uid = strdup(s->fault->pod_uid), .name = strdup(s->fault->pod_name),
                         .namespace = strdup(s->fault->pod_namespace)};
    int rc = v->key && v->pod_uid && v->name && v->namespace ? timer_new(n->spec.loop, on_look, v, &v->look, err)
                                                              : error_set(err, -ENOMEM, "out of memory");
    if (rc == 0)
        rc = look_it_up(v, s, err);
    if (rc < 0) {
        victim_free(v);
        return rc;
    }
    v->pub = (struct pod){.uid = v->key, .name = v->name, .namespace = v->namespace, .phase = POD_RUNNING};
    v->next = n->victims;
    n->victims = v;
    return 0;
}

void node_cluster_remove(struct cluster *c, const char *key) {
    for (struct victim **at = &node_of(c)->victims, *v; (v = *at); at = &v->next)
        if (strcmp(v->key, key) == 0) {
            *at = v->next;
            victim_free(v);
            return;
        }
}

uint64_t node_cluster_netns(struct cluster *c, const char *key) {
    const struct victim *v = find(c, key);
    return v ? v->netns : 0;
}

/* --- what is done to it --- */

static const struct pod *pod(struct cluster *c, const char *key) {
    const struct victim *v = find(c, key);
    return v ? &v->pub : NULL;
}

static int gone(struct error *err) { return error_set(err, -ENOENT, "the pod is gone"); }

static int network(struct cluster *c, const char *key, struct pod_network *ret, struct error *err) {
    struct victim *v = find(c, key);
    if (!v || v->netns_fd < 0)
        return gone(err);
    *ret = (struct pod_network){v->netns_fd, v->netns_path, v->device};
    return 0;
}

/* Whom it cannot reach any more has ended, which is seen as well. */
static int signal_parts(struct cluster *c, const char *key, int sig, struct error *err) {
    struct victim *v = find(c, key);
    size_t reached = 0;
    for (size_t i = 0; v && i < v->part_count; i++) {
        if (syscall(SYS_pidfd_send_signal, v->parts[i].pidfd, sig, NULL, 0) == 0)
            reached++;
        else if (errno != ESRCH)
            return error_errno(err, "signalling container %.12s of %s/%s", v->parts[i].id, v->namespace, v->name);
    }
    return reached ? 0 : gone(err);
}

struct seen { size_t groups, frozen, asked; };

/* A group outlives its container's first process where others are in it, and stays frozen: it counts as long as it is there. */
static struct seen look_at(const struct victim *v) {
    struct seen n = {0};
    for (size_t i = 0; i < v->part_count; i++) {
        bool frozen = false, asked = false;
        const char *group = v->parts[i].group;
        if (!group || cgroup_frozen(group, &frozen, NULL) < 0 || cgroup_freezing(group, &asked, NULL) < 0)
            continue;
        n.groups++;
        n.frozen += frozen;
        n.asked += asked;
    }
    return n;
}

bool node_cluster_frozen(struct cluster *c, const char *key) {
    const struct victim *v = find(c, key);
    return v && look_at(v).frozen > 0;
}

static int freeze_parts(struct victim *v, bool on, struct error *err);

/* libev cannot wait for POLLPRI on cgroup.events, so a timer looks. */
static void on_look(void *arg) {
    struct victim *v = arg;
    const struct seen n = look_at(v);
    const bool froze = v->want_frozen && !v->pub.frozen && n.groups && n.frozen == n.groups;
    const bool thawed = v->want_thawed ? n.frozen == 0 : v->pub.frozen && n.asked < n.groups;
    const int64_t since = loop_now() - v->look_since_ns;
    timer_after(v->look, since < FAST_FOR_NS ? LOOK_FAST_NS : since < SLOW_FOR_NS ? LOOK_SLOW_NS : LOOK_IDLE_NS);
    if (froze) {
        v->pub.frozen = true;
        tell(v, CL_POD_FROZEN);
    } else if (v->want_frozen && !v->pub.frozen) {
        freeze_parts(v, true, NULL); /* version 1 may miss a process that is being forked, and waits for it until told again */
    } else if (thawed) {
        v->pub.frozen = v->want_frozen = v->want_thawed = false;
        timer_stop(v->look);
        tell(v, CL_POD_THAWED);
    }
}

/* What somebody else froze would be thawed with ours. */
static int check_thawed(const struct victim *v, struct error *err) {
    for (size_t i = 0; i < v->part_count && !v->adopt; i++) {
        bool is = false;
        if (cgroup_frozen(v->parts[i].group, &is, NULL) == 0 && is)
            return error_set(err, -EBUSY, "container %.12s of %s/%s is frozen already, by somebody else", v->parts[i].id, v->namespace, v->name);
    }
    return 0;
}

/* One that is gone has gone with its container. */
static int freeze_parts(struct victim *v, bool on, struct error *err) {
    struct error one;
    int rc = 0;
    for (size_t i = 0; i < v->part_count && (rc == 0 || !on); i++) {
        int done = cgroup_freeze(v->parts[i].group, on, &one);
        if (done < 0 && done != -ENOENT && done != -ENODEV)
            rc = error_set(err, done, "%s", one.text);
    }
    return rc;
}

static int freeze(struct cluster *c, const char *key, bool on, struct error *err) {
    struct victim *v = find(c, key);
    if (!v)
        return gone(err);
    int rc = on ? check_thawed(v, err) : 0;
    if (rc < 0)
        return rc;
    rc = freeze_parts(v, on, err);
    if (rc < 0 && on)
        freeze_parts(v, false, NULL);
    if (rc < 0)
        return rc;
    v->want_frozen = on;
    v->want_thawed = !on;
    v->look_since_ns = loop_now();
    timer_after(v->look, 0);
    return 0;
}

static int undo_freeze(struct cluster *c, const char *key, json_t **ret, struct error *err) {
    struct victim *v = find(c, key);
    char name[600];
    if (!v)
        return gone(err);
    json_t *groups = json_array();
    for (size_t i = 0; i < v->part_count; i++)
        if (v->parts[i].group)
            json_array_append_new(groups, json_string(v->parts[i].group));
    snprintf(name, sizeof name, "%s/%s", v->namespace, v->name);
    *ret = json_pack("{s:s, s:o, s:s}", "kind", "thaw", "cgroups", groups, "pod", name);
    return *ret ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static const struct cluster_kind node_kind = {
    .row = {"node", NULL, "Pods of this node, found in /proc."},
    .abilities = CLUSTER_SIGNAL | CLUSTER_NETWORK | CLUSTER_CONTAINERS,
    .pod = pod,
    .signal = signal_parts,
    .freeze = freeze,
    .undo_freeze = undo_freeze,
    .network = network,
};

int node_cluster_new(const struct node_cluster_spec *s, struct cluster **ret, struct error *err) {
    struct node *n = calloc(1, sizeof *n);
    if (!n)
        return error_set(err, -ENOMEM, "out of memory");
    n->base.kind = &node_kind;
    n->spec = *s;
    *ret = &n->base;
    return 0;
}

void node_cluster_free(struct cluster *c) {
    for (struct victim *v = c ? node_of(c)->victims : NULL, *next; v; v = next) {
        next = v->next;
        victim_free(v);
    }
    free(c);
}
