/* SPDX-License-Identifier: Apache-2.0 */
/* What an API server may send as a watch or a list: through the sieve and the reader of lines into a store, whole and in pieces. The first
 * byte says which (bit 0: a list) and of what kind, the second how the rest is cut. */
#include "base/buf.h"
#include "fuzz.h"
#include "kube/watch.h"

#include <errno.h>

struct sink {
    struct kube_store *store;
    struct buf log; /* what was told, to be compared */
    bool list;
};

static void log_object(struct buf *log, const struct kube_object *o) {
    struct kube_view v;
    if (!o)
        return;
    kube_object_view(o, &v);
    buf_printf(log, "%s/%s %s %s %s %s %s %u %zu;", v.namespace, v.name, v.uid, v.version, v.node, v.ip, v.reason, v.created_s,
               v.labels->count);
    for (size_t i = 0; i < v.container_count; i++) {
        struct kube_container c = kube_object_container(o, i);
        buf_printf(log, "%s %s %s,", c.name, c.id, c.reason);
    }
    buf_str(log, v.body);
}

static int on_object(const char *text, size_t len, void *arg, struct error *err) {
    struct sink *s = arg;
    cleanup_json json_t *o = json_loadb(text, len, 0, NULL);
    struct kube_change c = {0};
    enum kube_line line = KUBE_LINE_ADDED;
    const json_t *object = o;
    if (!o || (!s->list && kube_line_read(o, &line, &object, err) < 0))
        return -EPROTO;
    buf_printf(&s->log, "%d ", line);
    if (line == KUBE_LINE_ERROR) {
        const struct kube_where where = {.verb = "watch", .group = "", .resource = "pods"};
        kube_status(&where, 500, NULL, object, err);
        return -EIO;
    }
    int rc = line == KUBE_LINE_BOOKMARK  ? 0
             : line == KUBE_LINE_DELETED ? kube_store_delete(s->store, object, &c, err)
                                         : kube_store_put(s->store, object, &c, err);
    if (rc < 0)
        return rc;
    log_object(&s->log, c.before);
    log_object(&s->log, c.after);
    kube_change_end(s->store, &c);
    return 0;
}

static void run(const uint8_t *data, size_t size, enum kube_kind_id kind, bool list, size_t cut, struct buf *ret_log) {
    struct sink sink = {.list = list};
    struct sieve *sieve = NULL;
    struct kube_tables t;
    struct error err = {{0}};
    static const char *const keep[] = {"a", NULL};
    if (kube_tables_init(&t, &kube_kinds[kind], keep, &err) < 0 || kube_store_new(&kube_kinds[kind], &sink.store, &err) < 0)
        abort();
    const struct sieve_spec spec = {.mode = list ? SIEVE_LIST : SIEVE_STREAM,
                                    .keep = list ? t.object : t.event,
                                    .list_keep = kube_list_keep,
                                    .max_kept = 4096,
                                    .object = on_object,
                                    .arg = &sink};
    if (sieve_new(&spec, &sieve, &err) < 0)
        abort();
    int rc = 0;
    for (size_t at = 0; at < size && rc == 0; at += cut)
        rc = sieve_feed(sieve, (const char *)data + at, size - at < cut ? size - at : cut, &err);
    if (rc == 0)
        rc = sieve_end(sieve, &err);
    if (rc < 0 && !err.text[0] && rc != -EPROTO)
        abort();
    buf_printf(&sink.log, "= %d %zu %s", rc, kube_store_count(sink.store), list && rc == 0 ? sieve_rest(sieve) : "");
    kube_store_mark(sink.store);
    struct kube_change c;
    while (kube_store_take_old(sink.store, &c))
        kube_change_end(sink.store, &c);
    if (kube_store_count(sink.store) != 0)
        abort();
    sieve_free(sieve);
    kube_store_free(sink.store);
    *ret_log = sink.log;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const enum kube_kind_id kinds[] = {KUBE_PODS, KUBE_NODES, KUBE_ENDPOINTSLICES, KUBE_EVENTS};
    if (size < 2)
        return 0;
    bool list = data[0] & 1;
    enum kube_kind_id kind = kinds[data[0] / 2 % ARRAY_SIZE(kinds)];
    size_t cut = data[1] ? data[1] : 1;
    cleanup_buf struct buf whole = {0}, pieces = {0};
    run(data + 2, size - 2, kind, list, size, &whole);
    run(data + 2, size - 2, kind, list, cut, &pieces);
    if (buf_ok(&whole) && buf_ok(&pieces) && strcmp(whole.data, pieces.data) != 0) /* how it is cut must not matter */
        abort();
    return 0;
}
