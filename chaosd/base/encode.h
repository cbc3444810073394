/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Bytes as text that travels: base64 (RFC 4648) and the escapes of URLs (RFC 3986). */
#include "base/buf.h"

void base64_add(struct buf *out, const void *data, size_t len);
/* Blanks and line ends are passed over, padding may be missing; false: no base64. */
bool base64_decode(const char *text, struct buf *out);
void url_add(struct buf *out, const char *text); /* everything but the unreserved characters as %XX */
