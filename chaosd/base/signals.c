/* SPDX-License-Identifier: Apache-2.0 */
#include "base/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int signal_parse(const char *s, int *ret, struct error *err) {
    char *end;
    long number = strtol(s, &end, 10);
    if (end != s && !*end && number > 0 && number <= SIGRTMAX) {
        *ret = (int)number;
        return 0;
    }
    const char *bare = strncasecmp(s, "SIG", 3) == 0 ? s + 3 : s;
    for (int sig = 1; sig < NSIG; sig++) {
        const char *name = sigabbrev_np(sig);
        if (name && strcasecmp(name, bare) == 0) {
            *ret = sig;
            return 0;
        }
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
