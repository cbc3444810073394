/* SPDX-License-Identifier: Apache-2.0 */
/* Start, watches and end of the node's agent. Nothing is done before both watches have told all that there is. */
#include "agent/agent_priv.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/harmful.h"
#include "base/redact.h"
#include "base/signals.h"
#include "base/timestamp.h"
#include "base/utf8.h"
#include "cluster/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define END_NS (10 * NS_PER_S)   /* after TERM: until all is ended */
#define SAY_NS (3 * NS_PER_S)    /* and then until that is said */
#define LOOK_MOST_NS (60 * NS_PER_S)
#define NAMESPACE "chaosd-agent"
enum { CONNECTIONS = 4, LINE_MOST = 1600 };
enum { MISSED_MOST = 2 }; /* in a row, and it is ready still: one attempt that fails is no news */

/* --- the log: a line an event --- */

void agent_log(const struct held *h, const char *fmt, ...) {
    char stamp[TIMESTAMP_SIZE], text[LINE_MOST];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    redact(text);
    timestamp_format(clock_wall_ns(), stamp);
    fprintf(stderr, "%s %s: ", stamp, h && h->fault.name ? h->fault.name : "agent");
    for (const char *p = text; *p;) {
        const size_t bad = harmful(p), n = bad ? bad : utf8_decode(p, UTF8_MOST, NULL);
        if (bad)
            fputc('?', stderr);
        else
            fwrite(p, 1, n, stderr);
        p += n;
    }
    fputc('\n', stderr);
}

/* --- what is to be done now --- */

static void clear_leftovers(struct agent *a, void (*first)(struct agent *a)) {
    struct error err;
    struct leftover *l = NULL;
    int rc = leftover_find(a, &l, &err);
    if (rc < 0)
        agent_log(NULL, "what an earlier agent left: %s", err.text);
    if (first)
        first(a);
    if (l)
        leftover_clear(a, l);
}

static void wait_for_the_watches(struct agent *a) {
    const int64_t wait = leftover_overdue(a);
    if (wait >= 0)
        timer_after(a->sweep, wait);
}

static void look_for_leftovers(struct agent *a) {
    const int64_t next = a->leaving ? 0 : held_sweep(a);
    const int64_t wait = next - clock_wall_ns();
    if (next)
        timer_after(a->sweep, wait < LOOK_MOST_NS ? (wait > 0 ? wait : 0) + NS_PER_S : LOOK_MOST_NS);
    else
        timer_stop(a->sweep);
}

static void on_ending(void *arg) {
    struct agent *a = arg;
    agent_log(NULL, held_quiet(a, false) ? "not all could be said" : "not all could be ended: the kernel and the reapers do that at the deadlines");
    loop_stop(a->loop);
}

/* Called from within what the acts tell: nothing is freed here but by the timer that comes after it. */
void agent_step(struct agent *a) {
    if (a->leaving || a->begun)
        timer_after(a->sweep, 0);
}

static void go_on(void *arg) {
    struct agent *a = arg;
    held_drop(a);
    if (held_quiet(a, false) && a->env.netem) /* at rest it costs nothing */
        fault_env_close(&a->env);
    if (a->leaving && held_quiet(a, true)) {
        loop_stop(a->loop);
    } else if (a->leaving && !a->ended && held_quiet(a, false)) {
        a->ended = true;
        timer_after(a->ending, SAY_NS);
    }
    if (a->begun || a->leaving)
        look_for_leftovers(a);
    else
        wait_for_the_watches(a);
}

/* --- watches --- */

static const struct kube_object *own_node(const struct agent *a) { return kube_store_next(kube_watch_store(a->self), NULL); }

static void show_ready(struct agent *a) {
    struct error err;
    const bool ready = a->begun && !a->leaving && a->faults_missed <= MISSED_MOST && a->self_missed <= MISSED_MOST && own_node(a);
    if (ready == a->ready)
        return;
    a->ready = ready;
    if (journal_mark_ready(a->journal, ready, &err) < 0)
        agent_log(NULL, "whether it is ready cannot be shown: %s", err.text);
}

/* Without its Node it stays as it was last seen: to lift the switch is not what deleting a Node says. */
static bool wants_stop(const struct agent *a) {
    const struct kube_object *o = own_node(a);
    struct kube_view v;
    if (!o)
        return a->stopped;
    kube_object_view(o, &v);
    const char *says = kube_pairs_get(v.annotations, AGENT_STOP_ANNOTATION);
    return says && strcmp(says, "false") != 0;
}

static void look_at_switch(struct agent *a) {
    const bool was = a->stopped;
    a->stopped = wants_stop(a);
    if (a->stopped == was)
        return;
    agent_log(NULL, a->stopped ? "stopped by the node's annotation " AGENT_STOP_ANNOTATION : "the node's annotation " AGENT_STOP_ANNOTATION " is gone");
    if (a->stopped)
        held_end_all(a, "Stopped", "the node's annotation " AGENT_STOP_ANNOTATION);
    agent_step(a);
}

