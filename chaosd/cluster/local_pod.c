/* SPDX-License-Identifier: Apache-2.0 */
/* One pod's life: what it is made of, its process, restarts, freezing. */
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/units.h"
#include "cluster/local_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define STEADY_NS (10 * NS_PER_S)         /* alive this long, and the restart delay starts again */
#define LEAST_BACKOFF_NS (100 * NS_PER_MS) /* from the second restart on, also with delay: 0 */
#define LOOK_FAST_NS NS_PER_MS
#define LOOK_SLOW_NS (10 * NS_PER_MS)
#define LOOK_IDLE_NS (50 * NS_PER_MS)
#define LOOK_BOUND_NS (5 * NS_PER_S)
#define PATH_FALLBACK "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* ---- making */

static const char *get_var(void *arg, const char *name) {
    const struct local_pod *p = arg;
    const struct template_vars *more = p->c->vars;
    return strncmp(name, "pod.", 4) == 0 ? pod_var(&p->pub, name) : more ? more->get(more->arg, name) : NULL;
}

static char *render(const struct local_pod *p, const struct template *t, struct error *err) {
    struct template_vars vars = {get_var, (void *)(uintptr_t)p};
    cleanup_buf struct buf b = {0};
    if (template_render(t, &vars, &b, err) < 0)
        return NULL;
    char *s = buf_take(&b);
    if (!s)
        error_set(err, -ENOMEM, "out of memory");
    return s;
}

static int make_argv(struct local_pod *p, struct error *err) {
    p->argv = calloc(p->w->command.count + 1, sizeof *p->argv);
    if (!p->argv)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < p->w->command.count; i++)
        if (!(p->argv[i] = render(p, p->w->command.items[i], err)))
            return error_wrap(err, -EINVAL, "command");
    return 0;
}

/* What the workload sets replaces what we set: a name must not stand there twice. */
static int set_env(struct local_pod *p, size_t *count, const char *key, const char *value, struct error *err) {
    char *pair = NULL;
    if (asprintf(&pair, "%s=%s", key, value) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    size_t n = strlen(key) + 1, i = 0;
    while (i < *count && strncmp(p->envp[i], pair, n) != 0)
        i++;
    if (i == *count)
        ++*count;
    free(p->envp[i]);
    p->envp[i] = pair;
    return 0;
}

static int make_env(struct local_pod *p, struct error *err) {
    const char *path = getenv("PATH");
    const struct { const char *key, *value; } ours[] = {
        {"PATH", path && *path ? path : PATH_FALLBACK}, {"HOME", p->dir}, {"HOSTNAME", p->name}, {"POD_NAME", p->name},
        {"POD_IP", p->ip},                              {"POD_NODE", p->node->name},
    };
    size_t count = 0;
    p->envp = calloc(ARRAY_SIZE(ours) + p->w->env.count + 1, sizeof *p->envp);
    if (!p->envp)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
        int rc = set_env(p, &count, ours[i].key, ours[i].value, err);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < p->w->env.count; i++) {
        cleanup_free char *value = render(p, p->w->env.items[i].value, err);
        int rc = value ? set_env(p, &count, p->w->env.items[i].key, value, err) : error_wrap(err, -EINVAL, "env");
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int write_files(const struct local_pod *p, struct error *err) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < p->w->files.count; i++) {
        const char *name = p->w->files.items[i].key;
        cleanup_free char *text = render(p, p->w->files.items[i].value, err);
        rc = text ? fs_write_in(p->dir, name, text, strlen(text), err) : error_wrap(err, -EINVAL, "file %s", name);
    }
    return rc;
}

/* ---- the process */

/* What must stay visible although /tmp is private: the pod's folder and its program, when they lie there. */
struct keep {
    char *path; /* NULL: it lies elsewhere */
    bool folder;
};

struct setup {
    const struct local_pod *p;
    int procs_fd; /* version 1: the child enters its control group itself */
    struct keep keep[2];
};

static int oops(struct error *err, const char *what) {
    int saved = errno;
    return error_set(err, -saved, "%s: %s", what, strerrordesc_np(saved)); /* allocates nothing */
}

/* A bind mount's source must be of this mount namespace: opened in here, before /tmp is covered. */
static int hold(const struct keep *k, int *ret_fd, struct error *err) {
    *ret_fd = k->path ? open(k->path, O_PATH | O_CLOEXEC) : -1;
    return k->path && *ret_fd < 0 ? oops(err, k->path) : 0;
}

