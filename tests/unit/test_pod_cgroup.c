/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID/cgroup as kubelets and runtimes write it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "agent/pod_cgroup.h"
#include "base/cleanup.h"

#include <string.h>

#define U "decce252-3c75-4e78-9b28-eb021623d09e"
#define U_ "decce252_3c75_4e78_9b28_eb021623d09e"
#define V "61a9c6f5-df37-4d4b-bf37-95fae4f988f3"
#define HASH "187bff14cccb94f179e943eacce55bb3"
#define C "43329849948ea7b8aa697ebaba435ec0426a8318d250cf4d6f91e6bc11d77bef"
#define D "66ac8250f9c4ef3ad6c36bd7ec3078bda67cc1a6754e55e5a24763d1ce74385a"

static const struct {
    const char *what, *text, *uid, *container, *runtime; /* uid NULL: in no pod */
    bool nested;
} rows[] = {
    /* cgroup version 1 */
    {"v1, cgroupfs, burstable", "12:pids:/kubepods/burstable/pod" U "/" C "\n1:name=systemd:/kubepods/burstable/pod" U "/" C "\n", U, C, "", false},
    {"v1, cgroupfs, guaranteed", "3:cpu,cpuacct:/kubepods/pod" U "/" C "\n", U, C, "", false},
    {"v1, a lab's root group", "9:name=systemd:/chaosd-kube-44f557735356/node-1/kubepods/besteffort/pod" U "/" C "\n0::/chaosd-kube-44f557735356/node-1\n", U, C, "", false},
    {"v1, systemd, docker", "5:net_cls,net_prio:/kubepods.slice/kubepods-pod" U_ ".slice/docker-" C ".scope\n", U, C, "docker", false},
    {"v1, the unified line says nothing", "2:cpu:/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" U_ ".slice/cri-containerd-" C ".scope\n0::/system.slice/containerd.service\n", U, C, "containerd", false},
    {"v1, the first line is elsewhere", "4:rdma:/\n3:cpuset:/\n2:memory:/kubepods/burstable/pod" U "/" C "\n0::/\n", U, C, "", false},
    {"v1, a pod's group before its container's", "3:misc:/kubepods/pod" U "\n2:memory:/kubepods/pod" U "/" C "\n", U, C, "", false},
    {"colons, below containerd's own", "1:name=systemd:/system.slice/containerd.service/kubepods-burstable-pod" U_ ".slice:cri-containerd:" C "\n", U, C, "containerd", false},
    {"colons, at the root", "11:perf_event:/kubepods-besteffort-pod" U_ ".slice:cri-containerd:" C "\n", U, C, "containerd", false},
    {"colons, a group below", "11:perf_event:/kubepods-besteffort-pod" U_ ".slice:crio:" C "/own\n", U, C, "cri-o", true},
    /* version 2 */
    {"v2, cgroupfs", "0::/kubepods/besteffort/pod" U "/" C "\n", U, C, "", false},
    {"v2, systemd, containerd", "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" U_ ".slice/cri-containerd-" C ".scope\n", U, C, "containerd", false},
    {"v2, systemd, CRI-O", "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" U_ ".slice/crio-" C ".scope\n", U, C, "cri-o", false},
    {"v2, CRI-O with crun's own group", "0::/kubepods.slice/kubepods-pod" U_ ".slice/crio-" C ".scope/container\n", U, C, "cri-o", true},
    {"v2, cgroupfs, CRI-O", "0::/kubepods/burstable/pod" U "/crio-" C "\n", U, C, "cri-o", false},
    {"v2, systemd in a container", "0::/kubepods/pod" U "/" C "/init.scope\n", U, C, "", true},
    {"no newline at the end", "0::/kubepods/pod" U "/" C, U, C, "", false},
    {"a static pod", "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" HASH ".slice/cri-containerd-" C ".scope\n", HASH, C, "containerd", false},
    {"a static pod, cgroupfs", "0::/kubepods/burstable/pod" HASH "/" C "\n", HASH, C, "", false},
    /* roots of other shapes */
    {"kind, v1", "8:memory:/docker/" D "/kubelet/kubepods/besteffort/pod" U "/" C "\n", U, C, "", false},
    {"kind, v2", "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod" U_ ".slice/cri-containerd-" C ".scope\n", U, C, "containerd", false},
    {"kind, seen from outside", "0::/system.slice/docker-" D ".scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" U_ ".slice/cri-containerd-" C ".scope\n", U, C, "containerd", false},
    {"from a cgroup namespace, systemd", "0::/../../kubepods-burstable-pod" U_ ".slice/cri-containerd-" C ".scope\n", U, C, "containerd", false},
    {"from a cgroup namespace, another class", "0::/../../../kubepods-burstable.slice/kubepods-burstable-pod" U_ ".slice/crio-" C ".scope\n", U, C, "cri-o", false},
    {"from a cgroup namespace, cgroupfs", "0::/../../pod" U "/" C "\n", U, C, "", false},
    {"a pod in a pod: the inner one", "0::/kubepods/pod" V "/" D "/kubepods/besteffort/pod" U "/" C "\n", U, C, "", false},
    {"docker in a pod is the pod's", "0::/kubepods/pod" U "/" C "/docker/" D "\n", U, C, "", true},
    /* in the pod, in no container */
    {"conmon", "0::/kubepods.slice/kubepods-pod" U_ ".slice/crio-conmon-" C ".scope\n", U, "", "", false},
    {"the pod's own group", "0::/kubepods/pod" U "\n", U, "", "", false},
    {"what a sandboxed runtime adds", "0::/kubepods/pod" U "/kata_overhead\n", U, "", "", false},
    {"an ID that is too short", "0::/kubepods/pod" U "/43329849948e\n", U, "", "", false},
    {"an ID that is too long", "0::/kubepods/pod" U "/" C "0\n", U, "", "", false},
    /* no pod */
    {"the kubelet", "0::/system.slice/kubelet.service\n", NULL, "", "", false},
    {"its runtime", "5:memory:/system.slice/containerd.service\n0::/\n", NULL, "", "", false},
    {"a container of docker's own", "0::/system.slice/docker-" C ".scope\n", NULL, "", "", false},
    {"a class without a pod", "0::/kubepods.slice/kubepods-burstable.slice\n", NULL, "", "", false},
    {"podman", "0::/machine.slice/libpod-" C ".scope\n", NULL, "", "", false},
    {"a service with pod in its name", "0::/system.slice/podman-pod" U_ ".slice\n", NULL, "", "", false},
    {"a UUID with a digit missing", "0::/kubepods/poddecce252-3c75-4e78-9b28-eb021623d09/" C "\n", NULL, "", "", false},
    {"the wrong dashes", "0::/kubepods.slice/kubepods-pod" U ".slice/cri-containerd-" C ".scope\n", NULL, "", "", false},
    {"a slice with a tail", "0::/kubepods.slice/kubepods-pod" U_ ".slice.d/" C "\n", NULL, "", "", false},
    {"the reader's own pod from within", "0::/../" C "\n", NULL, "", "", false},
    {"the root", "0::/\n", NULL, "", "", false},
    {"no path", "0:\n:\n\n", NULL, "", "", false},
    {"nothing", "", NULL, "", "", false},
};

static void is_understood(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct pod_cgroup got = {.runtime = "none"};
        print_message("# %s\n", rows[i].what);
        assert_int_equal(pod_cgroup_parse(rows[i].text, &got), rows[i].uid != NULL);
        if (!rows[i].uid)
            continue;
        assert_string_equal(got.uid, rows[i].uid);
        assert_string_equal(got.container, rows[i].container);
        assert_string_equal(got.runtime, rows[i].runtime);
        assert_int_equal(got.nested, rows[i].nested);
    }
}

static void uids_are_known_by_shape(void **state) {
    (void)state;
    assert_true(pod_uid_ok(U) && pod_uid_ok(HASH));
    assert_false(pod_uid_ok("") || pod_uid_ok(U_) || pod_uid_ok(U "0") || pod_uid_ok("run1-etcd-0") || pod_uid_ok("DECCE252-3c75-4e78-9b28-eb021623d09e"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(is_understood), cmocka_unit_test(uids_are_known_by_shape)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
