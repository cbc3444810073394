/* SPDX-License-Identifier: Apache-2.0 */
#include "talk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netlink/netlink.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECEIVE_ROOM = 4 << 20, DUMP_TRIES = 8 };

static bool lost; /* this process could not return to its own namespace: sockets would be opened in the wrong one */

static int enter(int ns_fd, char *why) {
    if (lost)
        return netem_why(why, -ENOTRECOVERABLE, "this process could not return to its own network namespace");
    if (ns_fd >= 0 && setns(ns_fd, CLONE_NEWNET) < 0) {
        int code = -errno;
        return netem_why(why, code, "enter the network namespace: %s%s", strerror(-code), code == -EPERM ? " (it needs CAP_SYS_ADMIN)" : "");
    }
    return 0;
}

int talk_return(int own_fd, char *why) {
    if (setns(own_fd, CLONE_NEWNET) == 0)
        return 0;
    lost = true;
    return enter(-1, why);
}

static int settle(struct talk *t, int rc, char *why) {
    const int on = 1, room = RECEIVE_ROOM;
    if (rc < 0) {
        talk_close(t);
        return netem_why(why, -EPROTO, "netlink socket: %s", nl_geterror(rc));
    }
    int fd = nl_socket_get_fd(t->sk);
    nl_socket_set_nonblocking(t->sk);
    nl_socket_disable_msg_peek(t->sk);
    nl_socket_set_msg_buf_size(t->sk, TALK_BUFFER);
    /* Each may be missing in an old kernel: texts are poorer then, and room smaller. */
    setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    return 0;
}

int talk_open(int ns_fd, struct talk *t, char *why) {
    memset(t, 0, sizeof *t);
    netem_cleanup_close int own = ns_fd >= 0 ? open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC) : -1;
    if (ns_fd >= 0 && own < 0)
        return netem_why_errno(why, "/proc/thread-self/ns/net");
    if (!(t->sk = nl_socket_alloc()))
        return netem_why(why, -ENOMEM, "out of memory");
    int rc = enter(ns_fd, why);
    if (rc < 0) {
        talk_close(t);
        return rc;
    }
    rc = nl_connect(t->sk, NETLINK_ROUTE);
    int back = ns_fd >= 0 ? talk_return(own, why) : 0;
    if (back < 0) {
        talk_close(t);
        return back;
    }
    return settle(t, rc, why);
}

int talk_open_socket(int fd, struct talk *t, char *why) {
    memset(t, 0, sizeof *t);
    t->sk = nl_socket_alloc();
    if (!t->sk) {
        close(fd);
        return netem_why(why, -ENOMEM, "out of memory");
    }
    int rc = nl_socket_set_fd(t->sk, NETLINK_ROUTE, fd);
    if (rc < 0)
        close(fd);
    return settle(t, rc, why);
}

void talk_close(struct talk *t) {
    talk_begin(t);
    nl_socket_free(t->sk);
    free(t->out);
    memset(t, 0, sizeof *t);
}

void talk_begin(struct talk *t) {
    for (unsigned i = 0; i < t->count; i++)
        free(t->answers[i].reply);
    memset(t->answers, 0, sizeof t->answers);
    t->count = 0;
    t->out_len = 0;
    t->failed = false;
}

static bool room_for(struct talk *t, size_t more) {
    if (t->out_room - t->out_len >= more)
        return true;
    size_t room = (t->out_len + more) * 2;
    unsigned char *p = realloc(t->out, room);
    if (!p)
        return false;
    t->out = p;
    t->out_room = room;
    return true;
}

unsigned talk_add(struct talk *t, struct nl_msg *m, const char *what, const char *subject) {
    if (t->count == TALK_MOST)
        abort();
    unsigned at = t->count++;
    t->answers[at].what = what;
    t->answers[at].subject = subject;
    t->answers[at].rc = -EINPROGRESS;
    if (!m || !room_for(t, NLMSG_ALIGN(nlmsg_hdr(m)->nlmsg_len))) {
        t->failed = true;
        nlmsg_free(m);
        return at;
    }
    struct nlmsghdr *h = nlmsg_hdr(m);
    h->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    size_t len = NLMSG_ALIGN(h->nlmsg_len);
    memset(t->out + t->out_len, 0, len);
    memcpy(t->out + t->out_len, h, h->nlmsg_len);
    t->out_len += len;
    nlmsg_free(m);
    return at;
}

