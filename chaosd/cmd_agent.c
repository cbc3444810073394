/* SPDX-License-Identifier: Apache-2.0 */
/* chaosd agent: the part of chaosd that runs on each node of a Kubernetes. */
#include "agent/agent.h"
#include "base/units.h"
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct options {
    const char *node, *namespace, *kubeconfig, *context, *max_length;
    int64_t max_faults;
    bool ready;
};

static const struct option_row rows[] = {
    {"node", 0, OPT_STRING, offsetof(struct options, node), "NAME", "This node's name in the cluster (default: $CHAOSD_NODE, then $NODE_NAME)."},
    {"namespace", 'n', OPT_STRING, offsetof(struct options, namespace), "NAME",
     "Where the NodeFaults are (default: the service account's namespace, else chaosd-agent)."},
    {"max-faults", 0, OPT_INT, offsetof(struct options, max_faults), "N", "Faults at once on this node, more are refused (default: 32)."},
    {"max-length", 0, OPT_STRING, offsetof(struct options, max_length), "DURATION", "Until its deadline, longer faults are refused (default: 24h)."},
    {"kubeconfig", 0, OPT_STRING, offsetof(struct options, kubeconfig), "FILE",
     "Instead of $KUBECONFIG, ~/.kube/config, or the pod's own service account."},
    {"context", 0, OPT_STRING, offsetof(struct options, context), "NAME", "Instead of the current one."},
    {"ready", 0, OPT_FLAG, offsetof(struct options, ready), NULL, "Only asks whether the agent of this node that runs here is ready: exit 0 or 1 (its readinessProbe)."},
    {0},
};

enum { FAULTS = 32, FAULTS_MOST = 1000 };

static const char *environment(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static int main_agent(int argc, char **argv) {
    struct options o = {.max_faults = FAULTS, .max_length = "24h"};
    int64_t max_length;
    struct error err, why;
    int first, code = options_parse(&command_agent, argc, argv, &o, &first);
    if (code)
        return code - 1;
    const char *node = o.node ? o.node : environment("CHAOSD_NODE") ? environment("CHAOSD_NODE") : environment("NODE_NAME");
    if (!node || !*node) {
        error_set(&err, 0, "agent wants to know its node's name: --node NAME, or NODE_NAME in the environment");
        return fail(EXIT_USAGE, &err);
    }
    if (o.ready) {
        const bool ready = agent_ready(node);
        if (!ready)
            printf("the agent of node %s is not ready: its log says why\n", node);
        return ready ? EXIT_PASS : EXIT_FAIL;
    }
    if (o.max_faults < 1 || o.max_faults > FAULTS_MOST) {
        error_set(&err, 0, "--max-faults: expected 1 to %d", FAULTS_MOST);
        return fail(EXIT_USAGE, &err);
    }
    const int rc = parse_duration(o.max_length, &max_length, &why);
    if (rc < 0 || max_length <= 0) {
        error_set(&err, 0, "--max-length: %s", rc < 0 ? why.text : "expected more than 0");
        return fail(EXIT_USAGE, &err);
    }
    if (geteuid() != 0) {
        error_set(&err, 0, "agent needs root: other pods' namespaces and processes are what it works on");
        return fail(EXIT_USAGE, &err);
    }
    const struct agent_options agent = {.node = node, .namespace = o.namespace, .kubeconfig = o.kubeconfig, .context = o.context,
                                        .max_faults = o.max_faults, .max_length_ns = max_length};
    return agent_run(&agent, &err) < 0 ? fail(EXIT_INTERNAL, &err) : EXIT_PASS;
}

const struct command command_agent = {
    .name = "agent", .args = "", .min_args = 0, .max_args = 0, .options = rows, .run = main_agent,
    .doc = "Runs on a node of a Kubernetes, and does to its pods what runs ask for.",
    .more = "It takes its work from the API server (NodeFaults, deploy/agent/), one agent a node; docs/AGENT.md tells more. It ends all that it\n"
            "does when it is asked to end; without it, kernel and reapers end it at its deadline. Its log goes to standard error.",
};
