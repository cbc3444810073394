/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Carries out undo records, from the record alone: by a run that ends, by `chaosd revert`, by a reaper. Idempotent: what is
 * undone already is success. Kinds are rows in undo.c: "thaw" {cgroup}, "reaper" {pid,start_time}, "local-cluster" {run,...}. */
#include "base/error.h"

#include <jansson.h>

int undo_apply(const json_t *undo, struct error *err);
/* One line for people: "thaw pod etcd-1", from the record. */
void undo_describe(const json_t *undo, char *out, size_t size);
