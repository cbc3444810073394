/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http.h"

#include "base/cleanup.h"
#include "io/http_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    DEFAULT_MAX_BODY = 1 << 20,
    MAX_HEADER_BYTES = 256 << 10,
    RECEIVE_BYTES = 8 << 10,   /* libcurl's buffer a request under way: thousands may hang at once */
    NEVER_S = 20 * 86400, /* libcurl takes 2^31 ms at most */
    DNS_CACHE_S = 1,           /* an address that moves is part of what is measured */
};

int http_new(struct loop *l, size_t max_reused_connections, struct http **ret, struct error *err) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return error_set(err, -ENOMEM, "libcurl did not start");
    struct http *h = calloc(1, sizeof *h);
    if (!h) {
        curl_global_cleanup();
        return error_set(err, -ENOMEM, "out of memory");
    }
    h->loop = l;
    h->max_reused = max_reused_connections ? max_reused_connections : 1; /* 0 would be libcurl's own default */
    *ret = h;
    return 0;
}

static void op_free(struct http_op *op) {
    if (!op)
        return;
    curl_easy_cleanup(op->easy);
    curl_url_cleanup(op->parsed);
    curl_slist_free_all(op->headers);
    curl_slist_free_all(op->connect_to);
    buf_free(&op->url);
    buf_free(&op->via_url);
    buf_free(&op->via_host);
    buf_free(&op->ca_file);
    buf_free(&op->header_text);
    buf_free(&op->out);
    buf_free(&op->in);
    free(op);
}

void http_destroy(struct http *h) {
    for (struct http_net *n = h->nets, *next; n; n = next) {
        next = n->next;
        for (struct http_op *op = n->idle, *after; op; op = after) {
            after = op->next;
            op_free(op);
        }
        http_net_free(n);
    }
    free(h);
    curl_global_cleanup();
}

void http_free(struct http *h) {
    if (!h || h->dying)
        return;
    for (struct http_net *n = h->nets; n; n = n->next)
        while (n->ops)
            http_cancel(n->ops);
    h->dying = true;
    if (h->depth == 0)
        http_destroy(h);
}

static size_t on_body(char *data, size_t one, size_t len, void *arg) {
    (void)one;
    struct http_op *op = arg;
    if (http_in_pieces(op))
        return http_pieces_add(op, data, len);
    size_t room = op->max_body - op->in.len;
    buf_add(&op->in, data, len < room ? len : room);
    op->too_big = len > room;
    return op->too_big || !buf_ok(&op->in) ? 0 : len;
}

static size_t on_header(char *data, size_t one, size_t len, void *arg) {
    struct http_op *op = arg;
    if (len == 2 && data[0] == '\r' && http_in_pieces(op)) /* the last of them */
        http_pieces_add(op, "", 0);
    op->header_bytes += one * len;
    op->endless = op->header_bytes > MAX_HEADER_BYTES;
    return op->endless ? 0 : one * len;
}

static int on_sending(void *arg, char *remote, char *local, int remote_port, int local_port) {
    (void)remote;
    (void)local;
    (void)remote_port;
    (void)local_port;
    struct http_op *op = arg;
    op->refused_retry = op->sent++ > 0 && op->once;
    return op->refused_retry ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* Options that hold for the handle's life; the first failure counts. */
static CURLcode set_constant(struct http_op *op) {
    CURL *e = op->easy;
    CURLcode c = CURLE_OK;
#define SET(option, value) c = c ? c : curl_easy_setopt(e, option, value)
    SET(CURLOPT_PRIVATE, op);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_ERRORBUFFER, op->detail);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PROXY, ""); /* not the environment's */
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_CONNECTTIMEOUT, (long)NEVER_S); /* the time limit is ours: http_deadline.c */
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_USERAGENT, "chaosd");
    SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)INT64_MAX); /* else a Content-Length beyond all numbers would pass as none */
    SET(CURLOPT_BUFFERSIZE, (long)RECEIVE_BYTES);
    SET(CURLOPT_DNS_CACHE_TIMEOUT, (long)DNS_CACHE_S);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, op);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, op);
    SET(CURLOPT_PREREQFUNCTION, on_sending);
    SET(CURLOPT_PREREQDATA, op);
    SET(CURLOPT_OPENSOCKETFUNCTION, http_net_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, op);
    SET(CURLOPT_CLOSESOCKETFUNCTION, http_net_close_socket);
    SET(CURLOPT_CLOSESOCKETDATA, op->net); /* a connection outlives the request that opened it */
    return c;
}

