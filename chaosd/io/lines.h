/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Lines over the pipes of a child process. Both ends are bounded: a reader keeps at most one line and one chunk, whatever the
 * child prints, and takes one chunk a turn of the loop, so that a flood waits in the child's pipe; a writer holds at most so many bytes
 * that the child has not read yet, and refuses more. Callbacks may free the reader or writer that calls.
 * The program ignores SIGPIPE: a child that closed its stdin is told by `broken`. */
#include "base/error.h"
#include "io/loop.h"

#include <stdbool.h>
#include <stddef.h>

/* --- reading --- */

struct line_reader;
struct line_reader_spec {
    int fd;          /* ours from here on: made non-blocking, closed with the reader */
    size_t max_line; /* bytes, its end not counted */
    /* A line without its "\n"; NUL-terminated, may hold NULs. cut: it was longer, these are its first max_line bytes, told at once;
     * the rest up to its end is dropped. What comes before the end of the file without a "\n" is a line too. */
    void (*line)(const char *text, size_t len, bool cut, void *arg);
    /* Once, after the last line: 0 when the other end was closed (by all who held it), else -errno. NULL: nobody asks. */
    void (*ended)(int rc, void *arg);
    void *arg;
};
/* On failure the fd stays the caller's. */
int line_reader_new(struct loop *l, const struct line_reader_spec *s, struct line_reader **ret, struct error *err);
/* Reads now what is there already, for when the child has ended but something it started may still hold its pipe;
 * at most 1 MiB. May call line and ended. */
void line_reader_drain(struct line_reader *r);
void line_reader_free(struct line_reader *r); /* NULL-safe */

/* --- writing --- */

struct line_writer;
struct line_writer_spec {
    int fd;             /* ours from here on: made non-blocking, closed with the writer */
    size_t max_waiting; /* bytes accepted that the pipe has not taken yet */
    void (*broken)(int rc, void *arg); /* once, from a clean stack: nobody reads any more (-EPIPE), or -errno. NULL: nobody asks */
    void *arg;
};
/* On failure the fd stays the caller's. */
int line_writer_new(struct loop *l, const struct line_writer_spec *s, struct line_writer **ret, struct error *err);
/* Writes text and "\n", wholly or not at all: -EAGAIN when as much waits as may, -EPIPE when it is broken or closed, -ENOMEM. */
int line_writer_put(struct line_writer *w, const char *text, size_t len);
/* No more lines: the fd is closed once what waits was taken, so that the child sees the end of its stdin. */
void line_writer_close(struct line_writer *w);
void line_writer_free(struct line_writer *w); /* what waits is dropped. NULL-safe */
