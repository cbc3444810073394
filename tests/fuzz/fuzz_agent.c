/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent reads of others: first byte 'c': a /proc/PID/cgroup; else the rest is a NodeFault, which, when it is taken, must survive
 * being built anew. */
#include "agent/node_fault.h"
#include "agent/pod_cgroup.h"
#include "base/clock.h"
#include "fuzz.h"

static void cgroup(const char *text) {
    struct pod_cgroup g = {.runtime = NULL};
    if (pod_cgroup_parse(text, &g) && (!pod_uid_ok(g.uid) || !g.runtime || strlen(g.container) >= CONTAINER_ID_SIZE))
        abort();
}

static void node_fault(const char *text) {
    static const char *const kinds[] = {"net-delay", "net-partition", NULL};
    const struct node_fault_wanted all = {.node = "node-1", .kinds = kinds, .now_wall_ns = 1795301521 * NS_PER_S}, any = {0};
    cleanup_json json_t *object = json_loads(text, 0, NULL);
    struct node_fault_status s;
    struct node_fault f;
    struct error err = {{0}};
    int rc = node_fault_decode(object, &all, &f, &err);
    if ((rc < 0) != (err.text[0] != 0) || (rc < 0 && !node_fault_refusal(rc)))
        abort();
    json_t *made = NULL;
    if (node_fault_decode(object, &any, &f, NULL) == 0 && f.namespace && f.act > 0 && node_fault_build(&f, &made, NULL) < 0 &&
        f.deadline_wall_ns / 1000 != f.not_before_wall_ns / 1000)
        abort();
    json_decref(made);
    made = NULL;
    if (node_fault_status_decode(object, &s, NULL) == 0 && node_fault_status_patch("u", &s, &made, NULL) < 0)
        abort();
    json_decref(made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cleanup_free char *text = strndup(size ? (const char *)data + 1 : "", size ? size - 1 : 0);
    if (!text)
        abort();
    if (size && data[0] == 'c')
        cgroup(text);
    else
        node_fault(text);
    return 0;
}
