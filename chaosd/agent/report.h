/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What is to be said in one NodeFault's status: sent in order, tried again with growing pauses for as long as the API server is away or
 * refuses it; what is said meanwhile goes with it. Once it found something invalid, only the phase, its reason and its times are said. */
#include "agent/node_fault.h"
#include "kube/client.h"

struct report;
struct report_spec {
    struct kube *kube;
    const char *namespace, *name, *uid; /* copied */
    void (*gone)(void *arg);            /* the object is gone, or is another: nothing more is sent. May free the report */
    void (*said)(void *arg);            /* the API server has all that was said so far */
    void (*trouble)(const char *why, void *arg); /* it could not be said, and is tried again; once until it could be said again */
    void *arg;
};
int report_new(const struct report_spec *s, struct report **ret, struct error *err);
void report_free(struct report *r); /* NULL-safe; what was not said yet is not said */
void report_say(struct report *r, const struct node_fault_status *s);
void report_stop(struct report *r); /* the object is gone: nothing is sent any more, for another may have its name */
bool report_idle(const struct report *r); /* all is said */
