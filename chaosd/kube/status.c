/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/status.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/harmful.h"
#include "base/json.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const names[KUBE_TROUBLE_COUNT] = {
    [KUBE_OK] = "ok",
    [KUBE_FORBIDDEN] = "forbidden",
    [KUBE_UNAUTHORIZED] = "unauthorized",
    [KUBE_NOT_FOUND] = "not found",
    [KUBE_EXISTS] = "exists",
    [KUBE_CONFLICT] = "conflict",
    [KUBE_GONE] = "gone",
    [KUBE_INVALID] = "invalid",
    [KUBE_BLOCKED] = "blocked",
    [KUBE_BUSY] = "busy",
    [KUBE_SERVER] = "server error",
    [KUBE_UNREACHABLE] = "unreachable",
    [KUBE_NOT_API] = "no API",
    [KUBE_CREDENTIALS] = "credentials",
    [KUBE_LOCAL] = "local",
};

const char *kube_trouble_name(enum kube_trouble t) { return (unsigned)t < KUBE_TROUBLE_COUNT ? names[t] : "?"; }

/* Reasons first, since one status has several; a status alone is what a proxy or an old server says. */
static const struct {
    const char *reason;
    int status;
    enum kube_trouble trouble;
} rows[] = {
    {"AlreadyExists", 0, KUBE_EXISTS},
    {"Conflict", 0, KUBE_CONFLICT},
    {"Expired", 0, KUBE_GONE},
    {"Gone", 0, KUBE_GONE},
    {"TooManyRequests", 0, KUBE_BUSY},
    {"ServerTimeout", 0, KUBE_BUSY},
    {"Timeout", 0, KUBE_BUSY},
    {"ServiceUnavailable", 0, KUBE_BUSY},
    {"Forbidden", 0, KUBE_FORBIDDEN},
    {"Unauthorized", 0, KUBE_UNAUTHORIZED},
    {"NotFound", 0, KUBE_NOT_FOUND},
    {NULL, 400, KUBE_INVALID},
    {NULL, 401, KUBE_UNAUTHORIZED},
    {NULL, 403, KUBE_FORBIDDEN},
    {NULL, 404, KUBE_NOT_FOUND},
    {NULL, 409, KUBE_CONFLICT},
    {NULL, 410, KUBE_GONE},
    {NULL, 422, KUBE_INVALID},
    {NULL, 429, KUBE_BUSY},
    {NULL, 502, KUBE_BUSY},
    {NULL, 503, KUBE_BUSY},
    {NULL, 504, KUBE_BUSY},
};

static enum kube_trouble by_row(const char *reason, int status) {
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].reason ? strcmp(rows[i].reason, reason) == 0 : rows[i].status == status)
            return rows[i].trouble;
    return status >= 500 ? KUBE_SERVER : status >= 400 ? KUBE_INVALID : KUBE_NOT_API;
}

static bool has(const char *s) { return s && *s; }

void kube_where_text(const struct kube_where *w, char *out, size_t size) {
    snprintf(out, size, "%s %s%s%s%s%s%s%s%s%s", w->verb, w->resource, has(w->subresource) ? "/" : "",
             has(w->subresource) ? w->subresource : "", has(w->name) ? " \"" : "", has(w->name) ? w->name : "", has(w->name) ? "\"" : "",
             has(w->namespace) ? " in namespace \"" : "", has(w->namespace) ? w->namespace : "", has(w->namespace) ? "\"" : "");
}

void kube_where_rule(const struct kube_where *w, char *out, size_t size) {
    if (w->resource[0] == '/') { /* a path beside all resources */
        snprintf(out, size, "{nonResourceURLs: [\"%s\"], verbs: [\"%s\"]}", w->resource, w->verb);
        return;
    }
    snprintf(out, size, "{apiGroups: [\"%s\"], resources: [\"%s%s%s\"], verbs: [\"%s\"]}", has(w->group) ? w->group : "", w->resource,
             has(w->subresource) ? "/" : "", has(w->subresource) ? w->subresource : "", w->verb);
}

