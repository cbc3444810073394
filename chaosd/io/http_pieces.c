/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies told piece by piece, outside of libcurl's turns: from within them no request could be started or cancelled. */
#include "io/http_priv.h"

enum { MAX_WAITING = 256 << 10 }; /* bytes of one body: then it waits for us */

bool http_in_pieces(const struct http_op *op) {
    long status = 0;
    return op->data && curl_easy_getinfo(op->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status / 100 == 2;
}

/* Told when libcurl's turn is over: from inside it could not be called. */
static void tell_later(struct http_op *op) {
    if (op->is_fresh)
        return;
    op->is_fresh = true;
    op->next_fresh = op->net->fresh;
    op->net->fresh = op;
}

size_t http_pieces_add(struct http_op *op, const char *data, size_t len) {
    tell_later(op);
    op->paused = op->in.len + len > MAX_WAITING; /* a turn of libcurl's lasts as long as there is something to read */
    if (op->paused)
        return CURL_WRITEFUNC_PAUSE;
    buf_add(&op->in, data, len);
    return buf_ok(&op->in) ? len : 0;
}

static void unlink_fresh(struct http_op *op) {
    for (struct http_op **at = &op->net->fresh; op->is_fresh && *at; at = &(*at)->next_fresh)
        if (*at == op) {
            *at = op->next_fresh;
            op->is_fresh = false;
            break;
        }
}

bool http_op_data(struct http_op *op) {
    bool gone = false;
    struct buf piece = op->in; /* the request may go in there, its buffer must not */
    unlink_fresh(op);
    op->in = (struct buf){0};
    op->gone = &gone;
    op->data(piece.data ? piece.data : "", piece.len, op->arg);
    if (gone || piece.cap > HTTP_KEPT_BYTES) {
        buf_free(&piece);
    } else {
        buf_clear(&piece);
        op->in = piece;
    }
    if (gone)
        return false;
    op->gone = NULL;
    if (op->paused) { /* what was refused is given again in here */
        op->paused = false;
        curl_easy_pause(op->easy, CURLPAUSE_CONT);
    }
    return true;
}

void http_pieces_forget(struct http_op *op) {
    unlink_fresh(op);
    if (op->gone)
        *op->gone = true;
    op->gone = NULL;
}
