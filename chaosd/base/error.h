/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The error contract: a function that can fail returns 0 or -errno and takes a `struct error *` last.
 * The text is untouched on success, set once where the failure is known, wrapped with context on the way up,
 * and printed once, in cmd_*. NULL is allowed: the caller wants the code alone. */

struct error {
    char text[1024];
};

/* Sets the text and returns rc, so that `return error_set(err, -EINVAL, "...")` reads as one act. */
int error_set(struct error *err, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Puts "context: " in front of the text that is there. */
int error_wrap(struct error *err, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* "context: strerror(errno)"; returns -errno. */
int error_errno(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