/* The server's own words, without what a terminal should not be given. */
static const char *message_of(const json_t *body, char *tmp, size_t size) {
    snprintf(tmp, size, "%s", json_str_or(body, "message", ""));
    for (char *p = tmp; *p; p++)
        if (harmful(p))
            *p = ' ';
    return tmp;
}

/* "... User \"system:serviceaccount:chaos:chaosd\" cannot delete ...": whom the rule is for. */
static const char *user_of(const char *message, char *tmp, size_t size) {
    const char *user = strstr(message, "User \"");
    size_t len = user ? strcspn(user + 6, "\"") : 0;
    snprintf(tmp, size, "%.*s", (int)len, user ? user + 6 : "");
    return tmp;
}

static void forbidden(const struct kube_where *w, const char *message, const char *where, struct error *err) {
    char rule[300], user[200];
    kube_where_rule(w, rule, sizeof rule);
    user_of(message, user, sizeof user);
    bool cluster = !has(w->namespace);
    if (strstr(message, "cannot ")) /* RBAC's no */
        error_set(err, 0, "not allowed to %s%s%s%s: add the rule %s to a %s bound to it", where, *user ? ": the user is \"" : "", user,
                  *user ? "\"" : "", rule, cluster ? "ClusterRole" : "Role (in that namespace) or ClusterRole");
    else
        error_set(err, 0, "not allowed to %s: %.400s", where, *message ? message : "the server gives no reason");
}

static bool blocked_by_budget(const struct kube_where *w, const json_t *body) {
    if (!w->subresource || strcmp(w->subresource, "eviction") != 0)
        return false;
    size_t i;
    json_t *cause;
    json_array_foreach(json_at(body, "details.causes"), i, cause) {
        if (strcmp(json_str_or(cause, "reason", ""), "DisruptionBudget") == 0)
            return true;
    }
    return strstr(json_str_or(body, "message", ""), "disruption budget") != NULL;
}

static const char *const hints[KUBE_TROUBLE_COUNT] = {
    [KUBE_UNAUTHORIZED] = ": the server does not know these credentials, or no longer: log in again, or renew the token or certificate",
    [KUBE_NOT_FOUND] = ": it is not there",
    [KUBE_CONFLICT] = ": it is another one by now, or was changed meanwhile",
};

enum kube_trouble kube_status(const struct kube_where *w, int status, const char *content_type, const json_t *body, struct error *err) {
    char where[400], tmp[500];
    kube_where_text(w, where, sizeof where);
    if (status / 100 == 2)
        return KUBE_OK;
    bool is_status = strcmp(json_str_or(body, "kind", ""), "Status") == 0;
    const char *message = message_of(is_status ? body : NULL, tmp, sizeof tmp);
    /* An API server's own page, for a group or a version of it that it does not have. */
    if (!is_status && status == 404 && has(w->group) && strchr(w->group, '.') && strncmp(content_type ? content_type : "", "text/plain", 10) == 0) {
        error_set(err, 0, "%s: the server has no %s of %s, or not in this version: is the CustomResourceDefinition installed that comes with this program?",
                  where, w->resource, w->group);
        return KUBE_NOT_FOUND;
    }
    if (!is_status && status != 401 && status != 403 && status != 429 && status < 500) {
        error_set(err, 0,
                  "%s: an answer %d of type \"%.60s\" that is no Kubernetes Status: is this URL an API server's, or does a proxy answer?",
                  where, status, content_type ? content_type : "none");
        return KUBE_NOT_API;
    }
    enum kube_trouble t = by_row(is_status ? json_str_or(body, "reason", "-") : "-", status);
    if (t == KUBE_BUSY && blocked_by_budget(w, body))
        t = KUBE_BLOCKED;
    if (t == KUBE_FORBIDDEN && is_status)
        forbidden(w, message, where, err);
    else
        error_set(err, 0, "%s: status %d%s%.450s%s", where, status, *message ? ": " : "", message, hints[t] ? hints[t] : "");
    return t;
}

int64_t kube_retry_after_ns(const char *header) {
    int s, used = 0;
    if (!header || sscanf(header, "%9d%n", &s, &used) != 1 || header[used] || s < 0)
        return -1;
    return s * NS_PER_S;
}
