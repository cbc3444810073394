/* SPDX-License-Identifier: Apache-2.0 */
/* A pod in a made-up /proc: what is told apart, what is refused, and what a big node costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "agent/pod_find.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define U "decce252-3c75-4e78-9b28-eb021623d09e"
#define V "61a9c6f5-df37-4d4b-bf37-95fae4f988f3"
#define V_ "61a9c6f5_df37_4d4b_bf37_95fae4f988f3"
#define P "43329849948ea7b8aa697ebaba435ec0426a8318d250cf4d6f91e6bc11d77bef"
#define A "66ac8250f9c4ef3ad6c36bd7ec3078bda67cc1a6754e55e5a24763d1ce74385a"
#define B "6eee58e1d0c4567f3a29fc5f9a34285c7f323d1160289e3cb75f1cd8c6c38019"
#define POD_U "0::/kubepods/besteffort/pod" U "/"
#define POD_V "0::/kubepods.slice/kubepods-pod" V_ ".slice/"

static struct {
    char dir[32];
    int fd;
    struct error err;
} proc;

static int make_proc(void **state) {
    (void)state;
    strcpy(proc.dir, "/dev/shm/proc-XXXXXX");
    proc.err = (struct error){{0}};
    if (!mkdtemp(proc.dir))
        return -1;
    proc.fd = open(proc.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return proc.fd < 0 ? -1 : 0;
}

static int remove_proc(void **state) {
    (void)state;
    close(proc.fd);
    return fs_remove_tree(proc.dir, NULL);
}

static void put(int pid, const char *name, const char *text) {
    char path[96];
    snprintf(path, sizeof path, "%s/%d", proc.dir, pid);
    mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/%d/%s", proc.dir, pid, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void put_netns(int pid, uint64_t inode) {
    char path[96], to[64];
    snprintf(path, sizeof path, "%s/%d/ns", proc.dir, pid);
    mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/%d/ns/net", proc.dir, pid);
    snprintf(to, sizeof to, "net:[%lu]", (unsigned long)inode);
    unlink(path);
    assert_int_equal(symlink(to, path), 0);
}

struct made {
    int pid;
    const char *cgroup, *pids, *comm; /* pids: of NSpid */
    unsigned start;
    uint64_t netns;
    char state;
};

static void put_process(const struct made *m) {
    char text[512];
    put(m->pid, "cgroup", m->cgroup);
    snprintf(text, sizeof text, "%s\n", m->comm);
    put(m->pid, "comm", text);
    snprintf(text, sizeof text, "Name:\t%s\nPid:\t%d\nNSpid:\t%s\nThreads:\t1\n", m->comm, m->pid, m->pids);
    put(m->pid, "status", text);
    snprintf(text, sizeof text, "%d (%s) ) %c 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 %u 1000 1\n", m->pid, m->comm,
             m->state ? m->state : 'S', m->start);
    put(m->pid, "stat", text);
    put_netns(m->pid, m->netns);
}

/* A node: its init, a daemon, and two pods. */
static const struct made node[] = {
    {.pid = 1, .cgroup = "0::/init.scope\n", .pids = "1", .comm = "systemd", .start = 1, .netns = 100},
    {.pid = 30, .cgroup = "0::/system.slice/containerd.service\n", .pids = "30", .comm = "containerd", .start = 20, .netns = 100},
    {.pid = 500, .cgroup = POD_U P "\n", .pids = "500\t1", .comm = "pause", .start = 1000, .netns = 200},
    {.pid = 510, .cgroup = POD_U A "\n", .pids = "510\t1", .comm = "etcd", .start = 1100, .netns = 200},
    {.pid = 490, .cgroup = POD_U A "\n", .pids = "490\t17", .comm = "sh", .start = 5000, .netns = 200}, /* exec'ed; pids have wrapped */
    {.pid = 511, .cgroup = POD_U A "/inner\n", .pids = "511\t18\t1", .comm = "runc", .start = 1200, .netns = 201}, /* a container in it */
    {.pid = 512, .cgroup = POD_U A "\n", .pids = "512\t19", .comm = "dead", .start = 900, .netns = 200, .state = 'Z'},
    {.pid = 520, .cgroup = POD_U B "\n", .pids = "520\t1", .comm = "pause", .start = 1150, .netns = 200}, /* calls itself so */
    /* CRI-O without a sandbox process; its pods share their pid namespace */
    {.pid = 600, .cgroup = POD_V "crio-conmon-" A ".scope\n", .pids = "600", .comm = "conmon", .start = 2000, .netns = 100},
    {.pid = 610, .cgroup = POD_V "crio-" A ".scope/container\n", .pids = "610\t7", .comm = "web", .start = 2100, .netns = 300},
    {.pid = 609, .cgroup = POD_V "crio-" A ".scope/container\n", .pids = "609\t8", .comm = "web", .start = 2101, .netns = 300},
    {.pid = 608, .cgroup = POD_V "crio-" A ".scope/container\n", .pids = "608\t33\t1", .comm = "bwrap", .start = 2101, .netns = 301},
    {.pid = 607,
     .cgroup = POD_V "crio-" A ".scope\n",
     .pids = "607",
     .comm = "crun",
     .start = 9000,
     .netns = 100}, /* about to run a probe's command */
    {.pid = 620, .cgroup = POD_V "crio-" B ".scope/container\n", .pids = "620\t9", .comm = "log", .start = 2100, .netns = 300},
};

