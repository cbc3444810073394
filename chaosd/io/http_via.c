/* SPDX-License-Identifier: Apache-2.0 */
/* A server that is reached through a proxy, is trusted by other certificates than the system's, wants to know who we are by one, or
 * carries another name than its address. */
#include "io/http_priv.h"

#include "base/cleanup.h"

#include <string.h>

static void url_cleanup(CURLU **u) { curl_url_cleanup(*u); }
static void curl_freep(char **p) { curl_free(*p); }

static struct curl_blob blob_of(const char *pem) {
    /* Not copied: it stays as long as the request, and libcurl keeps its own copy with a connection that rests. */
    return (struct curl_blob){.data = (char *)pem, .len = pem ? strlen(pem) : 0, .flags = CURL_BLOB_NOCOPY};
}

static CURLcode set_blob(CURL *e, CURLoption option, const char *pem) {
    struct curl_blob b = blob_of(pem);
    return curl_easy_setopt(e, option, pem ? &b : NULL);
}

/* libcurl has no option for the name asked for in TLS: the URL carries that name, the connection is made to the real host, and the
 * header Host names the real one again. */
static CURLcode rename_host(struct http_op *op, const char *url, const char *name) {
    cleanup(url_cleanup) CURLU *u = curl_url();
    cleanup(curl_freep) char *host = NULL, *port = NULL, *own_port = NULL, *renamed = NULL;
    if (!u)
        return CURLE_OUT_OF_MEMORY;
    if (curl_url_set(u, CURLUPART_URL, url, CURLU_PATH_AS_IS) || curl_url_get(u, CURLUPART_HOST, &host, 0) ||
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) || curl_url_set(u, CURLUPART_HOST, name, 0) ||
        curl_url_get(u, CURLUPART_URL, &renamed, 0))
        return CURLE_URL_MALFORMAT;
    bool with_port = curl_url_get(u, CURLUPART_PORT, &own_port, 0) == CURLUE_OK;
    cleanup_buf struct buf to = {0};
    buf_printf(&to, "::%s:%s", host, port);
    buf_str(&op->via_url, renamed);
    buf_printf(&op->via_host, "Host: %s%s%s", host, with_port ? ":" : "", with_port ? own_port : "");
    if (!buf_ok(&to) || !buf_ok(&op->via_url) || !buf_ok(&op->via_host) || !(op->connect_to = curl_slist_append(NULL, to.data)))
        return CURLE_OUT_OF_MEMORY;
    return CURLE_OK;
}

CURLcode http_via_set(struct http_op *op, const struct http_via *via, const char *url) {
    static const struct http_via plain = {0};
    CURL *e = op->easy;
    op->via_set = via != NULL;
    via = via ? via : &plain;
    curl_easy_setopt(e, CURLOPT_CONNECT_TO, NULL);
    curl_slist_free_all(take_ptr(op->connect_to));
    buf_clear(&op->via_url);
    buf_clear(&op->via_host);
    buf_clear(&op->url); /* what is parsed of it may carry another host */
    op->headers_set = false;
    CURLcode c = via->tls_name ? rename_host(op, url, via->tls_name) : CURLE_OK;
    c = c ? c : curl_easy_setopt(e, CURLOPT_CONNECT_TO, op->connect_to);
    c = c ? c : set_blob(e, CURLOPT_CAINFO_BLOB, via->ca_pem);
    if (via->ca_pem || !op->ca_file.len) /* a folder would be trusted beside them */
        c = c ? c : curl_easy_setopt(e, CURLOPT_CAPATH, via->ca_pem ? NULL : op->system_ca_path);
    c = c ? c : set_blob(e, CURLOPT_SSLCERT_BLOB, via->cert_pem);
    c = c ? c : set_blob(e, CURLOPT_SSLKEY_BLOB, via->key_pem);
    c = c ? c : curl_easy_setopt(e, CURLOPT_PROXY, via->proxy ? via->proxy : "");
    c = c ? c : curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); /* the proxy's are not the server's */
    c = c ? c : curl_easy_setopt(e, CURLOPT_NOPROXY, via->proxy && via->no_proxy ? via->no_proxy : "");
    /* A peer that vanished without a word would leave a quiet stream open for ever. */
    c = c ? c : curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, (long)op->via_set);
    c = c ? c : curl_easy_setopt(e, CURLOPT_TCP_KEEPIDLE, 15L);
    return c ? c : curl_easy_setopt(e, CURLOPT_TCP_KEEPINTVL, 5L);
}
