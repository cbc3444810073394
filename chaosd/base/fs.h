/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Files and folders. Paths in errors are as given. */
#include "base/buf.h"
#include "base/error.h"

#include <stdint.h>

int fs_read(const char *path, size_t max, struct buf *ret, struct error *err); /* -EFBIG over max bytes */
int fs_write(const char *path, const void *data, size_t len, struct error *err); /* temporary, fsync, rename */
int fs_write_in(const char *dir, const char *name, const void *data, size_t len, struct error *err); /* the same below dir, making folders */
int fs_write_sys(const char *path, const char *value, struct error *err); /* one write(2): for /proc, /sys, cgroups */
int fs_mkdirs(const char *path, struct error *err);                 /* like mkdir -p, mode 0755 */
int fs_remove_tree(const char *path, struct error *err);            /* absent is fine; never follows links, never crosses a mount */
/* Start time of a process in clock ticks since boot (field 22 of /proc/PID/stat): with the pid it names a process
 * for good, since a recycled pid has another start. -ESRCH: gone. */
int proc_start_time(int pid, uint64_t *ret, struct error *err);
/* The same from the text of a stat file, with the letter of its state ('Z': it ended, and was not waited for). -EIO: not understood. */
int proc_stat_parse(const char *text, char *ret_state, uint64_t *ret_start);
