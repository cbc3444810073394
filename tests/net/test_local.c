/* SPDX-License-Identifier: Apache-2.0 */
#include "local_util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

/* ---- made, and gone */

static void test_start_and_stop(void **state) {
    (void)state;
    NEED_ROOT();
    struct bench b;
    bench_new(&b);
    int rc = bench_start(&b, "{nodes: 2, workloads: ["
                             "{name: a, replicas: 3, labels: {app: a}, command: [sleep, '600'], stopTimeout: 10ms},"
                             "{name: b, namespace: apart, command: [sleep, '600'], stopTimeout: 10ms}]}");
    if (rc < 0)
        fail_msg("%s", b.err.text);
    assert_int_equal(b.count, 0); /* nothing is told before the caller has the cluster */
    const struct pod *list[8];
    assert_int_equal(cluster_local.pods(b.cluster, list, 8), 4);
    assert_int_equal(cluster_local.pods(b.cluster, list, 2), 2);
    cluster_local.pods(b.cluster, list, 8);
    static const struct { const char *name, *namespace, *node, *ip; } rows[] = {
        
        {"b-0", "apart", "n2", "10.77.2.2"},
        {"a-0", "default", "n1", "10.77.1.1"},
        {"a-1", "default", "n2", "10.77.2.1"},
        {"a-2", "default", "n1", "10.77.1.2"},
    };
    for (size_t i = 0; i < 4; i++) {
        char path[128];
        assert_string_equal(list[i]->name, rows[i].name);
        assert_string_equal(list[i]->namespace, rows[i].namespace);
        assert_string_equal(list[i]->node, rows[i].node);
        assert_string_equal(list[i]->ip, rows[i].ip);
        assert_int_equal(list[i]->phase, POD_RUNNING);
        assert_true(list[i]->ready);
        assert_string_equal(pod_var(list[i], "pod.index"), strchr(rows[i].name, '-') + 1);
        snprintf(path, sizeof path, "/run/netns/chaosd-%s-%s", b.run, rows[i].name);
        assert_int_equal(access(path, F_OK), 0);
        assert_int_equal(access(pod_var(list[i], "pod.dir"), F_OK), 0);
    }
    assert_int_equal(list[1]->replicas, 3);
    assert_string_equal(json_string_value(json_object_get(list[1]->labels, "app")), "a");
    assert_null(pod_var(list[0], "pod.nothing"));
    pid_t pids[4];
    for (size_t i = 0; i < 4; i++)
        pids[i] = list[i]->pid;
    wait_for(&b, CL_POD_CREATED, "a-0");
    const struct told *t = wait_for(&b, CL_POD_STARTED, "a-0");
    assert_int_equal(number(t, "pid"), pids[1]);
    assert_int_equal(number(t, "start_time"), list[1]->start_time);
    assert_string_equal(json_string_value(json_object_get(t->data, "workload")), "a");
    assert_string_equal(json_string_value(json_object_get(t->data, "node")), "n1");
    wait_for(&b, CL_POD_READY, "a-0");
    assert_int_equal(b.count, 12);
    bench_free(&b);
    for (size_t i = 0; i < 4; i++)
        assert_true(gone(pids[i]));
}

