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
    const struct http_op *op; /* for http_header */
    int64_t start_ns, end_ns; /* handed to libcurl, last byte (or failure) seen */
    uint32_t dns_us, connect_us, tls_us, first_byte_us; /* since the start; 0 when not reached or reused */
    bool new_connection;
    bool sent; /* the request began to go out */
    /* The reused connection was dead. A request whose method may be repeated (GET, HEAD, PUT, DELETE, OPTIONS) was silently sent again by
     * libcurl, as most clients do; any other was not, and ends as HTTP_RESET. */
    bool stale_retry;
};

/* How one server is reached and who we are to it, where that is not the plain way. Texts may be NULL, and stay as they are until the
 * request has ended. */
struct http_via {
    const char *ca_pem;            /* certificates to trust instead of the system's and of ca_file */
    const char *cert_pem, *key_pem; /* our own certificate with its key: both or none */
    const char *tls_name;          /* the name that the server's certificate carries and that it is asked for, if not the URL's host */
    const char *proxy;             /* "http://user:password@host:port", https://, socks5://; NULL: none */
    const char *no_proxy;          /* hosts, domains and networks reached without it, as in the environment's NO_PROXY */
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
    const struct http_via *via; /* NULL: the plain way */
    bool once;          /* not even a method that may be repeated is sent twice on a dead connection */
    size_t max_body;    /* 0: 1 MiB */
    /* The body of a 2xx answer piece by piece as it comes, whatever its length, instead of whole in the result; the first may be empty:
     * the headers are there. What else is answered is still in the result. May start and cancel requests, this one too. NULL: whole. */
    void (*data)(const char *piece, size_t len, void *arg);
    void (*done)(const struct http_result *r, void *arg);
    void *arg;
};

int http_new(struct loop *l, size_t max_reused_connections, struct http **ret, struct error *err);
void http_free(struct http *h); /* NULL-safe; cancels what is under way without calling back */
int http_start(struct http *h, const struct http_request *r, struct http_op **ret, struct error *err);
/* A header of the answer, within data and done; NULL: there is none. Borrowed until they return. */
const char *http_header(const struct http_op *op, const char *name);
void http_cancel(struct http_op *op); /* no callback follows; NULL-safe */
