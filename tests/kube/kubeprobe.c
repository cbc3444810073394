/* SPDX-License-Identifier: Apache-2.0 */
/* chaosd's Kubernetes client by command, for tests: each answer and event is a line of JSON on stdout.
 *   kubeprobe [--kubeconfig FILE] [--context NAME] [--account-dir DIR] [--plugin-limit S] COMMAND
 *   config | discover | get RESOURCE NS NAME | delete RESOURCE NS NAME [uid=U] [grace=S] | evict VERSION NS NAME [uid=U]
 *   patch merge|strategic|json RESOURCE NS NAME PATCH | may VERB GROUP RESOURCE [NS]
 *   watch RESOURCE [ns=N] [labels=L] [fields=F] [page=N] [idle=S] [keep=ANNOTATION] [quiet=1] [for=S]   also: until=synced, memory=1
 *   latency NS PREFIX COUNT     deletes PREFIX0 .. one after the other, and tells the median and the worst */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "kube/discovery.h"
#include "kube/watch.h"

#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

struct probe {
    struct loop *loop;
    struct http *http;
    struct kube_config *config;
    struct kube *kube;
    int status; /* of the program */
    /* watch */
    struct kube_watch *watch;
    struct timer *ends;
    bool quiet, until_synced, memory;
    unsigned counts[6];
    int64_t began_ns;
    /* latency */
    const char *namespace, *prefix;
    int64_t *took_ns;
    size_t count, at;
};

static struct probe p;

static void print(json_t *o) {
    json_dumpf(o, stdout, JSON_COMPACT);
    printf("\n");
    fflush(stdout);
    json_decref(o);
}

static const char *option(char **args, const char *name) {
    size_t n = strlen(name);
    for (; *args; args++)
        if (strncmp(*args, name, n) == 0 && (*args)[n] == '=')
            return *args + n + 1;
    return NULL;
}

static const struct kube_kind *kind_of(const char *resource) {
    const struct kube_kind *k = kube_kind_find(resource);
    if (!k) {
        fprintf(stderr, "kubeprobe: unknown resource %s\n", resource);
        exit(64);
    }
    return k;
}

static void finish(int status) {
    p.status = status;
    loop_stop(p.loop);
}

static void on_answer(const struct kube_answer *a, void *arg) {
    (void)arg;
    print(json_pack("{s:s, s:s, s:i, s:b, s:i, s:f, s:O*}", "trouble", kube_trouble_name(a->trouble), "why", a->why, "status", a->status,
                    "unknown", a->unknown, "tries", (int)a->tries, "ms", (double)(a->seen_ns - a->asked_ns) / 1e6, "json", a->json));
    finish(a->trouble == KUBE_OK ? 0 : 1);
}

static void on_discovered(const struct kube_api *api, enum kube_trouble trouble, const char *why, void *arg) {
    (void)arg;
    json_t *o = json_pack("{s:s, s:s}", "trouble", kube_trouble_name(trouble), "why", why);
    for (size_t i = 0; api && i < KUBE_KIND_COUNT; i++)
        json_object_set_new(o, kube_kinds[i].resource, json_string_or_null(api->versions[i]));
    if (api)
        json_object_set_new(o, "version", json_pack("{s:s, s:i}", "text", api->version, "minor", api->minor));
    print(o);
    finish(api ? 0 : 1);
}

/* --- watch --- */

static long smaps_kb(const char *field) {
    cleanup_fclose FILE *f = fopen("/proc/self/smaps_rollup", "re");
    char line[256];
    long sum = 0;
    size_t n = strlen(field);
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, field, n) == 0 && line[n] == ':')
            sum += atol(line + n + 1);
    return sum;
}

