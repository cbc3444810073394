/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Names looked up beside the loop: getaddrinfo waits for seconds where a server does not answer, so that each look-up has a thread of its own. */
#include "base/error.h"
#include "io/loop.h"

#include <netdb.h>

struct resolve;
/* fn is called once, on the loop: found (borrowed, one entry an address), or NULL with why. */
int resolve_start(struct loop *l, const char *name, void (*fn)(const struct addrinfo *found, const char *why, void *arg), void *arg, struct resolve **ret,
                  struct error *err);
void resolve_free(struct resolve *r); /* NULL-safe, also from fn; before it was called: it will not be, and the thread ends by itself */
