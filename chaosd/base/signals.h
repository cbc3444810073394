/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Signal names as people write them ("SIGTERM", "TERM", "15"), and those that end a program, as something to read. */
#include "base/error.h"

#include <signal.h>
#include <stddef.h>

/* One that a process may be sent for good: none that stops it until somebody lets it go on. */
int signal_parse(const char *s, int *ret, struct error *err);
void signal_name(int sig, char *out, size_t size); /* "SIGTERM" */

/* A signalfd of SIGINT, SIGTERM and SIGHUP, which are blocked from now on; *ret_before: the mask as it was. -errno. */
int signals_catch(sigset_t *ret_before, struct error *err);
/* Drops what came meanwhile, closes fd (-1: none) and restores the mask: the next one is nobody's but the kernel's. */
void signals_let_go(int fd, const sigset_t *before);