static void print_memory(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    long private_kb = smaps_kb("Private_Dirty") + smaps_kb("Private_Clean");
    malloc_trim(0);
    print(json_pack("{s:s, s:i, s:i, s:i, s:i, s:f, s:f, s:f}", "what", "MEMORY", "objects",
                    (int)kube_store_count(kube_watch_store(p.watch)), "private_kb", (int)private_kb, "trimmed_kb",
                    (int)(smaps_kb("Private_Dirty") + smaps_kb("Private_Clean")), "peak_kb", (int)u.ru_maxrss, "user_s",
                    (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6, "system_s",
                    (double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec / 1e6, "wall_s", (double)(loop_now() - p.began_ns) / 1e9));
}

static json_t *view_json(const struct kube_object *o) {
    struct kube_view v;
    if (!o)
        return NULL;
    kube_object_view(o, &v);
    json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:i, s:i, s:i}", "namespace", v.namespace, "name", v.name, "uid", v.uid,
                          "version", v.version, "labels", kube_pairs_json(v.labels), "annotations", kube_pairs_json(v.annotations),
                          "created_s", (int)v.created_s, "deleting_s", (int)v.deleting_s, "grace_s", (int)v.grace_s);
    if (v.owner)
        json_object_set_new(
            j, "owner",
            json_pack("{s:s, s:s, s:s, s:s}", "kind", v.owner->kind, "name", v.owner->name, "uid", v.owner->uid, "group", v.owner->group));
    if (*v.body) {
        json_object_set_new(j, "body", json_loads(v.body, 0, NULL));
        return j;
    }
    json_t *pod = json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:[]}", "phase", kube_phase_names[v.phase], "node", v.node, "ip", v.ip,
                            "reason", v.reason, "ready", v.ready, "scheduled", v.scheduled, "mirror", v.mirror, "containers");
    for (size_t i = 0; i < v.container_count; i++) {
        static const char *const states[] = {"waiting", "running", "terminated"};
        struct kube_container c = kube_object_container(o, i);
        json_array_append_new(json_object_get(pod, "containers"),
                              json_pack("{s:s, s:s, s:s, s:s, s:b, s:i, s:i}", "name", c.name, "id", c.id, "state", states[c.state],
                                        "reason", c.reason, "ready", c.ready, "restarts", (int)c.restarts, "exit_code", c.exit_code));
    }
    json_object_update_missing(j, pod);
    json_decref(pod);
    return j;
}

static void on_event(const struct kube_event *e, void *arg) {
    (void)arg;
    p.counts[e->what]++;
    bool object = e->what <= KUBE_DELETED;
    if (!object || !p.quiet) {
        json_t *j = json_pack("{s:s, s:f, s:b}", "what", kube_news_names[e->what], "at", (double)(e->seen_ns - p.began_ns) / 1e9, "listed",
                              e->listed);
        if (e->what == KUBE_TROUBLED)
            json_object_update_new(
                j, json_pack("{s:s, s:s, s:i}", "trouble", kube_trouble_name(e->trouble), "why", e->why, "failures", (int)e->failures));
        if (e->what == KUBE_GAP)
            json_object_update_new(j, json_pack("{s:f, s:b}", "gap_s", (double)(e->to_ns - e->from_ns) / 1e9, "relisted", e->relisted));
        if (object)
            json_object_update_new(j, json_pack("{s:o*, s:o*}", "object", view_json(e->object), "before", view_json(e->before)));
        if (e->what == KUBE_SYNCED)
            json_object_set_new(j, "objects", json_integer((json_int_t)kube_store_count(kube_watch_store(p.watch))));
        print(j);
    }
    if (e->what == KUBE_SYNCED && p.memory)
        print_memory();
    if (e->what == KUBE_SYNCED && p.until_synced)
        finish(0);
}

static void on_ends(void *arg) {
    (void)arg;
    json_t *j = json_pack("{s:s}", "what", "END");
    for (size_t i = 0; i < ARRAY_SIZE(p.counts); i++)
        json_object_set_new(j, kube_news_names[i], json_integer(p.counts[i]));
    json_object_set_new(j, "objects", json_integer((json_int_t)kube_store_count(kube_watch_store(p.watch))));
    print(j);
    if (p.memory)
        print_memory();
    finish(0);
}

