#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The demo: leaders are killed and the network is bad while a load runs; the run folder is under runs/. Exit status is the drill's.
# Where this kernel has no netem the drill runs under Debian's kernel in QEMU, whose processor is slow: fewer writes, longer time limits.
set -uo pipefail
chaosd=${1:-build/chaosd}
if [ "$(id -u)" != 0 ]; then
  echo "demo: a drill on the local cluster makes namespaces and needs root: sudo make demo" >&2; exit 64
fi
drill=("$chaosd" run scenarios/lossy-wan.yaml --yes)
if bash tests/lab/has_netem.sh; then
  exec "${drill[@]}"
fi
echo "demo: this machine's kernel has no netem (sch_netem), so the drill runs under Debian's kernel in QEMU: slower than the real thing."
mkdir -p runs
exec bash tests/lab/vm.sh setsid --wait "${drill[@]}" --set rate=10/s --set deadline=3s --set heartbeat=200 --set election=2000 --set longest=20s --set least=60%
