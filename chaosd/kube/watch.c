/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/watch.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>

enum { PAGE = 500, LIVES_S = 300, EXPIRED_MOST = 2 };
enum { OBJECT_MOST = 4 << 20 }; /* an API server takes 3 MiB, and what it took must not make us blind for all the others */
#define IDLE_NS (150 * NS_PER_S)
#define OPEN_NS (15 * NS_PER_S)  /* until the headers of a watch are there */
#define LIST_NS (120 * NS_PER_S) /* a page */
#define QUIET_NS (30 * NS_PER_S) /* between its pieces */
#define SHORT_NS NS_PER_S        /* a watch that ends sooner is no watch */

enum phase { LISTING, OPENING, WATCHING, PAUSING };

struct kube_watch {
    struct kube *kube;
    struct kube_watch_spec spec;
    char *namespace, *selectors; /* selectors: "&labelSelector=..." */
    char *annotations[KUBE_ANNOTATIONS_MOST + 1];
    struct kube_tables tables;
    struct kube_store *store;
    struct sieve *sieve;
    struct kube_call *call;
    struct timer *timer; /* silence, or the pause */
    enum phase phase;
    char *version, *next_page; /* resourceVersion; continue token, NULL: the first page */
    unsigned expired, failures; /* expired: continue tokens in a row */
    bool listed, relist, bookmarks, relisted; /* relist: the next try is a list; relisted: since the gap began */
    int64_t asked_ns, seen_ns, piece_ns, opened_ns, gap_ns;
    struct error why; /* why the stream was given up, and as what */
    enum kube_trouble trouble;
    unsigned depth; /* callbacks on the stack */
    bool dying;
};

const char *const kube_news_names[] = {"ADDED", "MODIFIED", "DELETED", "SYNCED", "TROUBLED", "GAP"};

static void go(struct kube_watch *w);

static void destroy(struct kube_watch *w) {
    kube_cancel(w->call);
    sieve_free(w->sieve);
    kube_store_free(w->store);
    timer_free(w->timer);
    for (size_t i = 0; w->annotations[i]; i++)
        free(w->annotations[i]);
    free(w->namespace);
    free(w->selectors);
    free(w->version);
    free(w->next_page);
    free(w);
}

void kube_watch_free(struct kube_watch *w) {
    if (!w)
        return;
    w->dying = true;
    if (w->depth == 0)
        destroy(w);
}

static void enter(struct kube_watch *w) { w->depth++; }
static void leave(struct kube_watch *w) {
    if (--w->depth == 0 && w->dying)
        destroy(w);
}

const struct kube_store *kube_watch_store(const struct kube_watch *w) { return w->store; }
bool kube_watch_synced(const struct kube_watch *w) { return w->listed && w->phase == WATCHING; }
int64_t kube_watch_seen_ns(const struct kube_watch *w) { return w->seen_ns; }

static void tell(struct kube_watch *w, const struct kube_event *e) {
    if (!w->dying)
        w->spec.told(e, w->spec.arg);
}

/* A change of the store, and its end. -ECANCELED: the watch was freed in there. */
static int tell_change(struct kube_watch *w, struct kube_change *c, bool deleted) {
    struct kube_event e = {.before = c->before, .object = c->after, .listed = w->phase == LISTING, .seen_ns = w->piece_ns};
    if (deleted) {
        e.what = KUBE_DELETED;
        if (c->before)
            tell(w, &e);
    } else if (!c->same) {
        struct kube_view before, after;
        kube_object_view(c->after, &after);
        if (c->before)
            kube_object_view(c->before, &before);
        if (c->before && strcmp(before.uid, after.uid) != 0) { /* another one of its name: the end of the first was missed */
            e.what = KUBE_DELETED;
            e.object = NULL;
            tell(w, &e);
            e.object = c->after;
            e.before = NULL;
        }
        e.what = e.before ? KUBE_MODIFIED : KUBE_ADDED;
        tell(w, &e);
    }
    kube_change_end(w->store, c);
    return w->dying ? -ECANCELED : 0;
}

static int keep_version(struct kube_watch *w, const char *version, struct error *err) {
    char *copy = strdup(version);
    if (!copy)
        return error_set(err, -ENOMEM, "out of memory");
    free(w->version);
    w->version = copy;
    return 0;
}

