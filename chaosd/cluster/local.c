/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/local.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "cluster/local_impl.h"
#include "cluster/local_rows.h"
#include "cluster/undo.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

/* ---- events. Nothing is told from inside start(): the caller has no cluster yet. */

static json_t *pod_data(const struct local_pod *p, pid_t pid, uint64_t start_time) {
    json_t *d = json_pack("{s:s, s:s, s:s, s:s, s:I}", "uid", p->uid, "workload", p->w->name, "node", p->node->name, "ip", p->ip,
                          "restarts", (json_int_t)p->pub.restarts);
    if (d && pid) {
        json_object_set_new(d, "pid", json_integer(pid));
        json_object_set_new(d, "start_time", json_integer((json_int_t)start_time));
    }
    return d;
}

static void tell_begin(struct local *c) {
    if (c->begun)
        return;
    c->begun = true;
    static const enum cluster_event order[] = {CL_POD_CREATED, CL_POD_STARTED, CL_POD_READY};
    for (size_t e = 0; e < ARRAY_SIZE(order); e++)
        for (size_t i = 0; i < c->pod_count; i++)
            if (order[e] != CL_POD_READY || c->pods[i]->pub.ready)
                local_emit(c->pods[i], order[e], NULL);
}

static void on_begin(void *arg) { tell_begin(arg); }

void local_emit(struct local_pod *p, enum cluster_event e, const char *why) {
    struct local *c = p->c;
    tell_begin(c);
    json_t *d = pod_data(p, p->pub.pid, p->pub.start_time);
    if (d && why)
        json_object_set_new(d, "why", json_string(why));
    c->event(e, &p->pub, 0, d, c->arg);
}

void local_emit_exit(struct local_pod *p, const struct child_exit *exit, pid_t pid, uint64_t start_time) {
    struct local *c = p->c;
    tell_begin(c);
    json_t *d = pod_data(p, pid, start_time);
    if (d)
        json_object_set_new(d, exit->signalled ? "signal" : "code", json_integer(exit->code));
    c->event(CL_POD_EXITED, &p->pub, 0, d, c->arg);
}

/* ---- making */

static json_t *pairs_to_json(const struct pairs *p) {
    json_t *o = json_object();
    for (size_t i = 0; o && i < p->count; i++)
        json_object_set_new(o, p->items[i].key, json_string(p->items[i].value));
    return o;
}

static int add_pod(struct local *c, const struct workload *w, int64_t index, struct error *err) {
    const size_t turn = c->pod_count;
    const struct local_node *node = &c->nodes[turn % c->node_count];
    struct local_pod *p = calloc(1, sizeof *p);
    if (!p)
        return error_set(err, -ENOMEM, "out of memory");
    c->pods[c->pod_count++] = p;
    p->c = c;
    p->w = w;
    p->node = node;
    p->netns_fd = -1;
    p->delay_ns = w->restart->delay_ns;
    p->labels = pairs_to_json(&w->labels);
    p->annotations = pairs_to_json(&w->annotations);
    if (asprintf(&p->name, "%s-%lld", w->name, (long long)index) < 0)
        p->name = NULL;
    if (!p->name || asprintf(&p->uid, "%s-%s", c->run, p->name) < 0)
        p->uid = NULL;
    if (!p->name || asprintf(&p->dir, "%s/pods/%s", c->state, p->name) < 0)
        p->dir = NULL;
    if (!p->name || !p->uid || !p->dir || !p->labels || !p->annotations)
        return error_set(err, -ENOMEM, "out of memory");
    int n = snprintf(p->cgroup, sizeof p->cgroup, "%s/%s/%s", c->tree.path, c->run, p->name);
    if (n >= (int)sizeof p->cgroup)
        return error_set(err, -ENAMETOOLONG, "%s: control group's path too long", p->name);
    const int on_node = (int)(turn % c->node_count) + 1, k = (int)(turn / c->node_count) + 1;
    int rc = subnet_address(&c->subnet, (int)c->node_count, on_node, k, p->ip, sizeof p->ip, err);
    p->pub = (struct pod){
        .uid = p->uid, .name = p->name, .namespace = w->namespace ? w->namespace : "default", .node = node->name, .ip = p->ip,
        .workload = w->name, .labels = p->labels, .annotations = p->annotations, .phase = POD_PENDING, .replicas = w->replicas,
        .ready_spec = w->ready, .spec = w, .dir = p->dir, .created_s = clock_wall_ns() / NS_PER_S,
    };
    return rc;
}

