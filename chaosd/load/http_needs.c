/* SPDX-License-Identifier: Apache-2.0 */
/* What an http load asks of the machine: connections at once, and fresh ones a second to each address. */
#include "load/http_priv.h"
#include "load/needs.h"

#include <errno.h>
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

struct gather {
    struct load_needs *to;
    struct arena *a;
    bool failed;
};

static void add(struct gather *g, const char *name, double micro_per_s) {
    g->failed |= !name;
    if (name)
        needs_add(g->to, name, micro_per_s);
}

static void add_targets(struct gather *g, const struct http_targets *t, const struct candidate **pods, size_t pod_count, double micro_per_s) {
    if (t->url)
        add(g, authority(template_text(t->url), g->a), micro_per_s);
    for (size_t i = 0; i < t->urls.count; i++)
        add(g, authority(template_text(t->urls.items[i]), g->a), micro_per_s / (double)t->urls.count);
    for (size_t i = 0; i < pod_count; i++)
        add(g, arena_printf(g->a, "%s of %s", authority(template_text(t->base), g->a), pods[i]->name), micro_per_s / (double)pod_count);
}

int http_load_needs(const struct load_spec *spec, const struct doc *doc, const struct candidate *pods, size_t pod_count, struct arena *a,
                    struct load_needs *ret) {
    const struct http_load *p = spec->kind.params;
    const struct candidate **mine = arena_alloc(a, (pod_count + 1) * sizeof *mine);
    struct gather g = {ret, a, false};
    *ret = (struct load_needs){.connections = p->saturate ? p->concurrency : needs_connections(p->rate, p->deadline_ns, p->concurrency, spec->kind.path, doc)};
    ret->addresses = arena_alloc(a, (p->steps.count + p->targets->urls.count + pod_count + 1) * sizeof *ret->addresses);
    if (!mine || !ret->addresses)
        return -ENOMEM;
    size_t n = p->targets->selector ? needs_matching(p->targets->selector, pods, pod_count, mine) : 0;
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
