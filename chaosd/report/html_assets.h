/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The page's sources, as they lay on disk at build time. */
#include <stddef.h>

struct html_asset { const char *name, *begin, *end; };
const struct html_asset *html_asset(const char *name); /* NULL: there is none */