static int start_watch(char **args, struct error *err) {
    const char *keep[] = {option(args, "keep"), NULL}, *page = option(args, "page"), *idle = option(args, "idle"),
               *ends = option(args, "for"), *until = option(args, "until");
    const struct kube_watch_spec s = {
        .kind = kind_of(args[0]),
        .version = option(args, "version"),
        .namespace = option(args, "ns"),
        .label_selector = option(args, "labels"),
        .field_selector = option(args, "fields"),
        .annotations = keep,
        .page = page ? (unsigned)atoi(page) : 0,
        .idle_ns = idle ? (int64_t)(atof(idle) * 1e9) : 0,
        .told = on_event,
    };
    p.quiet = option(args, "quiet") != NULL;
    p.until_synced = until != NULL;
    p.memory = option(args, "memory") != NULL;
    int rc = timer_new(p.loop, on_ends, NULL, &p.ends, err);
    if (rc == 0 && ends)
        timer_after(p.ends, (int64_t)(atof(ends) * 1e9));
    return rc < 0 ? rc : kube_watch_start(p.kube, &s, &p.watch, err);
}

/* --- latency --- */

static int by_size(const void *a, const void *b) {
    return (*(const int64_t *)a > *(const int64_t *)b) - (*(const int64_t *)a < *(const int64_t *)b);
}

static int delete_next(struct error *err);

static void on_deleted(const struct kube_answer *a, void *arg) {
    (void)arg;
    struct error err = {{0}};
    if (a->trouble != KUBE_OK) {
        on_answer(a, NULL);
        return;
    }
    p.took_ns[p.at] = loop_now() - p.took_ns[p.at];
    if (++p.at < p.count) {
        if (delete_next(&err) < 0)
            finish(70);
        return;
    }
    qsort(p.took_ns, p.count, sizeof p.took_ns[0], by_size);
    print(json_pack("{s:i, s:f, s:f}", "deletes", (int)p.count, "median_ms", (double)p.took_ns[p.count / 2] / 1e6, "worst_ms",
                    (double)p.took_ns[p.count - 1] / 1e6));
    finish(0);
}

static int delete_next(struct error *err) {
    char name[256];
    snprintf(name, sizeof name, "%s%zu", p.prefix, p.at);
    p.took_ns[p.at] = loop_now();
    return kube_delete(p.kube, &kube_kinds[KUBE_PODS], p.namespace, name, &(struct kube_deletion){.grace_s = 0}, on_deleted, NULL, NULL,
                       err);
}

static int start_latency(char **args, struct error *err) {
    p.namespace = args[0];
    p.prefix = args[1];
    p.count = (size_t)atoi(args[2]);
    p.took_ns = calloc(p.count + 1, sizeof *p.took_ns);
    return p.took_ns ? delete_next(err) : -1;
}

/* --- the rest --- */

static int start_delete(char **args, struct error *err) {
    const char *grace = option(args, "grace");
    const struct kube_deletion d = {.uid = option(args, "uid"), .grace_s = grace ? atoll(grace) : -1};
    return kube_delete(p.kube, kind_of(args[0]), args[1], args[2], &d, on_answer, NULL, NULL, err);
}

static int start_evict(char **args, struct error *err) {
    const struct kube_deletion d = {.uid = option(args, "uid"), .grace_s = -1};
    return kube_evict(p.kube, args[0], args[1], args[2], &d, on_answer, NULL, NULL, err);
}

static int start_patch(char **args, struct error *err) {
    enum kube_patch_type type = args[0][0] == 'm' ? KUBE_PATCH_MERGE : args[0][0] == 's' ? KUBE_PATCH_STRATEGIC : KUBE_PATCH_JSON;
    cleanup_json json_t *patch = json_loads(args[4], 0, NULL);
    return kube_patch(p.kube, kind_of(args[1]), args[2], args[3], NULL, type, patch, false, on_answer, NULL, NULL, err);
}

