/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/kubernetes_self.h"

#include "base/fs.h"

#include <stdio.h>
#include <string.h>

/* What is longer than a name may be is none. */
static void take(char *out, size_t size, const char *text) {
    size_t len = text ? strcspn(text, " \t\r\n") : 0;
    snprintf(out, size, "%.*s", len < size ? (int)len : 0, text ? text : "");
}

void kubernetes_self_read(const char *(*get)(const char *name), const char *account_dir, struct kubernetes_self *ret) {
    cleanup_buf struct buf account = {0};
    char path[4096];
    *ret = (struct kubernetes_self){0};
    snprintf(path, sizeof path, "%s/namespace", account_dir);
    bool in_pod = fs_read(path, 4096, &account, NULL) == 0 && account.len;
    const char *pod = get("POD_NAME"), *namespace = get("POD_NAMESPACE");
    take(ret->pod, sizeof ret->pod, pod && *pod ? pod : in_pod ? get("HOSTNAME") : NULL);
    take(ret->namespace, sizeof ret->namespace, namespace && *namespace ? namespace : in_pod ? account.data : NULL);
    take(ret->node, sizeof ret->node, get("NODE_NAME"));
}

bool kubernetes_self_is(const struct kubernetes_self *s, const struct pod *p) {
    return *s->pod && *s->namespace && strcmp(s->pod, p->name) == 0 && strcmp(s->namespace, p->namespace) == 0;
}