/* --- trouble --- */

static void pause_then(struct kube_watch *w, int64_t pause_ns) {
    w->phase = PAUSING;
    timer_after(w->timer, pause_ns);
}

static void troubled(struct kube_watch *w, enum kube_trouble trouble, const char *why, int64_t retry_after_ns) {
    if (!w->gap_ns && w->listed)
        w->gap_ns = w->seen_ns;
    w->failures++;
    int64_t pause = kube_pause_ns(w->kube, w->failures);
    pause_then(w, retry_after_ns >= 0 ? retry_after_ns + pause / 4 : pause);
    tell(w, &(struct kube_event){.what = KUBE_TROUBLED, .trouble = trouble, .why = why, .failures = w->failures, .seen_ns = loop_now()});
}

/* The server no longer knows the place: all is listed again, at once the first time. */
static void lost_place(struct kube_watch *w, const char *why) {
    if (!w->gap_ns)
        w->gap_ns = w->seen_ns;
    w->relist = true;
    free(take_ptr(w->next_page));
    if (w->failures == 0) {
        w->failures = 1;
        pause_then(w, 1);
        tell(w, &(struct kube_event){.what = KUBE_TROUBLED, .trouble = KUBE_GONE, .why = why, .failures = 1, .seen_ns = loop_now()});
    } else {
        troubled(w, KUBE_GONE, why, -1);
    }
}

/* From within a piece: the connection is given up. */
static void give_up(struct kube_watch *w) {
    kube_cancel(take_ptr(w->call));
    sieve_free(take_ptr(w->sieve));
    if (w->dying)
        return;
    if (w->trouble == KUBE_GONE)
        lost_place(w, w->why.text);
    else
        troubled(w, w->trouble, w->why.text, -1);
}

/* --- objects --- */

static int on_bare(const char *text, size_t len, void *arg, struct error *err) {
    json_t **ret = arg;
    (void)err;
    json_decref(*ret);
    *ret = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
    return 0;
}

static json_t *read_bare(const char *text, size_t len, const struct keep *bare) {
    json_t *o = NULL;
    struct sieve *s = NULL;
    const struct sieve_spec spec = {.mode = SIEVE_STREAM, .keep = bare, .object = on_bare, .arg = &o};
    if (sieve_new(&spec, &s, NULL) == 0)
        sieve_feed(s, text, len, NULL);
    sieve_free(s);
    return o;
}

/* Whoever may write an object may write one into it that jansson takes no part in: a NUL in a key, brackets thousands deep. None may make all
 * blind: of such a one it is only known that it is there. */
static json_t *parse(const char *text, size_t len, const struct keep *bare, struct error *err) {
    json_error_t why;
    json_t *o = json_loadb(text, len, JSON_ALLOW_NUL, &why);
    if (!o && bare)
        o = read_bare(text, len, bare);
    if (!o)
        error_set(err, -EPROTO, "an object that is no JSON: column %d", why.column);
    return o;
}

static int on_item(const char *text, size_t len, void *arg, struct error *err) {
    struct kube_watch *w = arg;
    struct kube_change c;
    cleanup_json json_t *o = parse(text, len, w->tables.bare_object, err);
    int rc = o ? kube_store_put(w->store, o, &c, err) : -EPROTO;
    return rc < 0 ? rc : tell_change(w, &c, false);
}

int kube_line_read(const json_t *event, enum kube_line *ret, const json_t **ret_object, struct error *err) {
    static const char *const types[] = {"ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"};
    const char *type = json_str_or(event, "type", "");
    *ret_object = json_object_get(event, "object");
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (strcmp(types[i], type) == 0 && json_is_object(*ret_object)) {
            *ret = (enum kube_line)i;
            return 0;
        }
    return error_set(err, -EPROTO, "no line of a watch: its type is \"%.30s\"", type);
}

/* An ERROR says with a Status why the stream ends. */
static int on_error_line(struct kube_watch *w, const json_t *status, struct error *err) {
    const struct kube_where where = {
        .verb = "watch", .group = w->spec.kind->group, .resource = w->spec.kind->resource, .namespace = w->namespace};
    int code = (int)json_int_or(status, "code", 500);
    w->trouble = kube_status(&where, code >= 300 ? code : 500, NULL, status, err);
    return -EIO;
}