static void test_pod_is_a_world_of_its_own(void **state) {
    (void)state;
    NEED_ROOT();
    struct bench b;
    bench_new(&b);
    int rc = bench_start(&b, "{nodes: 1, workloads: [{name: w, replicas: 2, env: {WORD: 'of ${pod.name}', HOME: /elsewhere},"
                             "files: {etc/conf.d/x: 'my ip is ${pod.ip}'}, stopTimeout: 10ms, command: [sh, -c,"
                             "'echo pid=$$ host=$(hostname) word=$WORD home=$HOME ip=$POD_IP node=$POD_NODE pwd=$(pwd);"
                             " cat etc/conf.d/x; echo;"
                             " cat /etc/hosts; ls /proc | grep -c ^[0-9]; ls -A /tmp | wc -l; echo mine > /tmp/mine;"
                             " grep -c : /proc/net/dev; echo end; exec sleep 600']}]}");
    if (rc < 0)
        fail_msg("%s", b.err.text);
    const char *log = wait_log(&b, "w-1", "end");
    char want[512];
    snprintf(want, sizeof want, "pid=1 host=w-1 word=of w-1 home=/elsewhere ip=10.77.1.2 node=n1 pwd=%s/%s/pods/w-1\nmy ip is 10.77.1.2\n",
             b.dir, b.run);
    assert_ptr_equal(strstr(log, want), log);
    assert_non_null(strstr(log, "127.0.0.1 localhost\n"));
    assert_non_null(strstr(log, "10.77.1.1 w-0\n10.77.1.2 w-1\n"));
    /* processes in /proc: sh, the pipe's two, and the subshell at most; an empty /tmp; lo and eth0 (lines of /proc/net/dev with a colon) */
    const char *rest = strstr(log, "w-1\n") + 4;
    rest = strstr(rest, "10.77.1.2 w-1\n") + strlen("10.77.1.2 w-1\n");
    int procs = 0, in_tmp = -1, devices = 0;
    assert_int_equal(sscanf(rest, "%d %d %d", &procs, &in_tmp, &devices), 3);
    assert_in_range(procs, 1, 6);
    assert_int_equal(in_tmp, 0);
    assert_int_equal(devices, 2);
    assert_int_equal(access("/tmp/mine", F_OK), -1);
    bench_free(&b);
}

/* A state folder and a program under /tmp are still there in a pod, whose /tmp is private. */
static void test_what_lies_in_tmp(void **state) {
    (void)state;
    NEED_ROOT();
    struct bench b;
    char tool[64], script[] = "#!/bin/sh\necho in $(pwd) $(cat note)\nexec sleep 600\n", json[512];
    bench_new(&b);
    char dir[] = "/tmp/test-local-XXXXXX";
    assert_non_null(mkdtemp(dir));
    snprintf(tool, sizeof tool, "%s/tool", dir);
    assert_int_equal(fs_write(tool, script, sizeof script - 1, NULL), 0);
    chmod(tool, 0755);
    setenv("CHAOSD_STATE_DIR", dir, 1);
    snprintf(json, sizeof json, "{nodes: 1, workloads: [{name: w, files: {note: here}, command: [%s], stopTimeout: 10ms}]}", tool);
    if (bench_start(&b, json) < 0)
        fail_msg("%s", b.err.text);
    const char *log = wait_log(&b, "w-0", "here");
    assert_non_null(strstr(log, dir));
    bench_free(&b);
    fs_remove_tree(dir, NULL);
}

/* ---- the network */

static int in_namespace(int fd, int (*fn)(const char *ip), const char *ip) {
    int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    assert_int_equal(setns(fd, CLONE_NEWNET), 0);
    int r = fn(ip);
    assert_int_equal(setns(own, CLONE_NEWNET), 0);
    close(own);
    return r;
}

static int listen_on(const char *ip) {
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(2379)};
    inet_pton(AF_INET, ip, &a.sin_addr);
    assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s, 4), 0);
    return s;
}

static int connect_to(const char *ip) {
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(2379)};
    struct timeval most = {.tv_sec = 3};
    setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
    inet_pton(AF_INET, ip, &a.sin_addr);
    if (connect(s, (struct sockaddr *)&a, sizeof a) < 0) {
        int rc = -errno;
        close(s);
        return rc;
    }
    return s;
}

