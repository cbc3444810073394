/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by the files of the HTTP bridge: http.c (requests), http_multi.c (libcurl's sockets and timer on the
 * loop), http_pieces.c (bodies as they come), http_via.c (another way to the server), http_deadline.c (time limits), http_error.c (what a
 * failure means). */
#include "base/buf.h"
#include "io/http.h"

#include <curl/curl.h>
#include <sys/types.h>

enum { HTTP_KEPT_BYTES = 64 << 10 }; /* a pooled buffer over this size is given back */

/* One libcurl multi handle a network namespace: its connection cache must never lend a connection to another one. */
struct http_net {
    struct http *http;
    struct http_net *next;
    bool here; /* the caller's own namespace */
    dev_t dev;
    ino_t ino;
    CURLM *multi;
    struct timer *timer;
    int64_t want_ns, armed_ns; /* what libcurl asked for; what the timer is set to (never later); 0: nothing */
    bool reap;                 /* something ended inside http_start: told from the timer */
    int acting;                /* turns of libcurl on the stack: the timer is set after the last */
    int under_way;             /* requests that libcurl has and that were not told yet */
    struct sock **socks;       /* by fd */
    size_t sock_count;
    struct http_op *ops, *idle; /* under way; pooled */
    struct http_op *fresh;      /* pieces came that were not told yet */
    struct http_op **heap;      /* under way, by deadline */
    size_t heap_count, heap_cap;
};

struct http {
    struct loop *loop;
    size_t max_reused;
    struct http_net *nets;
    unsigned depth; /* callbacks on the stack */
    bool dying;     /* freed from within a callback: memory goes when the stack has unwound */
};

struct http_op {
    struct http_net *net;
    struct http_op *prev, *next;
    CURL *easy;
    CURLU *parsed; /* of url: libcurl would take it apart again for each request */
    bool telling; /* its done callback is on the stack */
    void (*done)(const struct http_result *r, void *arg);
    void (*data)(const char *piece, size_t len, void *arg);
    void *arg;
    struct http_op *next_fresh;
    bool is_fresh, paused; /* paused: too much waits to be told */
    bool *gone; /* on the stack of who tells a piece: the request went in there */
    int64_t start_ns, timeout_ns;
    int netns_fd;
    struct buf url, ca_file, via_url, via_host, header_text, out, in; /* header_text: NUL-terminated lines one after the other */
    struct curl_slist *headers, *connect_to;
    char *system_ca, *system_ca_path;
    char method[16];
    bool fresh, insecure, with_body, headers_set, via_set;
    size_t heap_at, max_body, header_bytes;
    curl_socket_t fd; /* that libcurl last waited on for it; CURL_SOCKET_BAD: none */
    int socket_errno; /* why a socket could not be opened */
    bool opened;      /* one was, for another address */
    unsigned sent;    /* times the request was about to go out: more than 1 is libcurl's silent retry */
    bool too_big, endless, timed_out, looked; /* looked: into the socket, past the deadline */
    bool once, refused_retry; /* must not be sent twice; was to be */
    char detail[CURL_ERROR_SIZE];
};

/* http_multi.c */
int http_net_get(struct http *h, int netns_fd, struct http_net **ret, struct error *err);
void http_net_free(struct http_net *n);   /* its requests are gone before */
int http_net_add(struct http_op *op, struct error *err); /* hands over and lets libcurl work; tells nothing */
void http_net_remove(struct http_op *op);
curl_socket_t http_net_open_socket(void *op, curlsocktype purpose, struct curl_sockaddr *address);
int http_net_close_socket(void *net, curl_socket_t fd);

/* http.c */
/* Takes the request from libcurl and tells its end. */
void http_op_ended(struct http_op *op, CURLcode code, int64_t end_ns);
void http_destroy(struct http *h);

/* http_pieces.c */
bool http_in_pieces(const struct http_op *op); /* it is told so, and its answer is a good one */
size_t http_pieces_add(struct http_op *op, const char *data, size_t len); /* as libcurl's write callback returns it */
bool http_op_data(struct http_op *op);         /* tells what came; false: the request went meanwhile */
void http_pieces_forget(struct http_op *op);   /* it goes */

/* http_via.c */
/* The way, or (NULL) the plain one again. via_url and via_host hold what the URL and the header Host become; empty: they stay. */
CURLcode http_via_set(struct http_op *op, const struct http_via *via, const char *url);

/* http_deadline.c */
int http_deadline_reserve(struct http_net *n); /* room for one more; -ENOMEM */
void http_deadline_add(struct http_op *op);
void http_deadline_remove(struct http_op *op);
int64_t http_deadline_next(const struct http_net *n); /* 0: none */

/* http_error.c */
enum http_error http_classify(const struct http_op *op, CURLcode code, long os_errno);
