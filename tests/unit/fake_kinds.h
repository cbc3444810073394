/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Kinds that do nothing: enough rows for scenarios to be loaded in tests without the real tables. */
#include "base/cleanup.h"
#include "scenario/scenario.h"

struct fake_kill { struct pod_target target; const char *signal; };
struct fake_targets { struct selector *selector; };
struct fake_http { int64_t rate; struct fake_targets *targets; struct list steps; const struct template *url; };
struct fake_local { int64_t nodes; };

static int fake_kill_check(void *value, const struct schema_at *at, struct error *err) {
    return pod_target_check(&((struct fake_kill *)value)->target, at, err);
}

static const struct field fake_kill_fields[] = {
    POD_TARGET_FIELDS(struct fake_kill, target),
    {.name = "signal", .type = F_STRING, .offset = offsetof(struct fake_kill, signal), .def = "SIGKILL", .doc = "The signal."},
    {0},
};
static const struct shape fake_kill_shape = {
    .name = "pod-kill", .size = sizeof(struct fake_kill), .fields = fake_kill_fields, .check = fake_kill_check, .doc = "Kills.",
};
static const struct field fake_targets_fields[] = {
    {.name = "selector", .type = F_OBJECT, .offset = offsetof(struct fake_targets, selector), .shape = &selector_shape, .doc = "Which."},
    {0},
};
static const struct shape fake_targets_shape = {
    .name = "targets", .size = sizeof(struct fake_targets), .fields = fake_targets_fields, .doc = "Where to.",
};
static const struct field fake_http_fields[] = {
    {.name = "rate", .type = F_RATE, .offset = offsetof(struct fake_http, rate), .def = "10/s", .doc = "How many."},
    {.name = "url", .type = F_TEMPLATE, .offset = offsetof(struct fake_http, url), .doc = "A URL."},
    {.name = "targets", .type = F_OBJECT, .offset = offsetof(struct fake_http, targets), .shape = &fake_targets_shape, .doc = "Where to."},
    {.name = "steps", .type = F_LIST, .offset = offsetof(struct fake_http, steps), .shape = &step_shape, .doc = "What."},
    {0},
};
static const struct shape fake_http_shape = {
    .name = "http", .size = sizeof(struct fake_http), .fields = fake_http_fields, .doc = "Requests.",
};
static const struct field fake_local_fields[] = {
    {.name = "nodes", .type = F_INT, .offset = offsetof(struct fake_local, nodes), .def = "3", .doc = "How many."},
    {0},
};
static const struct shape fake_local_shape = {
    .name = "local", .size = sizeof(struct fake_local), .fields = fake_local_fields, .doc = "Here.",
};

static const struct kind_row fake_kill_row = {"pod-kill", &fake_kill_shape, "Kills."};
static const struct kind_row fake_pause_row = {"pod-pause", &fake_kill_shape, "Pauses."};
static const struct kind_row fake_http_row = {"http", &fake_http_shape, "Requests."};
static const struct kind_row fake_local_row = {"local", &fake_local_shape, "Here."};
static const struct kind_row *const fake_faults[] = {&fake_kill_row, &fake_pause_row, NULL};
static const struct kind_row *const fake_loads[] = {&fake_http_row, NULL};
static const struct kind_row *const fake_clusters[] = {&fake_local_row, NULL};
static const struct kind_set fake_kinds = {
    .groups = {[KIND_FAULT] = fake_faults, [KIND_LOAD] = fake_loads, [KIND_CLUSTER] = fake_clusters},
};
