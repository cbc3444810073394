/* SPDX-License-Identifier: Apache-2.0 */
/* Handles: the loaded classifier, and a namespace to act in. */
#include "view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int netem_open(unsigned slots, struct netem **ret, char *why) {
    struct netem *n = calloc(1, sizeof *n);
    int rc = n ? program_open(slots, &n->program, why) : netem_why(why, -ENOMEM, "out of memory");
    if (rc < 0) {
        free(n);
        return rc;
    }
    *ret = n;
    return 0;
}

void netem_close(struct netem *n) {
    if (n)
        program_close(n->program);
    free(n);
}

int netem_tidy(struct netem *n) { return program_tidy(n->program); }

static int open_ns(struct netem *n, int ns_fd, int socket_fd, struct netem_ns **ret, char *why) {
    struct netem_ns *ns = calloc(1, sizeof *ns);
    if (!ns) {
        netem_close_fd(&socket_fd);
        return netem_why(why, -ENOMEM, "out of memory");
    }
    ns->n = n;
    int rc = socket_fd >= 0 ? talk_open_socket(socket_fd, &ns->talk, why) : talk_open(ns_fd, &ns->talk, why);
    if (rc < 0) {
        free(ns);
        return rc;
    }
    *ret = ns;
    return 0;
}

int netem_ns_open(struct netem *n, const char *path, struct netem_ns **ret, char *why) {
    netem_cleanup_close int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (path && fd < 0)
        return errno == ENOENT ? netem_why(why, -ENOENT, "%s: no such network namespace (any more); faults in it went with it", path) : netem_why_errno(why, path);
    return open_ns(n, fd, -1, ret, why);
}

int netem_ns_open_fd(struct netem *n, int ns_fd, struct netem_ns **ret, char *why) { return open_ns(n, ns_fd, -1, ret, why); }
int netem_ns_open_socket(struct netem *n, int fd, struct netem_ns **ret, char *why) { return open_ns(n, -1, fd, ret, why); }

void netem_ns_close(struct netem_ns *ns) {
    if (ns)
        talk_close(&ns->talk);
    free(ns);
}
