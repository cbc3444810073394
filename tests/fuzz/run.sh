#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Fuzzes each target for FUZZ_SECONDS (a minute), beginning with its corpus. What it finds lies in BUILD/fuzz-found. run.sh BUILD [TARGET...]
set -uo pipefail
cd "$(dirname "$0")/../.."
build=$1; shift
targets=("$@"); [ $# -gt 0 ] || targets=(tests/fuzz/fuzz_*.c)
found=$build/fuzz-found seconds=${FUZZ_SECONDS:-60} failed=0
mkdir -p "$found"
for t in "${targets[@]}"; do
  name=$(basename "$t" .c); name=${name#fuzz_}
  fresh=$(mktemp -d) # new inputs go here: the corpus in the tree stays small and is added to by hand
  if "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -max_len=16384 -timeout=10 -rss_limit_mb=2048 \
      -artifact_prefix="$found/$name-" "$fresh" "tests/fuzz/corpus-$name" >"$found/$name.log" 2>&1; then
    echo "ok $name: $(grep -oE 'Done [0-9]+ runs in [0-9]+ second' "$found/$name.log")s, $(find "$fresh" -type f | wc -l) new inputs"
  else
    failed=1
    echo "not ok $name: see $found"; grep -E 'ERROR|SUMMARY|runtime error|Test unit written' "$found/$name.log"
  fi
  rm -rf "$fresh"
done
exit $failed
