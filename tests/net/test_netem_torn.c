/* SPDX-License-Identifier: Apache-2.0 */
/* The nth answer of the kernel is torn: lost (ENOBUFS), cut short, in the middle of a message or between two, or marked as interrupted.
 * What was asked then works all the same, or is an error with a sentence; "nothing there" is never concluded from it, and a later look finds
 * all that was done. The answers are the kernel's own: recvmsg of the netlink library goes through here. */
#include "netem_util.h"

#include <linux/netlink.h>
#include <sys/syscall.h>

enum tear { WHOLE, LOST, CUT, HALF, NO_END, INTERRUPTED, TEARS };
static const char *const names[] = {"whole", "lost", "cut short", "cut in half", "without an end", "interrupted"};
static struct { enum tear how; int at, count; bool always; } torn;

static void mark_interrupted(struct nlmsghdr *h, ssize_t left) {
    for (unsigned n = (unsigned)left; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n))
        if (h->nlmsg_flags & NLM_F_MULTI)
            h->nlmsg_flags |= NLM_F_DUMP_INTR;
}

static ssize_t without_end(struct nlmsghdr *first, ssize_t len) {
    struct nlmsghdr *h = first;
    for (unsigned n = (unsigned)len; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n))
        if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
            return (char *)h - (char *)first;
    return len;
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags) {
    int protocol = -1;
    socklen_t size = sizeof protocol;
    ssize_t n = syscall(SYS_recvmsg, fd, m, flags);
    if (torn.how == WHOLE || n <= 0 || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &protocol, &size) < 0 || protocol != AF_NETLINK || (++torn.count != torn.at && !torn.always))
        return n;
    switch (torn.how) {
    case LOST: errno = ENOBUFS; return -1;
    case CUT: m->msg_flags |= MSG_TRUNC; return n;
    case HALF: return n / 2;
    case NO_END: n = without_end(m->msg_iov[0].iov_base, n); errno = EAGAIN; return n ? n : -1;
    case INTERRUPTED: mark_interrupted(m->msg_iov[0].iov_base, n); return n;
    default: return n;
    }
}

static struct netem_fault both_ways(enum netem_act act) {
    struct netem_fault f = fault_on_a0(5, act);
    f.directions = NETEM_BOTH;
    return f;
}

static int put_in(void) {
    struct netem_fault f = both_ways(NETEM_PASS);
    struct netem_effect e;
    return netem_inject(wire.ns, &f, &e, why);
}
static int change(void) {
    struct netem_fault f = both_ways(NETEM_DROP);
    struct netem_effect e;
    return netem_inject(wire.ns, &f, &e, why);
}
static int prolong(void) { return netem_extend(wire.ns, "a0", 5, netem_now() + 500000 * MS, why); }
static int take_out(void) { return netem_remove(wire.ns, "a0", 5, 0, why); }
static int sweep(void) { return netem_sweep(wire.ns, NULL, 0, why); }
static int list(void) {
    struct netem_state *all = NULL;
    int n = netem_list(wire.ns, NULL, &all, why);
    free(all);
    if (n == 0)
        fail_msg("the fault that stands there was not found");
    return n;
}
static int look(void) {
    struct netem_state s;
    int rc = netem_read(wire.ns, "a0", 5, NULL, &s, why);
    if (rc == -ENOENT || (rc == 0 && !s.known))
        fail_msg("the fault that stands there was not found: %s", why);
    return rc;
}

static const struct call { const char *name; int (*fn)(void); bool on_one; } calls[] = {
    {"inject", put_in, false}, {"change", change, true}, {"extend", prolong, true}, {"read", look, true},
    {"list", list, true}, {"remove", take_out, true}, {"sweep", sweep, true},
};

/* 1: this answer does not exist any more. */
static int one(const struct call *c, enum tear how, int at, const char *clean) {
    if (c->on_one)
        DID(put_in());
    *why = 0;
    torn = (typeof(torn)){.how = how, .at = at};
    int rc = c->fn(), answers = torn.count;
    torn.how = WHOLE;
    if (rc < 0 && !*why)
        fail_msg("%s, answer %d %s: %d without a sentence", c->name, at, names[how], rc);
    DID(sweep());
    cleanup_free char *after = scene();
    if (strcmp(clean, after) != 0)
        fail_msg("%s, answer %d %s (%d: %s): a sweep left\n%s", c->name, at, names[how], rc, why, after);
    return answers < at;
}

static void the_nth_answer_is_torn(void **state) {
    (void)state;
    NEED_ROOT();
    cleanup_free char *clean = scene();
    int cases = 0;
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
        for (enum tear how = LOST; how < TEARS; how++)
            for (int at = 1; !one(&calls[i], how, at, clean); at++)
                cases++;
    print_message("# %d answers were torn\n", cases);
    assert_true(cases > 100);
}

/* A dump that is interrupted each time is unknown. */
static void never_whole_is_unknown(void **state) {
    (void)state;
    NEED_ROOT();
    struct netem_state *all = NULL;
    DID(put_in());
    torn = (typeof(torn)){.how = INTERRUPTED, .always = true};
    int rc = netem_list(wire.ns, NULL, &all, why);
    torn.how = WHOLE;
    assert_int_equal(rc, -EAGAIN);
    assert_non_null(strstr(why, "unknown"));
    assert_null(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_nth_answer_is_torn, sweep_up),
        cmocka_unit_test_teardown(never_whole_is_unknown, sweep_up),
    };
    return cmocka_run_group_tests(tests, wire_up, wire_down);
}
