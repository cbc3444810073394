/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Reading a folder of runs without its index. */
#include "runs_index.h"

#define RUNS_INDEX_FILE ".index.sqlite"
enum { RUN_STAMP_SIZE = 128 };

/* Adds a row with the folder's name for each run of dir: real folders with a history or a summary in them. */
int run_folders(const char *dir, struct runs *r, struct error *err);
/* What changes when the run's judgement does; false: there is none yet. */
bool run_stamp(const char *dir, const char *folder, char ret[RUN_STAMP_SIZE]);
/* Fills a row from summary.json, else from the history's header. Whatever is not there or not right stays unknown; -ENOMEM. */
int run_read(const char *dir, struct run_row *row, struct arena *a);
