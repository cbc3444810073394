/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Columns of the terminal on stdout; otherwise where it is none. */
static inline size_t terminal_width(size_t otherwise) {
    struct winsize w = {0};
    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : otherwise;
}