static int namespace_of(const struct bench *b, const char *name) {
    char path[128];
    snprintf(path, sizeof path, "/run/netns/chaosd-%s-%s", b->run, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static size_t host_links(void) {
    struct if_nameindex *links = if_nameindex();
    size_t n = 0;
    while (links && links[n].if_name)
        n++;
    if_freenameindex(links);
    return n;
}

static int ports_there(const char *unused) {
    (void)unused;
    struct ports p;
    ports_read(&p);
    return (int)p.count;
}

/* The loads' side has nearly all ports, as the preflight says beforehand; pods and this machine keep theirs. */
static void test_ports(void **state) {
    (void)state;
    NEED_ROOT();
    struct bench b;
    struct ports told;
    bench_new(&b);
    const int here = ports_there(NULL);
    cluster_local.ports(&told);
    if (bench_start(&b, "{nodes: 1, workloads: [" SLEEPER "]}") < 0)
        fail_msg("%s", b.err.text);
    assert_int_equal(in_namespace(cluster_local.netns(b.cluster), ports_there, NULL), told.count);
    assert_int_equal(told.count, 65535 - 1024 + 1);
    int pod = namespace_of(&b, "s-0");
    assert_true(in_namespace(pod, ports_there, NULL) < told.count);
    close(pod);
    assert_int_equal(ports_there(NULL), here);
    bench_free(&b);
}

static void test_network(void **state) {
    (void)state;
    NEED_ROOT();
    struct bench b;
    bench_new(&b);
    const size_t links = host_links();
    if (bench_start(&b, "{nodes: 2, workloads: [{name: s, replicas: 2, command: [sleep, '600'], stopTimeout: 10ms}]}") < 0)
        fail_msg("%s", b.err.text);
    assert_int_equal(host_links(), links); /* also while it runs, the host sees nothing */
    assert_string_not_equal(pod_named(&b, "s-0")->node, pod_named(&b, "s-1")->node);
    int one = namespace_of(&b, "s-0"), two = namespace_of(&b, "s-1"), fabric = cluster_local.netns(b.cluster);
    int server = in_namespace(one, listen_on, "10.77.1.1");
    const int from[] = {two, fabric, one}; /* another node, the clients, itself */
    for (size_t i = 0; i < 3; i++) {
        int s = in_namespace(from[i], connect_to, "10.77.1.1");
        assert_true(s >= 0);
        char c = 'x';
        int got = accept(server, NULL, NULL);
        assert_int_equal(write(s, &c, 1), 1);
        assert_int_equal(read(got, &c, 1), 1);
        close(got);
        close(s);
    }
    assert_int_equal(in_namespace(fabric, connect_to, "10.77.2.1"), -ECONNREFUSED); /* nobody listens there, and it says so at once */
    close(server);
    close(one);
    close(two);
    bench_free(&b);
}

/* ---- undo without the cluster */

static void test_undo_from_the_record_alone(void **state) {
    (void)state;
    NEED_ROOT();
    struct bench b;
    int64_t id;
    const json_t *record;
    char line[128];
    bench_new(&b);
    if (bench_start(&b, "{nodes: 2, workloads: [{name: s, replicas: 2, command: [sh, -c, 'sleep 600 & sleep 600']}]}") < 0)
        fail_msg("%s", b.err.text);
    pid_t pid = pod_named(&b, "s-0")->pid;
    assert_int_equal(cluster_local.freeze(b.cluster, pod_named(&b, "s-1")->uid, true, &b.err), 0);
    wait_for(&b, CL_POD_FROZEN, "s-1");
    /* As after kill -9: another chaosd has the file and nothing else. */
    struct journal *j;
    assert_int_equal(journal_reopen("test-run", true, &j, &b.err), 0);
    assert_int_equal(journal_pending(j, &id, &record, 1), 1);
    undo_describe(record, line, sizeof line);
    assert_non_null(strstr(line, b.run));
    int rc = undo_apply(record, &b.err);
    if (rc < 0)
        fail_msg("%s", b.err.text);
    assert_int_equal(undo_apply(record, &b.err), 0);
    wait_for(&b, CL_POD_EXITED, "s-0");
    assert_true(gone(pid));
    assert_int_equal(journal_close(j, &b.err), 0);
    bench_free(&b); /* stop after all that is harmless too */
}

/* Processes whose command line holds the word. */
static int count_processes(const char *word) {
    struct dirent **list = NULL;
    int n = scandir("/proc", &list, visible, NULL), count = 0;
    for (int i = 0; i < n; i++) {
        char path[300], line[256] = "";
        snprintf(path, sizeof path, "/proc/%s/cmdline", list[i]->d_name);
        int fd = list[i]->d_name[0] >= '0' && list[i]->d_name[0] <= '9' ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        ssize_t got = fd >= 0 ? read(fd, line, sizeof line - 1) : -1;
        count += got > 0 && memmem(line, (size_t)got, word, strlen(word)) != NULL;
        closep(&fd);
        free(list[i]);
    }
    free(list);
    return count;
}

static void start_and_be_killed(struct bench *b, const char *json, int64_t after_ns) {
    pid_t pid = fork();
    if (pid == 0) {
        struct loop *l;
        struct journal *j;
        if (loop_new(&l, NULL) < 0 || journal_open("victim", &j, NULL) < 0)
            _exit(1);
        b->loop = l;
        b->journal = j;
        if (bench_start(b, json) < 0)
            _exit(2);
        for (;;)
            pause();
    }
    struct timespec t = {.tv_nsec = after_ns};
    nanosleep(&t, NULL);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void undo_victim(void) {
    struct error err = {{0}};
    struct journal *j;
    int64_t id;
    const json_t *record;
    int rc = journal_reopen("victim", false, &j, &err);
    if (rc == -ENOENT)
        return; /* killed before it had begun */
    OK(rc);
    while (journal_pending(j, &id, &record, 1)) {
        OK(undo_apply(record, &err));
        OK(journal_done(j, id, &err));
    }
    OK(journal_close(j, &err));
}

static void test_killed_at_any_moment(void **state) {
    (void)state;
    NEED_ROOT();
    struct bench b;
    char json[256], word[32];
    bench_new(&b);
    snprintf(word, sizeof word, "77%d.5", (int)getpid());
    snprintf(json, sizeof json, "{nodes: 2, workloads: [{name: s, replicas: 3, command: [sleep, '%s'], stopTimeout: 10ms}]}", word);
    cleanup_free char *before = snapshot(b.dir);
    for (int64_t i = 0; i < 40; i++) {
        start_and_be_killed(&b, json, i * 3 * NS_PER_MS / 2);
        undo_victim();
        cleanup_free char *after = snapshot(b.dir);
        assert_string_equal(before, after);
        assert_int_equal(count_processes(word), 0);
    }
    if (bench_start(&b, json) < 0) /* and one that is left alone: the counting counts */
        fail_msg("%s", b.err.text);
    assert_int_equal(count_processes(word), 3);
    bench_free(&b);
    assert_int_equal(count_processes(word), 0);
}

static int preflight_of(const char *json, struct error *err) {
    struct doc *d = NULL;
    struct local_config c;
    struct arena *a = arena_new();
    int rc = doc_parse("t", json, strlen(json), &d, err);
    if (rc == 0)
        rc = schema_decode(d, "", cluster_local.row.shape, NULL, a, &c, err);
    struct scenario s = {.cluster = {.kind = &cluster_local.row, .params = &c, .path = ""}};
    if (rc == 0)
        rc = cluster_local.preflight(&s, err);
    doc_free(d);
    arena_free(a);
    return rc;
}

static void test_preflight(void **state) {
    (void)state;
    NEED_ROOT();
    struct error err = {{0}};
    cleanup_free char *before = snapshot("/nowhere");
    OK(preflight_of("{workloads: [" SLEEPER "]}", &err));
    assert_int_equal(preflight_of("{workloads: [" SLEEPER ", {name: etcd, command: [etcdd]}]}", &err), -ENOENT);
    assert_string_equal(err.text, "workload etcd: etcdd: No such file or directory: is it installed, and in PATH?");
    assert_int_equal(preflight_of("{workloads: [{name: etcd, command: [/no/such/etcd]}]}", &err), -ENOENT);
    /* what only a pod knows is left to its start */
    OK(preflight_of("{workloads: [{name: w, command: ['${pod.dir}/tool']}, {name: v, env: {PATH: /opt}, command: [tool]}]}", &err));
    pid_t pid = fork();
    if (pid == 0) {
        if (seteuid(65534) < 0)
            _exit(1);
        _exit(preflight_of("{workloads: [" SLEEPER "]}", &err) == -EPERM && strstr(err.text, "needs root") ? 0 : 2);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    cleanup_free char *after = snapshot("/nowhere"); /* it left nothing */
    assert_string_equal(before, after);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_teardown(f, bench_clean)
        T(test_start_and_stop), T(test_pod_is_a_world_of_its_own), T(test_what_lies_in_tmp), T(test_network), T(test_ports),
        T(test_undo_from_the_record_alone), T(test_killed_at_any_moment), T(test_preflight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
