/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pod_cgroup.h"

#include "base/cleanup.h"

#include <string.h>

enum { UUID_LEN = 36, HASH_LEN = 32, ID_LEAST = 32 };

struct piece { /* between two slashes */
    const char *at;
    size_t len;
};

static bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

static size_t hex_len(const char *s, size_t len) {
    size_t n = 0;
    while (n < len && is_hex(s[n]))
        n++;
    return n;
}

/* A UUID with `dash` between its groups, or a static pod's hash. */
static bool uid_from(const char *s, size_t len, char dash, char out[POD_UID_SIZE]) {
    if (len != UUID_LEN && len != HASH_LEN)
        return false;
    for (size_t i = 0; i < len; i++) {
        bool gap = len == UUID_LEN && (i == 8 || i == 13 || i == 18 || i == 23);
        if (gap ? s[i] != dash : !is_hex(s[i]))
            return false;
        out[i] = gap ? '-' : s[i];
    }
    out[len] = 0;
    return true;
}

bool pod_uid_ok(const char *uid) {
    char out[POD_UID_SIZE];
    return uid_from(uid, strlen(uid), '-', out);
}

static bool starts(struct piece p, const char *with) { return p.len >= strlen(with) && memcmp(p.at, with, strlen(with)) == 0; }

static bool take_id(const char *s, size_t len, char out[CONTAINER_ID_SIZE]) {
    if (len < ID_LEAST || len >= CONTAINER_ID_SIZE || hex_len(s, len) != len)
        return false;
    memcpy(out, s, len);
    out[len] = 0;
    return true;
}

/* How a runtime names a container's group within the pod's, and how it calls itself in the form with colons. */
static const struct {
    const char *before, *after, *colon, *runtime;
} forms[] = {
    {"cri-containerd-", ".scope", "cri-containerd", "containerd"},
    {"crio-", ".scope", "crio", "cri-o"},
    {"crio-", "", NULL, "cri-o"},
    {"docker-", ".scope", "docker", "docker"},
    {"", "", NULL, ""},
};

static void take_container(struct piece p, struct pod_cgroup *ret) {
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        size_t before = strlen(forms[i].before), after = strlen(forms[i].after);
        if (p.len > before + after && starts(p, forms[i].before) && memcmp(p.at + p.len - after, forms[i].after, after) == 0 &&
            take_id(p.at + before, p.len - before - after, ret->container)) {
            ret->runtime = forms[i].runtime;
            return;
        }
    }
}

/* ":cri-containerd:<id>", behind the pod's slice. */
static void take_colons(struct piece p, struct pod_cgroup *ret) {
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        size_t len = forms[i].colon ? strlen(forms[i].colon) : 0;
        if (len && p.len > len + 2 && memcmp(p.at + 1, forms[i].colon, len) == 0 && p.at[len + 1] == ':' &&
            take_id(p.at + len + 2, p.len - len - 2, ret->container))
            ret->runtime = forms[i].runtime;
    }
}

/* "kubepods-burstable-pod<uid>.slice", also as "kubelet-kubepods-..."; what follows within the piece goes to *ret_rest. */
static bool take_slice(struct piece p, char uid[POD_UID_SIZE], struct piece *ret_rest) {
    static const char mark[] = "-pod", slice[] = ".slice";
    const char *pods = memmem(p.at, p.len, "kubepods", 8), *end = p.at + p.len;
    for (const char *at = pods; at && (at = memmem(at, (size_t)(end - at), mark, sizeof mark - 1));) {
        at += sizeof mark - 1;
        const char *dot = memmem(at, (size_t)(end - at), slice, sizeof slice - 1);
        if (dot && uid_from(at, (size_t)(dot - at), '_', uid)) {
            dot += sizeof slice - 1;
            *ret_rest = (struct piece){dot, (size_t)(end - dot)};
            return ret_rest->len == 0 || *dot == ':';
        }
    }
    return false;
}

/* In a reader's own cgroup namespace the pods' group may lie above what is seen, so a pod's group is known by its own name alone. */
static bool take_pod(struct piece p, struct pod_cgroup *ret) {
    char uid[POD_UID_SIZE];
    struct piece rest = {NULL, 0};
    bool found = starts(p, "pod") ? uid_from(p.at + 3, p.len - 3, '-', uid) : take_slice(p, uid, &rest);
    if (!found)
        return false;
    *ret = (struct pod_cgroup){.runtime = ""};
    memcpy(ret->uid, uid, sizeof uid);
    if (rest.len)
        take_colons(rest, ret);
    return true;
}

static bool parse_path(const char *path, size_t len, struct pod_cgroup *ret) {
    bool found = false;
    size_t depth = 0; /* below the pod's own group */
    for (const char *at = path, *end = path + len; at < end;) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        struct piece p = {at, (size_t)((slash ? slash : end) - at)};
        at += p.len + 1;
        if (p.len == 0)
            continue;
        if (take_pod(p, ret)) {
            found = true;
            depth = *ret->container ? 1 : 0;
        } else if (found && depth++ == 0) {
            take_container(p, ret);
        } else if (found && *ret->container) {
            ret->nested = true;
        }
    }
    return found;
}

bool pod_cgroup_parse(const char *text, struct pod_cgroup *ret) {
    bool found = false;
    for (const char *line = text; *line;) {
        size_t len = strcspn(line, "\n");
        /* "4:cpu,cpuacct:/path", where the path may have colons of its own */
        const char *path = memchr(line, ':', len);
        path = path ? memchr(path + 1, ':', len - (size_t)(path + 1 - line)) : NULL;
        struct pod_cgroup one = {.runtime = ""};
        if (path && parse_path(path + 1, len - (size_t)(path + 1 - line), &one) && (!found || *one.container)) {
            *ret = one;
            if (*one.container)
                return true;
            found = true;
        }
        line += len + (line[len] == '\n');
    }
    return found;
}
