/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The error contract of this library: -errno and a sentence in a buffer of NETEM_ERROR_SIZE bytes. */
#include "params.h"

/* Writes the sentence, returns code (negative). why may be NULL. */
int netem_why(char *why, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* what: strerror(errno); returns -errno. */
int netem_why_errno(char *why, const char *what);

void netem_close_fd(int *fd);
void netem_free(void *p);
#define netem_cleanup_close __attribute__((cleanup(netem_close_fd)))
#define netem_cleanup_free __attribute__((cleanup(netem_free)))
