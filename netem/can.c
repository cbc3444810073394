/* SPDX-License-Identifier: Apache-2.0 */
/* What this kernel can do, by trying it in a namespace that is gone afterwards. */
#include "view.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

const char *const netem_can_names[] = {
    [NETEM_CAN_PROGRAM] = "classifier", [NETEM_CAN_CLSACT] = "clsact", [NETEM_CAN_FILTER] = "cls_bpf", [NETEM_CAN_DROP] = "drop",
    [NETEM_CAN_REDIRECT] = "mirred", [NETEM_CAN_IFB] = "ifb", [NETEM_CAN_NETEM] = "netem", [NETEM_CAN_DELAY] = "delay",
    [NETEM_CAN_DISTRIBUTION] = "distribution", [NETEM_CAN_LOSS] = "loss", [NETEM_CAN_LOSS_STATES] = "loss states",
    [NETEM_CAN_GILBERT_ELLIOTT] = "gilbert-elliott", [NETEM_CAN_ECN] = "ecn", [NETEM_CAN_DUPLICATE] = "duplicate", [NETEM_CAN_CORRUPT] = "corrupt",
    [NETEM_CAN_REORDER] = "reorder", [NETEM_CAN_RATE] = "rate", [NETEM_CAN_SLOT] = "slot", [NETEM_CAN_SEED] = "seed", [NETEM_CAN_COUNT] = NULL,
};

enum { IN_TRIAL = 1 };
#define TRIAL_NS INT64_C(60000000000)

static const struct netem_params trials[NETEM_CAN_COUNT] = {
    [NETEM_CAN_DELAY] = {.delay_ns = 20000001, .jitter_ns = 5000001, .delay_corr_ppm = 250000},
    [NETEM_CAN_DISTRIBUTION] = {.delay_ns = 20000000, .jitter_ns = 5000000, .dist = NETEM_PARETONORMAL},
    [NETEM_CAN_LOSS] = {.loss = NETEM_LOSS_RANDOM, .loss_ppm = 50000, .loss_corr_ppm = 10000},
    [NETEM_CAN_LOSS_STATES] = {.loss = NETEM_LOSS_STATES, .states_ppm = {10000, 500000, 100000, 200000, 1000}},
    [NETEM_CAN_GILBERT_ELLIOTT] = {.loss = NETEM_LOSS_GILBERT_ELLIOTT, .ge_ppm = {10000, 100000, 700000, 1000}},
    [NETEM_CAN_ECN] = {.loss = NETEM_LOSS_RANDOM, .loss_ppm = 50000, .ecn = true},
    [NETEM_CAN_DUPLICATE] = {.duplicate_ppm = 20000, .duplicate_corr_ppm = 10000},
    [NETEM_CAN_CORRUPT] = {.corrupt_ppm = 20000, .corrupt_corr_ppm = 10000},
    [NETEM_CAN_REORDER] = {.delay_ns = 20000000, .reorder_ppm = 250000, .reorder_corr_ppm = 100000, .gap = 5},
    [NETEM_CAN_RATE] = {.rate_bps = UINT64_C(6000000000), .packet_overhead = 4, .cell_size = 53, .cell_overhead = 5},
    [NETEM_CAN_SLOT] = {.slot = {.min_ns = 1000000, .max_ns = 2000000, .packets = 3, .bytes = 4000}},
    [NETEM_CAN_SEED] = {.loss = NETEM_LOSS_RANDOM, .loss_ppm = 50000, .seeded = true, .seed = 42},
};

static bool has_capability(int number) {
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[2] = {0};
    return syscall(SYS_capget, &h, d) == 0 && (d[number / 32].effective >> (number % 32) & 1);
}

/* A netlink socket in a namespace of its own, which lives as long as the socket. */
static int scratch(char *why) {
    netem_cleanup_close int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (own < 0)
        return netem_why_errno(why, "/proc/thread-self/ns/net");
    if (unshare(CLONE_NEWNET) < 0)
        return errno == EPERM ? netem_why(why, -EPERM, "no scratch namespace to try it in: it needs CAP_SYS_ADMIN") : netem_why_errno(why, "make a scratch namespace");
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), code = -errno;
    struct sockaddr_nl local = {.nl_family = AF_NETLINK};
    if (fd >= 0 && bind(fd, (struct sockaddr *)&local, sizeof local) < 0) {
        code = -errno;
        close(fd);
        fd = -1;
    }
    int rc = talk_return(own, why);
    if (rc < 0) {
        netem_close_fd(&fd);
        return rc;
    }
    return fd < 0 ? netem_why(why, code, "open a socket in the scratch namespace: %s", strerror(-code)) : fd;
}