/* The extended acknowledgement's text stands behind the error; the header may be cut off the request it echoes, or not. */
static void take_error(const struct nlmsghdr *h, struct talk_answer *a) {
    if (h->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr)))
        return;
    const struct nlmsgerr *e = NLMSG_DATA(h);
    size_t at = sizeof *e;
    a->rc = e->error;
    if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
        return;
    if (!(h->nlmsg_flags & NLM_F_CAPPED) && e->msg.nlmsg_len >= sizeof e->msg)
        at += NLMSG_ALIGN(e->msg.nlmsg_len - sizeof e->msg);
    size_t len = h->nlmsg_len - NLMSG_HDRLEN;
    if (at >= len)
        return;
    struct nlattr *text = nla_find((const struct nlattr *)(const void *)((const char *)e + at), (int)(len - at), NLMSGERR_ATTR_MSG);
    if (text)
        nla_strlcpy(a->text, text, sizeof a->text);
}

/* One datagram, to be freed; its length, or -errno. */
static int receive(struct talk *t, unsigned char **ret, char *why) {
    struct sockaddr_nl from;
    errno = 0;
    int n = nl_recv(t->sk, &from, ret, NULL);
    if (n > 0)
        return n;
    int code = errno ? -errno : -EPROTO;
    if (code == -ENOBUFS)
        return netem_why(why, code, "the kernel's answers did not fit the socket's buffer: what became of the request is unknown");
    return netem_why(why, code, "no whole answer from the kernel (%s): what became of the request is unknown", n < 0 ? strerror(-code) : "nothing came");
}

/* What is left of a datagram behind its last whole message. */
static int cut_short(int left, char *why) {
    return left > 0 ? netem_why(why, -EPROTO, "an answer of the kernel came cut short: what became of the request is unknown") : 0;
}

static bool is_ours(const struct talk *t, const struct nlmsghdr *h, unsigned count) { return h->nlmsg_seq - t->seq < count; }

static int gather(struct talk *t, char *why) {
    for (unsigned left = t->count; left > 0;) {
        netem_cleanup_free unsigned char *data = NULL;
        int n = receive(t, &data, why);
        if (n < 0)
            return n;
        for (struct nlmsghdr *h = (void *)data; nlmsg_ok(h, n); h = nlmsg_next(h, &n)) {
            if (!is_ours(t, h, t->count))
                continue;
            struct talk_answer *a = &t->answers[h->nlmsg_seq - t->seq];
            if (h->nlmsg_type == NLMSG_ERROR) {
                take_error(h, a);
                left--;
            } else if (!a->reply && (a->reply = malloc(h->nlmsg_len))) {
                memcpy(a->reply, h, h->nlmsg_len);
            }
        }
        if ((n = cut_short(n, why)) < 0)
            return n;
    }
    return 0;
}

/* What was left unread of a talk that failed must not be taken for answers. */
static void drain(struct talk *t) {
    unsigned char *data = NULL;
    for (int tries = 0; tries < 10000 && receive(t, &data, NULL) > 0; tries++)
        free(data), data = NULL;
}

int talk_send(struct talk *t, char *why) {
    if (t->failed)
        return netem_why(why, -ENOMEM, "out of memory");
    if (t->count == 0)
        return 0;
    t->seq = nl_socket_use_seq(t->sk);
    for (unsigned i = 1; i < t->count; i++)
        nl_socket_use_seq(t->sk);
    size_t at = 0;
    for (unsigned i = 0; i < t->count; i++) {
        struct nlmsghdr *h = (void *)(t->out + at);
        h->nlmsg_seq = t->seq + i;
        h->nlmsg_pid = nl_socket_get_local_port(t->sk);
        at += NLMSG_ALIGN(h->nlmsg_len);
    }
    errno = 0;
    int rc = nl_sendto(t->sk, t->out, t->out_len);
    if (rc < 0)
        return netem_why(why, errno ? -errno : -EIO, "ask the kernel: %s", nl_geterror(rc));
    rc = gather(t, why);
    if (rc < 0)
        drain(t);
    return rc;
}

/* --- the kernel's words as sentences --- */

