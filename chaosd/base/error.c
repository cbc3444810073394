/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, int rc, const char *fmt, ...) {
    if (!err)
        return rc;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    return rc;
}

int error_wrap(struct error *err, int rc, const char *fmt, ...) {
    if (!err)
        return rc;
    char context[512], whole[sizeof err->text + sizeof context + 2];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(context, sizeof context, fmt, ap);
    va_end(ap);
    snprintf(whole, sizeof whole, "%s: %s", context, err->text);
    memcpy(err->text, whole, sizeof err->text - 1);
    err->text[sizeof err->text - 1] = 0;
    return rc;
}

int error_errno(struct error *err, const char *fmt, ...) {
    int saved = errno ? errno : EIO;
    if (!err)
        return -saved;
    char context[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(context, sizeof context, fmt, ap);
    va_end(ap);
    return error_set(err, -saved, "%s: %s", context, strerror(saved));
}
