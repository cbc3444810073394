/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A NodeFault: one fault on one pod, from a run to the agent of the pod's node, as an object of the Kubernetes API. Pure: JSON in, struct
 * out, and back. docs/AGENT.md has the protocol, deploy/agent/crd.yaml the schema; a test holds them and the rows here together. */
#include "base/error.h"
#include "kube/store.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define NODE_FAULT_API "chaosd.io/v1alpha1"
#define NODE_FAULT_NODE_LABEL "chaosd.io/node" /* what an agent selects by */
#define NODE_FAULT_RUN_LABEL "chaosd.io/run"   /* what a run, and who tidies up after it, selects by */
#define NODE_FAULT_OFF_NS INT64_C(250000000)   /* a clock that is off by less is not worth a word, here or there */
enum { NODE_FAULT_PROTOCOL = 1, NODE_FAULT_LABEL_SIZE = 64, NODE_FAULT_NAME_SIZE = 24, NODE_FAULT_PEERS_MOST = 4096 };

/* Texts and params are borrowed: by decode from the object, by build from whoever fills it; NULL: absent. Times: wall clock in ns; 0: none */
struct node_fault {
    const char *namespace, *name, *uid, *version; /* metadata of what was decoded; version: resourceVersion */
    bool deleting;
    int64_t protocol;
    const char *run, *fault, *kind, *node;
    int64_t act;          /* the act's number in its run, from 1 */
    const json_t *params; /* the kind's rows, not looked into here */
    const char *pod_namespace, *pod_name, *pod_uid;
    bool host_network;    /* the pod is meant although it is in the node's own network */
    const char *container_name, *container_id; /* the one that is meant, by the pod's spec; of the ID at least the first 12 digits. NULL: none */
    int64_t not_before_wall_ns, deadline_wall_ns;
    /* The two that may change after it was created. */
    const json_t *peers; /* far ends beside those in params, texts: addresses and CIDRs that the run found. NULL: none of that kind */
    bool end;            /* asked to end now */
};

enum node_fault_phase {
    NODE_FAULT_PENDING,
    NODE_FAULT_ACCEPTED,
    NODE_FAULT_IN_EFFECT,
    NODE_FAULT_ENDED,
    NODE_FAULT_FAILED,
    NODE_FAULT_PHASE_COUNT
};
extern const char *const node_fault_phase_names[]; /* "Pending", ...; NULL-terminated */

struct node_fault_status {
    enum node_fault_phase phase; /* none said: PENDING */
    const char *reason, *message;
    int64_t accepted_wall_ns, in_effect_wall_ns, ended_wall_ns, until_wall_ns; /* the node's clock; until: when the kernel ends it */
    int64_t accepted_boot_ns, in_effect_boot_ns, ended_boot_ns;                /* the same on its CLOCK_BOOTTIME; 0: absent */
    const json_t *proof, *figures; /* what shows that it is in effect; what was seen of its end */
    bool counted; /* the three below are known */
    int64_t seen, packets, bytes;
    const char *agent_version;
};

/* What is asked of an object; a NULL or 0 is not asked. */
struct node_fault_wanted {
    const char *node;         /* ours */
    const char *const *kinds; /* that can be done here, ends with NULL */
    int64_t now_wall_ns;      /* its deadline must lie after it */
};
/* Metadata is filled as far as it is there whatever comes back, so that a refusal can be told in the object's status.
 * -EPROTONOSUPPORT: of a version, or of a protocol, that is newer than this program; -EINVAL: a field is missing, of the wrong type, not of
 * its form, or unknown; -EOPNOTSUPP: a kind that is not known; -EREMOTE: another node's; -ETIME: its deadline is past. */
int node_fault_decode(const json_t *object, const struct node_fault_wanted *w, struct node_fault *ret, struct error *err);
/* Status.reason for what decode refused with: "Invalid", ...; NULL: it has no word for that. */
const char *node_fault_refusal(int rc);
/* Tolerant: what is absent or of another type counts as not said; of a text that is no phase -EPROTO. */
int node_fault_status_decode(const json_t *object, struct node_fault_status *ret, struct error *err);
/* An object that a watch follows, as decode takes it. New reference; NULL: out of memory. */
json_t *node_fault_of(const struct kube_object *o);

/* How long, from now, it may be in effect at most: until its deadline by this node's clock, and never longer than from notBefore to
 * deadline, whatever the clocks say. ns; 0 or less: it is over. */
int64_t node_fault_left_ns(const struct node_fault *f, int64_t now_wall_ns);

/* The same as moments of a clock that nobody sets: where it says boot_ns now, it may be in effect from *ret_start to *ret_end. */
void node_fault_when(const struct node_fault *f, int64_t now_wall_ns, int64_t boot_ns, int64_t *ret_start, int64_t *ret_end);

/* A label's value for the node: its name, or where that is too long for a label the beginning of it and a hash of it. */
void node_fault_label(const char *node, char out[NODE_FAULT_LABEL_SIZE]);
/* Its name: run and act are one of a kind. "k3x9-12" */
void node_fault_name(const struct node_fault *f, char out[NODE_FAULT_NAME_SIZE]);
/* To be created, in f->namespace; f->name, uid and protocol are not looked at. New reference in *ret. -EINVAL: decode would refuse it. */
int node_fault_build(const struct node_fault *f, json_t **ret, struct error *err);
/* A merge patch for the subresource "status": says what s says and leaves the rest as it is. The schema's limits: reason 63 characters,
 * message 1024. uid: of the object that is meant; another of its
 * name answers with a conflict. Sets the same however often it is sent. New reference in *ret. */
int node_fault_status_patch(const char *uid, const struct node_fault_status *s, json_t **ret, struct error *err);
