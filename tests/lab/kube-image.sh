#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A container image out of programs of this machine: kube-image.sh ARCHIVE NAME[:TAG] ENTRYPOINT FILE[=PATH]...
#
# ENTRYPOINT is JSON, for example '["/bin/sh"]'. Each FILE comes with the shared libraries it is linked with; PATH is where it goes, else where it is
# here. The word busybox stands for /bin/busybox and a link for each of its commands. `kube.sh load DIR ARCHIVE` gives it to the nodes.
set -euo pipefail
fail() { echo "kube-image: $*" >&2; exit 1; }
[ $# -ge 4 ] || { sed -n '3,6s/^# \{0,1\}//p' "$0"; exit 64; }
archive=$1 name=$2 entrypoint=$3; shift 3
[[ $name == *:* ]] || name=$name:latest
t=$(mktemp -d); trap 'rm -rf "$t"' EXIT
root=$t/root; mkdir -p "$root"/{bin,etc,tmp,proc,sys,dev}; chmod 1777 "$root/tmp"
echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"; echo 'root:x:0:' >"$root/etc/group"

put() { # file here, path in the image
  [ -r "$1" ] || fail "$1: no such file, or not readable"
  mkdir -p "$root$(dirname "$2")"; cp -L "$1" "$root$2"
}
for f in "$@"; do
  if [ "$f" = busybox ]; then
    put /bin/busybox /bin/busybox
    for c in $(/bin/busybox --list); do [ -e "$root/bin/$c" ] || ln -s busybox "$root/bin/$c"; done
    continue
  fi
  from=${f%%=*} to=${f#*=}; from=$(realpath "$from") || fail "$f: no such file"
  [ "$f" != "$to" ] || to=$from
  put "$from" "$to"
  # "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x...)", "/lib64/ld-linux-x86-64.so.2 (0x...)"; a static program has none.
  for l in $(ldd "$from" 2>/dev/null | grep -oE '(=> |^\s*)/[^ ]+' | grep -oE '/.*'); do put "$l" "$l"; done
done
tar -C "$root" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$t/layer.tar" .
printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":%s,"Env":["PATH=/bin:/usr/bin:/sbin:/usr/sbin"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
  "$(dpkg --print-architecture)" "$entrypoint" "$(sha256sum "$t/layer.tar" | cut -d' ' -f1)" >"$t/config.json"
printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$name" >"$t/manifest.json"
mkdir -p "$(dirname "$archive")"
tar -C "$t" -cf "$archive.$$" manifest.json config.json layer.tar
mv "$archive.$$" "$archive"