static int op_get(struct http_net *n, struct http_op **ret, struct error *err) {
    struct http_op *op = n->idle;
    if (op) {
        n->idle = op->next;
        op->next = NULL;
        *ret = op;
        return 0;
    }
    op = calloc(1, sizeof *op);
    if (!op)
        return error_set(err, -ENOMEM, "out of memory");
    op->net = n;
    op->easy = curl_easy_init();
    if (!op->easy || set_constant(op) != CURLE_OK) {
        op_free(op);
        return error_set(err, -ENOMEM, "libcurl gave no handle");
    }
    curl_easy_getinfo(op->easy, CURLINFO_CAINFO, &op->system_ca); /* constants of libcurl's */
    if (op->system_ca) /* the bundle has all that the folder has, and only a bundle is read once instead of for each connection (20 ms) */
        curl_easy_setopt(op->easy, CURLOPT_CAPATH, NULL);
    else
        curl_easy_getinfo(op->easy, CURLINFO_CAPATH, &op->system_ca_path);
    *ret = op;
    return 0;
}

static void op_put(struct http_op *op) {
    if (op->sent > 1) { /* libcurl counts retries over the handle's life and fails the sixth */
        op_free(op);
        return;
    }
    if (op->in.cap > HTTP_KEPT_BYTES)
        buf_free(&op->in);
    if (op->out.cap > HTTP_KEPT_BYTES)
        buf_free(&op->out);
    op->next = op->net->idle;
    op->net->idle = op;
}

static bool header_ok(const char *line) { return line[0] != ':' && strchr(line, ':') && !strpbrk(line, "\r\n"); }

static int add_header(struct curl_slist **list, const char *line, struct error *err) {
    char empty[128];
    const char *colon = strchr(line, ':'), *value = colon + 1;
    value += strspn(value, " \t");
    if (*value == 0 && (size_t)(colon - line) < sizeof empty - 2) { /* libcurl takes "Name:" for "leave it out" */
        snprintf(empty, sizeof empty, "%.*s;", (int)(colon - line), line);
        line = empty;
    }
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (!longer)
        return error_set(err, -ENOMEM, "out of memory");
    *list = longer;
    return 0;
}

static void free_slist(struct curl_slist **l) { curl_slist_free_all(*l); }

static int build_headers(struct http_op *op, const char *const *headers, bool with_body, struct error *err) {
    cleanup(free_slist) struct curl_slist *list = NULL;
    if (with_body && !(list = curl_slist_append(NULL, "Expect:"))) /* no waiting for 100-continue */
        return error_set(err, -ENOMEM, "out of memory");
    int rc = op->via_host.len ? add_header(&list, op->via_host.data, err) : 0;
    if (rc < 0)
        return rc;
    bool typed = false;
    for (; headers && *headers; headers++) {
        if ((rc = add_header(&list, *headers, err)) < 0)
            return rc;
        typed = typed || strncasecmp(*headers, "Content-Type:", 13) == 0;
    }
    if (with_body && !typed && !curl_slist_append(list, "Content-Type:")) /* a form it is not */
        return error_set(err, -ENOMEM, "out of memory");
    if (curl_easy_setopt(op->easy, CURLOPT_HTTPHEADER, list) != CURLE_OK)
        return error_set(err, -ENOMEM, "out of memory");
    curl_slist_free_all(op->headers);
    op->headers = take_ptr(list);
    op->headers_set = true;
    return 0;
}

static bool same_headers(const struct http_op *op, const char *const *headers) {
    const char *p = op->header_text.data, *end = p + op->header_text.len;
    for (; headers && *headers; headers++) {
        size_t len = strlen(*headers) + 1;
        if (!p || (size_t)(end - p) < len || memcmp(p, *headers, len) != 0)
            return false;
        p += len;
    }
    return p == end;
}

static int set_headers(struct http_op *op, const char *const *headers, bool with_body, struct error *err) {
    for (const char *const *h = headers; h && *h; h++)
        if (!header_ok(*h))
            return error_set(err, -EINVAL, "not a header, expected \"Name: value\" on one line: \"%.100s\"", *h);
    if (op->headers_set && op->with_body == with_body && same_headers(op, headers))
        return 0;
    int rc = build_headers(op, headers, with_body, err);
    if (rc < 0)
        return rc;
    buf_clear(&op->header_text);
    for (; headers && *headers; headers++)
        buf_add(&op->header_text, *headers, strlen(*headers) + 1);
    op->with_body = with_body;
    if (buf_ok(&op->header_text))
        return 0;
    buf_free(&op->header_text);
    return error_set(err, -ENOMEM, "out of memory");
}

