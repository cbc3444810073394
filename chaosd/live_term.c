/* SPDX-License-Identifier: Apache-2.0 */
#include "live_term.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* Second screen, no cursor, no wrapping (a name wider than we think must not scroll), no echo of what is typed. */
static const char enter_text[] = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
/* CAN first: it ends whatever sequence was cut in the middle. */
static const char leave_text[] = "\x18\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";
enum { LEAVE_MS = 500 };

static const int fatal_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGQUIT};

/* Signal handlers reach it, so there is one. */
static struct {
    int fd; /* our own description of the terminal, so that O_NONBLOCK is not forced on the shell's */
    volatile sig_atomic_t entered, open;
    bool fresh, registered;
    bool keyboard; /* standard input is a terminal; as it was: */
    struct termios saved;
    struct buf pending;
    size_t sent; /* of pending */
    struct sigaction old_stop;
} term = {.fd = -1};

static bool in_foreground(int fd) {
    pid_t group = tcgetpgrp(fd);
    return group < 0 || group == getpgrp(); /* not our controlling terminal: nobody else's either */
}

bool term_usable(int fd) {
    const char *kind = getenv("TERM");
    return fd >= 0 && isatty(fd) && kind && *kind && strcmp(kind, "dumb") != 0 && in_foreground(fd);
}

/* Only calls that are safe in a signal handler, and only for a bounded time. */
static void say(const char *text, size_t len) {
    for (int tries = 0; len && tries < 20; tries++) {
        ssize_t n = write(term.fd, text, len);
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            struct pollfd p = {.fd = term.fd, .events = POLLOUT};
            if (poll(&p, 1, LEAVE_MS) <= 0)
                return;
        } else if (n < 0 && errno != EINTR) {
            return;
        }
    }
}

static void leave(void) {
    if (!term.entered)
        return;
    term.entered = 0;
    say(leave_text, sizeof leave_text - 1);
    if (term.keyboard)
        tcsetattr(STDIN_FILENO, TCSANOW, &term.saved);
}

static void enter(void) {
    if (term.keyboard) {
        struct termios quiet = term.saved;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
    }
    term.entered = 1;
    term.fresh = true;
    buf_clear(&term.pending);
    buf_str(&term.pending, enter_text);
    term.sent = 0;
}

/* Ctrl-Z: the shell gets its screen; we come back with the next look after the foreground is ours again. */
static void on_stop(int sig) {
    (void)sig;
    int saved = errno;
    leave();
    kill(getpid(), SIGSTOP);
    errno = saved;
}

static void on_fatal(int sig) {
    leave();
    signal(sig, SIG_DFL);
    raise(sig);
}

/* A handler that is there already (a sanitizer's) keeps its place. */
static void catch_signals(void) {
    for (size_t i = 0; i < sizeof fatal_signals / sizeof *fatal_signals; i++) {
        struct sigaction old, mine = {.sa_handler = on_fatal, .sa_flags = (int)SA_RESETHAND};
        if (sigaction(fatal_signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            sigaction(fatal_signals[i], &mine, NULL);
    }
    struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
    sigaction(SIGTSTP, &stop, &term.old_stop);
}

static void release_signals(void) {
    for (size_t i = 0; i < sizeof fatal_signals / sizeof *fatal_signals; i++) {
        struct sigaction old;
        if (sigaction(fatal_signals[i], NULL, &old) == 0 && old.sa_handler == on_fatal)
            signal(fatal_signals[i], SIG_DFL);
    }
    sigaction(SIGTSTP, &term.old_stop, NULL);
}

int term_open(int fd, struct error *err) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    term.fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (term.fd < 0)
        return error_errno(err, "the terminal");
    if (!isatty(term.fd)) {
        close(term.fd);
        term.fd = -1;
        return error_set(err, -ENOTTY, "the terminal: not a terminal");
    }
    term.keyboard = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &term.saved) == 0;
    if (!term.registered)
        term.registered = atexit(leave) == 0;
    term.open = 1;
    catch_signals();
    enter();
    return 0;
}

/* What is left over from before goes first: a frame cut in the middle would leave half a sequence. */
static bool drained(void) {
    while (term.sent < term.pending.len) {
        ssize_t n = write(term.fd, term.pending.data + term.sent, term.pending.len - term.sent);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        term.sent += (size_t)n;
    }
    buf_clear(&term.pending);
    term.sent = 0;
    return true;
}

bool term_ready(bool *ret_fresh) {
    if (!term.open || !in_foreground(term.fd))
        return false;
    if (!term.entered)
        enter(); /* back from Ctrl-Z */
    if (!drained())
        return false;
    *ret_fresh = term.fresh;
    term.fresh = false;
    return true;
}

void term_size(size_t *ret_width, size_t *ret_height) {
    struct winsize w = {0};
    if (term.fd < 0 || ioctl(term.fd, TIOCGWINSZ, &w) < 0 || !w.ws_col || !w.ws_row)
        w = (struct winsize){.ws_col = 80, .ws_row = 24};
    *ret_width = w.ws_col;
    *ret_height = w.ws_row;
}

void term_send(struct buf *text) {
    buf_add(&term.pending, text->data ? text->data : "", text->len);
    buf_clear(text);
    if (!buf_ok(&term.pending)) { /* out of memory: start over with the next frame */
        buf_free(&term.pending);
        term.sent = 0;
        term.fresh = true;
    }
    drained();
}

void term_close(void) {
    if (!term.open)
        return;
    term.open = 0;
    bool was = term.entered;
    leave();
    if (was && term.keyboard)
        tcflush(STDIN_FILENO, TCIFLUSH); /* keys pressed at the view are not meant for the shell */
    release_signals();
    buf_free(&term.pending);
    close(term.fd);
    term.fd = -1;
}