static int bring_back(const struct keep *k, int fd, struct error *err) {
    char from[64], parent[4096];
    if (!k->path)
        return 0;
    snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
    snprintf(parent, sizeof parent, "%.*s", (int)(strrchr(k->path, '/') - k->path), k->path);
    if (fs_mkdirs(k->folder ? k->path : parent, NULL) < 0)
        return oops(err, k->path);
    int file = k->folder ? -1 : open(k->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    closep(&file);
    return mount(from, k->path, "none", MS_BIND, NULL) < 0 ? oops(err, k->path) : 0;
}

static int private_tmp(const struct keep keep[2], struct error *err) {
    int fds[2], rc = hold(&keep[0], &fds[0], err);
    if (rc == 0)
        rc = hold(&keep[1], &fds[1], err);
    if (rc == 0 && mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") < 0)
        rc = oops(err, "mounting /tmp");
    if (rc == 0)
        rc = bring_back(&keep[0], fds[0], err);
    return rc == 0 ? bring_back(&keep[1], fds[1], err) : rc;
}

/* In a chroot "/" may be no mount point, so nothing can be said of how its mounts propagate. The pod's namespace is entered at its
 * real root (as setns does), and the chroot's folder, bound to itself there, becomes a mount and the root again. */
static int own_root(struct error *err) {
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    bool ok = root >= 0 && ns >= 0 && setns(ns, CLONE_NEWNS) == 0 && mount("none", "/", "none", MS_REC | MS_SLAVE, NULL) == 0 &&
              fchdir(root) == 0 && mount(".", ".", "none", MS_BIND | MS_REC, NULL) == 0 && chroot(".") == 0 &&
              chdir("/..") == 0 && chroot(".") == 0; /* "/.." of a root leads into what is mounted on it */
    int rc = ok ? 0 : oops(err, "making the chroot a mount of its own");
    closep(&root);
    closep(&ns);
    return rc;
}

/* A slave, not private: nothing we mount gets out, and an unmount on the host is not held up by a copy in here. */
static int keep_mounts_in(struct error *err) {
    if (mount("none", "/", "none", MS_REC | MS_SLAVE, NULL) == 0)
        return 0;
    return errno == EINVAL ? own_root(err) : oops(err, "mount propagation");
}

/* In the child, after clone: allocates nothing. */
static int enter_pod(void *arg, struct error *err) {
    const struct setup *s = arg;
    const struct local_pod *p = s->p;
    if (s->procs_fd >= 0 && write(s->procs_fd, "0", 1) != 1)
        return oops(err, "joining the control group");
    if (sethostname(p->name, strlen(p->name)) < 0)
        return oops(err, "hostname");
    int rc = keep_mounts_in(err);
    if (rc < 0)
        return rc;
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return oops(err, "mounting /proc");
    if (mount(p->c->hosts, "/etc/hosts", "none", MS_BIND, NULL) < 0)
        return oops(err, "mounting /etc/hosts");
    /* Shared memory ends with the pod, as its IPC namespace does. */
    if (mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") < 0 && errno != ENOENT)
        return oops(err, "mounting /dev/shm");
    return private_tmp(s->keep, err);
}

static int keep_visible(struct keep *k, const char *path, bool parent, struct error *err) {
    if (strncmp(path, "/tmp/", 5) != 0)
        return 0;
    const char *slash = strrchr(path, '/');
    bool up = parent && slash > path + 4; /* not /tmp itself */
    k->folder = !parent || up;
    k->path = up ? strndup(path, (size_t)(slash - path)) : strdup(path);
    return k->path ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static void setup_done(struct setup *s) {
    closep(&s->procs_fd);
    for (size_t i = 0; i < ARRAY_SIZE(s->keep); i++)
        free(s->keep[i].path);
}

static void on_exited(const struct child_exit *e, void *arg);

static int prepare(struct local_pod *p, struct setup *s, int *ret_cgroup, int *ret_log, struct error *err) {
    cleanup_free char *log = NULL, *program = NULL, *procs = NULL;
    const char *why;
    int rc = child_find(p->argv[0], p->envp, &program, err);
    if (rc < 0)
        return rc;
    if (asprintf(&log, "%s/%s.log", p->c->log_dir, p->name) < 0 || asprintf(&procs, "%s/cgroup.procs", p->cgroup) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    /* Left frozen, the group would freeze the new process before its exec, and us with it. */
    rc = cgroup_freeze(p->cgroup, false, err);
    if (rc < 0)
        return rc;
    bool v2 = p->c->tree.version == 2;
    *ret_log = open(why = log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (*ret_log >= 0 && v2)
        *ret_cgroup = open(why = p->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    else if (*ret_log >= 0)
        s->procs_fd = open(why = procs, O_WRONLY | O_CLOEXEC);
    if (*ret_log < 0 || (v2 ? *ret_cgroup : s->procs_fd) < 0)
        return error_errno(err, "%s", why);
    rc = program[0] == '/' && access(program, F_OK) == 0 ? keep_visible(&s->keep[0], program, true, err) : 0;
    return rc < 0 ? rc : keep_visible(&s->keep[1], p->dir, false, err);
}

int local_pod_start(struct local_pod *p, struct error *err) {
    cleanup(setup_done) struct setup s = {.p = p, .procs_fd = -1};
    cleanup_close int cgroup = -1, log = -1;
    int rc = prepare(p, &s, &cgroup, &log, err);
    if (rc < 0)
        return error_wrap(err, rc, "pod %s", p->name);
    struct child_spec spec = {
        .argv = p->argv, .envp = p->envp, .cwd = p->dir, .stdin_fd = -1, .stdout_fd = log, .stderr_fd = log,
        .clone_flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC, .netns_fd = p->netns_fd, .cgroup_fd = cgroup,
        .setup = enter_pod, .setup_arg = &s, .exited = on_exited, .arg = p,
    };
    rc = child_spawn(p->c->loop, &spec, &p->child, err);
    if (rc < 0)
        return error_wrap(err, rc, "pod %s", p->name);
    p->pub.pid = child_pid(p->child);
    p->pub.start_time = child_start_time(p->child);
    p->pub.phase = POD_RUNNING;
    p->pub.frozen = p->want_frozen = p->want_thawed = false;
    p->pub.ready = !p->w->ready;
    p->started_ns = loop_now();
    return 0;
}

/* ---- end and restart */

static bool starts_again(const struct local_pod *p, const struct child_exit *e) {
    switch (p->w->restart->policy) {
    case RESTART_ALWAYS: return true;
    case RESTART_ON_FAILURE: return e->signalled || e->code != 0;
    default: return false;
    }
}

/* Arms the restart; the delay doubles for the one after. Returns the delay, as text for people. */
static void back_off(struct local_pod *p, char *why, size_t size) {
    const int64_t most = p->w->restart->max_delay_ns > p->w->restart->delay_ns ? p->w->restart->max_delay_ns : p->w->restart->delay_ns;
    const int64_t delay = p->delay_ns;
    char text[64];
    p->pub.phase = POD_BACKOFF;
    timer_after(p->restart, delay);
    p->delay_ns = delay > most / 2 ? most : delay * 2 > LEAST_BACKOFF_NS ? delay * 2 : LEAST_BACKOFF_NS < most ? LEAST_BACKOFF_NS : most;
    format_duration(delay, text, sizeof text);
    snprintf(why, size, "restart in %s", text);
}

static void on_exited(const struct child_exit *e, void *arg) {
    struct local_pod *p = arg;
    const pid_t pid = p->pub.pid;
    const uint64_t start_time = p->pub.start_time;
    const struct child_exit how = *e;
    char why[96];
    child_free(p->child);
    p->child = NULL;
    timer_stop(p->look);
    cgroup_freeze(p->cgroup, false, NULL);
    p->pub.pid = 0;
    p->pub.start_time = 0;
    p->pub.ready = p->pub.frozen = p->want_frozen = p->want_thawed = false;
    p->pub.phase = POD_ENDED;
    if (loop_now() - p->started_ns >= STEADY_NS)
        p->delay_ns = p->w->restart->delay_ns;
    const bool again = starts_again(p, &how);
    if (again)
        back_off(p, why, sizeof why);
    local_emit_exit(p, &how, pid, start_time);
    if (again)
        local_emit(p, CL_POD_BACKOFF, why);
}

static void on_restart(void *arg) {
    struct local_pod *p = arg;
    struct error err = {{0}};
    char why[96];
    if (p->child)
        return;
    if (local_pod_start(p, &err) < 0) {
        back_off(p, why, sizeof why);
        local_emit(p, CL_POD_FAILED, err.text);
        local_emit(p, CL_POD_BACKOFF, why);
        return;
    }
    p->pub.restarts++;
    local_emit(p, CL_POD_STARTED, NULL);
    if (p->pub.ready && !p->w->ready)
        local_emit(p, CL_POD_READY, NULL);
}

void local_pod_set_ready(struct local_pod *p, bool ready, const char *why) {
    if (p->pub.phase != POD_RUNNING || p->pub.ready == ready)
        return;
    p->pub.ready = ready;
    local_emit(p, ready ? CL_POD_READY : CL_POD_UNREADY, why);
}

int local_pod_signal(struct local_pod *p, int sig, struct error *err) {
    if (!p->child)
        return error_set(err, -ESRCH, "pod %s is not running", p->name);
    int rc = child_signal(p->child, sig, err);
    if (rc < 0)
        return error_wrap(err, rc, "pod %s", p->name);
    if (sig == SIGKILL && p->c->tree.version == 1 && p->want_frozen)
        return cgroup_freeze(p->cgroup, false, err); /* version 1 holds back even SIGKILL */
    return 0;
}

/* ---- freezing. libev cannot wait for POLLPRI on cgroup.events, so a short timer looks; while frozen it goes on looking, since a
 * reaper or a person may thaw the pod as well. */

static void look_again(struct local_pod *p) {
    const bool pending = p->want_thawed || p->want_frozen != p->pub.frozen;
    const int64_t since = loop_now() - p->look_since_ns;
    if (pending)
        timer_after(p->look, since < LOOK_SLOW_NS ? LOOK_FAST_NS : since < LOOK_BOUND_NS ? LOOK_SLOW_NS : LOOK_IDLE_NS);
    else if (p->pub.frozen)
        timer_after(p->look, LOOK_IDLE_NS);
}

static void on_look(void *arg) {
    struct local_pod *p = arg;
    bool now, asked;
    if (cgroup_frozen(p->cgroup, &now, NULL) < 0 || cgroup_freezing(p->cgroup, &asked, NULL) < 0)
        return; /* gone from outside: the exit tells the rest */
    const bool froze = now && p->want_frozen && !p->pub.frozen;
    const bool thawed = p->want_thawed ? !now : p->pub.frozen && !asked;
    if (froze)
        p->pub.frozen = true;
    if (thawed)
        p->pub.frozen = p->want_frozen = p->want_thawed = false;
    look_again(p);
    if (froze || thawed)
        local_emit(p, froze ? CL_POD_FROZEN : CL_POD_THAWED, NULL);
}

int local_pod_freeze(struct local_pod *p, bool on, struct error *err) {
    if (on && !p->child)
        return error_set(err, -ESRCH, "pod %s is not running", p->name);
    int rc = cgroup_freeze(p->cgroup, on, err);
    if (rc < 0)
        return error_wrap(err, rc, "pod %s", p->name);
    p->want_frozen = on;
    p->want_thawed = !on;
    p->look_since_ns = loop_now();
    timer_after(p->look, 0);
    return 0;
}

int local_pod_make(struct local_pod *p, int prefix, struct error *err) {
    char port[16];
    bool fits = strlen(p->name) < sizeof port;
    if (fits)
        memcpy(port, p->name, strlen(p->name) + 1);
    else /* the kernel's names are short: the last part of the address is unique on the node */
        snprintf(port, sizeof port, "p%s", strrchr(p->ip, '.') + 1);
    int rc = timer_new(p->c->loop, on_restart, p, &p->restart, err);
    if (rc == 0)
        rc = timer_new(p->c->loop, on_look, p, &p->look, err);
    if (rc == 0)
        rc = fs_mkdirs(p->dir, err);
    if (rc == 0)
        rc = make_argv(p, err);
    if (rc == 0)
        rc = make_env(p, err);
    if (rc == 0)
        rc = write_files(p, err);
    if (rc == 0)
        rc = cgroup_create(p->cgroup, err);
    if (rc == 0)
        rc = local_net_namespace(p->c->run, p->name, &p->netns_fd, err);
    return rc == 0 ? local_net_link(p->node->netns_fd, port, p->netns_fd, LOCAL_POD_DEVICE, p->ip, prefix, err) : rc;
}

static void free_strings(char **list) {
    for (char **s = list; s && *s; s++)
        free(*s);
    free(list);
}

void local_pod_free(struct local_pod *p) {
    if (!p)
        return;
    child_free(p->child);
    timer_free(p->restart);
    timer_free(p->look);
    closep(&p->netns_fd);
    free_strings(p->argv);
    free_strings(p->envp);
    json_decref(p->labels);
    json_decref(p->annotations);
    free(p->uid);
    free(p->name);
    free(p->dir);
    free(p);
}
