/* SPDX-License-Identifier: Apache-2.0 */
/* What an http load asks of the machine: connections at once, and fresh ones a second to each address. */
#include "load/http_priv.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* "http://user@host:80/path" is at host:80, "https://host" at host:443; what is a template stays as written. */
static const char *authority(const char *url, struct arena *a) {
    const char *begin = strstr(url, "://");
    begin = begin ? begin + 3 : url;
    size_t len = 0;
    for (int braces = 0; begin[len] && (braces || !strchr("/?#", begin[len])); len++)
        braces += begin[len] == '{' ? 1 : begin[len] == '}' ? -1 : 0;
    for (const char *at; (at = memchr(begin, '@', len)); begin = at + 1)
        len -= (size_t)(at + 1 - begin);
    const char *port = memrchr(begin, ':', len), *bracket = memrchr(begin, ']', len);
    bool given = port && (!bracket || port > bracket);
    return arena_printf(a, "%.*s%s", (int)len, begin, given || memchr(begin, '$', len) ? "" : strncmp(url, "https", 5) == 0 ? ":443" : ":80");
}

static bool is_loopback(const char *name) {
    return strncmp(name, "127.", 4) == 0 || strncmp(name, "[::1]", 5) == 0 || strncmp(name, "localhost:", 10) == 0;
}

struct gather {
    struct load_needs *to;
    struct arena *a;
    bool failed;
};

static void add(struct gather *g, const char *name, double micro_per_s) {
    struct load_needs *n = g->to;
    g->failed |= !name;
    for (size_t i = 0; i < n->count && name; i++)
        if (strcmp(n->addresses[i].name, name) == 0) {
            n->addresses[i].micro_per_s += (int64_t)micro_per_s;
            return;
        }
    if (!g->failed)
        n->addresses[n->count++] = (struct load_address){name, is_loopback(name), (int64_t)micro_per_s};
}

/* A role has one holder; whoever has it gets all. */
static size_t matching(const struct selector *s, const struct candidate *pods, size_t pod_count, const struct candidate **ret) {
    size_t n = 0;
    for (size_t i = 0; i < pod_count; i++)
        if (selector_matches(s, &pods[i]))
            ret[n++] = &pods[i];
    return s->role && !selector_role_negated(s) && n > 1 ? 1 : n;
}

static void add_targets(struct gather *g, const struct http_targets *t, const struct candidate **pods, size_t pod_count, double micro_per_s) {
    if (t->url)
        add(g, authority(template_text(t->url), g->a), micro_per_s);
    for (size_t i = 0; i < t->urls.count; i++)
        add(g, authority(template_text(t->urls.items[i]), g->a), micro_per_s / (double)t->urls.count);
    for (size_t i = 0; i < pod_count; i++)
        add(g, arena_printf(g->a, "%s of %s", authority(template_text(t->base), g->a), pods[i]->name), micro_per_s / (double)pod_count);
}

/* Those asked for, where the scenario says so; else those that can be under way when none outlives its deadline (random arrivals
 * bunch: six standard deviations). */
static int64_t connections(const struct http_load *p, const char *path, const struct doc *doc) {
    char pointer[512];
    snprintf(pointer, sizeof pointer, "%s/concurrency", path);
    double mean = (double)p->rate / 1e6 * (double)p->deadline_ns / 1e9, most = ceil(mean + 6 * sqrt(mean)) + 2;
    return p->saturate || doc_value(doc, pointer) || most > (double)p->concurrency ? p->concurrency : (int64_t)most;
}

int http_load_needs(const struct load_spec *spec, const struct doc *doc, const struct candidate *pods, size_t pod_count, struct arena *a,
                    struct load_needs *ret) {
    const struct http_load *p = spec->kind.params;
    const struct candidate **mine = arena_alloc(a, (pod_count + 1) * sizeof *mine);
    struct gather g = {ret, a, false};
    *ret = (struct load_needs){.connections = connections(p, spec->kind.path, doc)};
    ret->addresses = arena_alloc(a, (p->steps.count + p->targets->urls.count + pod_count + 1) * sizeof *ret->addresses);
    if (!mine || !ret->addresses)
        return -ENOMEM;
    size_t n = p->targets->selector ? matching(p->targets->selector, pods, pod_count, mine) : 0;
    double fresh = 0;
    for (size_t i = 0; i < p->lanes.count; i++)
        fresh += p->lanes.items[i] == LANE_FRESH ? (double)p->rate / (double)p->lanes.count : 0;
    for (size_t i = 0; i < p->steps.count && fresh > 0; i++) { /* each step is a connection of its own */
        const char *url = template_text(HTTP_STEPS(p)[i].url);
        if (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0)
            add(&g, authority(url, a), fresh);
        else
            add_targets(&g, p->targets, mine, n, fresh);
    }
    if (p->insecure)
        ret->warning = "accepts any TLS certificate (insecure: true): whoever answers counts as the target";
    return g.failed ? -ENOMEM : 0;
}