static void put_node(void) {
    for (size_t i = 0; i < ARRAY_SIZE(node); i++)
        put_process(&node[i]);
}

static void tells_containers_apart(void **state) {
    (void)state;
    struct pod_found f;
    put_node();
    put(77, "comm", "no cgroup file: it ends\n");
    assert_int_equal(pod_find(proc.fd, U, 0, &f, &proc.err), 0);
    assert_int_equal(f.container_count, 3);
    assert_int_equal(f.process_count, 5);
    assert_int_equal(f.netns, 200);
    assert_int_equal(f.holder.pid, 500);
    assert_false(f.host_network);
    assert_true(f.containers[0].sandbox);
    assert_string_equal(f.containers[0].id, P);
    assert_false(f.containers[1].sandbox || f.containers[2].sandbox);
    const struct pod_container *a = pod_container_find(&f, "containerd://" A);
    assert_non_null(a);
    assert_ptr_equal(a, pod_container_find(&f, A));
    assert_null(pod_container_find(&f, "containerd://" A "0"));
    assert_int_equal(a->first.pid, 510);
    assert_int_equal(a->first.start_ticks, 1100);
    assert_int_equal(a->first.inner, 1);
    assert_int_equal(a->process_count, 3);
    assert_int_equal(a->processes[0].pid, 490);
    assert_int_equal(a->processes[0].inner, 17);
    assert_true(a->processes[2].nested && a->processes[2].depth == 3);
    pod_found_free(&f);
    assert_int_equal(f.container_count, 0);
}

static void needs_no_sandbox(void **state) {
    (void)state;
    struct pod_found f;
    put_node();
    assert_int_equal(pod_find(proc.fd, V, 0, &f, &proc.err), 0);
    assert_int_equal(f.container_count, 2);
    assert_int_equal(f.process_count, 5); /* conmon is the runtime's, not the pod's */
    assert_int_equal(f.netns, 300);
    assert_string_equal(f.containers[0].runtime, "cri-o");
    assert_false(f.containers[0].sandbox);
    assert_int_equal(pod_container_find(&f, "cri-o://" A)->first.pid, 610); /* it started first */
    pod_found_free(&f);
}

static void refuses(int rc, const char *uid, unsigned flags, const char *why) {
    struct pod_found f;
    proc.err.text[0] = 0;
    assert_int_equal(pod_find(proc.fd, uid, flags, &f, &proc.err), rc);
    if (!strstr(proc.err.text, why))
        fail_msg("\"%s\" is not in: %s", why, proc.err.text);
    if (rc == -EAGAIN)
        assert_int_equal(f.container_count, 1);
    pod_found_free(&f);
}

static void one_tick_tells_no_order(void **state) {
    (void)state;
    struct pod_found f;
    static const struct made all_at_once[] = {
        {.pid = 1, .cgroup = "0::/\n", .pids = "1", .comm = "init", .start = 1, .netns = 100},
        {.pid = 40, .cgroup = POD_U A "\n", .pids = "40\t7", .comm = "child", .start = 50, .netns = 200}, /* pids have wrapped */
        {.pid = 41, .cgroup = POD_U A "\n", .pids = "41\t8\t1", .comm = "inner", .start = 50, .netns = 200},
        {.pid = 90, .cgroup = POD_U A "\n", .pids = "90\t1", .comm = "first", .start = 50, .netns = 200},
    };
    for (size_t i = 0; i < ARRAY_SIZE(all_at_once); i++)
        put_process(&all_at_once[i]);
    assert_int_equal(pod_find(proc.fd, U, 0, &f, &proc.err), 0);
    assert_int_equal(f.containers[0].first.pid, 90);
    pod_found_free(&f);
}

