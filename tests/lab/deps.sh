#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that are missing for: build | demo | check | fuzz | bench | lab | kube | kube-build. A server
# that comes with a package is not left running, nor enabled at boot, unless it was there before.
set -euo pipefail
build="gcc make pkg-config libc6-dev libev-dev libcurl4-openssl-dev libjansson-dev libnl-3-dev libnl-route-3-dev libyaml-dev libsqlite3-dev libjs-dygraphs clang libbpf-dev bpftool"
lab="qemu-system-x86 cpio busybox-static kmod procps iproute2"
demo="$build etcd-server"
bench="$build python3 util-linux nginx-light wrk nghttp2-client hey libcmocka-dev $lab"
[ "${1:-}" != demo ] || bash "$(dirname "$0")/has_netem.sh" || demo="$demo $lab" # its network faults run in the lab then
check="$demo $bench chromium valgrind man-db python3-yaml python3-jsonschema \
  openssl redis-server redis-sentinel haproxy patroni python3-etcd python3-psycopg2 postgresql-15 rally"
kube="$demo $lab python3 util-linux openssl curl etcd-client containerd runc containernetworking-plugins conntrack iptables busybox-static tini"
kube_build="golang-1.19-go golang-github-modern-go-reflect2-dev ca-certificates gcc libc6-dev"
fuzz="$build"
case "${1:-check}" in
build) want=$build ;; demo) want=$demo ;; check) want=$check ;; fuzz) want=$fuzz ;; bench) want=$bench ;; lab) want=$lab ;;
kube) want=$kube ;; kube-build) want=$kube_build ;;
*) echo "usage: deps.sh build|demo|check|fuzz|bench|lab|kube|kube-build" >&2; exit 64 ;;
esac
missing=()
for p in $want; do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null || true)" = installed ] || missing+=("$p")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if ! command -v apt-get >/dev/null; then
  echo "deps: missing ${missing[*]}, and this system has no apt-get: install their like by hand (see README.md, Platforms)" >&2; exit 1
fi
if [ "$(id -u)" != 0 ]; then
  echo "deps: missing ${missing[*]}: run as root, or first: sudo apt-get install ${missing[*]}" >&2; exit 1
fi
echo "deps: installing ${missing[*]}"
# Debian starts a server when its package is installed; policy-rc.d is the documented way to say no.
policy=/usr/sbin/policy-rc.d; ours=
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' >$policy; chmod +x $policy; ours=1
fi
trap '[ -z "$ours" ] || rm -f $policy' EXIT
log=$(mktemp)
install() { DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1; }
install || { apt-get update >>"$log" 2>&1 && install; } || { tail -5 "$log" >&2; echo "deps: apt-get could not install ${missing[*]} (log: $log)" >&2; exit 1; }
rm -f "$log"
if [ -d /run/systemd/system ]; then
  for p in "${missing[@]}"; do
    case $p in
    etcd-server) systemctl disable --now etcd >/dev/null 2>&1 || true ;;
    redis-server | redis-sentinel | haproxy | patroni | containerd) systemctl disable --now "$p" >/dev/null 2>&1 || true ;;
    nginx-light) systemctl disable --now nginx >/dev/null 2>&1 || true ;;
    postgresql-15) systemctl disable --now postgresql >/dev/null 2>&1 || true ;;
    esac
  done
fi
