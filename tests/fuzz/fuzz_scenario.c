/* SPDX-License-Identifier: Apache-2.0 */
/* A scenario from anywhere: parsed, filled in, decoded, checked; written back as YAML; and planned when it is right. */
#include "cluster/cluster.h"
#include "fault/fault.h"
#include "fuzz.h"
#include "load/load.h"
#include "probe/probe.h"
#include "scenario/plan.h"

static const struct kind_set kinds = {.groups = {
    [KIND_FAULT] = (const struct kind_row *const *)fault_kinds,
    [KIND_LOAD] = (const struct kind_row *const *)load_kinds,
    [KIND_PROBE] = (const struct kind_row *const *)probe_kinds,
    [KIND_CLUSTER] = (const struct kind_row *const *)cluster_kinds,
}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct error err = {{0}};
    struct scenario *s = NULL;
    struct plan plan = {0};
    int rc = scenario_parse("fuzz", (const char *)data, size, &(struct scenario_options){.kinds = &kinds}, &s, &err);
    if (rc < 0) {
        if (!*err.text)
            abort();
        return 0;
    }
    free(doc_to_yaml(s->doc));
    rc = plan_make(s, 7, &plan, &err);
    if (rc == 0 && plan.count < 1000) /* a million acts are right, and slow */
        json_decref(plan_to_json(&plan, s));
    plan_free(&plan);
    scenario_free(s);
    return 0;
}