static int on_line(const char *text, size_t len, void *arg, struct error *err) {
    struct kube_watch *w = arg;
    struct kube_change c;
    enum kube_line line;
    const json_t *o;
    cleanup_json json_t *event = parse(text, len, w->tables.bare_event, err);
    int rc = event ? kube_line_read(event, &line, &o, err) : -EPROTO;
    if (rc < 0)
        return rc;
    if (line == KUBE_LINE_ERROR)
        return on_error_line(w, o, err);
    const char *version = json_string_value(json_at(o, "metadata.resourceVersion"));
    w->failures = 0;
    w->bookmarks = w->bookmarks || line == KUBE_LINE_BOOKMARK;
    if (line == KUBE_LINE_DELETED)
        rc = kube_store_delete(w->store, o, &c, err);
    else if (line != KUBE_LINE_BOOKMARK)
        rc = kube_store_put(w->store, o, &c, err);
    if (rc == 0 && version)
        rc = keep_version(w, version, err);
    return rc < 0 || line == KUBE_LINE_BOOKMARK ? rc : tell_change(w, &c, line == KUBE_LINE_DELETED);
}

/* --- requests --- */

static void opened(struct kube_watch *w) {
    w->phase = WATCHING;
    w->opened_ns = w->piece_ns;
    if (w->spec.idle_ns < OPEN_NS) /* else the timer finds out by itself */
        timer_after(w->timer, w->spec.idle_ns);
    const struct kube_event e = {
        .what = KUBE_GAP, .from_ns = w->gap_ns, .to_ns = w->piece_ns, .relisted = w->relisted, .seen_ns = w->piece_ns};
    w->gap_ns = 0;
    w->relisted = false;
    if (e.from_ns)
        tell(w, &e);
}

static int check_type(struct kube_call *call, struct error *err) {
    const char *type = kube_call_header(call, "Content-Type");
    if (type && strncmp(type, "application/json", 16) == 0)
        return 0;
    return error_set(err, -EPROTO, "an answer of type \"%.60s\", not JSON: is this URL an API server's, or does a proxy answer?",
                     type ? type : "none");
}

static void on_data(struct kube_call *call, const char *piece, size_t len, void *arg) {
    struct kube_watch *w = arg;
    enter(w);
    w->seen_ns = w->piece_ns = loop_now();
    w->trouble = KUBE_NOT_API;
    int rc = check_type(call, &w->why);
    if (rc == 0 && w->phase == OPENING)
        opened(w);
    if (rc == 0 && !w->dying)
        rc = sieve_feed(w->sieve, piece, len, &w->why);
    if (rc < 0 || w->dying)
        give_up(w);
    leave(w);
}

static int new_sieve(struct kube_watch *w, enum sieve_mode mode, struct error *err) {
    const struct sieve_spec s = {.mode = mode, .keep = mode == SIEVE_LIST ? w->tables.object : w->tables.event, .list_keep = kube_list_keep,
                                 .max_kept = OBJECT_MOST, .object = mode == SIEVE_LIST ? on_item : on_line, .arg = w};
    sieve_free(take_ptr(w->sieve));
    return sieve_new(&s, &w->sieve, err);
}

static void list_ended(struct kube_watch *w) {
    struct kube_change c;
    w->piece_ns = loop_now();
    while (kube_store_take_old(w->store, &c))
        if (tell_change(w, &c, true) < 0)
            return;
    w->relisted = w->listed;
    w->listed = true;
    w->relist = false;
    w->expired = 0;
    w->phase = OPENING;
    tell(w, &(struct kube_event){.what = KUBE_SYNCED, .seen_ns = w->piece_ns});
}

