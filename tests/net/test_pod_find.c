/* SPDX-License-Identifier: Apache-2.0 */
/* A pod of real processes in control groups and namespaces of their own, as a runtime makes them. */
#include "net_util.h"

#include "agent/pod_find.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define P "43329849948ea7b8aa697ebaba435ec0426a8318d250cf4d6f91e6bc11d77bef"
#define A "66ac8250f9c4ef3ad6c36bd7ec3078bda67cc1a6754e55e5a24763d1ce74385a"

static struct {
    char uid[POD_UID_SIZE], root[512], group[900]; /* root: ours, which goes at the end; group: the pod's */
    int proc_fd, machine_fd; /* of the test's own pid namespace, and the machine's */
    pid_t sandbox, container;
    struct error err;
} pod;

/* A process in the container's group, named so, which waits to be killed. */
static pid_t start(const char *id, const char *name, unsigned long namespaces) {
    char group[1024], pid_text[16];
    int go[2];
    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    snprintf(group, sizeof group, "%s/%s", pod.group, id);
    assert_int_equal(cgroup_create(group, &pod.err), 0);
    pid_t pid = (pid_t)syscall(SYS_clone, namespaces | SIGCHLD, NULL, NULL, NULL, NULL);
    assert_true(pid >= 0);
    if (pid == 0) {
        char c;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NAME, name);
        if (read(go[0], &c, 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    strcat(group, "/cgroup.procs");
    snprintf(pid_text, sizeof pid_text, "%d", (int)pid);
    int rc = fs_write_sys(group, pid_text, &pod.err);
    assert_int_equal(write(go[1], "g", 1), 1);
    close(go[0]);
    close(go[1]);
    if (rc < 0)
        fail_msg("%s", pod.err.text);
    usleep(20000); /* two ticks: who started first is told by these */
    return pid;
}

static void stop(pid_t *pid) {
    if (*pid > 0) {
        kill(*pid, SIGKILL);
        waitpid(*pid, NULL, 0);
    }
    *pid = 0;
}

static int make_pod(void **state) {
    (void)state;
    struct cgroup_tree tree;
    if (geteuid() != 0)
        return 0;
    unsigned n = (unsigned)clock_now(&clock_monotonic); /* our pid is 1 */
    pod.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (pod.proc_fd < 0 || cgroup_find(&tree, &pod.err) < 0)
        return -1;
    snprintf(pod.uid, sizeof pod.uid, "%08x-3c75-4e78-9b28-eb021623d09e", n);
    snprintf(pod.root, sizeof pod.root, "%.400s/t%x", tree.path, n & 0xfffff);
    snprintf(pod.group, sizeof pod.group, "%s/kubepods/besteffort/pod%s", pod.root, pod.uid);
    pod.sandbox = start(P, "pause", CLONE_NEWNET | CLONE_NEWPID);
    return 0;
}

static int remove_pod(void **state) {
    (void)state;
    stop(&pod.container);
    stop(&pod.sandbox);
    if (geteuid() != 0)
        return 0;
    close(pod.proc_fd);
    return cgroup_remove(pod.root, &pod.err);
}

/* In the network that the sandbox holds. */
static pid_t start_container(const char *name) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pod.sandbox);
    cleanup_close int theirs = open(path, O_RDONLY | O_CLOEXEC), own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    assert_int_equal(setns(theirs, CLONE_NEWNET), 0);
    pid_t pid = start(A, name, CLONE_NEWPID);
    assert_int_equal(setns(own, CLONE_NEWNET), 0);
    return pid;
}

static void in_pod(const char *commands) {
    char line[1024];
    snprintf(line, sizeof line, "nsenter --net=/proc/%d/ns/net sh -ec '%s'", (int)pod.sandbox, commands);
    assert_int_equal(system(line), 0);
}