static void says_why_not(void **state) {
    (void)state;
    struct pod_found f;
    put_node();
    refuses(-ENOENT, "00000000-3c75-4e78-9b28-eb021623d09e", 0, "(any more)");
    refuses(-EINVAL, "etcd-0", 0, "\"etcd-0\" is no UID");
    refuses(-EINVAL, "", 0, "is no UID");
    put_netns(520, 999);
    refuses(-EXDEV, U, 0, "processes 500 and 520");
    put_netns(520, 200);
    char path[64];
    snprintf(path, sizeof path, "%s/1/ns/net", proc.dir);
    assert_int_equal(unlink(path), 0);
    refuses(-EACCES, U, 0, "of process 1"); /* who knows whether it would hit the node */
    put_netns(1, 200);
    refuses(-EPERM, U, 0, "hostNetwork");
    assert_int_equal(pod_find(proc.fd, U, POD_FIND_HOST_NETWORK, &f, &proc.err), 0);
    assert_true(f.host_network);
    pod_found_free(&f);
    put_netns(500, 7);
    put(510, "cgroup", "0::/\n"); /* they left */
    put(490, "cgroup", "0::/\n");
    put(511, "cgroup", "0::/\n");
    put(512, "cgroup", "0::/\n");
    put(520, "cgroup", POD_U "kata_overhead\n");
    refuses(-EAGAIN, U, 0, "only the sandbox");
}

static void is_not_fooled_by_its_end(void **state) {
    (void)state;
    struct pod_found f;
    put_node();
    put(500, "ns/net:[200]", ""); /* where the link leads */
    assert_int_equal(pod_find(proc.fd, U, 0, &f, &proc.err), 0);
    int fd = pod_netns_open(proc.fd, &f, &proc.err);
    assert_true(fd >= 0);
    close(fd);
    struct made other = node[2];
    other.start = 9000; /* the pid is another's by now */
    put_process(&other);
    assert_int_equal(pod_netns_open(proc.fd, &f, &proc.err), -ENOENT);
    char path[64];
    snprintf(path, sizeof path, "%s/500", proc.dir);
    assert_int_equal(fs_remove_tree(path, &proc.err), 0);
    assert_int_equal(pod_netns_open(proc.fd, &f, &proc.err), -ENOENT);
    pod_found_free(&f);
}

/* A stall of this machine is no fault of the scan: the best of some. */
static void costs_little(void **state) {
    (void)state;
    enum { PROCESSES = 10000, TURNS = 5 };
    int64_t best = INT64_MAX;
    put_node();
    for (int i = 0; i < PROCESSES; i++)
        put(1000 + i, "cgroup",
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod11111111_df37_4d4b_bf37_95fae4f988f3.slice/crio-" B
            ".scope\n");
    for (int i = 0; i < TURNS; i++) {
        struct pod_found f;
        int64_t from = clock_now(&clock_monotonic);
        assert_int_equal(pod_find(proc.fd, U, 0, &f, &proc.err), 0);
        int64_t took = clock_now(&clock_monotonic) - from;
        best = took < best ? took : best;
        assert_int_equal(f.process_count, 5);
        pod_found_free(&f);
    }
    print_message("# a scan over %d made-up processes: %.1f ms\n", PROCESSES, (double)best / NS_PER_MS);
    assert_true(best < 500 * NS_PER_MS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tells_containers_apart, make_proc, remove_proc),
        cmocka_unit_test_setup_teardown(needs_no_sandbox, make_proc, remove_proc),
        cmocka_unit_test_setup_teardown(one_tick_tells_no_order, make_proc, remove_proc),
        cmocka_unit_test_setup_teardown(says_why_not, make_proc, remove_proc),
        cmocka_unit_test_setup_teardown(is_not_fooled_by_its_end, make_proc, remove_proc),
        cmocka_unit_test_setup_teardown(costs_little, make_proc, remove_proc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