static int by_place(const void *a, const void *b) {
    const struct pod *x = &(*(struct local_pod *const *)a)->pub, *y = &(*(struct local_pod *const *)b)->pub;
    int d = strcmp(x->namespace, y->namespace);
    return d ? d : strcmp(x->name, y->name);
}

static int add_pods(struct local *c, struct error *err) {
    const struct workload *w = c->config->workloads.items;
    size_t total = 0;
    for (size_t i = 0; i < c->config->workloads.count; i++)
        total += (size_t)w[i].replicas;
    c->pods = calloc(total + 1, sizeof *c->pods);
    if (!c->pods)
        return error_set(err, -ENOMEM, "out of memory");
    int rc = 0;
    for (size_t i = 0; i < c->config->workloads.count; i++)
        for (int64_t k = 0; rc == 0 && k < w[i].replicas; k++)
            rc = add_pod(c, &w[i], k, err);
    qsort(c->pods, c->pod_count, sizeof(struct local_pod *), by_place);
    return rc;
}

static int write_hosts(struct local *c, struct error *err) {
    cleanup_buf struct buf b = {0};
    char ip[16];
    int rc = subnet_address(&c->subnet, (int)c->node_count, 0, 0, ip, sizeof ip, err);
    if (rc < 0)
        return rc;
    buf_printf(&b, "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n%s fabric\n", ip);
    for (size_t i = 0; i < c->pod_count; i++)
        buf_printf(&b, "%s %s\n", c->pods[i]->ip, c->pods[i]->name);
    return buf_ok(&b) ? fs_write(c->hosts, b.data, b.len, err) : error_set(err, -ENOMEM, "out of memory");
}

static int make_nodes(struct local *c, struct error *err) {
    char ip[16];
    int rc = subnet_address(&c->subnet, (int)c->node_count, 0, 0, ip, sizeof ip, err);
    if (rc == 0)
        rc = local_net_namespace(c->run, "fabric", &c->fabric_fd, err);
    if (rc == 0)
        rc = local_net_bridge(c->fabric_fd, ip, c->subnet.prefix, err);
    if (rc == 0)
        local_net_widen_ports(c->fabric_fd);
    for (size_t i = 0; rc == 0 && i < c->node_count; i++) {
        struct local_node *n = &c->nodes[i];
        rc = local_net_namespace(c->run, n->name, &n->netns_fd, err);
        if (rc == 0)
            rc = local_net_bridge(n->netns_fd, NULL, 0, err);
        if (rc == 0)
            rc = local_net_link(c->fabric_fd, n->name, n->netns_fd, "uplink", NULL, 0, err);
        if (rc < 0)
            return error_wrap(err, rc, "node %s", n->name);
    }
    return rc < 0 ? error_wrap(err, rc, "fabric") : 0;
}

