/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http_priv.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>

const char *http_error_name(enum http_error e) {
    static const char *const names[HTTP_ERROR_COUNT] = {
        [HTTP_OK] = "ok",
        [HTTP_TIMEOUT] = "timeout",
        [HTTP_REFUSED] = "refused",
        [HTTP_RESET] = "reset",
        [HTTP_UNREACHABLE] = "unreachable",
        [HTTP_DNS] = "dns",
        [HTTP_TLS] = "tls",
        [HTTP_PROTOCOL] = "protocol",
        [HTTP_TOO_BIG] = "too big",
        [HTTP_OTHER] = "other",
        [HTTP_LOCAL] = "local",
    };
    return (unsigned)e < HTTP_ERROR_COUNT ? names[e] : "?";
}

/* What the kernel said about a connection, being made or made. */
static const struct {
    int os_errno;
    enum http_error error;
} by_errno[] = {
    {ECONNREFUSED, HTTP_REFUSED},   {ECONNRESET, HTTP_RESET},         {EPIPE, HTTP_RESET},
    {ECONNABORTED, HTTP_RESET},     {ETIMEDOUT, HTTP_TIMEOUT},        {ENETUNREACH, HTTP_UNREACHABLE},
    {EHOSTUNREACH, HTTP_UNREACHABLE}, {ENETDOWN, HTTP_UNREACHABLE},   {EHOSTDOWN, HTTP_UNREACHABLE},
    {EACCES, HTTP_UNREACHABLE},     {EPERM, HTTP_UNREACHABLE},        {EADDRNOTAVAIL, HTTP_LOCAL},
    {EMFILE, HTTP_LOCAL},           {ENFILE, HTTP_LOCAL},             {ENOBUFS, HTTP_LOCAL},
    {ENOMEM, HTTP_LOCAL},
};

static enum http_error from_errno(long os_errno, enum http_error otherwise) {
    for (size_t i = 0; i < ARRAY_SIZE(by_errno); i++)
        if (by_errno[i].os_errno == os_errno)
            return by_errno[i].error;
    return otherwise;
}

static const struct {
    CURLcode code;
    enum http_error error;
} by_code[] = {
    {CURLE_OK, HTTP_OK},
    {CURLE_OPERATION_TIMEDOUT, HTTP_TIMEOUT},
    {CURLE_COULDNT_RESOLVE_HOST, HTTP_DNS},
    {CURLE_COULDNT_RESOLVE_PROXY, HTTP_DNS},
    {CURLE_GOT_NOTHING, HTTP_RESET},
    {CURLE_PARTIAL_FILE, HTTP_RESET},
    {CURLE_WEIRD_SERVER_REPLY, HTTP_PROTOCOL},
    {CURLE_BAD_CONTENT_ENCODING, HTTP_PROTOCOL},
    {CURLE_WRITE_ERROR, HTTP_LOCAL}, /* neither too big nor endless: no memory to keep it */
    {CURLE_FILESIZE_EXCEEDED, HTTP_TOO_BIG},
    {CURLE_SSL_CONNECT_ERROR, HTTP_TLS},
    {CURLE_SSL_ENGINE_NOTFOUND, HTTP_TLS},
    {CURLE_SSL_ENGINE_SETFAILED, HTTP_TLS},
    {CURLE_SSL_CERTPROBLEM, HTTP_TLS},
    {CURLE_SSL_CIPHER, HTTP_TLS},
    {CURLE_PEER_FAILED_VERIFICATION, HTTP_TLS},
    {CURLE_USE_SSL_FAILED, HTTP_TLS},
    {CURLE_SSL_ENGINE_INITFAILED, HTTP_TLS},
    {CURLE_SSL_CACERT_BADFILE, HTTP_TLS},
    {CURLE_SSL_SHUTDOWN_FAILED, HTTP_TLS},
    {CURLE_SSL_CRL_BADFILE, HTTP_TLS},
    {CURLE_SSL_ISSUER_ERROR, HTTP_TLS},
    {CURLE_SSL_PINNEDPUBKEYNOTMATCH, HTTP_TLS},
    {CURLE_SSL_INVALIDCERTSTATUS, HTTP_TLS},
    {CURLE_SSL_CLIENTCERT, HTTP_TLS},
};

/* libcurl says RECV_ERROR for the kernel's error and for a bad chunk alike; only its sentence tells them apart, since
 * the errno of an earlier transfer may still stand there. */
static enum http_error exchange_failed(const struct http_op *op, long os_errno) {
    if (strstr(op->detail, "chunk"))
        return HTTP_PROTOCOL;
    if (strstr(op->detail, "CONNECT tunnel failed")) /* the proxy answered, and said no */
        return HTTP_OTHER;
    return from_errno(os_errno, HTTP_RESET);
}

enum http_error http_classify(const struct http_op *op, CURLcode code, long os_errno) {
    if (op->too_big)
        return HTTP_TOO_BIG;
    if (op->endless)
        return HTTP_PROTOCOL;
    if (op->refused_retry && code == CURLE_ABORTED_BY_CALLBACK)
        return HTTP_RESET;
    switch (code) {
    case CURLE_COULDNT_CONNECT:
        return op->socket_errno ? from_errno(op->socket_errno, HTTP_OTHER) : from_errno(os_errno, HTTP_OTHER);
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return exchange_failed(op, os_errno);
    case CURLE_UNSUPPORTED_PROTOCOL: /* before sending: the URL's scheme; after: an answer that is not HTTP/1 */
        return op->sent ? HTTP_PROTOCOL : HTTP_OTHER;
    case CURLE_OUT_OF_MEMORY: /* after sending: a header line beyond libcurl's own limit */
        return op->sent ? HTTP_PROTOCOL : HTTP_LOCAL;
    default:
        break;
    }
    for (size_t i = 0; i < ARRAY_SIZE(by_code); i++)
        if (by_code[i].code == code)
            return by_code[i].error;
    return HTTP_OTHER;
}
