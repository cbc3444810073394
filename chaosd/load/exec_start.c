/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/fs.h"
#include "load/exec_priv.h"
#include "load/hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

extern char **environ;

static const char *exec_var(void *arg, const char *name) {
    const struct exec_run *l = arg;
    if (!strcmp(name, "load.dir"))
        return l->dir;
    if (!strcmp(name, "load.name"))
        return l->name;
    if (!strcmp(name, "load.seconds"))
        return l->seconds;
    return l->ctx.secrets ? l->ctx.secrets->get(l->ctx.secrets->arg, name) : NULL;
}

static char *render(struct exec_run *l, const struct template *t, struct error *err) {
    const struct template_vars vars = {exec_var, l};
    cleanup_buf struct buf b = {0};
    if (template_render(t, &vars, &b, err) < 0)
        return NULL;
    char *text = b.len ? buf_take(&b) : strdup("");
    if (!text)
        error_set(err, -ENOMEM, "out of memory");
    return text;
}

static int make_folder(struct exec_run *l, struct error *err) {
    if (asprintf(&l->dir, "%s/loads/%s", l->ctx.dir, l->name) < 0) {
        l->dir = NULL;
        return error_set(err, -ENOMEM, "out of memory");
    }
    int rc = fs_mkdirs(l->dir, err);
    return rc == 0 && chmod(l->dir, 0700) < 0 ? error_errno(err, "%s", l->dir) : rc; /* files may hold a secret */
}

static int write_files(struct exec_run *l, struct error *err) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < l->p->files.count; i++) {
        const char *name = l->p->files.items[i].key;
        cleanup_free char *text = render(l, l->p->files.items[i].value, err);
        rc = text ? fs_write_in(l->dir, name, text, strlen(text), err) : error_wrap(err, -EINVAL, "file %s", name);
    }
    return rc;
}

static int is_secret(const char *name, void *arg) {
    (void)arg;
    return strncmp(name, "secret.", 7) == 0;
}

void exec_forget_secrets(struct exec_run *l) {
    char path[4096];
    for (size_t i = 0; l->dir && i < l->p->files.count; i++)
        if (template_names(l->p->files.items[i].value, is_secret, NULL) &&
            snprintf(path, sizeof path, "%s/%s", l->dir, l->p->files.items[i].key) < (int)sizeof path)
            unlink(path);
}

static void free_list(char ***list) {
    for (char **p = *list; p && *p; p++)
        free(*p);
    free(*list);
}

static int make_argv(struct exec_run *l, char **argv, struct error *err) {
    for (size_t i = 0; i < l->p->command.count; i++)
        if (!(argv[i] = render(l, l->p->command.items[i], err)))
            return error_wrap(err, -EINVAL, "command");
    return 0;
}

/* Later ones win. */
static int set_env(char **envp, size_t *count, char *pair, struct error *err) {
    size_t len = pair ? strcspn(pair, "=") + 1 : 0, i = 0;
    if (!pair)
        return error_set(err, -ENOMEM, "out of memory");
    while (i < *count && strncmp(envp[i], pair, len) != 0)
        i++;
    if (i == *count)
        ++*count;
    free(envp[i]);
    envp[i] = pair;
    return 0;
}

static int make_env(struct exec_run *l, char ***ret, struct error *err) {
    size_t n = 0, count = 0;
    while (environ[n])
        n++;
    char **envp = *ret = calloc(n + l->p->env.count + 2, sizeof *envp);
    int rc = envp ? 0 : error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = set_env(envp, &count, strdup(environ[i]), err);
    for (size_t i = 0; rc == 0 && i < l->p->env.count; i++) {
        cleanup_free char *value = render(l, l->p->env.items[i].value, err);
        char *pair = NULL;
        if (!value)
            return error_wrap(err, -EINVAL, "env");
        rc = set_env(envp, &count, asprintf(&pair, "%s=%s", l->p->env.items[i].key, value) < 0 ? NULL : pair, err);
    }
    return rc < 0 ? rc : set_env(envp, &count, strdup(l->place.mark), err);
}

static int make_report_path(struct exec_run *l, struct error *err) {
    if (!l->p->from)
        return 0;
    cleanup_free char *from = render(l, l->p->from, err);
    if (!from)
        return error_wrap(err, -EINVAL, "from");
    if (asprintf(&l->report, "%s%s%s", *from == '/' ? "" : l->dir, *from == '/' ? "" : "/", from) < 0) {
        l->report = NULL;
        return error_set(err, -ENOMEM, "out of memory");
    }
    return 0;
}

static void on_exited(const struct child_exit *e, void *arg) {
    struct exec_run *l = arg;
    l->exit = *e;
    l->exited = true;
    exec_progress(l);
}

static int spawn(struct exec_run *l, struct error *err) {
    cleanup(free_list) char **argv = calloc(l->p->command.count + 1, sizeof *argv);
    cleanup(free_list) char **envp = NULL;
    int fds[2] = {-1, -1};
    int rc = argv ? make_argv(l, argv, err) : error_set(err, -ENOMEM, "out of memory");
    if (rc == 0)
        rc = make_env(l, &envp, err);
    if (rc == 0)
        rc = exec_outputs_open(l, fds, err);
    if (rc == 0) {
        const struct child_spec spec = {.argv = argv, .envp = envp, .cwd = l->dir, .stdin_fd = -1, .stdout_fd = fds[0], .stderr_fd = fds[1],
                                        .netns_fd = l->ctx.netns_fd, .cgroup_fd = l->place.cgroup_fd, .clone_flags = l->ctx.hosts ? CLONE_NEWNS : 0,
                                        .setup = hosts_enter, .setup_arg = (void *)l->ctx.hosts, .exited = on_exited, .arg = l};
        l->began_ns = loop_now();
        rc = child_spawn(l->ctx.loop, &spec, &l->child, err);
    }
    closep(&fds[0]);
    closep(&fds[1]);
    return rc;
}

int exec_start(struct exec_run *l, struct error *err) {
    int rc = make_folder(l, err);
    if (rc == 0)
        rc = make_report_path(l, err);
    if (rc == 0)
        rc = write_files(l, err);
    if (rc == 0)
        rc = exec_place_open(&l->place, &l->ctx, err);
    if (rc == 0)
        rc = spawn(l, err);
    if (rc < 0)
        exec_outputs_close(l);
    else
        l->started = true;
    return rc;
}
