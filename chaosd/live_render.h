/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The live view's picture: a pure function of what is known, the size of the window, and what the terminal can show. */
#include "base/buf.h"
#include "live_model.h"

struct live_style { bool utf8, colour; };

enum { LIVE_ROWS = 200, LIVE_COLUMNS = 500 };

struct live_frame {
    struct buf lines[LIVE_ROWS]; /* without line ends; never wider than asked, colours always closed */
    size_t count;                /* never more than the height asked */
};

/* ret is zeroed or of an earlier call. -ENOMEM. */
int live_render(const struct live_model *m, size_t width, size_t height, const struct live_style *style, struct live_frame *ret);
void live_frame_free(struct live_frame *f);
