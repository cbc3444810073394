#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs every test program and script, which all speak TAP, and counts. run.sh [GROUP...], groups: unit fuzz net netem e2e valgrind, and lab, kube,
# kube-netem, and single ones (e2e/test_acts); netem+kube: both kinds at a time.
# netem: what a kernel without sch_netem cannot run, under Debian's kernel in QEMU, in one boot; where this kernel has it, net and e2e ran it
# already. lab: there in any case. kube: a Kubernetes of our own; kube-netem: one whose nodes have netem. A skip says why; with CI set, a skip is a
# failure, unless the machine itself stood still again and again.
set -uo pipefail
cd "$(dirname "$0")/.."
export B=${B:-build} PYTHONDONTWRITEBYTECODE=1
B=$(realpath "$B"); export CHAOSD=$B/chaosd
groups=("$@"); [ $# -gt 0 ] || groups=(unit fuzz net netem e2e valgrind)
passed=0 failed=0 skipped=0 log=$(mktemp -d)
[ -n "${CHAOSD_PATIENCE:-}" ] || { export CHAOSD_PATIENCE=$log/patience; : >"$CHAOSD_PATIENCE"; } # how long was waited for a machine that stood still
[ -n "${CHAOSD_SECOND:-}" ] || { export CHAOSD_SECOND=$log/second; : >"$CHAOSD_SECOND"; } # what failed once on a machine that ran, and was tried once more
trap 'rm -rf "$log"' EXIT

run() { # name, time limit in seconds, command...
  local name=$1 limit=$2; shift 2
  local began=$SECONDS out=$log/out rc=0
  CMOCKA_MESSAGE_OUTPUT=TAP timeout --kill-after=10 "$limit" "$@" >"$out" 2>"$log/err" || rc=$?
  local ok notok skip still
  # cmocka's TAP says "not ok N # SKIP" for a skip; that is no failure.
  skip=$(grep -ciE '^(not )?ok .*# *skip' "$out")
  ok=$(grep -E '^ok ' "$out" | grep -viEc '# *skip'); notok=$(grep -E '^not ok ' "$out" | grep -viEc '# *skip')
  if [ $rc -ne 0 ] && [ "$notok" -eq 0 ]; then notok=1; echo "not ok $name: exit status $rc"; fi
  [ $((ok + notok + skip)) -gt 0 ] || { notok=1; echo "not ok $name: no test was run"; }
  still=$(grep -cE '# SKIP the machine stood still' "$out") # nobody's fault, and nothing was judged
  if [ -n "${CI:-}" ] && [ "$skip" -gt "$still" ]; then echo "skips in CI are failures:"; notok=$((notok + skip - still)); skip=$still; fi
  passed=$((passed + ok)) failed=$((failed + notok)) skipped=$((skipped + skip))
  printf '%-34s %3d passed, %d failed, %d skipped (%ds)\n' "$name" "$ok" "$notok" "$skip" $((SECONDS - began))
  if [ "$notok" -gt 0 ] || [ "$skip" -gt 0 ]; then grep -E '^not ok|# *(skip|SKIP)' "$out"; fi
  if [ "$notok" -gt 0 ] || grep -qs "^$(basename "$name") " "$CHAOSD_SECOND"; then grep -vE '^ok ' "$out" | tail -60; tail -60 "$log/err"; fi
  sed -n 's/^# figure: /  /p' "$out" "$log/err" # what it must reach, in brief
}

add_counts() { # FILE: what another run of this script printed; the count in its last line is added to ours. 1: there is none
  local counts=()
  read -ra counts < <(sed -nE '$s/^ *([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p' "$1" 2>/dev/null) || true
  [ ${#counts[@]} -eq 3 ] || return 1
  passed=$((passed + counts[0])) failed=$((failed + counts[1])) skipped=$((skipped + counts[2]))
}

# --- netem ---
# Emulated, its clock stands still while others take the processor: it may run beside what does not measure this machine closely (netem+kube).
# A test says in its opening comment where it runs: "Needs a kernel with sch_netem", or "Also under a kernel with sch_netem" beside this one.
has_netem() { bash tests/lab/has_netem.sh; }
needs_netem() { head -8 "$1" | grep -q 'Needs a kernel with sch_netem'; }
wants_netem() { head -8 "$1" | grep -qE '(Needs|Also under) a kernel with sch_netem'; }
elsewhere() { needs_netem "$1" && [ -z "${CHAOSD_LAB:-}" ] && ! has_netem; } # does the lab run it?

in_lab() { # the guest runs this very script, and its count is added to ours
  local rc here=""
  has_netem || here=": this kernel has no sch_netem"
  echo "netem runs under Debian's kernel in QEMU$here"
  LAB_SECONDS=${LAB_SECONDS:-3600} nice -n "${LAB_NICE:-0}" bash tests/lab/vm.sh bash tests/run.sh netem 2>"$log/lab" | sed -u 's/^/  /' | tee "$log/guest"
  rc=${PIPESTATUS[0]}
  if [ "$rc" -eq 125 ] && [ -z "${CI:-}" ]; then
    echo "lab skipped: $(tail -1 "$log/lab")"; skipped=$((skipped + 1)); return
  fi
  add_counts "$log/guest" || { echo "not ok lab: exit status $rc, and no count"; failed=$((failed + 1)); }
  [ "$rc" -eq 0 ] || tail -60 "$log/lab"
}

netem_here() { # in the lab: emulated, a program takes ten times as long
  local t n
  for t in tests/net/test_*.c tests/e2e/test_*.py; do
    wants_netem "$t" || continue
    n=$(basename "${t%.*}")
    case $t in *.c) CHAOSD_EXE=$CHAOSD run "lab/$n" 600 "$B/tests/net/$n" ;; *) run "lab/$n" 900 python3 "$t" ;; esac
  done
  run lab/bench 600 "$B/tests/bench/netem"
}

# --- e2e ---
# Most drills wait more than they work: two at a time. Alone goes what measures this machine closely, or ends everybody's network faults. The scenarios
# have such faults of their own: beside them only goes what is asked of a made-up API server, and ends none (NO_SWEEP).
goes_alone() { [[ $1 =~ ^test_(inject|net_|figures|truth|selfwatch|bench_short|live|kill9) ]]; }
fakes=(ask ask_around client faults guards provider undo) # not agent_fake: it ends everybody's network faults, and goes with kube
two_at_a_time() { # each argument: what one run of this script is given, one after the other
  local i=0 a
  rm -f "$log"/part.*
  for a; do printf '%d %s\n' $((i++)) "$a"; done | LOG=$log PART=1 xargs -P 2 -I{} bash -c 'read -r n groups <<<"{}"; bash tests/run.sh $groups >"$LOG/part.$n" 2>&1; exit 0'
  for ((i = 0; i < $#; i++)); do
    if add_counts "$log/part.$i"; then head -n -1 "$log/part.$i"; else cat "$log/part.$i"; echo "not ok part $i: no count"; failed=$((failed + 1)); fi
  done
}
e2e_all() {
  local t n together=()
  for t in tests/e2e/test_*.py; do
    n=$(basename "$t" .py)
    if [ "$n" = test_scenarios ] || elsewhere "$t"; then continue; elif goes_alone "$n"; then run "e2e/$n" 900 python3 "$t"; else together+=("e2e/$n"); fi
  done
  two_at_a_time "${together[@]}"
  NO_SWEEP=1 two_at_a_time e2e/test_scenarios "${fakes[*]/#/kube/test_}"
}

# --- kube: one cluster for all, but for the test that is about making one, and what needs netem on the nodes ---
kube_all() {
  local t lab=${CHAOSD_KUBE:-$log/kube}
  [ -n "${CHAOSD_KUBE:-}" ] || bash tests/lab/kube.sh up "$lab" 2>"$log/kube.log" || { tail -20 "$log/kube.log"; failed=$((failed + 1)); return; }
  for t in tests/kube/test_*.py; do
    [[ " ${fakes[*]/#/test_} test_agent_netem " == *" $(basename "$t" .py) "* ]] || CHAOSD_KUBE=$lab run "kube/$(basename "$t" .py)" 1500 python3 "$t"
  done
  [ -n "${CHAOSD_KUBE:-}" ] || bash tests/lab/kube.sh down "$lab" 2>>"$log/kube.log"
}

kube_netem() { # its nodes in the guest where this kernel has no netem
  local vm=; has_netem || vm=1
  KUBE_VM=$vm run kube/test_agent_netem 1500 python3 tests/kube/test_agent_netem.py
}

for g in "${groups[@]}"; do
  case $g in
  */*) run "$g" 900 python3 "tests/$g.py" ;;
  unit) for t in tests/unit/test_*.c; do n=$(basename "$t" .c); run "unit/$n" 120 python3 tests/attempt.py "$B/tests/unit/$n"; done ;;
  fuzz) for t in tests/fuzz/fuzz_*.c; do n=$(basename "$t" .c); run "fuzz/$n" 120 "$B/tests/fuzz/$n" "tests/fuzz/corpus-${n#fuzz_}"; done ;;
  net)
    for t in tests/net/test_*.c; do n=$(basename "$t" .c); elsewhere "$t" || CHAOSD_EXE=$CHAOSD run "net/$n" 180 python3 tests/attempt.py "$B/tests/net/$n"; done
    run net/bench 120 "$B/tests/bench/netem" ;;
  e2e) e2e_all ;;
  netem) if [ -n "${CHAOSD_LAB:-}" ]; then netem_here; elif [ -z "${SAN:-}" ] && ! has_netem; then in_lab; fi ;;
  lab) in_lab ;;
  kube) kube_all ;;
  kube-netem) kube_netem ;;
  netem+kube) LAB_NICE=10 two_at_a_time "netem kube-netem" kube ;;
  valgrind) [ -n "${SAN:-}" ] || run e2e/valgrind 300 bash tests/e2e/valgrind.sh ;;
  esac
done
# One that hardly ran at all has passed nothing: the whole is asked, not its parts (PART), for one skip is much of a small part.
[ "$skipped" -le $((passed / 10)) ] || [ -z "${CI:-}" ] || [ -n "${PART:-}" ] || { echo "not ok: too much of it was skipped"; failed=$((failed + 1)); }
if [ -z "${PART:-}" ] && [ -s "$CHAOSD_SECOND" ]; then echo "failed once, and was tried again (what it said is above):"; sed 's/^/  /' "$CHAOSD_SECOND"; fi
[ "$failed" -eq 0 ]; rc=$?
echo "$passed passed, $failed failed, $skipped skipped"
exit $rc
