/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "history/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static int set_up(void **state) {
    (void)state;
    strcpy(dir, "/tmp/test-journal-XXXXXX");
    return mkdtemp(dir) && setenv("CHAOSD_STATE_DIR", dir, 1) == 0 ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    unsetenv("CHAOSD_STATE_DIR");
    return fs_remove_tree(dir, NULL);
}

static const char *in(const char *path) {
    static char whole[256];
    snprintf(whole, sizeof whole, "%s/%s", dir, path);
    return whole;
}

static int64_t add(struct journal *j, const char *kind, int n) {
    struct error err = {{0}};
    cleanup_json json_t *o = json_pack("{s:s, s:i}", "kind", kind, "n", n);
    int64_t id = -1;
    if (journal_add(j, o, &id, &err) < 0)
        fail_msg("%s", err.text);
    return id;
}

static void append_text(const char *path, const char *text) {
    int fd = open(in(path), O_WRONLY | O_APPEND);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static bool exists(const char *path) { return access(in(path), F_OK) == 0; }

static void test_state_dir(void **state) {
    (void)state;
    assert_string_equal(journal_state_dir(), dir);
    setenv("CHAOSD_STATE_DIR", "", 1);
    if (geteuid() == 0)
        assert_string_equal(journal_state_dir(), "/var/lib/chaosd");
}

/* Root has the machine's; anybody else one below his home, where he has one. */
static void test_state_dir_of_a_user(void **state) {
    (void)state;
    if (geteuid() != 0)
        skip();
    char *home = getenv("HOME") ? strdup(getenv("HOME")) : NULL;
    unsetenv("CHAOSD_STATE_DIR");
    setenv("XDG_STATE_HOME", "/x/state", 1);
    assert_string_equal(journal_state_dir(), "/var/lib/chaosd");
    assert_return_code(seteuid(65534), errno);
    assert_string_equal(journal_state_dir(), "/x/state/chaosd");
    setenv("XDG_STATE_HOME", "relative", 1); /* as its specification has it: not heeded */
    setenv("HOME", "/home/me", 1);
    assert_string_equal(journal_state_dir(), "/home/me/.local/state/chaosd");
    unsetenv("XDG_STATE_HOME");
    unsetenv("HOME");
    assert_string_equal(journal_state_dir(), "/var/lib/chaosd");
    setenv("CHAOSD_STATE_DIR", "/s", 1);
    assert_string_equal(journal_state_dir(), "/s");
    assert_return_code(seteuid(0), errno);
    if (home)
        setenv("HOME", home, 1);
    free(home);
}

static void test_newest_first_and_removed_when_clean(void **state) {
    (void)state;
    struct error err = {{0}};
    struct journal *j;
    int64_t ids[8];
    const json_t *undos[8];
    assert_int_equal(journal_open("run-1", &j, &err), 0);
    assert_true(journal_clean(j));
    int64_t a = add(j, "a", 1), b = add(j, "b", 2), c = add(j, "c", 3);
    assert_false(journal_clean(j));
    assert_int_equal(journal_pending(j, ids, undos, 8), 3);
    assert_int_equal(ids[0], c);
    assert_int_equal(ids[2], a);
    assert_string_equal(json_string_value(json_object_get(undos[1], "kind")), "b");
    assert_int_equal(journal_pending(j, ids, undos, 1), 1);
    assert_int_equal(journal_done(j, b, &err), 0);
    assert_int_equal(journal_done(j, b, &err), 0); /* twice is once */
    assert_int_equal(journal_pending(j, ids, NULL, 8), 2);
    assert_int_equal(ids[1], a);
    assert_int_equal(journal_done(j, 99, &err), -ENOENT);
    journal_done(j, a, &err);
    journal_done(j, c, &err);
    assert_true(journal_clean(j));
    assert_true(exists("run-1/undo.jsonl"));
    assert_int_equal(journal_close(j, &err), 0);
    assert_false(exists("run-1"));
}

static void test_reopen_after_crash(void **state) {
    (void)state;
    struct error err = {{0}};
    struct journal *j, *again;
    int64_t ids[8];
    const json_t *undos[8];
    assert_int_equal(journal_open("r", &j, &err), 0);
    int64_t a = add(j, "a", 1);
    add(j, "b", 7);
    journal_done(j, a, &err);
    /* alive: its lock is held */
    assert_int_equal(journal_reopen("r", false, &again, &err), -EBUSY);
    assert_non_null(strstr(err.text, "alive"));
    assert_int_equal(journal_reopen("r", true, &again, &err), 0);
    assert_int_equal(journal_pending(again, ids, undos, 8), 1);
    journal_close(again, &err);
    assert_int_equal(journal_open("r", &again, &err), -EBUSY);
    journal_close(j, &err); /* not clean: the folder stays, as after a crash */
    assert_true(exists("r/undo.jsonl"));
    assert_int_equal(journal_reopen("r", false, &again, &err), 0);
    assert_int_equal(journal_pending(again, ids, undos, 8), 1);
    assert_int_equal(json_integer_value(json_object_get(undos[0], "n")), 7);
    int64_t c = add(again, "c", 1);
    assert_true(c > ids[0]); /* numbers are never given twice */
    journal_done(again, ids[0], &err);
    journal_done(again, c, &err);
    assert_int_equal(journal_close(again, &err), 0);
    assert_false(exists("r"));
    assert_int_equal(journal_reopen("r", false, &again, &err), -ENOENT);
}

static void test_torn_line(void **state) {
    (void)state;
    struct error err = {{0}};
    struct journal *j;
    int64_t ids[8];
    assert_int_equal(journal_open("t", &j, &err), 0);
    int64_t a = add(j, "a", 1);
    journal_close(j, &err);
    append_text("t/undo.jsonl", "{\"id\":1,\"do"); /* a done that never got whole: not done */
    assert_int_equal(journal_reopen("t", false, &j, &err), 0);
    assert_int_equal(journal_pending(j, ids, NULL, 8), 1);
    assert_int_equal(ids[0], a);
    int64_t b = add(j, "b", 1);
    journal_close(j, &err);
    assert_int_equal(journal_reopen("t", false, &j, &err), 0); /* what was added after the tear is whole */
    assert_int_equal(journal_pending(j, ids, NULL, 8), 2);
    assert_int_equal(ids[0], b);
    journal_close(j, &err);
    /* forced while alive: the tear may be a line in flight, so nothing is cut */
    append_text("t/undo.jsonl", "{\"id\":9");
    struct journal *alive;
    assert_int_equal(journal_open("t2", &alive, &err), 0);
    add(alive, "x", 1);
    append_text("t2/undo.jsonl", "{\"id\":7");
    assert_int_equal(journal_reopen("t2", true, &j, &err), 0);
    assert_int_equal(journal_pending(j, ids, NULL, 8), 1);
    assert_int_equal(journal_done(j, ids[0], &err), 0);
    assert_true(journal_clean(j));
    journal_close(j, &err);
    journal_close(alive, &err);
}

static void test_durable_on_return(void **state) {
    (void)state;
    struct error err = {{0}};
    struct journal *j;
    assert_int_equal(journal_open("d", &j, &err), 0);
    add(j, "thaw", 5);
    cleanup_buf struct buf b = {0};
    assert_int_equal(fs_read(in("d/undo.jsonl"), 4096, &b, &err), 0);
    assert_string_equal(b.data, "{\"id\":1,\"undo\":{\"kind\":\"thaw\",\"n\":5}}\n");
    journal_close(j, &err);
}

static void test_bad_input(void **state) {
    (void)state;
    static const char *const names[] = {"", ".", "..", "a/b", "../x", ".hidden", "a b", "x\n"};
    struct error err = {{0}};
    struct journal *j = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_int_equal(journal_open(names[i], &j, &err), -EINVAL);
    assert_int_equal(journal_reopen("../etc", false, &j, &err), -EINVAL);
    assert_int_equal(journal_open("ok", &j, &err), 0);
    cleanup_json json_t *nameless = json_pack("{s:i}", "n", 1);
    assert_int_equal(journal_add(j, nameless, NULL, &err), -EINVAL);
    assert_true(journal_clean(j));
    assert_int_equal(journal_close(j, &err), 0);
    assert_int_equal(journal_close(NULL, &err), 0);
    setenv("CHAOSD_STATE_DIR", "/proc/nowhere", 1);
    assert_true(journal_open("x", &j, &err) < 0);
    assert_non_null(strstr(err.text, "/proc/nowhere"));
}

static void test_runs(void **state) {
    (void)state;
    struct error err = {{0}};
    char **names;
    size_t n;
    struct journal *j;
    setenv("CHAOSD_STATE_DIR", in("none"), 1);
    assert_int_equal(journal_runs(&names, &n, &err), 0);
    assert_int_equal(n, 0);
    free(names);
    setenv("CHAOSD_STATE_DIR", dir, 1);
    static const char *const runs[] = {"20261121T225201Z-b", "20261121T225201Z-a"};
    for (size_t i = 0; i < 2; i++) {
        journal_open(runs[i], &j, &err);
        add(j, "a", 1);
        journal_close(j, &err);
    }
    mkdir(in("no-run"), 0755); /* pods of a cluster, or anything else */
    assert_int_equal(journal_runs(&names, &n, &err), 0);
    assert_int_equal(n, 2);
    assert_string_equal(names[0], runs[1]);
    assert_string_equal(names[1], runs[0]);
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

static void test_full_disk(void **state) {
    (void)state;
    struct error err = {{0}};
    struct journal *j;
    /* /dev/full takes nothing: what cannot be recorded must not be believed. */
    assert_int_equal(mkdir(in("full"), 0755), 0);
    assert_int_equal(symlink("/dev/full", in("full/undo.jsonl")), 0);
    int rc = journal_open("full", &j, &err);
    if (rc < 0) { /* its endless zeros are refused already */
        assert_int_equal(rc, -EFBIG);
        return;
    }
    cleanup_json json_t *o = json_pack("{s:s}", "kind", "a");
    assert_int_equal(journal_add(j, o, NULL, &err), -ENOSPC);
    assert_true(journal_clean(j));
    journal_close(j, &err);
}

/* Weeks of pauses: the file stays readable, what is pending stays pending, and ids go on. */
static void test_a_long_run_keeps_its_file_small(void **state) {
    (void)state;
    struct error err = {{0}};
    struct journal *j = NULL;
    assert_return_code(journal_open("long", &j, &err), 0);
    int64_t kept = add(j, "kept", 1), last = kept;
    cleanup_free char *filler = calloc(1, 20001);
    memset(filler, 'x', 20000);
    for (int i = 0; i < 120; i++) {
        cleanup_json json_t *o = json_pack("{s:s, s:s}", "kind", "pause", "filler", filler);
        int64_t id = 0;
        assert_return_code(journal_add(j, o, &id, &err), 0);
        assert_true(id > last);
        last = id;
        assert_return_code(journal_done(j, id, &err), 0);
        assert_return_code(journal_done(j, id, &err), 0); /* twice is once */
    }
    assert_int_equal(journal_done(j, last + 1, &err), -ENOENT);
    struct stat st;
    assert_return_code(stat(in("long/undo.jsonl"), &st), 0);
    assert_in_range(st.st_size, 30, 1200000); /* of 2.4 MB written */
    assert_false(exists("long/undo.new"));
    add(j, "later", 2);
    struct journal *other = NULL;
    assert_return_code(journal_reopen("long", true, &other, &err), 0); /* as a revert by force reads it */
    const json_t *undos[4];
    int64_t ids[4];
    assert_int_equal(journal_pending(other, ids, undos, 4), 2);
    assert_int_equal(ids[1], kept);
    assert_string_equal(json_string_value(json_object_get(undos[0], "kind")), "later");
    assert_return_code(journal_close(other, &err), 0);
    assert_return_code(journal_done(j, kept, &err), 0);
    assert_return_code(journal_done(j, last + 1, &err), 0);
    assert_true(journal_clean(j));
    assert_return_code(journal_close(j, &err), 0);
    assert_false(exists("long"));
}

static void test_the_mark_of_being_ready(void **state) {
    (void)state;
    struct error err;
    struct journal *j;
    assert_false(journal_is_ready("agent"));
    assert_return_code(journal_open("agent", &j, &err), 0);
    assert_false(journal_is_ready("agent"));
    for (int i = 0; i < 2; i++) { /* said twice is said once */
        assert_return_code(journal_mark_ready(j, true, &err), 0);
        assert_true(journal_is_ready("agent"));
    }
    for (int i = 0; i < 2; i++) {
        assert_return_code(journal_mark_ready(j, false, &err), 0);
        assert_false(journal_is_ready("agent"));
    }
    assert_return_code(journal_mark_ready(j, true, &err), 0);
    assert_return_code(journal_close(j, &err), 0);
    assert_false(exists("agent"));
    assert_false(journal_is_ready("../agent"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(test_state_dir), T(test_state_dir_of_a_user), T(test_newest_first_and_removed_when_clean), T(test_reopen_after_crash), T(test_torn_line),
        T(test_durable_on_return), T(test_bad_input), T(test_runs), T(test_full_disk),
        T(test_a_long_run_keeps_its_file_small), T(test_the_mark_of_being_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