static void is_found_as_it_comes_up_and_goes(void **state) {
    (void)state;
    NEED_ROOT();
    struct pod_found f;
    struct error err = {{0}};
    assert_int_equal(pod_find(pod.proc_fd, pod.uid, 0, &f, &err), -EAGAIN);
    assert_int_equal(f.holder.pid, pod.sandbox);
    pod_found_free(&f);
    pod.container = start_container("etcd");
    OK(pod_find(pod.proc_fd, pod.uid, 0, &f, &err));
    assert_int_equal(f.container_count, 2);
    assert_true(f.containers[0].sandbox && !f.containers[1].sandbox);
    const struct pod_container *a = pod_container_find(&f, "containerd://" A);
    assert_non_null(a);
    assert_int_equal(a->first.pid, pod.container);
    assert_int_equal(a->first.inner, 1);
    uint64_t start_ticks;
    OK(proc_start_time(pod.container, &start_ticks, &err));
    assert_int_equal(a->first.start_ticks, start_ticks);
    stop(&pod.container);
    stop(&pod.sandbox);
    assert_int_equal(pod_netns_open(pod.proc_fd, &f, &err), -ENOENT);
    pod_found_free(&f);
    assert_int_equal(pod_find(pod.proc_fd, pod.uid, 0, &f, &err), -ENOENT);
}

static void names_the_interface(void **state) {
    (void)state;
    NEED_ROOT();
    struct pod_found f;
    struct error err = {{0}};
    char device[POD_DEVICE_SIZE];
    pod.container = start_container("etcd");
    OK(pod_find(pod.proc_fd, pod.uid, 0, &f, &err));
    cleanup_close int fd = pod_netns_open(pod.proc_fd, &f, &err);
    assert_true(fd >= 0);
    pod_found_free(&f);
    assert_int_equal(pod_device(fd, device, &err), -ENODEV);
    in_pod("ip link add pod0 type bridge; ip link add ours type ifb");
    OK(pod_device(fd, device, &err));
    assert_string_equal(device, "pod0"); /* the only one */
    in_pod("ip link add net1 type bridge; ip addr add 10.99.0.2/24 dev net1; ip addr add 10.98.0.2/24 dev pod0; ip link set net1 up; ip "
           "link set pod0 up");
    assert_int_equal(pod_device(fd, device, &err), -ENOTUNIQ);
    assert_non_null(strstr(err.text, "pod0, net1"));
    in_pod("ip route add default via 10.98.0.1 metric 200");
    OK(pod_device(fd, device, &err));
    assert_string_equal(device, "pod0");
    in_pod("ip route add default via 10.99.0.1 metric 100; ip route add 10.0.0.0/8 via 10.98.0.1");
    OK(pod_device(fd, device, &err));
    assert_string_equal(device, "net1");
    in_pod("ip link set net1 down; ip link set net1 name renamed; ip link set renamed up; ip route add default via 10.99.0.1 metric 100");
    OK(pod_device(fd, device, &err));
    assert_string_equal(device, "renamed");
}

static void the_nodes_own_network_is_refused(void **state) {
    (void)state;
    NEED_ROOT();
    struct pod_found f;
    struct error err = {{0}};
    stop(&pod.sandbox);
    pod.container = start(A, "etcd", CLONE_NEWPID);
    assert_int_equal(pod_find(pod.proc_fd, pod.uid, 0, &f, &err), -EPERM);
    OK(pod_find(pod.proc_fd, pod.uid, POD_FIND_HOST_NETWORK, &f, &err));
    assert_true(f.host_network);
    pod_found_free(&f);
}

/* An agent is in a container: with a cgroup namespace of its own it sees the others' groups from its own on, "/../../pod...". */
static void is_found_from_another_pods_container(void **state) {
    (void)state;
    NEED_ROOT();
    char group[1024];
    int status = 0;
    pod.container = start_container("etcd");
    snprintf(group, sizeof group, "%s/kubepods/besteffort/pod61a9c6f5-df37-4d4b-bf37-95fae4f988f3/" A, pod.root);
    assert_int_equal(cgroup_create(group, &pod.err), 0);
    strcat(group, "/cgroup.procs");
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct pod_found f;
        cleanup_buf struct buf text = {0};
        char path[64];
        if (fs_write_sys(group, "0", NULL) < 0 || unshare(CLONE_NEWCGROUP) < 0)
            _exit(2);
        snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pod.container);
        if (fs_read(path, 65536, &text, NULL) < 0 || !strstr(text.data, ":/../../pod"))
            _exit(3);
        _exit(pod_find(pod.proc_fd, pod.uid, 0, &f, NULL) == 0 && f.container_count == 2 &&
                      pod_container_find(&f, A)->first.pid == pod.container
                  ? 0
                  : 4);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Processes that come and go while it is looked at, as with a probe that is a command. */
