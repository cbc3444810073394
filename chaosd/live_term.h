/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The terminal's second screen, one a process: entered, drawn on without ever blocking, and always left again. */
#include "base/buf.h"
#include "base/error.h"

#include <stddef.h>

bool term_usable(int fd);                        /* a terminal worth drawing on, with us in its foreground */
int term_open(int fd, struct error *err);        /* fd stays the caller's */
bool term_ready(bool *ret_fresh);                /* may be drawn on now; fresh: nothing of what was drawn stands any more */
void term_size(size_t *ret_width, size_t *ret_height);
void term_send(struct buf *text);                /* what the terminal does not take now stays for the next term_ready; text is emptied */
void term_close(void);                           /* bounded */