/* Those that an earlier agent had come first, then what else it left goes, and only then something new begins. */
static void tell_all(struct agent *a, bool had) {
    const struct kube_store *store = kube_watch_store(a->faults);
    for (const struct kube_object *o = kube_store_next(store, NULL); o; o = kube_store_next(store, o)) {
        struct node_fault_status s;
        cleanup_json json_t *object = node_fault_of(o);
        if (object && node_fault_status_decode(object, &s, NULL) == 0 && had == (s.phase != NODE_FAULT_PENDING))
            held_told(a, o);
    }
}

static void take_over(struct agent *a) { tell_all(a, true); }

static void begin(struct agent *a) {
    if (a->begun || a->leaving || !a->faults_told || !a->self_told)
        return;
    if (!own_node(a)) {
        if (!a->unknown)
            agent_log(NULL, "the cluster has no node %s: nothing is begun until it has, since nobody could stop it by the node's annotation; is --node (or NODE_NAME) right?", a->o.node);
        a->unknown = true;
        return;
    }
    a->begun = true;
    a->stopped = wants_stop(a);
    agent_log(NULL, "node %s, NodeFaults of namespace %s, version %s%s", a->o.node, a->namespace, CHAOSD_VERSION, a->stopped ? ", stopped by annotation" : "");
    clear_leftovers(a, take_over);
    tell_all(a, false);
    show_ready(a);
    agent_step(a);
}

static bool follow_trouble(struct agent *a, const struct kube_event *e, unsigned *missed, const char *what) {
    if (e->what == KUBE_TROUBLED)
        (*missed)++;
    else if (e->what == KUBE_GAP || e->what == KUBE_SYNCED)
        *missed = 0;
    if (e->what == KUBE_TROUBLED && *missed == 1)
        agent_log(NULL, "%s cannot be followed just now, and are tried again: %s", what, e->why);
    else if (e->what == KUBE_GAP)
        agent_log(NULL, "%s are followed again", what);
    show_ready(a);
    return e->what == KUBE_TROUBLED || e->what == KUBE_GAP;
}

static void on_fault(const struct kube_event *e, void *arg) {
    struct agent *a = arg;
    struct kube_view before = {0}, now = {0};
    if (follow_trouble(a, e, &a->faults_missed, "NodeFaults of " NODE_FAULT_API))
        return;
    a->faults_told |= e->what == KUBE_SYNCED;
    if (e->what == KUBE_SYNCED)
        begin(a);
    if (e->what == KUBE_SYNCED || !a->begun)
        return;
    if (e->before)
        kube_object_view(e->before, &before);
    if (e->object)
        kube_object_view(e->object, &now);
    const bool replaced = e->what == KUBE_MODIFIED && before.uid && strcmp(before.uid, now.uid) != 0;
    if (e->what == KUBE_DELETED || replaced)
        held_deleted(a, before.uid ? before.uid : now.uid);
    if (e->what != KUBE_DELETED)
        held_told(a, e->object);
}

static void on_self(const struct kube_event *e, void *arg) {
    struct agent *a = arg;
    if (follow_trouble(a, e, &a->self_missed, "our Node's annotations"))
        return;
    a->self_told |= e->what == KUBE_SYNCED;
    if (a->begun)
        look_at_switch(a);
    else
        begin(a);
}

static int follow(struct agent *a, struct error *err) {
    static const char *const annotations[] = {AGENT_STOP_ANNOTATION, NULL};
    char label[NODE_FAULT_LABEL_SIZE], selector[sizeof NODE_FAULT_NODE_LABEL + NODE_FAULT_LABEL_SIZE], name[300];
    node_fault_label(a->o.node, label);
    snprintf(selector, sizeof selector, NODE_FAULT_NODE_LABEL "=%s", label);
    snprintf(name, sizeof name, "metadata.name=%.253s", a->o.node);
    const struct kube_watch_spec faults = {.kind = &kube_kinds[KUBE_NODEFAULTS], .namespace = a->namespace, .label_selector = selector, .told = on_fault, .arg = a};
    const struct kube_watch_spec self = {.kind = &kube_kinds[KUBE_NODES], .field_selector = name, .annotations = annotations, .told = on_self, .arg = a};
    int rc = kube_watch_start(a->kube, &faults, &a->faults, err);
    return rc < 0 ? rc : kube_watch_start(a->kube, &self, &a->self, err);
}

static void on_cluster(enum cluster_event e, const char *key, void *arg) {
    struct agent *a = arg;
    for (struct held *h = a->held; h; h = h->next)
        if (strcmp(h->fault.uid, key) == 0) {
            held_event(h, e);
            return;
        }
}

/* --- start and end --- */

enum { JOURNAL_NAME_SIZE = sizeof AGENT_JOURNAL + NODE_FAULT_LABEL_SIZE };

struct signals {
    struct agent *agent;
    int fd;
};