static void processes_that_end_are_no_error(void **state) {
    (void)state;
    NEED_ROOT();
    enum { SCANS = 4000 };
    struct pod_found f;
    struct error err = {{0}};
    size_t more = 0;
    pod.container = start_container("etcd");
    pid_t churn = fork();
    assert_true(churn >= 0);
    if (churn == 0) {
        char procs[1024];
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGCHLD, SIG_IGN);
        snprintf(procs, sizeof procs, "%s/%s/cgroup.procs", pod.group, A);
        if (fs_write_sys(procs, "0", NULL) < 0)
            _exit(1);
        for (;;) {
            pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
            if (pid == 0) {
                usleep(100 * (unsigned)(getpid() % 8));
                _exit(0);
            }
        }
    }
    int rc = 0;
    for (int i = 0; i < SCANS && rc == 0; i++) {
        rc = pod_find(pod.proc_fd, pod.uid, POD_FIND_HOST_NETWORK, &f, &err);
        more += rc == 0 && f.process_count > 3;
        if (rc == 0 && pod_container_find(&f, A)->first.pid != pod.container)
            rc = -EUCLEAN;
        pod_found_free(&f);
    }
    stop(&churn);
    print_message("# %zu of %d scans met some of them\n", more, SCANS);
    if (rc < 0)
        fail_msg("%d %s", rc, err.text);
    assert_true(more > 0);
}

/* What a scan costs a process: all of this machine's, many times. */
static void costs_little(void **state) {
    (void)state;
    NEED_ROOT();
    enum { TURNS = 20 };
    struct pod_found f;
    struct error err = {{0}};
    size_t processes = 0;
    int64_t best = INT64_MAX;
    struct dirent **list = NULL;
    int n = scandirat(pod.machine_fd, ".", &list, NULL, NULL);
    for (int i = 0; i < n; i++) {
        processes += *list[i]->d_name >= '1' && *list[i]->d_name <= '9';
        free(list[i]);
    }
    free(list);
    pod.container = start_container("etcd");
    for (int i = 0; i < TURNS; i++) {
        int64_t from = clock_now(&clock_monotonic);
        OK(pod_find(pod.machine_fd, pod.uid, POD_FIND_HOST_NETWORK, &f, &err));
        int64_t took = clock_now(&clock_monotonic) - from;
        best = took < best ? took : best;
        pod_found_free(&f);
    }
    print_message("# a scan over %zu processes: %.0f us, %.1f us each\n", processes, (double)best / 1e3,
                  (double)best / 1e3 / (double)processes);
    assert_true(best < (int64_t)processes * NS_PER_MS);
}

/* As process 1 of a pid namespace of its own: a machine's process 1 may be out of sight. */
static void become_first(void) {
    int status = 0;
    pod.machine_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (geteuid() != 0)
        return;
    pid_t pid = pod.machine_fd < 0 || unshare(CLONE_NEWPID | CLONE_NEWNS) < 0 ? -1 : fork();
    if (pid < 0)
        exit(70);
    if (pid > 0) {
        waitpid(pid, &status, 0);
        exit(WIFEXITED(status) ? WEXITSTATUS(status) : 70);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 || mount("proc", "/proc", "proc", 0, NULL) < 0)
        exit(70);
}

int main(void) {
    become_first();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(is_found_as_it_comes_up_and_goes, make_pod, remove_pod),
        cmocka_unit_test_setup_teardown(names_the_interface, make_pod, remove_pod),
        cmocka_unit_test_setup_teardown(the_nodes_own_network_is_refused, make_pod, remove_pod),
        cmocka_unit_test_setup_teardown(is_found_from_another_pods_container, make_pod, remove_pod),
        cmocka_unit_test_setup_teardown(processes_that_end_are_no_error, make_pod, remove_pod),
        cmocka_unit_test_setup_teardown(costs_little, make_pod, remove_pod),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
