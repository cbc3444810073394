/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Text from outside onto a terminal's columns: nothing in it can move the cursor, and its width is known. */
#include "base/buf.h"

/* Columns that s takes: two for wide characters, none for combining and invisible ones, which are left out when put. */
size_t live_columns(const char *s, bool utf8);
/* Appends at most room columns of s; where that cuts it, the last one is an ellipsis. Control characters, broken bytes and, without
 * utf8, everything beyond ASCII become '?'. Returns the columns taken. */
size_t live_put(struct buf *out, const char *s, size_t room, bool utf8);
/* Does the environment's locale speak UTF-8? By name, as the C library decides, but also where that locale is not installed. */
bool live_locale_utf8(const char *lc_all, const char *lc_ctype, const char *lang);
