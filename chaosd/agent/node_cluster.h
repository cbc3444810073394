/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The pods of this node as a provider for fault kinds: each as one NodeFault means it, named by the NodeFault's UID. So what is done to "the
 * pod" is done to all its containers but the sandbox, or to the one that is meant. */
#include "agent/node_fault.h"
#include "cluster/cluster.h"

struct node_cluster_spec {
    struct loop *loop;
    int proc_fd; /* of /proc, as long as the cluster */
    /* EXITED: the first processes of all that was struck ended; FROZEN, THAWED: all of it; REMOVED: the pod is gone. May take the victim away. */
    void (*event)(enum cluster_event e, const char *key, void *arg);
    void *arg;
};
int node_cluster_new(const struct node_cluster_spec *s, struct cluster **ret, struct error *err);
void node_cluster_free(struct cluster *c); /* NULL-safe; thaws nothing */

struct node_victim_spec {
    const struct node_fault *fault; /* copied as far as it is needed; its uid is the key */
    bool network;  /* its network is meant; else its processes, whatever their network */
    bool device;   /* the fault names the interface */
    bool freezes;  /* its groups must be found */
    bool adopt;    /* found frozen it is ours */
};
/* Errors of pod_find, pod_device and pod_group; -ENOENT: also that the container is not there. */
int node_cluster_add(struct cluster *c, const struct node_victim_spec *s, struct error *err);
void node_cluster_remove(struct cluster *c, const char *key); /* nothing else is done to it */
uint64_t node_cluster_netns(struct cluster *c, const char *key); /* inode; 0: no such victim, or its network is not meant */
bool node_cluster_frozen(struct cluster *c, const char *key);    /* any of it, as the kernel says now */