static bool sends_no_body(const struct http_request *r) {
    return !r->body && (strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0 || strcmp(r->method, "DELETE") == 0 ||
                        strcmp(r->method, "OPTIONS") == 0);
}

/* RFC 9110, 9.2.2: what a client may send again by itself when the connection died. */
static bool idempotent(const char *method) {
    static const char *const names[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strcmp(names[i], method) == 0)
            return true;
    return false;
}

static CURLcode set_method(struct http_op *op, const struct http_request *r) {
    CURL *e = op->easy;
    CURLcode c = CURLE_OK;
    bool head = strcmp(r->method, "HEAD") == 0, none = sends_no_body(r);
    if (strcmp(op->method, r->method) != 0 || op->with_body == none) {
        SET(CURLOPT_CUSTOMREQUEST, NULL);
        if (none)
            SET(CURLOPT_HTTPGET, 1L);
        else
            SET(CURLOPT_POST, 1L);
        if (none && head)
            SET(CURLOPT_NOBODY, 1L);
        else
            SET(CURLOPT_CUSTOMREQUEST, r->method);
        snprintf(op->method, sizeof op->method, "%s", r->method);
    }
    if (!none) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)op->out.len);
        SET(CURLOPT_POSTFIELDS, op->out.data);
    }
    return c;
}

/* Parsed once for as long as it stays the same. What does not parse is left to libcurl, which says why when the request runs. Into a
 * new handle each time: an old one would take it as a link to follow. */
