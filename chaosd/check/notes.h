/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a reader must not miss about a load, in sentences that every report shows. */
#include "check/judge.h"

enum { NOTES_MOST = 4, NOTE_SIZE = 320 };

/* Of a load as a whole (other rows have none); returns how many. */
size_t notes_of(const struct lane_figures *f, char ret[NOTES_MOST][NOTE_SIZE]);
