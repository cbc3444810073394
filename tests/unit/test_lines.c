/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/cleanup.h"
#include "io/lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

static struct loop *loop;
static struct error err;

struct heard {
    struct line_reader *reader;
    struct buf text; /* "3:abc|" a line, "3*:abc|" one that was cut */
    int ended, rc, free_at, lines;
};

static void on_line(const char *text, size_t len, bool cut, void *arg) {
    struct heard *h = arg;
    assert_int_equal(text[len], 0);
    buf_printf(&h->text, "%zu%s:%s|", len, cut ? "*" : "", text);
    if (++h->lines == h->free_at) {
        line_reader_free(h->reader);
        h->reader = NULL;
        loop_stop(loop);
    }
}

static void on_end(int rc, void *arg) {
    struct heard *h = arg;
    h->ended++;
    h->rc = rc;
    line_reader_free(h->reader);
    h->reader = NULL;
    loop_stop(loop);
}

static int pipe_of(struct heard *h, size_t max_line) {
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const struct line_reader_spec spec = {.fd = ends[0], .max_line = max_line, .line = on_line, .ended = on_end, .arg = h};
    assert_int_equal(line_reader_new(loop, &spec, &h->reader, &err), 0);
    return ends[1];
}

static void say(int fd, const char *text) { assert_int_equal(write(fd, text, strlen(text)), strlen(text)); }

