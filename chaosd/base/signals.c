/* SPDX-License-Identifier: Apache-2.0 */
#include "base/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/signalfd.h>
#include <unistd.h>

static int check(const char *s, int sig, int *ret, struct error *err) {
    if (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU)
        return error_set(err, -EINVAL, "%s stops a process, and nothing would start it again; expected one that ends it, such as SIGTERM (pauses "
                                       "freeze, and thaw again)", s);
    *ret = sig;
    return 0;
}

int signal_parse(const char *s, int *ret, struct error *err) {
    char *end;
    long number = strtol(s, &end, 10);
    if (end != s && !*end && number > 0 && number <= SIGRTMAX)
        return check(s, (int)number, ret, err);
    const char *bare = strncasecmp(s, "SIG", 3) == 0 ? s + 3 : s;
    for (int sig = 1; sig < NSIG; sig++) {
        const char *name = sigabbrev_np(sig);
        if (name && strcasecmp(name, bare) == 0)
            return check(s, sig, ret, err);
    }
    return error_set(err, -EINVAL, "\"%s\" is not a signal; expected a name such as SIGTERM, or a number", s);
}

void signal_name(int sig, char *out, size_t size) {
    const char *name = sigabbrev_np(sig);
    if (name)
        snprintf(out, size, "SIG%s", name);
    else
        snprintf(out, size, "signal %d", sig);
}

int signals_catch(sigset_t *ret_before, struct error *err) {
    static const int caught[] = {SIGINT, SIGTERM, SIGHUP};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) {
        struct sigaction sa; /* nohup, and shells with `&`, ignore some on purpose; a signalfd would get them all the same */
        if (sigaction(caught[i], NULL, &sa) == 0 && sa.sa_handler != SIG_IGN)
            sigaddset(&set, caught[i]);
    }
    sigprocmask(SIG_BLOCK, &set, ret_before);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? error_errno(err, "signalfd") : fd;
}

void signals_let_go(int fd, const sigset_t *before) {
    struct signalfd_siginfo late;
    while (fd >= 0 && read(fd, &late, sizeof late) == sizeof late)
        ;
    if (fd >= 0)
        close(fd);
    sigprocmask(SIG_SETMASK, before, NULL);
}
