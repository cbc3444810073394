/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a run writes down. history.jsonl: a header line, then one event a line:
 *   {"seq":n,"t":ns,"actor":"run|load|fault|cluster|probe|self","op":"...","phase":"invoke|ok|fail|info|unknown","kind":"...","target":"...","data":{}}
 * t is ns of CLOCK_MONOTONIC since the run's start, which is the header's mono_ns. An operation is written twice, invoked and then ended; one without an end
 * is unknown, never a failure. Operations carry "id" in data so that the two are matched.
 *
 * Header: {"schema":1,"run":"20261121T225201Z-etcd-leader-kill","scenario":"etcd-leader-kill","seed":7,"wall_ns":...,"mono_ns":...,"version":"0.1.0",
 *   "host":{"kernel","machine"},"digest":"sha256 or fnv of the resolved scenario","duration_ns":..., "settle_ns":...,
 *   "loads":[{"name","kind","rate_micro","lanes":["reused"],"deadline_ns","goods":5,"over_ns":1000000000,
 *     "slow_ns":n (absent: told by the baseline),"control":bool (absent: false)}]; with "closed":true, a closed loop, rate_micro is null. An exec
 *     load has no rate_micro, but "samples":"none|jsonl|h2load|k6|rally","closed":true,"pass_status","fail_status", and deadline_ns only where it has one
 *   "faults":[{"name","kind","holds":bool,"unable":why it cannot be done here (absent: it can)}], "probes":[{"name","kind","mode"}], "workloads":[{"name","replicas"}],
 *   "expect":["availability(writes) >= 95%"],
 *   "plan":[{"fault":0,"occurrence":1,"at_ns","for_ns","draw":"hex"}]}
 *
 * Ops and their data (all times in ns on the run's clock):
 *   run/schedule    info  {}                                   the schedule's zero: at_ns of the plan counts from here
 *   run/ready       invoke|ok|fail {"why"}                     waiting for every pod to be ready
 *   run/steady      invoke|ok|fail|unknown {"when":"before","fault","occurrence"} or {"when":"end"}, with "why" and, when it is over, "took_ns";
 *                         "held":true when it was not waited for, since another act was held
 *                         an act that is due, or the end, waits until what was selected is whole; fail: for too long. One at a time
 *   run/skip        info  {"why"}                              nothing of the scenario was applicable: it went no further
 *   run/loads-end   info  {}                                   no arrival is planned after this
 *   run/abort       info  {"why"}                              a person or a guard ended it
 *   run/end         info  {"samples"}                                last event of a run that was not killed
 *   self/stall      info  {"from","to"}                        the loop did not turn in time: chaosd itself stalled
 *   self/error      info  {"why"}                              tool trouble (disk full): the run is inconclusive
 *   self/left       info  {"why"}                              something could not be undone: `chaosd revert` has it
 *   cluster/pod     info  kind: created|started|exited|ready|unready|frozen|thawed|backoff|failed|removed; target: pod name;
 *                         {"uid","workload","pid","start_time","node","ip","restarts","code","signal","why"} as far as known
 *   fault/act       invoke|ok|fail, kind: the fault's kind, target: victim's pod name ("" when none);
 *                         {"id","fault","occurrence","planned_ns","candidates":[names],"draw":"hex","uid","pid","start_time",
 *                          "role","role_asked","role_seen","role_data":{},"for_ns","why"}; fail with "why"; phase "info" with
 *                          kind "skip" when there was no candidate or a guard refused: {"id","fault","occurrence","why","guard"}
 *                         "ok" of a network fault: {"device","by":"netem"|"drop","share_ppm" (of those named; absent: all),"peers","filters_before"}
 *                         "ok" of a node's agent: {"asked","seen" (the run's clock), "node","node_in_effect","node_in_effect_boot_ns" (the node's: wall clock,
 *                         CLOCK_BOOTTIME),"agent" (its version),"nodefault","peers"}; a skip's "guard" may be the agent's word: Busy, TooMany, Stopped
 *   fault/observed  info  {"id","proof"}                       the effect was seen; of a network fault with {"packets","bytes"} and,
 *                         through netem, {"queue_sent","queue_dropped"}
 *   fault/trouble   info  {"id","why"}                         it is not in effect as asked (any more)
 *   fault/revert    invoke|ok|fail {"id","why"}                for kinds that hold; ok when the undoing was seen; of a network fault
 *                         with its last figures and {"drain_ns","cut"}; cut: packets still queued when that took too long
 *   fault/measured  info  {"id","hosts","sent","lost","rtt_ns","sent_after","lost_after","rtt_after_ns","why"}  echo requests during the fault,
 *                         and as many after its end; rtt: the median. An event of its own, as the baseline takes as long as the fault did
 *   cluster/workload info kind: "Deployment" ..., target: workload ("Deployment shop/web"); {"replicas","ready","updated"}   at the start, and on every change
 *   cluster/endpoint info kind: added|ready|unready|removed, target: pod; {"uid","service"}   its address behind a Service
 *   cluster/node    info  kind: ready|unready|unknown|cordoned|uncordoned|added|removed, target: node; {"stamp","reason"}
 *   cluster/lease   info  kind: holder, target: "namespace/name"; {"holder","stamp"}
 *   cluster/event   info  kind: reason ("Killing"), target: "Pod/web-1"; {"namespace","message","type","count","stamp","component","uid"}
 *   cluster/undo    info  kind: undone|kept|stuck; {"what"}     what an earlier run left on the objects of the cluster, found at the start
 *   cluster/api     info  kind: troubled|gap|denied, target: what was followed ("pods"); {"why"} or {"from","to","relisted"}
 *   role/now        info  kind: the role's name, target: pod name or ""; {"asked","seen","data":{captured}} on every change
 *   probe/answer    info  kind: the probe's kind, target: pod or ""; the first answer each time it is begun, and every change:
 *                         {"probe","id","ok":bool,"why","value","pod","asked","seen","before_asked","before_seen"}; id: one of the
 *                         probe's targets; before: the answer before it; pod: who had the role just then
 *   probe/summary   info  at the end, one a target: {"probe","id","asked","good","bad","unsure","unwritten","ok","last_asked","last_seen"};
 *                         unsure: wrong, but chaosd itself stalled meanwhile; unwritten: changes beyond what one history takes
 *   load/start|end  info  kind: load kind; target: load name
 *   load/target     info  target: name; {"id"}                 numbers of the samples' target field
 *   load/exit       ok|fail kind: exec; target: load name; how an external program ended, and what could be read of it: {"from","to",
 *                         "code" or "signal","asked","killed" (SIGTERM, SIGKILL by us),"left" (processes that outlived it),"samples",
 *                         "unreadable","unreadable_first","unreadable_why","no_samples","last_words","cut","clock_step","why"}
 *   load/sla        ok|fail kind: criterion; target: load name; {"scenario","detail"}   an external program's own judgement
 *   load/driver     info  kind: started|ended|noise, target: load name; {"worker","pid","why"}  a driver's program, and what it
 *                         printed that is no answer (the first few)
 *   ledger/missing  info  kind: lost|missing|unknown, target: load name; {"when","act","entries":[[from,to],...]}  before the ledger/read
 *                         that it belongs to: missing at a recovery; lost or never answered at the end. Of each range only what was acknowledged
 *   ledger/read     invoke|ok  target: load name; {"when":"recovery"|"end","act":id} and, when it is over, {"asked","present","lost",
 *                         "stale","unknown","other","recovered","unanswered_asked","stopped":bool,"truncated":bool,"why","keys":[first lost]}
 *                         recovery: lost says missing then; unanswered_asked: writes without an answer that were looked for
 *   note/mark       info  kind: the mark's name, target: pod; {"at","wall_ns","line"}  a line of the pod's own log, by its own stamp
 *   note/...        info                                       anything else, for people */
