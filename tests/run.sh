#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs every test program and script, which all speak TAP, and counts. run.sh [GROUP...], groups: unit fuzz net e2e valgrind lab;
# lab, which boots a machine for what this kernel cannot do, only when it is named.
# A skip says why; with CI set, a skip of what CI can run is a failure (those skips are marked "# SKIP (ci)").
set -uo pipefail
cd "$(dirname "$0")/.."
export B=${B:-build} PYTHONDONTWRITEBYTECODE=1
B=$(realpath "$B"); export CHAOSD=$B/chaosd
groups=("$@"); [ $# -gt 0 ] || groups=(unit fuzz net e2e valgrind)
passed=0 failed=0 skipped=0 log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT

run() { # name, time limit in seconds, command...
  local name=$1 limit=$2; shift 2
  local began=$SECONDS out=$log/out rc=0
  CMOCKA_MESSAGE_OUTPUT=TAP timeout --kill-after=10 "$limit" "$@" >"$out" 2>"$log/err" || rc=$?
  local ok notok skip
  # cmocka's TAP says "not ok N # SKIP" for a skip; that is no failure.
  skip=$(grep -ciE '^(not )?ok .*# *skip' "$out")
  ok=$(grep -E '^ok ' "$out" | grep -viEc '# *skip'); notok=$(grep -E '^not ok ' "$out" | grep -viEc '# *skip')
  if [ $rc -ne 0 ] && [ "$notok" -eq 0 ]; then notok=1; echo "not ok $name: exit status $rc"; fi
  [ $((ok + notok + skip)) -gt 0 ] || { notok=1; echo "not ok $name: no test was run"; }
  if [ -n "${CI:-}" ] && [ "$skip" -gt 0 ]; then echo "skips in CI are failures:"; notok=$((notok + skip)); skip=0; fi
  passed=$((passed + ok)) failed=$((failed + notok)) skipped=$((skipped + skip))
  printf '%-34s %3d passed, %d failed, %d skipped (%ds)\n' "$name" "$ok" "$notok" "$skip" $((SECONDS - began))
  if [ "$notok" -gt 0 ] || [ "$skip" -gt 0 ]; then grep -E '^not ok|# *(skip|SKIP)' "$out"; fi
  if [ "$notok" -gt 0 ]; then grep -vE '^ok ' "$out" | tail -40; tail -60 "$log/err"; fi
}

# What needs netem runs where the kernel has it; elsewhere under Debian's kernel, by the group "lab". Such a test says so in its third line.
has_netem() { unshare --net tc qdisc add dev lo root netem 2>/dev/null; }
needs_netem() { grep -q 'Needs a kernel with sch_netem' "$1"; }

for g in "${groups[@]}"; do
  case $g in
  unit) for t in tests/unit/test_*.c; do n=$(basename "$t" .c); run "unit/$n" 120 "$B/tests/unit/$n"; done ;;
  fuzz) for t in tests/fuzz/fuzz_*.c; do n=$(basename "$t" .c); run "fuzz/$n" 120 "$B/tests/fuzz/$n" "tests/fuzz/corpus-${n#fuzz_}"; done ;;
  net) for t in tests/net/test_*.c; do n=$(basename "$t" .c); needs_netem "$t" && ! has_netem || CHAOSD_EXE=$CHAOSD run "net/$n" 180 "$B/tests/net/$n"; done ;;
  lab) for t in tests/net/test_*.c; do n=$(basename "$t" .c); ! needs_netem "$t" || LAB_SECONDS=400 run "lab/$n" 420 bash tests/lab/vm.sh "$B/tests/net/$n"; done ;;
  e2e) for t in tests/e2e/test_*.py; do n=$(basename "$t" .py); run "e2e/$n" 900 python3 "$t"; done ;;
  valgrind) [ -n "${SAN:-}" ] || run e2e/valgrind 300 bash tests/e2e/valgrind.sh ;;
  esac
done
[ "$failed" -eq 0 ]; rc=$?
echo "$passed passed, $failed failed, $skipped skipped"
exit $rc
