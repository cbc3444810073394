/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over the files of the folders given, without libFuzzer: what was once found stays found. Speaks TAP. */
#include "fuzz.h"

static int wanted(const struct dirent *e) { return e->d_name[0] != '.'; }

static int replay(const char *dir, int *number) {
    struct dirent **names;
    int failed = 0, n = scandir(dir, &names, wanted, alphasort);
    if (n <= 0) {
        printf("not ok %d %s: nothing to replay\n", ++*number, dir);
        return 1;
    }
    for (int i = 0; i < n; i++) {
        cleanup_buf struct buf text = {0};
        struct error err;
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]->d_name);
        printf("# %s\n", path); /* before it: a crash then has a name */
        fflush(stdout);
        int rc = fs_read(path, 1 << 20, &text, &err);
        if (rc == 0) { /* a copy of its exact size, so that a sanitizer sees a read behind its end */
            cleanup_free uint8_t *copy = malloc(text.len ? text.len : 1);
            if (copy && text.len)
                memcpy(copy, text.data, text.len);
            rc = copy ? LLVMFuzzerTestOneInput(copy, text.len) : -1;
        }
        failed += rc != 0;
        printf("%s %d %s\n", rc == 0 ? "ok" : "not ok", ++*number, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    return failed;
}

int main(int argc, char **argv) {
    int failed = argc < 2, number = 0;
    for (int i = 1; i < argc; i++)
        failed += replay(argv[i], &number);
    printf("1..%d\n", number);
    return failed ? 1 : 0;
}
