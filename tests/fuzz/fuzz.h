/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A target takes any bytes and must come back: no crash, no leak, no endless loop. What it says of them is not its business here. */
#include "base/cleanup.h"
#include "base/fs.h"

#include <dirent.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A run folder in memory, one a process, removed when it ends. */
static char fuzz_dir[64];
static inline void fuzz_remove(void) {
    static const char *const files[] = {"history.jsonl", "samples.bin"};
    char path[128];
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        snprintf(path, sizeof path, "%s/%s", fuzz_dir, files[i]);
        unlink(path);
    }
    rmdir(fuzz_dir);
}
static inline void fuzz_write(const char *name, const void *data, size_t size) {
    char path[128];
    if (!*fuzz_dir) {
        snprintf(fuzz_dir, sizeof fuzz_dir, "/dev/shm/chaosd-fuzz-XXXXXX");
        if (!mkdtemp(fuzz_dir))
            abort();
        atexit(fuzz_remove);
    }
    snprintf(path, sizeof path, "%s/%s", fuzz_dir, name);
    if (fs_write(path, data, size, NULL) < 0)
        abort();
}
