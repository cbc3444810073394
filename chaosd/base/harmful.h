/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a terminal or a reader's eye must not be given from outside: control characters (C1 too), line separators, and the marks
 * that turn the direction of text. */
#include <stddef.h>

/* How many bytes at s (not at its end) are such a character, or no UTF-8; 0: s begins with a harmless one. */
size_t harmful(const char *s);
