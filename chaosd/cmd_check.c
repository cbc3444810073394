/* SPDX-License-Identifier: Apache-2.0 */
/* chaosd check: is the scenario right, and can it run here; without one, what this machine can do at all. */
#include "base/cleanup.h"
#include "drill.h"
#include "fault/fault.h"

#include <errno.h>
#include <stdio.h>
#include <sys/utsname.h>

struct options {
    struct drill_options drill;
    bool strict;
};

static const struct option_row rows[] = {
    DRILL_OPTIONS(offsetof(struct options, drill)),
    {"strict", 0, OPT_FLAG, offsetof(struct options, strict), NULL, "A fault that this machine cannot do is a failure; else a run skips it."},
    {0},
};

/* One line a kind, by trying. */
static int check_machine(bool strict) {
    struct utsname u;
    bool all = true;
    if (uname(&u) == 0)
        printf("    %s %s on %s\n", u.sysname, u.release, u.machine);
    for (size_t i = 0; fault_kinds[i]; i++) {
        const struct fault_kind *k = fault_kinds[i];
        struct error why = {""};
        if (k->needs & (CLUSTER_OBJECTS | CLUSTER_CONTAINERS)) {
            printf("ok  %s: in a Kubernetes%s\n", k->row.name, k->needs & CLUSTER_OBJECTS ? "" : ", by the nodes' agents"); /* from anywhere: check SCENARIO asks its API server */
            continue;
        }
        bool able = !k->able || k->able(k, &why) == 0;
        all &= able;
        printf(able ? "ok  %s\n" : "no  %s: %s\n", k->row.name, why.text);
    }
    return strict && !all ? EXIT_FAIL : EXIT_PASS;
}

static int main_check(int argc, char **argv) {
    struct options o = {0};
    struct error err;
    struct drill d = {0};
    int first, code = options_parse(&command_check, argc, argv, &o, &first);
    if (code)
        return code - 1;
    if (first == argc)
        return check_machine(o.strict);
    int rc = drill_open(argv[first], &o.drill, &d, &err);
    if (rc < 0)
        return fail(rc == -ENOMEM ? EXIT_INTERNAL : EXIT_USAGE, &err);
    rc = drill_preflight(&d, o.strict, true, &err);
    int allowed = drill_access(&d, &err);
    rc = rc < 0 ? rc : allowed;
    drill_close(&d);
    return rc < 0 ? EXIT_FAIL : EXIT_PASS;
}

const struct command command_check = {
    .name = "check", .args = "[SCENARIO]", .min_args = 0, .max_args = 1, .options = rows, .run = main_check,
    .doc = "Validates a scenario and says whether it can run here, and what a Kubernetes allows of it; without one, which faults this machine can do.",
};
