/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Child processes followed by pidfd: no SIGCHLD, no pid that could be someone else's. */
#include "base/error.h"
#include "io/loop.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct child;

struct child_exit {
    bool signalled;
    int code; /* exit status, or the signal's number */
};

struct child_spec {
    char *const *argv; /* argv[0] is looked up in the child's PATH */
    char *const *envp;
    const char *cwd;     /* NULL: stay */
    int stdin_fd, stdout_fd, stderr_fd; /* -1: /dev/null */
    uint64_t clone_flags; /* CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS ... */
    int netns_fd;         /* joined before exec; -1: none */
    int cgroup_fd;        /* control group folder, version 1 or 2, that it starts in; -1: none */
    /* Runs in the child before exec, after the network namespace is joined: mounts, hostname, cgroup v1.
     * Failure is carried to the parent as child_spawn's error. NULL: none. */
    int (*setup)(void *arg, struct error *err);
    void *setup_arg;
    void (*exited)(const struct child_exit *e, void *arg); /* on the loop, once */
    void *arg;
};

/* The program that argv[0] means, by the PATH of envp; a name with a slash is taken as it is. Caller frees.
 * -ENOENT: "etcdd: No such file or directory: is it installed, and in PATH?". */
int child_find(const char *program, char *const *envp, char **ret, struct error *err);
/* Raises our own limit of open files to what is allowed: a load keeps a socket for each request under way. Children start with the
 * limit as it was: programs that use select() cannot live with more. */
void child_raise_files(void);
/* Raises our own priority where that is allowed: a prober that waits for the CPU calls a good answer late. Children start with the
 * priority as it was. */
void child_raise_priority(void);

/* Returns after exec succeeded or failed ("etcdd: No such file or directory"): bounded by the exec itself. */
int child_spawn(struct loop *l, const struct child_spec *s, struct child **ret, struct error *err);
pid_t child_pid(const struct child *c);
int child_pidfd(const struct child *c);
uint64_t child_start_time(const struct child *c);
int child_signal(struct child *c, int sig, struct error *err); /* by pidfd; -ESRCH when it ended */
void child_free(struct child *c); /* stops following; does not kill. NULL-safe */