static void test_lines_of_a_text(void **state) {
    (void)state;
    static const struct { const char *text, *heard; } rows[] = {
        {"", ""},
        {"one\n", "3:one|"},
        {"one\ntwo\n\nthree", "3:one|3:two|0:|5:three|"},
        {"12345678\n", "8:12345678|"},
        {"123456789\nnext\n", "8*:12345678|4:next|"},
        {"123456789", "8*:12345678|"},
        {"12345678901234567890\n\nx\n", "8*:12345678|0:|1:x|"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct heard h = {0};
        int fd = pipe_of(&h, 8);
        say(fd, rows[i].text);
        close(fd);
        loop_run(loop);
        assert_string_equal(h.text.data ? h.text.data : "", rows[i].heard);
        assert_int_equal(h.ended, 1);
        assert_int_equal(h.rc, 0);
        buf_free(&h.text);
    }
}

/* However the text is torn, the lines are the same. */
static void test_torn_anywhere(void **state) {
    (void)state;
    static const char text[] = "one\n123456789abcdef\nfour\n\n12345678\nlast";
    for (size_t a = 0; a < sizeof text; a++)
        for (size_t b = a; b < sizeof text; b++) {
            struct heard h = {0};
            int fd = pipe_of(&h, 8);
            const size_t cuts[] = {0, a, b, sizeof text - 1};
            for (int i = 0; i < 3; i++)
                if (cuts[i + 1] > cuts[i]) {
                    assert_true(write(fd, text + cuts[i], cuts[i + 1] - cuts[i]) > 0);
                    line_reader_drain(h.reader);
                }
            close(fd);
            loop_run(loop);
            assert_string_equal(h.text.data, "3:one|8*:12345678|4:four|0:|8:12345678|4:last|");
            buf_free(&h.text);
        }
}

static void test_an_endless_line_is_told_once(void **state) {
    (void)state;
    struct heard h = {0};
    int fd = pipe_of(&h, 5);
    char zeros[4096];
    memset(zeros, 'z', sizeof zeros);
    for (int i = 0; i < 1000; i++) { /* 4 MB in memory of one chunk */
        assert_int_equal(write(fd, zeros, sizeof zeros), sizeof zeros);
        line_reader_drain(h.reader);
    }
    assert_string_equal(h.text.data, "5*:zzzzz|");
    say(fd, "\nok\n");
    line_reader_drain(h.reader);
    assert_string_equal(h.text.data, "5*:zzzzz|2:ok|");
    line_reader_free(h.reader);
    close(fd);
    buf_free(&h.text);
}

static void test_freed_in_a_line(void **state) {
    (void)state;
    for (int at = 1; at <= 3; at++) {
        struct heard h = {.free_at = at};
        int fd = pipe_of(&h, 4);
        say(fd, "a\nbbbbbbbb\nc");
        close(fd);
        loop_run(loop);
        assert_null(h.reader);
        assert_int_equal(h.lines, at);
        assert_int_equal(h.ended, 0);
        buf_free(&h.text);
    }
    line_reader_free(NULL);
}

/* --- writing --- */

struct broken {
    struct line_writer *writer;
    int rc;
};

static void on_broken(int rc, void *arg) {
    struct broken *b = arg;
    b->rc = rc;
    line_writer_free(b->writer);
    b->writer = NULL;
    loop_stop(loop);
}

static int writer_of(struct broken *b, size_t max_waiting) {
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fcntl(ends[1], F_SETPIPE_SZ, 4096);
    const struct line_writer_spec spec = {.fd = ends[1], .max_waiting = max_waiting, .broken = on_broken, .arg = b};
    assert_int_equal(line_writer_new(loop, &spec, &b->writer, &err), 0);
    return ends[0];
}

/* A reader that does not read: the pipe and then the queue fill, what is refused is refused whole, and what was accepted comes out in order. */
static void test_a_full_pipe_refuses_and_loses_nothing(void **state) {
    (void)state;
    struct broken b = {0};
    int fd = writer_of(&b, 10000), accepted = 0, rc;
    char line[100];
    while ((rc = line_writer_put(b.writer, line, (size_t)snprintf(line, sizeof line, "line %d", accepted))) == 0)
        accepted++;
    assert_int_equal(rc, -EAGAIN);
    assert_in_range(accepted, 1400, 1700); /* 4,096 + 10,000 bytes of 8 to 10 each */
    line_writer_close(b.writer);
    assert_int_equal(line_writer_put(b.writer, "x", 1), -EPIPE);
    struct heard h = {0};
    const struct line_reader_spec spec = {.fd = fd, .max_line = 100, .line = on_line, .ended = on_end, .arg = &h};
    assert_int_equal(line_reader_new(loop, &spec, &h.reader, &err), 0);
    loop_run(loop);
    assert_int_equal(h.ended, 1);
    assert_int_equal(h.lines, accepted);
    cleanup_buf struct buf wanted = {0};
    for (int i = 0; i < accepted; i++) {
        int n = snprintf(line, sizeof line, "line %d", i);
        buf_printf(&wanted, "%d:%s|", n, line);
    }
    assert_string_equal(h.text.data, wanted.data);
    line_writer_free(b.writer);
    buf_free(&h.text);
}

static void test_nobody_reads(void **state) {
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    struct broken b = {0};
    close(writer_of(&b, 100));
    assert_int_equal(line_writer_put(b.writer, "x", 1), 0); /* told from the loop, not in here */
    assert_int_equal(b.rc, 0);
    assert_int_equal(line_writer_put(b.writer, "x", 1), -EPIPE);
    loop_run(loop);
    assert_int_equal(b.rc, -EPIPE);
    assert_null(b.writer);
    line_writer_free(NULL);
}

static void test_a_line_longer_than_the_queue(void **state) {
    (void)state;
    struct broken b = {0};
    int fd = writer_of(&b, 10);
    char out[32] = "";
    assert_int_equal(line_writer_put(b.writer, "0123456789", 10), -EAGAIN);
    assert_int_equal(line_writer_put(b.writer, "012345678", 9), 0);
    assert_int_equal(read(fd, out, sizeof out), 10);
    assert_string_equal(out, "012345678\n");
    line_writer_close(b.writer); /* nothing waits: closed at once */
    assert_int_equal(read(fd, out, sizeof out), 0);
    line_writer_free(b.writer);
    close(fd);
}

static int set_up(void **state) {
    (void)state;
    return loop_new(&loop, &err);
}

static int tear_down(void **state) {
    (void)state;
    loop_free(loop);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(test_lines_of_a_text), T(test_torn_anywhere), T(test_an_endless_line_is_told_once), T(test_freed_in_a_line),
        T(test_a_full_pipe_refuses_and_loses_nothing), T(test_nobody_reads), T(test_a_line_longer_than_the_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
