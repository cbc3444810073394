#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Kubernetes' programs, compiled once from Debian's own source package: kube-build.sh   Prints the folder that holds them.
#
# They go into CHAOSD_CACHE (~/.cache/chaosd)/kubernetes-VERSION, which appears complete or not at all. What an interrupted build compiled is used by
# the next one; a second build at the same time waits for the first. Neither sources.list nor the machine's package lists are touched.
set -euo pipefail
version=1.20.2 # Debian 12's
recipe=1       # counted up when what is built below changes
programs="kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl"
here=$(cd "$(dirname "$0")" && pwd)
cache=${CHAOSD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/chaosd}
done=$cache/kubernetes-$version-$recipe
fail() { echo "kube-build: $*" >&2; exit 1; }
[ $# -eq 0 ] || { sed -n '3,6s/^# \{0,1\}//p' "$0"; exit 64; }
if [ -x "$done/kubectl" ]; then echo "$done"; exit 0; fi
mkdir -p "$cache" || fail "cannot make $cache (set CHAOSD_CACHE)"
exec 9>"$cache/kubernetes.lock"
flock -n 9 || { echo "kube-build: another build is under way: waiting for it" >&2; flock 9; }
if [ -x "$done/kubectl" ]; then echo "$done"; exit 0; fi

bash "$here/deps.sh" kube-build >&2
go=/usr/lib/go-1.19/bin/go
[ -x $go ] || fail "$go is missing: this needs Debian 12 (package golang-1.19-go), whose Kubernetes $version no newer Go compiles"
work=$cache/kubernetes-$version-$recipe.build
mkdir -p "$work"/{out,tmp,apt/lists/partial,apt/cache/archives/partial}
free_mib=$(df -Pm "$work" | awk 'NR == 2 {print $4}')
[ "$free_mib" -ge 4000 ] || fail "$work: the build needs 4 GB of disk, there are $free_mib MB (set CHAOSD_CACHE)"

# --- the source: Debian's archive, checked by apt against the archive's signature, from the mirror that this machine uses already ---
fetch_source() {
  local mirror by='' keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' 'Component: main' 2>/dev/null | head -1)
  [ ! -e $keyring ] || by="[signed-by=$keyring] "
  echo "deb-src $by${mirror:-http://deb.debian.org/debian} bookworm main" >"$work/apt/sources.list"
  local apt=(apt-get -qq -o "Dir::Etc::SourceList=$work/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$work/apt/lists"
    -o "Dir::Cache=$work/apt/cache" -o APT::Sandbox::User=root -o Acquire::Retries=3)
  "${apt[@]}" update || fail "cannot read the source index of ${mirror:-deb.debian.org}: see above"
  (cd "$work" && "${apt[@]}" source --download-only --only-source kubernetes/bookworm) || fail "cannot fetch Debian's source package kubernetes: see above"
}
src=$work/go/src/k8s.io/kubernetes
if [ ! -e "$work/unpacked" ]; then
  echo "kube-build: fetching Debian's source package kubernetes $version" >&2
  fetch_source >&2
  tarball=$(find "$work" -maxdepth 1 -name "kubernetes_*$version*.orig.tar.*" ! -name '*.asc' | head -1)
  [ -n "$tarball" ] || fail "Debian's kubernetes is no longer $version but $(cd "$work" && ls kubernetes_*.dsc): the recipe in $0 wants a new look"
  rm -rf "$work/go"; mkdir -p "$src"
  tar -C "$src" --strip-components=1 -xf "$tarball"
  # Its reflect2 is older than Go 1.18, which broke it: maps are walked with a wrong iterator, and the API server dies of that now and then.
  rm "$src"/vendor/github.com/modern-go/reflect2/*.{go,s}
  cp /usr/share/gocode/src/github.com/modern-go/reflect2/*.{go,s} "$src/vendor/github.com/modern-go/reflect2/"
  touch "$work/unpacked"
fi

# --- compile: sources of before Go's modules; what has been compiled stays in the build folder's own Go cache ---
echo "kube-build: compiling Kubernetes $version into $done (4 to 5 minutes on two cores)" >&2
export GOPATH=$work/go GOCACHE=$work/gocache GOTMPDIR=$work/tmp GO111MODULE=off CGO_ENABLED=0 GOFLAGS='' GOTOOLCHAIN=local GOROOT=/usr/lib/go-1.19
rm -rf "$work"/tmp/*
cd "$src"
# The API's OpenAPI definitions are not in the source: Kubernetes generates them from types that carry this mark.
generated=pkg/generated/openapi/zz_generated.openapi.go
if [ ! -e "$work/generated" ]; then
  mark='^// \+k8s:openapi-gen='
  marked=$( (cd staging/src && grep -rlE --include='*.go' --exclude='*_test.go' --exclude='zz_*' "$mark" k8s.io) | sed 's|^|k8s.io/kubernetes/vendor/|'
    grep -rlE --include='*.go' --exclude='*_test.go' --exclude='zz_*' "$mark" pkg cmd | sed 's|^|k8s.io/kubernetes/|')
  packages=$(xargs -n1 dirname <<<"$marked" | sort -u | paste -sd,)
  $go build -o "$work/openapi-gen" k8s.io/kubernetes/vendor/k8s.io/kube-openapi/cmd/openapi-gen
  "$work/openapi-gen" --logtostderr --go-header-file /dev/null --output-file-base zz_generated.openapi --output-base "$GOPATH/src" \
    --output-package k8s.io/kubernetes/pkg/generated/openapi --report-filename "$work/violations" --input-dirs "$packages" >&2
  [ -s $generated ] || fail "openapi-gen wrote no $generated"
  touch "$work/generated"
fi
stamp=""
for v in component-base/version client-go/pkg/version; do # the second is what the API server says of itself
  v=k8s.io/kubernetes/vendor/k8s.io/$v
  stamp+=" -X $v.gitVersion=v$version -X $v.gitMajor=${version%%.*} -X $v.gitMinor=$(cut -d. -f2 <<<$version) -X $v.gitTreeState=archive"
done
$go build -trimpath -ldflags "-s -w $stamp" -o "$work/out/" $(printf './cmd/%s ' $programs)
# The process that keeps a pod's namespaces: Kubernetes' own.
gcc -O2 -static -DVERSION=lab -o "$work/out/pause" build/pause/linux/pause.c
echo "kube-build: done after $SECONDS s" >&2
rm -rf "$done"
mv -T "$work/out" "$done"
rm -rf "$work"
echo "$done"