static int start_get(char **args, struct error *err) {
    const struct kube_request r = {.verb = "get",
                                   .kind = kind_of(args[0]),
                                   .namespace = args[1],
                                   .name = args[2],
                                   .limit_ns = option(args, "limit") ? (int64_t)(atof(option(args, "limit")) * 1e9) : 0,
                                   .try_ns = option(args, "try") ? (int64_t)(atof(option(args, "try")) * 1e9) : 0,
                                   .done = on_answer};
    return kube_start(p.kube, &r, NULL, err);
}

static int start_may(char **args, struct error *err) {
    const struct kube_where w = {.verb = args[0], .group = args[1], .resource = args[2], .namespace = args[3]};
    return kube_review(p.kube, &w, on_answer, NULL, NULL, err);
}

static int start_discover(char **args, struct error *err) {
    (void)args;
    return kube_discover(p.kube, on_discovered, NULL, NULL, err);
}

static int show_config(char **args, struct error *err) {
    (void)args;
    (void)err;
    const struct kube_config *c = p.config;
    print(json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:b, s:s?}", "origin", c->origin, "context", c->context, "namespace",
                    c->namespace, "server", c->server, "ca", c->ca_pem != NULL, "insecure", c->insecure, "certificate",
                    c->user.cert_pem != NULL, "token", c->user.token != NULL, "exec", c->user.exec != NULL, "proxy", c->proxy));
    exit(0);
}

static const struct {
    const char *name;
    int (*start)(char **args, struct error *err);
    int least;
} commands[] = {
    {"config", show_config, 0},  {"discover", start_discover, 0}, {"get", start_get, 3},
    {"delete", start_delete, 3}, {"evict", start_evict, 3},       {"patch", start_patch, 5},
    {"may", start_may, 3},       {"watch", start_watch, 1},       {"latency", start_latency, 3},
};

static int start(int argc, char **argv, int64_t plugin_limit_ns, struct error *err) {
    for (size_t i = 0; argc > 0 && i < ARRAY_SIZE(commands); i++)
        if (strcmp(commands[i].name, argv[0]) == 0 && argc > commands[i].least) {
            const struct kube_spec s = {.loop = p.loop, .http = p.http, .config = p.config, .plugin_limit_ns = plugin_limit_ns, .seed = 7};
            int rc = kube_new(&s, &p.kube, err);
            return rc < 0 ? rc : commands[i].start(argv + 1, err);
        }
    fprintf(stderr, "kubeprobe: unknown command, or too few arguments\n");
    exit(64);
}

int main(int argc, char **argv) {
    struct error err = {{0}};
    struct kube_config_spec spec = {0};
    int64_t plugin_limit_ns = 0;
    int i = 1;
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        if (strcmp(argv[i], "--kubeconfig") == 0)
            spec.path = argv[i + 1];
        else if (strcmp(argv[i], "--context") == 0)
            spec.context = argv[i + 1];
        else if (strcmp(argv[i], "--account-dir") == 0)
            spec.account_dir = argv[i + 1];
        else if (strcmp(argv[i], "--plugin-limit") == 0)
            plugin_limit_ns = (int64_t)(atof(argv[i + 1]) * 1e9);
    }
    signal(SIGPIPE, SIG_IGN);
    p.began_ns = loop_now();
    int rc = loop_new(&p.loop, &err);
    if (rc == 0 && (rc = http_new(p.loop, 16, &p.http, &err)) == 0 && (rc = kube_config_load(&spec, &p.config, &err)) == 0)
        rc = start(argc - i, argv + i, plugin_limit_ns, &err);
    if (rc < 0) {
        fprintf(stderr, "kubeprobe: %s\n", err.text);
        p.status = 64;
    } else {
        loop_run(p.loop);
    }
    kube_watch_free(p.watch);
    timer_free(p.ends);
    kube_free(p.kube);
    http_free(p.http);
    kube_config_free(p.config);
    loop_free(p.loop);
    free(p.took_ns);
    return p.status;
}
