#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The demo: the etcd leader drill, its run folder under runs/. Exit status is the drill's.
set -uo pipefail
if [ "$(id -u)" != 0 ]; then
  echo "demo: a drill on the local cluster makes namespaces and needs root: sudo make demo" >&2; exit 64
fi
exec "${1:-build/chaosd}" run scenarios/etcd-leader-kill.yaml --yes
