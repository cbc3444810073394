/* SPDX-License-Identifier: Apache-2.0 */
/* chaosd inject: one network fault on one interface of this machine, by hand. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/units.h"
#include "inject.h"
#include "progress.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define AT(member) offsetof(struct inject_options, member)
static const struct option_row rows[] = {
    {"netns", 0, OPT_STRING, AT(netns), "NAME", "The network namespace, as `ip netns list` shows it, or a path."},
    {"pid", 0, OPT_STRING, AT(pid), "PID", "The network namespace of this process: of a container, say."},
    {"dev", 0, OPT_STRING, AT(dev), "NAME", "The interface (in a namespace with only one but lo: that one)."},
    {"for", 0, OPT_STRING, AT(for_), "TIME", "How long, as in 30s; the kernel itself ends it then."},
    {"to", 0, OPT_STRINGS, AT(to), "PEER", "Only packets of this far end: address, CIDR or name; more than once. Without: all."},
    {"except", 0, OPT_STRINGS, AT(except), "CIDR", "Not these; the longest prefix decides."},
    {"direction", 0, OPT_STRING, AT(direction), "WAY", "to (packets going out, the default), from, or both."},
    {"port", 0, OPT_STRINGS, AT(ports), "PORT", "Only this port or range of our own end, as 2379 or 2379-2380."},
    {"target-port", 0, OPT_STRINGS, AT(peer_ports), "PORT", "Only this port or range of the far end."},
    {"protocol", 0, OPT_STRING, AT(protocol), "NAME", "Only any, tcp, udp, icmp, icmpv6 or sctp."},
    {"latency", 0, OPT_STRING, AT(latency), "TIME", "Packets come so much later."},
    {"jitter", 0, OPT_STRING, AT(jitter), "TIME", "By how much the latency varies."},
    {"distribution", 0, OPT_STRING, AT(distribution), "NAME", "Of the jitter: uniform, normal, pareto or paretonormal."},
    {"loss", 0, OPT_STRING, AT(loss), "SHARE", "So many packets are lost, as in 5%."},
    {"duplicate", 0, OPT_STRING, AT(duplicate), "SHARE", "So many packets come twice."},
    {"corrupt", 0, OPT_STRING, AT(corrupt), "SHARE", "A bit of so many packets is flipped."},
    {"reorder", 0, OPT_STRING, AT(reorder), "SHARE", "So many packets are not delayed, and overtake the others; needs latency."},
    {"gap", 0, OPT_STRING, AT(gap), "N", "Only each N-th packet may overtake."},
    {"rate", 0, OPT_STRING, AT(rate), "RATE", "The link is only so fast, as in 10mbit."},
    {"correlation", 0, OPT_STRING, AT(correlation), "SHARE", "How much a draw of the kind depends on the one before."},
    {"limit", 0, OPT_STRING, AT(limit), "N", "Packets that are held at most."},
    {"seed", 0, OPT_STRING, AT(seed), "N", "Seed of netem's own draws, where the kernel knows it."},
    {"set", 0, OPT_STRINGS, AT(set), "KEY=VALUE", "Any other field of the kind, as in loss.gilbertElliott.p=1%."},
    {"name", 0, OPT_STRING, AT(name), "NAME", "Its name (default: the kind). The same again on the interface changes the fault."},
    {"wait", 0, OPT_FLAG, AT(wait), NULL, "Waits for its end and says what it did; Ctrl-C ends it at once. No packet met: exit 2."},
    {"prove", 0, OPT_FLAG, AT(prove), NULL, "Waits until a packet met it, 5s at most: else exit 2."},
    {"yes", 'y', OPT_FLAG, AT(yes), NULL, "Also where this machine's default route leads through the interface."},
    {"json", 0, OPT_FLAG, AT(json), NULL, "For programs: one JSON object a line."},
    {"list", 'l', OPT_FLAG, AT(list), NULL, "Says what stands where on this machine, and how long still."},
    {0},
};

static bool asked_wrongly(int rc) { return rc == -EINVAL || rc == -ENODEV || rc == -ENOENT; }

static int say(int rc, const struct error *err) { return fail(asked_wrongly(rc) ? EXIT_USAGE : rc == -ENOMEM ? EXIT_INTERNAL : EXIT_FAIL, err); }

/* --- what it is and what it did, in words or JSON --- */

static void clock_text(int64_t wall_ns, bool whole, char *out, size_t size) {
    time_t t = (time_t)(wall_ns / NS_PER_S);
    struct tm tm;
    gmtime_r(&t, &tm);
    whole ? strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm) : strftime(out, size, "%H:%M:%S UTC", &tm);
}

static void tell_begun(const struct inject *j, bool wait, bool json) {
    char until[40], lasts[32], does[120];
    const int64_t left = j->effect.until_ns - netem_now(), end = clock_wall_ns() + left;
    j->kind->describe(j->rows, does, sizeof does);
    clock_text(end, json, until, sizeof until);
    format_duration(j->for_ns, lasts, sizeof lasts);
    if (json) {
        cleanup_json json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:f,s:i,s:b}", "event", j->effect.changed ? "changed" : "in-effect", "kind",
                                           j->kind->row.name, "run", j->run, "netns", j->ns.path, "where", j->ns.said, "device", j->dev, "does", does, "until", until,
                                           "for_ms", (double)j->for_ns / 1e6, "filters_before", (int)j->effect.before, "clsact_attached", j->effect.attached);
        json_dumpf(o, stdout, JSON_COMPACT);
        putchar('\n');
    } else {
        printf("%s %s: %s, until %s (%s); ends early by: %s%s\n", j->what, j->effect.changed ? "changed" : "in effect", does, until, lasts,
               wait ? "Ctrl-C" : "chaosd revert ", wait ? "" : j->run);
        if (j->effect.before)
            printf("note: %u filter%s of others stand%s before it and may keep packets from it\n", j->effect.before, j->effect.before == 1 ? "" : "s",
                   j->effect.before == 1 ? "s" : "");
    }
    fflush(stdout);
}