/* A page is whole: where to go on, or where to watch from. */
static int page_ended(struct kube_watch *w, struct error *err) {
    cleanup_json json_t *rest = parse(sieve_rest(w->sieve), strlen(sieve_rest(w->sieve)), NULL, err);
    const char *version = json_string_value(json_at(rest, "metadata.resourceVersion")),
               *token = json_string_value(json_at(rest, "metadata.continue"));
    if (!rest)
        return -EPROTO;
    if (!version || !*version)
        return error_set(err, -EPROTO, "a list without a resourceVersion: is this an API server?");
    free(take_ptr(w->next_page));
    if (token && *token) {
        w->next_page = strdup(token);
        return w->next_page ? 0 : error_set(err, -ENOMEM, "out of memory");
    }
    int rc = keep_version(w, version, err);
    if (rc == 0)
        list_ended(w);
    return rc;
}

static void on_listed(const struct kube_answer *a, void *arg) {
    struct kube_watch *w = arg;
    struct error err = {{0}};
    enter(w);
    w->call = NULL;
    if (a->trouble == KUBE_GONE && w->next_page) { /* from the first page again; the last resort is all in one */
        w->expired++;
        free(take_ptr(w->next_page));
        go(w);
    } else if (a->trouble != KUBE_OK) {
        troubled(w, a->trouble, a->why, a->retry_after_ns);
    } else if (sieve_end(w->sieve, &err) < 0 || page_ended(w, &err) < 0) {
        if (!w->dying)
            troubled(w, KUBE_NOT_API, err.text, -1);
    } else if (!w->dying) {
        w->failures = 0;
        go(w);
    }
    leave(w);
}

static void on_watched(const struct kube_answer *a, void *arg) {
    struct kube_watch *w = arg;
    struct error err = {{0}};
    enter(w);
    w->call = NULL;
    if (a->trouble == KUBE_GONE)
        lost_place(w, a->why);
    else if (a->trouble != KUBE_OK)
        troubled(w, a->trouble, a->why, a->retry_after_ns);
    else if (sieve_end(w->sieve, &err) < 0)
        troubled(w, KUBE_UNREACHABLE, err.text, -1);
    else if (loop_now() - w->opened_ns < SHORT_NS && sieve_bytes(w->sieve) == 0)
        troubled(w, KUBE_UNREACHABLE, "the watch ended as soon as it began", -1);
    else
        go(w); /* its time was over, as servers do */
    leave(w);
}

static int ask(struct kube_watch *w, const struct kube_request *r, int64_t quiet_ns, struct error *err) {
    w->asked_ns = loop_now();
    int rc = kube_start(w->kube, r, &w->call, err);
    if (rc == 0)
        timer_after(w->timer, quiet_ns);
    return rc;
}

static int list(struct kube_watch *w, struct error *err) {
    cleanup_buf struct buf query = {0};
    w->phase = LISTING;
    if (!w->next_page)
        kube_store_mark(w->store);
    buf_printf(&query, "limit=%u", w->expired > EXPIRED_MOST ? 0 : w->spec.page);
    if (w->next_page) {
        buf_str(&query, "&continue=");
        url_add(&query, w->next_page);
    }
    buf_str(&query, w->selectors);
    if (!buf_ok(&query))
        return error_set(err, -ENOMEM, "out of memory");
    const struct kube_request r = {.verb = "list",
                                   .kind = w->spec.kind,
                                   .version = w->spec.version,
                                   .namespace = w->namespace,
                                   .query = query.data,
                                   .limit_ns = LIST_NS,
                                   .try_ns = LIST_NS,
                                   .data = on_data,
                                   .done = on_listed,
                                   .arg = w};
    int rc = new_sieve(w, SIEVE_LIST, err);
    return rc < 0 ? rc : ask(w, &r, QUIET_NS, err);
}

static int watch(struct kube_watch *w, struct error *err) {
    cleanup_buf struct buf query = {0};
    w->phase = OPENING;
    /* Not all at the same time, so that many watches do not come back at once. */
    int lives_s = LIVES_S + (int)(kube_pause_ns(w->kube, 9) * LIVES_S / (15 * NS_PER_S));
    buf_printf(&query, "watch=true&allowWatchBookmarks=true&timeoutSeconds=%d&resourceVersion=", lives_s);
    url_add(&query, w->version);
    buf_str(&query, w->selectors);
    if (!buf_ok(&query))
        return error_set(err, -ENOMEM, "out of memory");
    const int64_t limit_ns = (lives_s + 60) * NS_PER_S;
    const struct kube_request r = {.verb = "watch",
                                   .kind = w->spec.kind,
                                   .version = w->spec.version,
                                   .namespace = w->namespace,
                                   .query = query.data,
                                   .limit_ns = limit_ns,
                                   .try_ns = limit_ns,
                                   .data = on_data,
                                   .done = on_watched,
                                   .arg = w};
    int rc = new_sieve(w, SIEVE_STREAM, err);
    return rc < 0 ? rc : ask(w, &r, OPEN_NS, err);
}

