/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Talking to the kernel's routing netlink: several requests in one system call, each with its own answer; dumps that are whole or an error.
 *
 * A batch is carried out by the kernel within the one sendmsg: a kill -9 falls before it or after it, not between its requests. */
#include "text.h"

#include <netlink/msg.h>
#include <stdbool.h>

enum { TALK_MOST = 12, TALK_TEXT = 120, TALK_BUFFER = 64 * 1024 };

struct talk_answer {
    const char *what; /* what was asked, for the sentence; NULL: failing is all right */
    const char *subject;
    int rc; /* 0 or -errno */
    char text[TALK_TEXT]; /* the kernel's own words */
    struct nlmsghdr *reply; /* what a get answered */
};

struct talk {
    struct nl_sock *sk;
    uint32_t seq; /* of the batch's first request */
    unsigned count;
    struct talk_answer answers[TALK_MOST];
    unsigned char *out;
    size_t out_len, out_room;
    bool failed; /* no memory for a request */
};

/* Opens the socket in the namespace behind ns_fd (-1: the caller's own). */
int talk_open(int ns_fd, struct talk *t, char *why);
int talk_open_socket(int fd, struct talk *t, char *why);
/* Back into the caller's own namespace. After a failure no socket is opened any more: it would be in the wrong one. */
int talk_return(int own_fd, char *why);
void talk_close(struct talk *t);

/* Begins a batch; forgets the one before, its replies too. */
void talk_begin(struct talk *t);
/* Takes over m (NULL: out of memory, said later). Returns its number in answers. subject: the device, say; borrowed until the next batch. */
unsigned talk_add(struct talk *t, struct nl_msg *m, const char *what, const char *subject);
/* Sends the batch and gathers the answers. Only trouble with the talk itself is an error: -ENOBUFS and the like, the outcome unknown. */
int talk_send(struct talk *t, char *why);
/* The first failed request that is not said to be all right: its code and sentence. 0: none. */
int talk_outcome(const struct talk *t, char *why);
int talk_sentence(const struct talk_answer *a, char *why);

/* Calls each for every object of a dump; NULL means: forget what came, it begins again. each returns 0 or -errno, which ends it. */
typedef int talk_each(struct nlmsghdr *h, void *arg);
int talk_dump(struct talk *t, struct nl_msg *m, const char *what, talk_each *each, void *arg, char *why);