static void tell_end(const struct inject *j, const char *event, const struct netem_state *s, bool json) {
    const uint64_t packets = s->out.packets + s->in.packets, bytes = s->out.bytes + s->in.bytes;
    const uint64_t dropped = s->act == NETEM_DROP ? packets : s->queue_dropped;
    if (json) {
        cleanup_json json_t *o = json_pack("{s:s,s:s,s:I,s:I,s:I}", "event", event, "run", j->run, "packets", (json_int_t)packets, "bytes", (json_int_t)bytes,
                                           "dropped", (json_int_t)dropped);
        json_dumpf(o, stdout, JSON_COMPACT);
        putchar('\n');
    } else {
        printf("%s %s: it met %" PRIu64 " packet%s (%" PRIu64 " bytes), %" PRIu64 " of them dropped\n", j->what, event, packets, packets == 1 ? "" : "s", bytes, dropped);
    }
    fflush(stdout);
}

static int no_packet(const struct inject *j) {
    struct error err;
    error_set(&err, 0, "%s: no packet matched; look at --dev, --direction, --to and the ports", j->what);
    return fail(EXIT_INCONCLUSIVE, &err);
}

static bool met(const struct netem_state *s) { return s->out.packets + s->in.packets > 0; }

/* --- the two ways to go on --- */

static int prove(struct inject *j, bool json) {
    struct netem_state last = {0};
    struct error err;
    int rc = inject_hold(j, true, &last, &err);
    inject_leave(j); /* also when interrupted: it was to stay */
    if (rc < 0)
        return say(-EIO, &err);
    if (met(&last))
        tell_end(j, "proven", &last, json);
    if (rc == INJECT_INTERRUPTED && !met(&last)) {
        error_set(&err, 0, "%s is in effect until its deadline, and not proven; chaosd revert %s ends it", j->what, j->run);
        return fail(EXIT_ABORTED, &err);
    }
    return met(&last) ? EXIT_PASS : no_packet(j);
}

static int wait_for_end(struct inject *j, bool json) {
    struct netem_state last = {0};
    struct error err, also;
    int rc = inject_hold(j, false, &last, &err), ended = inject_end(j, &also);
    if (rc < 0)
        return say(-EIO, &err);
    if (ended < 0)
        return say(-EIO, &also);
    if (json || rc == INJECT_INTERRUPTED || met(&last))
        tell_end(j, rc == INJECT_INTERRUPTED ? "ended early" : "over", &last, json);
    if (rc == INJECT_INTERRUPTED)
        return EXIT_ABORTED;
    return met(&last) ? EXIT_PASS : no_packet(j);
}

static int go(struct inject *j, const struct inject_options *o) {
    struct error err;
    int rc = inject_begin(j, o->name, &err);
    if (rc < 0)
        return say(rc, &err);
    tell_begun(j, o->wait, o->json);
    if (o->wait)
        return wait_for_end(j, o->json);
    if (o->prove)
        return prove(j, o->json);
    inject_leave(j);
    return EXIT_PASS;
}

static int read_time(const char *text, int64_t *ret, struct error *err) {
    if (!text)
        return error_set(err, -EINVAL, "--for is missing: how long, as in --for 30s");
    int rc = parse_duration(text, ret, err);
    if (rc < 0)
        return error_wrap(err, rc, "--for");
    return *ret > 0 ? 0 : error_set(err, -EINVAL, "--for: more than nothing is wanted, as in --for 30s");
}

static int main_inject(int argc, char **argv) {
    struct inject_options o = {0};
    struct error err;
    int first, code = options_parse(&command_inject, argc, argv, &o, &first);
    if (code)
        return code - 1;
    if (o.list) {
        int rc = inject_list(o.json, &err);
        return rc < 0 ? say(rc, &err) : EXIT_PASS;
    }
    if (first == argc) {
        error_set(&err, 0, "inject wants a fault's kind, as in: chaosd inject net-loss --netns web1 --loss 5%% --for 30s (chaosd inject --help tells more)");
        return fail(EXIT_USAGE, &err);
    }
    struct arena *arena = arena_new();
    struct inject j = {0};
    int rc = arena ? inject_kind(argv[first], &j.kind, &err) : error_set(&err, -ENOMEM, "out of memory");
    if (rc == 0 && (rc = inject_rows(rows, &o, j.kind, arena, &j.rows, &err)) == 0 && (rc = read_time(o.for_, &j.for_ns, &err)) == 0)
        rc = inject_place(&o, &j.ns, j.dev, &err);
    code = rc < 0 ? say(rc, &err) : go(&j, &o);
    arena_free(arena);
    return code;
}

const struct command command_inject = {
    .name = "inject", .args = "KIND", .min_args = 0, .max_args = 1, .options = rows, .run = main_inject,
    .doc = "Puts one network fault on an interface of this machine, for a while.",
    .more = "KIND is any of the net-... kinds of scenarios (docs/SCENARIOS.md), with the same fields and limits.\n"
            "It returns once the fault is in effect; the kernel ends it on time, also when nobody is left, and a reaper then\n"
            "takes away what stands about. Example: chaosd inject net-delay --netns web1 --to 10.0.0.0/8 --latency 100ms --jitter 20ms --for 30s",
};
