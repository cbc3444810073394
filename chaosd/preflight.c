/* SPDX-License-Identifier: Apache-2.0 */
#include "preflight.h"
#include "base/cleanup.h"
#include "check/words.h"
#include "cluster/cluster.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>

/* Beside the loads: history, cluster, probes, libcurl's own; and a pod's log, process, namespace, control group and probe. */
enum { OWN_FILES = 128, FILES_A_POD = 8 };

int preflight_files(const struct preflight_load *list, size_t count, size_t pods, int64_t files, struct error *err) {
    int64_t asked = 0, own = OWN_FILES + FILES_A_POD * (int64_t)pods;
    const struct preflight_load *most = NULL;
    char n[4][WORDS_SIZE];
    for (size_t i = 0; i < count; i++) {
        asked += list[i].needs.connections;
        most = !most || list[i].needs.connections > most->needs.connections ? &list[i] : most;
    }
    if (!most || asked + own <= files)
        return 0;
    const char *more = count > 1 ? " (all loads together)" : "";
    return error_set(err, -EMFILE, "load %s: %s connections at once%s and %s files for chaosd itself do not fit into a limit of %s open files; "
                     "raise the limit (ulimit -Hn, LimitNOFILE=) or lower concurrency", most->spec->name, words_count(asked, n[0]), more,
                     words_count(own, n[1]), words_count(files, n[2]));
}

/* Everything that all loads send to the address. */
static size_t demands(const struct preflight_load *list, size_t count, const char *address, struct port_demand *ret) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < list[i].needs.count; k++)
            if (strcmp(list[i].needs.addresses[k].name, address) == 0)
                ret[n++] = (struct port_demand){list[i].needs.addresses[k].micro_per_s, list[i].from_ns, list[i].to_ns};
    return n;
}

int preflight_ports(const struct preflight_load *list, size_t count, size_t load, const struct preflight_limits *l, struct error *err) {
    cleanup_free struct port_demand *d = calloc(count, sizeof *d);
    char n[2][WORDS_SIZE];
    if (!d)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t k = 0; k < list[load].needs.count; k++) {
        const struct load_address *a = &list[load].needs.addresses[k];
        size_t shared = demands(list, count, a->name, d);
        int64_t after = ports_exhausted_ns(l->ports.count, a->loopback ? l->ports.loopback_hold_ns : l->ports.hold_ns, d, shared);
        if (after == INT64_MAX)
            continue;
        int64_t rate = (a->micro_per_s + 500000) / 1000000;
        return error_set(err, -EADDRNOTAVAIL, "load %s: %s fresh connection%s a second to one address (%s%s) exhaust %s local ports after %" PRId64 " s; "
                         "lower the rate, add targets%s", list[load].spec->name, words_count(rate, n[0]), rate == 1 ? "" : "s", a->name,
                         shared > 1 ? ", other loads too" : "", words_count(l->ports.count, n[1]), after / NS_PER_S,
                         l->wide ? " or use the reused lane" : ", or widen net.ipv4.ip_local_port_range");
    }
    return 0;
}

int preflight_collect(const struct scenario *s, struct arena *a, struct preflight_load *list, size_t *ret_pods) {
    const struct cluster_kind *k = (const struct cluster_kind *)s->cluster.kind;
    struct candidate *pods = NULL;
    *ret_pods = k && k->declared ? k->declared(&s->cluster, a, &pods) : 0;
    for (size_t i = 0; i < s->loads.count; i++) {
        const struct load_spec *l = &SCENARIO_LOADS(s)[i];
        const struct load_kind *kind = (const struct load_kind *)l->kind.kind;
        list[i] = (struct preflight_load){.spec = l, .from_ns = l->start_ns, .to_ns = s->duration_ns};
        if (l->for_ns && l->start_ns + l->for_ns < s->duration_ns)
            list[i].to_ns = l->start_ns + l->for_ns;
        if (kind->needs && kind->needs(l, s->doc, pods, *ret_pods, a, &list[i].needs) < 0)
            return -ENOMEM;
    }
    return 0;
}

static struct preflight_limits limits(const struct scenario *s) {
    const struct cluster_kind *k = (const struct cluster_kind *)s->cluster.kind;
    struct preflight_limits l = {.files = INT64_MAX};
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max != RLIM_INFINITY && files.rlim_max < INT64_MAX)
        l.files = (int64_t)files.rlim_max; /* the run raises the soft one to it */
    if (k && k->ports)
        k->ports(&l.ports);
    else
        ports_read(&l.ports);
    l.wide = l.ports.count > 60000;
    return l;
}

static void arena_freep(struct arena **a) { arena_free(*a); }

int preflight_loads(const struct scenario *s, bool print, struct error *err) {
    cleanup(arena_freep) struct arena *a = arena_new();
    struct preflight_load *list = a ? arena_alloc(a, (s->loads.count + 1) * sizeof *list) : NULL;
    size_t pods = 0;
    if (!list || preflight_collect(s, a, list, &pods) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    struct preflight_limits l = limits(s);
    struct error why = {""};
    int rc = preflight_files(list, s->loads.count, pods, l.files, &why);
    if (rc < 0 && print)
        printf("no  %s\n", why.text);
    if (rc < 0)
        error_set(err, rc, "%s", why.text);
    for (size_t i = 0; i < s->loads.count; i++) {
        const struct load_kind *k = (const struct load_kind *)list[i].spec->kind.kind;
        int one = k->preflight ? k->preflight(list[i].spec, &why) : 0;
        if (one == 0)
            one = preflight_ports(list, s->loads.count, i, &l, &why);
        if (one < 0 && rc == 0)
            rc = error_set(err, one, "%s", why.text);
        if (one < 0 && print)
            printf("no  %s\n", why.text);
        else if (print)
            printf("ok  load %s: %s\n", list[i].spec->name, list[i].spec->kind.kind->name);
        if (list[i].needs.warning)
            fprintf(print ? stdout : stderr, "%sload %s %s\n", print ? "!!  " : "chaosd: warning: ", list[i].spec->name, list[i].needs.warning);
    }
    return rc;
}