static void cannot(struct netem_can *c, enum netem_ability a, const char *why) {
    c->can[a] = false;
    snprintf(c->why_not[a], NETEM_ERROR_SIZE, "%s", why);
}

/* rc of a try: whether it can, and what keeps it from it. */
static void note(struct netem_can *c, enum netem_ability a, int rc, const char *why) {
    c->can[a] = rc >= 0;
    if (rc < 0)
        cannot(c, a, why);
}

static int tell(struct talk *t, char *why) {
    int rc = talk_send(t, why);
    return rc < 0 ? rc : talk_outcome(t, why);
}

static void try_parts(struct netem_ns *ns, struct netem_can *c) {
    struct talk *t = &ns->talk;
    char why[NETEM_ERROR_SIZE] = "";
    talk_begin(t);
    talk_add(t, msg_clsact_new(IN_TRIAL), "attach clsact to", "lo");
    note(c, NETEM_CAN_CLSACT, tell(t, why), why);
    talk_begin(t);
    talk_add(t, msg_ifb_new("chaosd-trial"), "make", "an ifb");
    note(c, NETEM_CAN_IFB, tell(t, why), why);
}

static struct netem_fault trial(enum netem_act act, const struct netem_params *p) {
    return (struct netem_fault){.id = 1, .run = "trial", .dev = "lo", .act = act, .directions = NETEM_BOTH, .params = p,
                                .drop_ppm = NETEM_PPM, .for_ns = TRIAL_NS, .protocol = 6};
}

static int try_one(struct netem_ns *ns, enum netem_act act, const struct netem_params *p, char *why) {
    struct netem_fault f = trial(act, p);
    struct netem_effect e;
    struct netem_state s;
    int rc = netem_inject(ns, &f, &e, why);
    if (rc == 0)
        rc = netem_read(ns, "lo", 1, p, &s, why);
    if (rc == 0 && *s.broken)
        rc = netem_why(why, -EOPNOTSUPP, "%s", s.broken);
    if (rc == 0 && p && p->seeded && (!s.params.seeded || s.params.seed != p->seed))
        rc = netem_why(why, -EOPNOTSUPP, "this kernel's netem knows no seed (Linux 6.6 or newer)");
    netem_remove(ns, "lo", 1, 0, NULL);
    return rc;
}

static void try_all(struct netem_ns *ns, struct netem_can *c) {
    char why[NETEM_ERROR_SIZE] = "";
    try_parts(ns, c);
    int rc = try_one(ns, NETEM_DROP, NULL, why);
    note(c, NETEM_CAN_FILTER, rc, why);
    note(c, NETEM_CAN_DROP, rc, why);
    note(c, NETEM_CAN_REDIRECT, try_one(ns, NETEM_PASS, NULL, why), why);
    note(c, NETEM_CAN_NETEM, try_one(ns, NETEM_SHAPE, &trials[NETEM_CAN_LOSS], why), why);
    for (int i = NETEM_CAN_DELAY; i < NETEM_CAN_COUNT; i++)
        note(c, i, c->can[NETEM_CAN_NETEM] ? try_one(ns, NETEM_SHAPE, &trials[i], why) : -1, c->can[NETEM_CAN_NETEM] ? why : c->why_not[NETEM_CAN_NETEM]);
}

void netem_can(struct netem_can *ret) {
    char why[NETEM_ERROR_SIZE] = "";
    struct netem *n = NULL;
    struct netem_ns *ns = NULL;
    memset(ret, 0, sizeof *ret);
    int rc = has_capability(CAP_NET_ADMIN) ? 0 : netem_why(why, -EPERM, "it needs CAP_NET_ADMIN");
    if (rc == 0)
        rc = netem_open(1, &n, why);
    note(ret, NETEM_CAN_PROGRAM, rc, why);
    if (rc == 0)
        rc = scratch(why);
    if (rc >= 0)
        rc = netem_ns_open_socket(n, rc, &ns, why);
    if (rc == 0)
        try_all(ns, ret);
    for (int i = NETEM_CAN_CLSACT; rc < 0 && i < NETEM_CAN_COUNT; i++)
        cannot(ret, i, why);
    netem_ns_close(ns);
    netem_close(n);
}
