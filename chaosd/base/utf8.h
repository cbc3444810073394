/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The one decoder of UTF-8 (RFC 3629: shortest form, no surrogates, up to U+10FFFF). */
#include <stddef.h>
#include <stdint.h>

enum { UTF8_MOST = 4 }; /* bytes of a character; also "left" for a NUL-terminated text, whose end stops any sequence */
#define UTF8_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Bytes of the character at s, of which left may be read; 0: it is none. Its code point, or the first byte, in *ret (may be NULL). */
size_t utf8_decode(const char *s, size_t left, uint32_t *ret);
