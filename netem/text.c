/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int netem_why(char *why, int code, const char *fmt, ...) {
    va_list ap;
    if (!why)
        return code;
    va_start(ap, fmt);
    vsnprintf(why, NETEM_ERROR_SIZE, fmt, ap);
    va_end(ap);
    return code;
}

int netem_why_errno(char *why, const char *what) {
    int code = errno ? -errno : -EIO;
    return netem_why(why, code, "%s: %s", what, strerror(-code));
}

void netem_close_fd(int *fd) {
    if (*fd >= 0)
        close(*fd);
}

void netem_free(void *p) { free(*(void **)p); }
