/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The node's agent: carries out this node's NodeFaults, and leaves nothing behind. docs/AGENT.md has the protocol. */
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct agent_options {
    const char *node;                 /* its name */
    const char *namespace;            /* where its NodeFaults are; NULL: the service account's, else "chaosd-agent" */
    const char *kubeconfig, *context; /* NULL: as kube/config.h finds them */
    int64_t max_faults;               /* at once */
    int64_t max_length_ns;            /* from when it is seen to its deadline */
};
/* Until SIGTERM, SIGINT or SIGHUP, with everything ended; -errno: it could not start. */
int agent_run(const struct agent_options *o, struct error *err);
bool agent_ready(const char *node); /* the one of this node that runs here has begun, and follows what it is asked */
