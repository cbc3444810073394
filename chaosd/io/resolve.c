/* SPDX-License-Identifier: Apache-2.0 */
#include "io/resolve.h"

#include "base/cleanup.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>

struct question { /* shared with the thread: whoever is second frees it */
    atomic_int holders;
    int done_fd, code, code_errno;
    char *name;
    struct addrinfo *found;
};

struct resolve {
    struct question *question;
    struct watch *watch;
    void (*fn)(const struct addrinfo *found, const char *why, void *arg);
    void *arg;
};

static void let_go(struct question *q) {
    if (!q || atomic_fetch_sub(&q->holders, 1) > 1)
        return;
    if (q->found)
        freeaddrinfo(q->found);
    closep(&q->done_fd);
    free(q->name);
    free(q);
}

static void *look_up(void *arg) {
    struct question *q = arg;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    q->code = getaddrinfo(q->name, NULL, &hints, &q->found);
    q->code_errno = errno;
    eventfd_write(q->done_fd, 1);
    let_go(q);
    return NULL;
}

static void on_done(int events, void *arg) {
    (void)events;
    struct resolve *r = arg;
    const struct question *q = r->question;
    eventfd_t ignored;
    if (eventfd_read(q->done_fd, &ignored) < 0)
        return;
    watch_free(take_ptr(r->watch));
    r->fn(q->code ? NULL : q->found, q->code == EAI_SYSTEM ? strerror(q->code_errno) : q->code ? gai_strerror(q->code) : NULL, r->arg);
}

static struct question *ask(const char *name) {
    struct question *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    atomic_init(&q->holders, 1);
    q->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    q->name = strdup(name);
    if (q->done_fd >= 0 && q->name)
        return q;
    let_go(q);
    return NULL;
}

/* No signal is for it. */
static int start_thread(struct question *q) {
    pthread_t thread;
    pthread_attr_t attr;
    sigset_t all;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setsigmask_np(&attr, &all);
    atomic_fetch_add(&q->holders, 1);
    int e = pthread_create(&thread, &attr, look_up, q);
    if (e)
        atomic_fetch_sub(&q->holders, 1);
    pthread_attr_destroy(&attr);
    return -e;
}

int resolve_start(struct loop *l, const char *name, void (*fn)(const struct addrinfo *found, const char *why, void *arg), void *arg, struct resolve **ret,
                  struct error *err) {
    struct resolve *r = calloc(1, sizeof *r);
    struct question *q = r ? ask(name) : NULL;
    if (!q) {
        free(r);
        return error_set(err, -ENOMEM, "out of memory");
    }
    *r = (struct resolve){.question = q, .fn = fn, .arg = arg};
    int rc = watch_new(l, q->done_fd, WATCH_READ, on_done, r, &r->watch, err);
    if (rc == 0 && (rc = start_thread(q)) < 0)
        error_set(err, rc, "look up %s: %s", name, strerror(-rc));
    if (rc < 0) {
        resolve_free(r);
        return rc;
    }
    *ret = r;
    return 0;
}

void resolve_free(struct resolve *r) {
    if (!r)
        return;
    watch_free(r->watch);
    let_go(r->question);
    free(r);
}
