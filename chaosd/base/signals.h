/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Signal names as people write them: "SIGTERM", "TERM", "15". */
#include "base/error.h"

#include <stddef.h>

int signal_parse(const char *s, int *ret, struct error *err);
void signal_name(int sig, char *out, size_t size); /* "SIGTERM" */