static void go(struct kube_watch *w) {
    struct error err = {{0}};
    int rc = !w->listed || w->relist ? list(w, &err) : watch(w, &err);
    if (rc < 0)
        troubled(w, KUBE_LOCAL, err.text, -1);
}

static void on_timer(void *arg) {
    struct kube_watch *w = arg;
    int64_t heard_ns = w->seen_ns > w->asked_ns ? w->seen_ns : w->asked_ns, silent_ns = loop_now() - heard_ns;
    int64_t allowed_ns = w->phase == LISTING ? QUIET_NS : w->phase == OPENING ? OPEN_NS : w->spec.idle_ns;
    enter(w);
    if (w->phase == PAUSING) {
        go(w);
    } else if (silent_ns < allowed_ns) {
        timer_after(w->timer, allowed_ns - silent_ns);
    } else if (w->phase == WATCHING && !w->bookmarks) { /* a kind that has none: silence says nothing, so it is asked */
        kube_cancel(take_ptr(w->call));
        go(w);
    } else {
        kube_cancel(take_ptr(w->call));
        char why[120];
        snprintf(why, sizeof why, "the API server was silent for %.1f s%s", (double)silent_ns / 1e9,
                 w->phase == WATCHING ? ", not even a bookmark" : "");
        troubled(w, KUBE_UNREACHABLE, why, -1);
    }
    leave(w);
}

/* --- start --- */

static int copy_spec(struct kube_watch *w, const struct kube_watch_spec *s, struct error *err) {
    cleanup_buf struct buf b = {0};
    const char *const selectors[][2] = {{"labelSelector", s->label_selector}, {"fieldSelector", s->field_selector}};
    buf_str(&b, "");
    for (size_t i = 0; i < ARRAY_SIZE(selectors); i++)
        if (selectors[i][1] && *selectors[i][1]) {
            buf_printf(&b, "&%s=", selectors[i][0]);
            url_add(&b, selectors[i][1]);
        }
    w->selectors = buf_take(&b);
    w->namespace = s->namespace ? strdup(s->namespace) : NULL;
    bool ok = w->selectors && (w->namespace || !s->namespace);
    for (size_t i = 0; s->annotations && s->annotations[i] && i < KUBE_ANNOTATIONS_MOST; i++)
        ok = (w->annotations[i] = strdup(s->annotations[i])) && ok;
    if (!ok)
        return error_set(err, -ENOMEM, "out of memory");
    w->spec.page = s->page ? s->page : PAGE;
    w->spec.idle_ns = s->idle_ns ? s->idle_ns : IDLE_NS;
    for (size_t n = 0; s->annotations && s->annotations[n]; n++)
        if (n == KUBE_ANNOTATIONS_MOST)
            return error_set(err, -E2BIG, "more than %d annotations asked for", KUBE_ANNOTATIONS_MOST);
    return kube_tables_init(&w->tables, s->kind, (const char *const *)w->annotations, err);
}

int kube_watch_start(struct kube *k, const struct kube_watch_spec *spec, struct kube_watch **ret, struct error *err) {
    struct kube_watch *w = calloc(1, sizeof *w);
    if (!w)
        return error_set(err, -ENOMEM, "out of memory");
    w->kube = k;
    w->spec = *spec;
    int rc = copy_spec(w, spec, err);
    if (rc == 0)
        rc = kube_store_new(spec->kind, &w->store, err);
    if (rc == 0)
        rc = timer_new(kube_loop(k), on_timer, w, &w->timer, err);
    if (rc == 0)
        rc = list(w, err);
    if (rc < 0)
        destroy(w);
    else
        *ret = w;
    return rc;
}