#include <jansson.h>
#include <stdint.h>

enum { HISTORY_SCHEMA = 1 };

enum lane { LANE_FRESH, LANE_REUSED, LANE_EXEC, LANE_TCP, LANE_COUNT };
extern const char *const lane_names[]; /* NULL-terminated */

enum outcome { OUTCOME_GOOD, OUTCOME_BAD, OUTCOME_UNSENT_CAP, OUTCOME_UNSENT_STALL, OUTCOME_COUNT };

enum reason { /* why bad; 0 for good */
    REASON_NONE, REASON_TIMEOUT, REASON_REFUSED, REASON_RESET, REASON_UNREACHABLE, REASON_DNS, REASON_TLS,
    REASON_PROTOCOL, REASON_TOO_BIG, REASON_STATUS, REASON_BODY, REASON_NO_TARGET, REASON_CAP, REASON_STALL, REASON_CANCELLED, REASON_OTHER,
    REASON_COUNT
};
extern const char *const reason_names[];

/* samples.bin: a 64-byte header, then 64-byte little-endian records, one a planned request, in order of completion.
 * header: "CHAOSD-S", u32 version 1, u32 record size 64, 48 zero bytes. A record that is not whole is cut off by readers. */
struct sample {
    int64_t planned_ns, start_ns, end_ns; /* unsent: start = end = planned. Run's clock */
    uint16_t load;                        /* index into the header's loads */
    uint8_t lane, outcome, reason, steps; /* steps: how many were done */
    uint16_t status;                      /* last HTTP status, 0: none */
    uint16_t target;                      /* number from load/target, 65535: none */
    uint8_t flags, zero;                  /* bit 0: new connection; bit 1: stale retry; bit 2: sent late (over 5 ms); bit 3: it went out */
    uint32_t bytes;
    uint32_t dns_us, connect_us, tls_us, first_byte_us; /* since start; 0: not reached, or reused */
    uint32_t entry; /* of the load's ledger, from 1: this request writes it, and a good one acknowledges it; 0: none */
};
_Static_assert(sizeof(struct sample) == 64, "sample records are 64 bytes");
enum { SAMPLE_NEW_CONNECTION = 1, SAMPLE_STALE_RETRY = 2, SAMPLE_LATE = 4, SAMPLE_SENT = 8 };
#define SAMPLE_NO_TARGET 65535
