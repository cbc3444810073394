/* SPDX-License-Identifier: Apache-2.0 */
/* Requests by their deadline: a binary heap. Ours, because libcurl's own limit is kept in ms and, when its timer fires a moment
 * before the limit by its other clock reading, is only looked at again at the next event: 200 ms late, as measured. */
#include "io/http_priv.h"

#include <errno.h>
#include <stdlib.h>

static int64_t deadline(const struct http_op *op) { return op->start_ns + op->timeout_ns; }

static void put(struct http_net *n, size_t at, struct http_op *op) {
    n->heap[at] = op;
    op->heap_at = at;
}

static void sift_up(struct http_net *n, size_t at, struct http_op *op) {
    while (at > 0 && deadline(n->heap[(at - 1) / 2]) > deadline(op)) {
        put(n, at, n->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(n, at, op);
}

static void sift_down(struct http_net *n, size_t at, struct http_op *op) {
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < n->heap_count && deadline(n->heap[child + 1]) < deadline(n->heap[child]))
            child++;
        if (child >= n->heap_count || deadline(n->heap[child]) >= deadline(op))
            break;
        put(n, at, n->heap[child]);
        at = child;
    }
    put(n, at, op);
}

int http_deadline_reserve(struct http_net *n) {
    if (n->heap_count < n->heap_cap)
        return 0;
    size_t cap = n->heap_cap ? 2 * n->heap_cap : 64;
    struct http_op **p = realloc(n->heap, cap * sizeof(struct http_op *));
    if (!p)
        return -ENOMEM;
    n->heap = p;
    n->heap_cap = cap;
    return 0;
}

void http_deadline_add(struct http_op *op) {
    struct http_net *n = op->net;
    sift_up(n, n->heap_count++, op);
}

void http_deadline_remove(struct http_op *op) {
    struct http_net *n = op->net;
    struct http_op *last = n->heap[--n->heap_count];
    if (last == op)
        return;
    if (op->heap_at > 0 && deadline(n->heap[(op->heap_at - 1) / 2]) > deadline(last))
        sift_up(n, op->heap_at, last);
    else
        sift_down(n, op->heap_at, last);
}

int64_t http_deadline_next(const struct http_net *n) { return n->heap_count ? deadline(n->heap[0]) : 0; }