static CURLcode set_url(struct http_op *op, const char *url) {
    if (op->url.data && strcmp(op->url.data, url) == 0)
        return CURLE_OK;
    buf_clear(&op->url);
    buf_str(&op->url, url);
    CURLU *parsed = curl_url();
    if (!parsed || !buf_ok(&op->url)) {
        curl_url_cleanup(parsed);
        return CURLE_OUT_OF_MEMORY;
    }
    bool known = curl_url_set(parsed, CURLUPART_URL, url, CURLU_PATH_AS_IS | CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK;
    CURLcode c = curl_easy_setopt(op->easy, CURLOPT_CURLU, known ? parsed : NULL);
    curl_url_cleanup(op->parsed);
    op->parsed = parsed;
    return c ? c : curl_easy_setopt(op->easy, CURLOPT_URL, url);
}

static CURLcode set_changed(struct http_op *op, const struct http_request *r) {
    CURL *e = op->easy;
    CURLcode c = set_method(op, r);
    if (r->fresh != op->fresh) {
        SET(CURLOPT_FRESH_CONNECT, (long)r->fresh);
        SET(CURLOPT_FORBID_REUSE, (long)r->fresh);
    }
    op->fresh = r->fresh;
    if (r->insecure != op->insecure) {
        SET(CURLOPT_SSL_VERIFYPEER, (long)!r->insecure);
        SET(CURLOPT_SSL_VERIFYHOST, r->insecure ? 0L : 2L);
    }
    op->insecure = r->insecure;
    const char *ca = r->ca_file ? r->ca_file : "";
    if (strcmp(op->ca_file.data ? op->ca_file.data : "", ca) != 0) {
        buf_clear(&op->ca_file);
        buf_str(&op->ca_file, ca);
        SET(CURLOPT_CAINFO, *ca ? ca : op->system_ca);
        SET(CURLOPT_CAPATH, *ca ? NULL : op->system_ca_path);
    }
#undef SET
    if (r->via || op->via_set)
        c = c ? c : http_via_set(op, r->via, r->url);
    return c ? c : !buf_ok(&op->ca_file) ? CURLE_OUT_OF_MEMORY : set_url(op, op->via_url.len ? op->via_url.data : r->url);
}

static int op_fill(struct http_op *op, const struct http_request *r, struct error *err) {
    op->done = r->done;
    op->data = r->data;
    op->arg = r->arg;
    op->timeout_ns = r->timeout_ns;
    op->netns_fd = r->netns_fd;
    op->max_body = r->max_body ? r->max_body : DEFAULT_MAX_BODY;
    op->header_bytes = 0;
    op->socket_errno = 0;
    op->opened = false;
    op->sent = 0;
    op->fd = CURL_SOCKET_BAD;
    op->paused = op->too_big = op->endless = op->timed_out = op->looked = op->telling = op->refused_retry = false;
    op->once = r->once || !idempotent(r->method);
    op->detail[0] = 0;
    buf_clear(&op->in);
    buf_clear(&op->out);
    buf_add(&op->out, r->body ? r->body : "", r->body ? r->body_len : 0);
    if (!buf_ok(&op->out))
        return error_set(err, -ENOMEM, "out of memory");
    CURLcode c = set_changed(op, r);
    if (c != CURLE_OK)
        return error_set(err, c == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL, "libcurl: %s", curl_easy_strerror(c));
    return set_headers(op, r->headers, !sends_no_body(r), err);
}

int http_start(struct http *h, const struct http_request *r, struct http_op **ret, struct error *err) {
    if (!r->method || !r->method[0] || strlen(r->method) >= sizeof((struct http_op *)0)->method || strpbrk(r->method, " \t\r\n"))
        return error_set(err, -EINVAL, "not an HTTP method: \"%.40s\"", r->method ? r->method : "");
    if (!r->url || r->timeout_ns <= 0 || r->timeout_ns > INT64_MAX / 2 || !r->done)
        return error_set(err, -EINVAL, "a request needs a URL, a time limit and somebody to answer to");
    if (h->dying)
        return error_set(err, -ECANCELED, "the HTTP client is being closed");
    struct http_net *n;
    struct http_op *op = NULL;
    int rc = http_net_get(h, r->netns_fd, &n, err);
    if (rc < 0 || (rc = op_get(n, &op, err)) < 0)
        return rc;
    if ((rc = op_fill(op, r, err)) < 0) {
        op_free(op); /* its options are half set */
        return rc;
    }
    if ((rc = http_net_add(op, err)) < 0) {
        op_put(op);
        return rc;
    }
    if (ret)
        *ret = op;
    return 0;
}

static uint32_t info_us(CURL *e, CURLINFO what) {
    curl_off_t us = 0;
    curl_easy_getinfo(e, what, &us);
    return us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static void fill_result(struct http_op *op, CURLcode code, struct http_result *ret) {
    CURL *e = op->easy;
    long status = 0, connects = 0, os_errno = 0;
    curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(e, CURLINFO_NUM_CONNECTS, &connects);
    if (op->timed_out)
        snprintf(op->detail, sizeof op->detail, "no whole answer within %.3f ms", (double)op->timeout_ns / (double)NS_PER_MS);
    if (op->refused_retry)
        snprintf(op->detail, sizeof op->detail, "the reused connection was dead, and %s is not sent twice", op->method);
    if (code != CURLE_OK) {
        curl_easy_getinfo(e, CURLINFO_OS_ERRNO, &os_errno);
        if (!op->detail[0])
            snprintf(op->detail, sizeof op->detail, "%s", curl_easy_strerror(code));
    }
    ret->op = op;
    ret->error = http_classify(op, code, os_errno);
    ret->detail = op->detail;
    ret->status = (int)status;
    ret->body = op->in.data ? op->in.data : "";
    ret->body_len = op->in.len;
    ret->start_ns = op->start_ns;
    ret->first_byte_us = info_us(e, CURLINFO_STARTTRANSFER_TIME_T);
    ret->new_connection = connects > 0;
    ret->sent = op->sent > 0;
    ret->stale_retry = op->sent > 1;
    if (!ret->new_connection)
        return; /* libcurl's times of looking up and connecting would be those of finding the connection */
    ret->dns_us = info_us(e, CURLINFO_NAMELOOKUP_TIME_T);
    ret->connect_us = info_us(e, CURLINFO_CONNECT_TIME_T);
    ret->tls_us = info_us(e, CURLINFO_APPCONNECT_TIME_T);
}

const char *http_header(const struct http_op *op, const char *name) {
    struct curl_header *h;
    return curl_easy_header(op->easy, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value : NULL;
}

/* Takes it from libcurl. */
static void leave_net(struct http_op *op) {
    http_pieces_forget(op);
    http_net_remove(op);
}

void http_op_ended(struct http_op *op, CURLcode code, int64_t end_ns) {
    struct http_result r = {.end_ns = end_ns};
    if (op->is_fresh && !http_op_data(op))
        return;
    fill_result(op, code, &r);
    leave_net(op);
    op->telling = true;
    op->done(&r, op->arg);
    op->telling = false;
    op_put(op);
}

void http_cancel(struct http_op *op) {
    if (!op || op->telling)
        return;
    leave_net(op);
    op_put(op);
}
