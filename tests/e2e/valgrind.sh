#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A short drill under valgrind: no leak, no invalid access, in chaosd itself (the pods it starts are not followed).
# Lines that begin with "==" are findings; "--" is valgrind telling of a system call that it does not know.
# A forked child sees jansson's inner pointers as "possibly lost" at its end; the parent frees all, so there these count too (by the log).
set -uo pipefail
cd "$(dirname "$0")/../.."
dir=$(mktemp -d); export CHAOSD_STATE_DIR=$dir/state
trap '"$CHAOSD" revert --all --force >/dev/null 2>&1; rm -rf "$dir"' EXIT
cat >"$dir/short.yaml" <<Y
name: short
cluster:
  local:
    nodes: 2
    workloads:
      - name: web
        replicas: 2
        labels: {app: web}
        command: [python3, -m, http.server, --bind, "\${pod.ip}", "8080"]
        ready: {http: {url: "http://\${pod.ip}:8080/"}}
        restart: {policy: always, delay: 200ms}
load:
  - name: gets
    http: {rate: 50/s, lanes: [fresh, reused], targets: {selector: {labelSelectors: {app: web}}, base: "http://\${pod.ip}:8080"}, steps: [{get: /}]}
faults:
  - {name: kill, pod-kill: {selector: {labelSelectors: {app: web}}}, at: [1s]}
  - {name: pause, pod-pause: {selector: {labelSelectors: {app: web}}}, at: [2500ms], for: 500ms}
duration: 5s
settle: 1s
Y
valgrind --quiet --leak-check=full --show-leak-kinds=definite,indirect,possible --errors-for-leak-kinds=definite,indirect --child-silent-after-fork=yes \
  --error-exitcode=99 --log-file="$dir/valgrind.log" "$CHAOSD" run "$dir/short.yaml" --yes --quiet --out "$dir/run" >"$dir/out" 2>&1
rc=$?
if [ $rc -eq 99 ] || grep -q '^==' "$dir/valgrind.log"; then
  echo "not ok valgrind"; sed 's/^/# /' "$dir/valgrind.log" | head -60; exit 1
fi
grep -c '"reverted": true' "$dir/run/summary.json" >/dev/null && [ "$(grep -c '"observed": true' "$dir/run/summary.json")" = 2 ] || rc=70
case $rc in 0|1|2) echo "ok valgrind: a short drill leaks nothing" ;; *) echo "not ok valgrind: exit $rc"; sed 's/^/# /' "$dir/out"; exit 1 ;; esac