static void on_signal(int events, void *arg) {
    struct signals *s = arg;
    struct agent *a = s->agent;
    char drop[256];
    (void)events;
    while (read(s->fd, drop, sizeof drop) > 0)
        ;
    if (a->leaving) {
        loop_stop(a->loop);
        return;
    }
    a->leaving = true;
    show_ready(a);
    agent_log(NULL, "asked to end: all faults of this node are ended first");
    held_end_all(a, "Terminated", "the agent was asked to end");
    if (!a->begun)
        clear_leftovers(a, NULL); /* nothing of it was taken over */
    timer_after(a->ending, END_NS);
    agent_step(a);
}

/* Whose group it is in can be told once it sees all of them. */
static void look_where_we_are(struct agent *a) {
    cleanup_buf struct buf text = {0};
    struct pod_cgroup group;
    const char *host = getenv("KUBERNETES_SERVICE_HOST");
    cgroup_see_all();
    a->contained = fs_read("/proc/self/cgroup", 65536, &text, NULL) == 0 && text.len && pod_cgroup_parse(text.data, &group);
    if (a->contained)
        snprintf(a->own_pod, sizeof a->own_pod, "%s", group.uid);
    a->hidden = !a->contained && host && *host;
}

static void journal_name(const char *node, char out[JOURNAL_NAME_SIZE]) {
    char label[NODE_FAULT_LABEL_SIZE];
    node_fault_label(node, label);
    snprintf(out, JOURNAL_NAME_SIZE, AGENT_JOURNAL "%s", label);
}

bool agent_ready(const char *node) {
    char name[JOURNAL_NAME_SIZE];
    journal_name(node, name);
    return journal_is_ready(name);
}

static int open_journal(struct agent *a, struct error *err) {
    char name[JOURNAL_NAME_SIZE];
    journal_name(a->o.node, name);
    int rc = journal_open(name, &a->journal, err);
    if (rc == 0) /* what an agent left that was killed */
        rc = journal_mark_ready(a->journal, false, err);
    return rc == -EBUSY ? error_set(err, rc, "another agent of node %s is running here", a->o.node) : rc;
}

static int open_api(struct agent *a, struct error *err) {
    const struct kube_config_spec spec = {.path = a->o.kubeconfig, .context = a->o.context};
    int rc = kube_config_load(&spec, &a->config, err);
    if (rc < 0)
        return rc;
    const char *own = *a->config->context ? NAMESPACE : a->config->namespace;
    a->namespace = strdup(a->o.namespace ? a->o.namespace : own);
    if (!a->namespace)
        return error_set(err, -ENOMEM, "out of memory");
    if ((rc = http_new(a->loop, CONNECTIONS, &a->http, err)) < 0)
        return rc;
    const struct kube_spec k = {.loop = a->loop, .http = a->http, .config = a->config, .seed = (uint64_t)clock_boot_ns()};
    return kube_new(&k, &a->kube, err);
}

static int open_all(struct agent *a, struct error *err) {
    int rc = open_journal(a, err);
    if (rc < 0)
        return rc;
    look_where_we_are(a);
    a->proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rc = a->proc_fd < 0 ? error_errno(err, "/proc") : loop_new(&a->loop, err);
    if (rc == 0 && (rc = timer_new(a->loop, go_on, a, &a->sweep, err)) == 0)
        rc = timer_new(a->loop, on_ending, a, &a->ending, err);
    const struct node_cluster_spec spec = {.loop = a->loop, .proc_fd = a->proc_fd, .event = on_cluster, .arg = a};
    if (rc == 0 && (rc = open_api(a, err)) == 0 && (rc = node_cluster_new(&spec, &a->cluster, err)) == 0) {
        a->env = (struct fault_env){.loop = a->loop, .cluster = a->cluster};
        rc = follow(a, err);
        timer_after(a->sweep, 0);
    }
    return rc;
}

static void close_all(struct agent *a) {
    if (a->cluster)
        held_free_all(a);
    kube_watch_free(a->faults);
    kube_watch_free(a->self);
    fault_env_close(&a->env);
    node_cluster_free(a->cluster);
    kube_free(a->kube);
    http_free(a->http);
    kube_config_free(a->config);
    timer_free(a->sweep);
    timer_free(a->ending);
    journal_close(a->journal, NULL);
    loop_free(a->loop);
    closep(&a->proc_fd);
    free(a->namespace);
}

int agent_run(const struct agent_options *o, struct error *err) {
    struct agent a = {.o = *o, .proc_fd = -1};
    struct signals s = {.agent = &a, .fd = -1};
    struct watch *watch = NULL;
    sigset_t before;
    sigprocmask(SIG_BLOCK, NULL, &before);
    int rc = open_all(&a, err);
    if (rc == 0)
        rc = s.fd = signals_catch(&before, err);
    if (rc >= 0 && (rc = watch_new(a.loop, s.fd, WATCH_READ, on_signal, &s, &watch, err)) == 0)
        loop_run(a.loop);
    watch_free(watch);
    signals_let_go(s.fd, &before);
    close_all(&a);
    return rc;
}