static const struct {
    int code;
    const char *words, *of; /* in what the kernel adds, in what was asked; NULL: whatever */
    bool whole;             /* the sentence says it all */
    const char *sentence;
} meanings[] = {
    /* the first row that fits */
    {-ENOENT, "qdisc kind is unknown", "netem", true, "this kernel has no netem: load its module (modprobe sch_netem), or boot a kernel that is built with it"},
    {-ENOENT, "qdisc kind is unknown", "clsact", true, "this kernel has no clsact: load its module (modprobe sch_ingress), or boot a kernel that is built with it"},
    {-ENOENT, "qdisc kind is unknown", NULL, true, "this kernel lacks a queue that is needed: load its module (modprobe sch_fifo), or boot a kernel that is built with it"},
    {-ENOENT, "classifier not found", NULL, true, "this kernel has no BPF classifier: load its module (modprobe cls_bpf), or boot a kernel that is built with it"},
    {-ENOENT, "load TC action", NULL, true, "this kernel cannot redirect packets: load its module (modprobe act_mirred), or boot a kernel that is built with it"},
    {-EOPNOTSUPP, "Unknown device type", NULL, true, "this kernel has no ifb interfaces: load their module (modprobe ifb), or boot a kernel that is built with them"},
    {-EOPNOTSUPP, "block is shared", NULL, false, "its clsact shares a filter block with other devices: a filter there would hit them too"},
    {-EPERM, NULL, NULL, false, "not permitted: it needs CAP_NET_ADMIN in the namespace's user namespace"},
    {-ENODEV, NULL, NULL, false, "no such interface in this namespace (any more)"},
    {-ENOBUFS, NULL, NULL, false, "the kernel is out of buffers"},
    {-ENOMEM, NULL, NULL, false, "the kernel is out of memory"},
    {-EEXIST, NULL, NULL, false, "something of another's is already there"},
};

int talk_sentence(const struct talk_answer *a, char *why) {
    const char *what = a->what ? a->what : "request", *meant = NULL;
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings && !meant; i++) {
        if (meanings[i].code != a->rc || (meanings[i].words && !strstr(a->text, meanings[i].words)) || (meanings[i].of && !strstr(what, meanings[i].of)))
            continue;
        if (meanings[i].whole)
            return netem_why(why, a->rc, "%s", meanings[i].sentence);
        meant = meanings[i].sentence;
    }
    return netem_why(why, a->rc, "%s %s: %s%s%s%s", what, a->subject ? a->subject : "", meant ? meant : strerror(-a->rc),
                     *a->text ? " (the kernel says: " : "", a->text, *a->text ? ")" : "");
}

int talk_outcome(const struct talk *t, char *why) {
    for (unsigned i = 0; i < t->count; i++)
        if (t->answers[i].what && t->answers[i].rc < 0)
            return talk_sentence(&t->answers[i], why);
    return 0;
}

/* --- dumps --- */

enum { AGAIN = 1 };

/* 0 done, AGAIN interrupted by a change, -errno. */
static int dump_once(struct talk *t, talk_each *each, void *arg, const char *what, char *why) {
    bool interrupted = false;
    for (;;) {
        netem_cleanup_free unsigned char *data = NULL;
        int n = receive(t, &data, why);
        if (n < 0)
            return n;
        for (struct nlmsghdr *h = (void *)data; nlmsg_ok(h, n); h = nlmsg_next(h, &n)) {
            int rc = 0;
            if (!is_ours(t, h, 1))
                continue;
            interrupted |= (h->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
            if (h->nlmsg_type == NLMSG_DONE) { /* may carry an error */
                if (h->nlmsg_len >= NLMSG_LENGTH(sizeof rc))
                    memcpy(&rc, NLMSG_DATA(h), sizeof rc);
                return rc < 0 ? netem_why(why, rc, "%s: %s", what, strerror(-rc)) : interrupted ? AGAIN : 0;
            }
            if (h->nlmsg_type == NLMSG_ERROR) {
                struct talk_answer a = {.what = what};
                take_error(h, &a);
                return a.rc < 0 ? talk_sentence(&a, why) : 0;
            }
            if ((rc = each(h, arg)) < 0)
                return netem_why(why, rc, "%s: %s", what, strerror(-rc));
        }
        if ((n = cut_short(n, why)) < 0)
            return n;
    }
}

int talk_dump(struct talk *t, struct nl_msg *m, const char *what, talk_each *each, void *arg, char *why) {
    if (!m)
        return netem_why(why, -ENOMEM, "out of memory");
    struct nlmsghdr *h = nlmsg_hdr(m);
    h->nlmsg_flags |= NLM_F_REQUEST | NLM_F_DUMP;
    int rc = AGAIN;
    for (int tries = 0; rc == AGAIN && tries < DUMP_TRIES; tries++) {
        t->seq = h->nlmsg_seq = nl_socket_use_seq(t->sk);
        h->nlmsg_pid = nl_socket_get_local_port(t->sk);
        errno = 0;
        int sent = nl_sendto(t->sk, h, h->nlmsg_len);
        rc = sent < 0 ? netem_why(why, errno ? -errno : -EIO, "%s: %s", what, nl_geterror(sent)) : each(NULL, arg);
        if (rc == 0)
            rc = dump_once(t, each, arg, what, why);
        if (rc < 0)
            drain(t);
    }
    nlmsg_free(m);
    return rc == AGAIN ? netem_why(why, -EAGAIN, "%s: changed %d times while it was read: what is there is unknown", what, DUMP_TRIES) : rc;
}
