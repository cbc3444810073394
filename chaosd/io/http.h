/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* HTTP requests on the loop through libcurl multi. Easy handles and buffers are pooled; a request costs no
 * allocation once the pool is warm. Every callback runs on the loop, never inside http_start. */
#include "base/error.h"
#include "io/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http;
struct http_op;

enum http_error {
    HTTP_OK = 0, /* an answer came, whatever its status */
    HTTP_TIMEOUT,
    HTTP_REFUSED,
    HTTP_RESET,       /* reset, or closed before the answer was whole */
    HTTP_UNREACHABLE, /* no route, network down */
    HTTP_DNS,
    HTTP_TLS,
    HTTP_PROTOCOL, /* garbage, half a chunk, endless headers */
    HTTP_TOO_BIG,  /* body over max_body */
    HTTP_OTHER,
    HTTP_LOCAL, /* our own trouble: no free descriptor, port or memory */
    HTTP_ERROR_COUNT
};
const char *http_error_name(enum http_error e); /* "timeout", "refused", ... */

struct http_result {
    enum http_error error;
    const char *detail; /* libcurl's sentence, "" when there is none */
    int status;
    const char *body; /* NUL-terminated, borrowed until the callback returns */
    size_t body_len;
    int64_t start_ns, end_ns; /* handed to libcurl, last byte (or failure) seen */
    uint32_t dns_us, connect_us, tls_us, first_byte_us; /* since the start; 0 when not reached or reused */
    bool new_connection;
    bool sent; /* the request began to go out */
    /* The reused connection was dead. A request whose method may be repeated (GET, HEAD, PUT, DELETE, OPTIONS) was silently sent again by
     * libcurl, as most clients do; any other was not, and ends as HTTP_RESET. */
    bool stale_retry;
};

struct http_request {
    const char *method; /* "GET", "POST", ... ; copied like everything here */
    const char *url;
    const char *const *headers; /* "Name: value", NULL-terminated; NULL for none */
    const char *body;           /* NULL for none */
    size_t body_len;
    int64_t timeout_ns; /* from http_start to the last byte */
    bool fresh;         /* a new connection, closed after */
    bool insecure;      /* no TLS verification */
    const char *ca_file; /* PEM certificates to trust instead of the system's; NULL: those */
    int netns_fd;       /* sockets are opened in this network namespace; -1: the caller's own. Open until done is called */
    size_t max_body;    /* 0: 1 MiB */
    void (*done)(const struct http_result *r, void *arg);
    void *arg;
};

int http_new(struct loop *l, size_t max_reused_connections, struct http **ret, struct error *err);
void http_free(struct http *h); /* NULL-safe; cancels what is under way without calling back */
int http_start(struct http *h, const struct http_request *r, struct http_op **ret, struct error *err);
void http_cancel(struct http_op *op); /* no callback follows; NULL-safe */
