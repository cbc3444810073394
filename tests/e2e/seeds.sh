#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every scenario with several seeds: the verdict must be the same each time. SEEDS="1 2 3" chooses; `make seeds`.
set -uo pipefail
cd "$(dirname "$0")/../.."
chaosd=${1:-build/chaosd} out=$(mktemp -d) failed=0
trap 'rm -rf "$out"' EXIT
for scenario in scenarios/*.yaml; do
  ! grep -q "^  kubernetes:" "$scenario" || continue # there is none here
  name=$(basename "$scenario" .yaml)
  for seed in ${SEEDS:-1 2 3 4 5}; do
    began=$SECONDS
    "$chaosd" run "$scenario" --yes --quiet --seed "$seed" --out "$out/$name-$seed" >"$out/text" 2>&1
    code=$? took=$((SECONDS - began))
    printf '%-28s seed %-3s exit %d  %2d s  %s\n' "$name" "$seed" $code $took "$(sed -n 2p "$out/text" | cut -c3-)"
    [ $code -eq 0 ] && [ $took -lt 90 ] || failed=1
  done
done
exit $failed
