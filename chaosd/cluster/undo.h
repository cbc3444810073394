/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Carries out undo records, from the record alone: by a run that ends, by `chaosd revert`, by a reaper. Idempotent: what is
 * undone already is success. Kinds are rows in undo.c: "thaw" {cgroup} or {cgroups}, "reaper" {pid,start_time}, "netem" {netns,dev,id,run},
 * "netem-run" {netns,inode,run,drain_ms,what,only_over}: all that the run has there, clsact too; "local-cluster" {run,...};
 * "kube-patch" {access,resource,namespace,name,uid,run,id,what}: see cluster/kubernetes_undo.h, as for
 * "node-fault" {access,namespace,name,run}. */
#include "base/error.h"

#include <jansson.h>
#include <stdint.h>

/* 0, or 1: undone, and *err says what was found there. */
int undo_apply(const json_t *undo, struct error *err);
/* All of ours of the run in the namespace, clsact too; what is under way may leave for so long. 0: nothing is left. */
int undo_netem_run(const char *netns, const char *run, int64_t drain_ns, struct error *err);
/* One line for people: "thaw pod etcd-1", from the record. */
void undo_describe(const json_t *undo, char *out, size_t size);
