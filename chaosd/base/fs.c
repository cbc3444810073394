/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fs.h"
#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int write_all(int fd, const char *p, size_t len) {
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int fs_read(const char *path, size_t max, struct buf *ret, struct error *err) {
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "%s", path);
    char chunk[16384];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, "%s", path);
        if (n == 0)
            break;
        if (ret->len + (size_t)n > max)
            return error_set(err, -EFBIG, "%s: larger than %zu bytes", path, max);
        buf_add(ret, chunk, (size_t)n);
    }
    buf_add(ret, "", 0);
    return buf_ok(ret) ? 0 : error_set(err, -ENOMEM, "%s: out of memory", path);
}

int fs_write(const char *path, const void *data, size_t len, struct error *err) {
    char temporary[4096];
    if (snprintf(temporary, sizeof temporary, "%s.tmp%d", path, (int)getpid()) >= (int)sizeof temporary)
        return error_set(err, -ENAMETOOLONG, "%s: path too long", path);
    cleanup_close int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_errno(err, "%s", temporary);
    int rc = write_all(fd, data, len);
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    if (rc == 0 && rename(temporary, path) < 0)
        rc = -errno;
    if (rc < 0) {
        unlink(temporary);
        errno = -rc;
        return error_errno(err, "%s", path);
    }
    return 0;
}

int fs_write_sys(const char *path, const char *value, struct error *err) {
    cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "%s", path);
    if (write(fd, value, strlen(value)) < 0)
        return error_errno(err, "%s", path);
    return 0;
}

int fs_mkdirs(const char *path, struct error *err) {
    char copy[4096];
    if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy)
        return error_set(err, -ENAMETOOLONG, "%s: path too long", path);
    if (!*path)
        return error_set(err, -EINVAL, "no folder is named");
    for (char *p = copy + 1;; p++) {
        if (*p && *p != '/')
            continue;
        char saved = *p;
        *p = 0;
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
            return error_errno(err, "%s", copy);
        if (!saved)
            break;
        *p = saved;
    }
    struct stat st;
    if (stat(path, &st) < 0)
        return error_errno(err, "%s", path);
    if (!S_ISDIR(st.st_mode))
        return error_set(err, -ENOTDIR, "%s: not a folder", path);
    return 0;
}

int fs_write_in(const char *dir, const char *name, const void *data, size_t len, struct error *err) {
    cleanup_free char *path = NULL;
    if (asprintf(&path, "%s/%s", dir, name) < 0) {
        path = NULL;
        return error_set(err, -ENOMEM, "out of memory");
    }
    char *slash = strrchr(path, '/');
    *slash = 0;
    int rc = fs_mkdirs(path, err);
    *slash = '/';
    return rc == 0 ? fs_write(path, data, len, err) : rc;
}

static int remove_at(int parent, const char *name, dev_t device, int depth, struct error *err);

static int empty_folder(int fd, dev_t device, int depth, struct error *err) {
    DIR *dir = fdopendir(fd);
    if (!dir) {
        int rc = error_errno(err, "opendir");
        close(fd);
        return rc;
    }
    int rc = 0;
    struct dirent *e;
    while ((e = readdir(dir)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            int one = remove_at(dirfd(dir), e->d_name, device, depth + 1, err);
            if (one < 0)
                rc = one;
        }
    closedir(dir);
    return rc;
}

static int remove_at(int parent, const char *name, dev_t device, int depth, struct error *err) {
    struct stat st;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : error_errno(err, "%s", name);
    if (!S_ISDIR(st.st_mode)) {
        if (unlinkat(parent, name, 0) < 0 && errno != ENOENT)
            return error_errno(err, "%s", name);
        return 0;
    }
    if (st.st_dev != device)
        return error_set(err, -EXDEV, "%s: another file system is mounted there", name);
    if (depth > 256)
        return error_set(err, -ELOOP, "%s: nested too deeply", name);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : error_errno(err, "%s", name);
    int rc = empty_folder(fd, device, depth, err);
    if (rc < 0)
        return error_wrap(err, rc, "%s", name);
    if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return error_errno(err, "%s", name);
    return 0;
}

int fs_remove_tree(const char *path, struct error *err) {
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : error_errno(err, "%s", path);
    return remove_at(AT_FDCWD, path, st.st_dev, 0, err);
}

int proc_stat_parse(const char *text, char *ret_state, uint64_t *ret_start) {
    /* The command may hold spaces and brackets: the fields count from the last closing one. */
    const char *p = strrchr(text, ')');
    if (!p || p[1] != ' ' || !p[2])
        return -EIO;
    *ret_state = p[2];
    for (int field = 2; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    if (!p)
        return -EIO;
    *ret_start = strtoull(p + 1, NULL, 10);
    return 0;
}

int proc_start_time(int pid, uint64_t *ret, struct error *err) {
    char path[64], line[2048], state;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    cleanup_fclose FILE *f = fopen(path, "re");
    if (!f || !fgets(line, sizeof line, f))
        return error_set(err, -ESRCH, "process %d is gone", pid);
    return proc_stat_parse(line, &state, ret) < 0 ? error_set(err, -EIO, "%s: not understood", path) : 0;
}