static int make_pods(struct local *c, struct error *err) {
    for (size_t i = 0; i < c->pod_count; i++) {
        struct local_pod *p = c->pods[i];
        int rc = local_pod_make(p, c->subnet.prefix, err);
        if (rc < 0)
            return error_wrap(err, rc, "pod %s", p->name);
    }
    for (size_t i = 0; i < c->pod_count; i++) {
        int rc = local_pod_start(c->pods[i], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- the cluster */

static void local_free(struct local *c) {
    if (!c)
        return;
    for (size_t i = 0; i < c->pod_count; i++)
        local_pod_free(c->pods[i]);
    for (size_t i = 0; c->nodes && i < c->node_count; i++)
        closep(&c->nodes[i].netns_fd);
    closep(&c->fabric_fd);
    closep(&c->clients_fd);
    timer_free(c->begin);
    json_decref(c->undo);
    free(c->pods);
    free(c->nodes);
    free(c->log_dir);
    free(c->state);
    free(c->hosts);
    free(c);
}

/* What undo_apply() needs to find all of it by name alone: on disk before the first kernel object is made. */
static int write_undo(struct local *c, struct error *err) {
    c->undo = json_pack("{s:s, s:s, s:s}", "kind", "local-cluster", "run", c->run, "state", c->state);
    if (!c->undo)
        return error_set(err, -ENOMEM, "out of memory");
    return journal_add(c->journal, c->undo, &c->undo_id, err);
}

static int undo_all(struct local *c, struct error *err) {
    for (size_t i = 0; i < c->pod_count; i++) /* an open descriptor would keep its namespace */
        if (c->pods[i]->netns_fd >= 0)
            close(take_fd(&c->pods[i]->netns_fd));
    int rc = undo_apply(c->undo, err);
    return rc < 0 ? rc : journal_done(c->journal, c->undo_id, err);
}

static int new_local(const struct local_config *config, const struct cluster_options *o, struct local **ret, struct error *err) {
    struct local *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(err, -ENOMEM, "out of memory");
    *ret = c;
    *c = (struct local){.base = {&cluster_local}, .loop = o->loop, .journal = o->journal, .config = config, .vars = o->vars, .event = o->event,
                        .arg = o->arg, .fabric_fd = -1, .clients_fd = -1};
    snprintf(c->run, sizeof c->run, "%s", o->run);
    if (!*o->run || strlen(o->run) >= sizeof c->run || strspn(o->run, "abcdefghijklmnopqrstuvwxyz0123456789") != strlen(o->run))
        return error_set(err, -EINVAL, "'%s' is no short id of a run", o->run);
    int rc = fs_mkdirs(journal_state_dir(), err);
    if (rc < 0)
        return rc;
    cleanup_free char *root = realpath(journal_state_dir(), NULL);
    if (!root)
        return error_errno(err, "%s", journal_state_dir());
    c->log_dir = strdup(o->log_dir);
    if (asprintf(&c->state, "%s/%s", root, c->run) < 0)
        c->state = NULL;
    if (!c->state || asprintf(&c->hosts, "%s/pods/.hosts", c->state) < 0)
        c->hosts = NULL;
    c->nodes = calloc((size_t)config->nodes, sizeof *c->nodes);
    if (!c->log_dir || !c->hosts || !c->nodes)
        return error_set(err, -ENOMEM, "out of memory");
    for (c->node_count = 0; c->node_count < (size_t)config->nodes; c->node_count++) {
        c->nodes[c->node_count].netns_fd = -1;
        snprintf(c->nodes[c->node_count].name, sizeof c->nodes[0].name, "n%zu", c->node_count + 1);
    }
    rc = subnet_parse(config->subnet, &c->subnet, err);
    return rc < 0 ? rc : timer_new(c->loop, on_begin, c, &c->begin, err);
}

/* Where what runs beside the pods goes, so that the run's own sweep takes it too. No pod is named so: theirs end in a number. */
static int make_clients(struct local *c, const char *group, struct error *err) {
    char path[4096 + 16];
    snprintf(path, sizeof path, "%s/clients", group);
    int rc = cgroup_create(path, err);
    if (rc == 0 && (c->clients_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        rc = error_errno(err, "%s", path);
    return rc;
}

static int build(struct local *c, struct error *err) {
    char path[4096];
    snprintf(path, sizeof path, "%s/pods", c->state); /* all that is written lies below it: one tree to remove */
    int rc = fs_mkdirs(path, err);
    if (rc == 0)
        rc = write_hosts(c, err);
    snprintf(path, sizeof path, "%s/%s", c->tree.path, c->run);
    if (rc == 0)
        rc = cgroup_create(path, err);
    if (rc == 0)
        rc = make_clients(c, path, err);
    if (rc == 0)
        rc = make_nodes(c, err);
    return rc == 0 ? make_pods(c, err) : rc;
}

static int need_root(struct error *err) {
    return geteuid() == 0 ? 0 : error_set(err, -EPERM, "the local cluster needs root (namespaces, cgroups, mounts): run it with sudo");
}

static int start(const struct kind_value *v, const struct cluster_options *o, struct cluster **ret, struct error *err) {
    struct local *c = NULL;
    int rc = need_root(err);
    if (rc == 0)
        rc = new_local(v->params, o, &c, err);
    if (rc == 0)
        rc = cgroup_find(&c->tree, err);
    if (rc == 0)
        rc = add_pods(c, err);
    if (rc == 0)
        rc = write_undo(c, err);
    if (rc < 0) {
        local_free(c);
        return rc;
    }
    rc = build(c, err);
    if (rc < 0) {
        struct error also = {{0}};
        if (undo_all(c, &also) < 0)
            error_wrap(err, rc, "also not undone (%s): `chaosd revert` will", also.text);
        local_free(c);
        return rc;
    }
    timer_at(c->begin, 0);
    *ret = &c->base;
    return 0;
}

/* Would the kernel let us? Tried in a process that ends at once. */
static int try_namespaces(struct error *err) {
    pid_t pid = fork();
    if (pid == 0)
        _exit(unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID) < 0 ? errno & 127 : 0);
    int status = 0;
    if (pid < 0)
        return error_errno(err, "fork");
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    int e = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
    return error_set(err, -e, "no namespaces can be made here: %s: is this an unprivileged container?", strerror(e));
}

/* A program named without templates is looked for before anything is made. */
static int find_programs(const struct local_config *config, struct error *err) {
    const struct workload *w = config->workloads.items;
    for (size_t i = 0; i < config->workloads.count; i++) {
        cleanup_free char *found = NULL;
        bool own_path = false;
        for (size_t k = 0; k < w[i].env.count; k++)
            own_path = own_path || strcmp(w[i].env.items[k].key, "PATH") == 0;
        const struct template *program = w[i].command.items[0];
        int rc = own_path || !template_is_literal(program) ? 0 : child_find(template_text(program), environ, &found, err);
        if (rc == 0 && found && *found == '/' && access(found, X_OK) < 0)
            rc = error_errno(err, "%s", found);
        if (rc < 0)
            return error_wrap(err, rc, "workload %s", w[i].name);
    }
    return 0;
}

static int able(struct error *err) {
    struct cgroup_tree tree;
    int rc = need_root(err);
    if (rc == 0)
        rc = try_namespaces(err);
    return rc == 0 ? cgroup_find(&tree, err) : rc;
}

static int preflight(const struct scenario *s, struct error *err) {
    int rc = able(err);
    if (rc == 0)
        rc = find_programs(s->cluster.params, err);
    return rc;
}

static struct local *self(struct cluster *c) { return (struct local *)c; }

static struct local_pod *find_pod(struct cluster *c, const char *uid) {
    for (size_t i = 0; i < self(c)->pod_count; i++)
        if (strcmp(self(c)->pods[i]->uid, uid) == 0)
            return self(c)->pods[i];
    return NULL;
}

static int no_pod(const char *uid, struct error *err) { return error_set(err, -ENOENT, "no pod with uid %s", uid); }

static size_t pods(struct cluster *c, const struct pod **list, size_t max) {
    size_t n = self(c)->pod_count < max ? self(c)->pod_count : max;
    for (size_t i = 0; i < n; i++)
        list[i] = &self(c)->pods[i]->pub;
    return n;
}

static const struct pod *pod(struct cluster *c, const char *uid) {
    struct local_pod *p = find_pod(c, uid);
    return p ? &p->pub : NULL;
}

static void set_ready(struct cluster *c, const char *uid, bool ready, const char *why) {
    struct local_pod *p = find_pod(c, uid);
    if (p)
        local_pod_set_ready(p, ready, why);
}

static int send_signal(struct cluster *c, const char *uid, int sig, struct error *err) {
    struct local_pod *p = find_pod(c, uid);
    return p ? local_pod_signal(p, sig, err) : no_pod(uid, err);
}

static int freeze(struct cluster *c, const char *uid, bool on, struct error *err) {
    struct local_pod *p = find_pod(c, uid);
    return p ? local_pod_freeze(p, on, err) : no_pod(uid, err);
}

static int undo_freeze(struct cluster *c, const char *uid, json_t **ret, struct error *err) {
    struct local_pod *p = find_pod(c, uid);
    if (!p)
        return no_pod(uid, err);
    *ret = json_pack("{s:s, s:s, s:s}", "kind", "thaw", "cgroup", p->cgroup, "pod", p->name);
    return *ret ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static int network(struct cluster *c, const char *uid, struct pod_network *ret, struct error *err) {
    static char path[sizeof LOCAL_NETNS_DIR + 256];
    struct local_pod *p = find_pod(c, uid);
    if (!p)
        return no_pod(uid, err);
    snprintf(path, sizeof path, LOCAL_NETNS_DIR "/chaosd-%s-%s", self(c)->run, p->name);
    *ret = (struct pod_network){p->netns_fd, path, LOCAL_POD_DEVICE};
    return 0;
}

static int netns(struct cluster *c) { return self(c)->fabric_fd; }
static int clients_group(struct cluster *c) { return self(c)->clients_fd; }
static const char *hosts(struct cluster *c) { return self(c)->hosts; }

/* ---- the end */

static bool ended(const struct local_pod *p, int timeout_ms) {
    struct pollfd fd = {.fd = child_pidfd(p->child), .events = POLLIN};
    return poll(&fd, 1, timeout_ms) > 0;
}

/* SIGTERM to all, then each has its stop timeout; what is left is killed with its control group. */
static void ask_to_end(struct local *c) {
    const int64_t from = loop_now();
    for (size_t i = 0; i < c->pod_count; i++) {
        struct local_pod *p = c->pods[i];
        timer_stop(p->restart);
        timer_stop(p->look);
        if (!p->child)
            continue;
        cgroup_freeze(p->cgroup, false, NULL);
        child_signal(p->child, SIGTERM, NULL);
    }
    for (size_t i = 0; i < c->pod_count; i++) {
        struct local_pod *p = c->pods[i];
        int64_t left;
        while (p->child && (left = from + p->w->stop_timeout_ns - loop_now()) > 0 && !ended(p, (int)(left / NS_PER_MS) + 1))
            ;
    }
}

static int stop(struct cluster *base, struct error *err) {
    struct local *c = self(base);
    ask_to_end(c);
    int rc = undo_all(c, err);
    for (size_t i = 0; i < c->pod_count; i++) {
        struct local_pod *p = c->pods[i];
        if (rc == 0 && p->child)
            ended(p, 1000); /* so that no zombie is left */
        p->pub.pid = 0;
        p->pub.start_time = 0;
        p->pub.phase = POD_ENDED;
        p->pub.ready = p->pub.frozen = false;
        if (rc == 0)
            local_emit(p, CL_POD_REMOVED, NULL);
    }
    local_free(c);
    return rc;
}

const struct cluster_kind cluster_local = {
    .row = {"local", &local_shape, "Nodes and pods as namespaces and processes on this machine; needs root."},
    .abilities = CLUSTER_SIGNAL | CLUSTER_NETWORK,
    .able = able,
    .preflight = preflight,
    .at_hand = "namespaces, cgroups and programs are at hand",
    .declared = local_declared,
    .workloads = local_workloads,
    .start = start,
    .pods = pods,
    .pod = pod,
    .set_ready = set_ready,
    .signal = send_signal,
    .freeze = freeze,
    .undo_freeze = undo_freeze,
    .network = network,
    .netns = netns,
    .ports = local_net_ports,
    .clients_group = clients_group,
    .hosts = hosts,
    .stop = stop,
};
