#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A Kubernetes of its own on this machine, real but for its size, all of it in namespaces that nothing outside sees. As root:
#
#   kube.sh up DIR [NODES]           etcd, control plane and NODES (2) nodes, each with containerd, kubelet and kube-proxy; returns when they are Ready
#   kube.sh exec DIR COMMAND...      a command in the network where the API server, the pods and the Services are; kubectl is in its PATH
#   kube.sh status DIR               a line for each part; exit 0 when all run and all nodes are Ready
#   kube.sh pid DIR PART             the part's pid
#   kube.sh signal DIR PART SIGNAL   STOP, CONT, ...; with TERM and KILL it waits for the end
#   kube.sh start DIR PART           a part that was ended, a whole node too
#   kube.sh node DIR N COMMAND...    a command in node N: its network, its mounts, its processes
#   kube.sh load DIR ARCHIVE...      images (kube-image.sh makes them) into every node; pods use them with imagePullPolicy: Never
#   kube.sh down DIR                 everything away, whatever died before; the logs stay
#
# Parts: fabric etcd apiserver controller-manager scheduler proxy node-N node-N.containerd node-N.kubelet node-N.proxy; DIR/parts/PART/log is its log.
# DIR/kubeconfig is the administrator's. API server https://10.200.0.254:6443, nodes 10.200.0.N, pods 10.244.N.*, Services 10.96.*. KUBE_PATIENCE=5
# waits five times as long for each part, and a node may be silent for five times as long: in an emulated machine.
#
# KUBE_VM=1 with up: the nodes run under Debian's kernel in a QEMU guest (vm.sh), whose network card is on the same bridge. For what this machine's
# kernel has not. All commands are the same; the pids are the guest's. The part "guest" is QEMU, and DIR/guest/parts/PART/log are the nodes' logs.
# Files of this machine that change later may look old from in there: what is new goes in by standard input (node) or as an image (load). With
# LAB_CLOCK=guest besides, its clock is its own and stands still where the machine has no time for it: truer to measure by, but it falls behind by minutes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin:/sbin
say() { echo "kube: $*" >&2; }
fail() { say "$*"; exit 1; }
usage() { sed -n '3,23s/^# \{0,1\}//p' "$0"; exit 64; }

# --- processes: known by pid and start time, as they wrote it down themselves ---
pid_of() { # part: its pid, if it lives
  local recorded s
  read -r -a recorded 2>/dev/null <"$D/parts/$1/pid" || return 1
  read -r -a s 2>/dev/null <"/proc/${recorded[0]}/stat" || return 1
  # The name, in parentheses, may hold blanks: what follows the last parenthesis has fixed places.
  local rest=${s[*]}; rest=${rest##*) }; read -r -a s <<<"$rest"
  [ "${s[19]}" = "${recorded[1]}" ] && [[ ${s[0]} != [ZX] ]] && echo "${recorded[0]}"
}
until_true() { # seconds, command...
  local end=$((SECONDS + $1 * ${KUBE_PATIENCE:-1})); shift
  until "$@"; do [ $SECONDS -lt $end ] || return 1; sleep 0.1; done
}
lives() { pid_of "$1" >/dev/null; }
is_dead() { ! lives "$1"; }
is_ready() { [ -e "$D/parts/$1/ready" ]; }
parts() { find "$D/parts" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' 2>/dev/null | sort; }
numbers() { seq "$(cat "$D/nodes")"; }
inside() { # home, command...: in the network, mount, pid and host name namespaces of the fabric or of a node
  local p; p=$(pid_of "$1") || fail "$1 does not run (kube.sh status $D)"; shift
  nsenter --target "$p" --net --mount --pid --uts -- "$@"
}
in_vm() { [ -e "$D/vm" ]; } # is this the host of a guest with the nodes?
guest() { in_fabric python3 "$here/remote.py" call 10.200.0.253 1 "$@"; }
guest_kube() { local command=$1; shift; guest env KUBE_PATIENCE="${KUBE_PATIENCE:-1}" bash "$here/kube.sh" "$command" "$D/guest" "$@"; }
log_of() {
  local log=$D/parts/$1/log; [[ $1 != node-* ]] || ! in_vm || log=$D/guest/parts/$1/log
  say "the end of $log:"; tail -n 8 "$log" >&2 || true
}

begin() { # part
  local p=$1 home=fabric
  [ -e "$D/id" ] || fail "$D was taken down"
  [[ $p != node-*.* ]] || home=${p%%.*}
  mkdir -p "$D/parts/$p"; rm -f "$D/parts/$p"/{pid,ready}
  case $p in
  fabric) setsid -f bash "$D/inside.sh" "$D" enter fabric ;;
  node-*.*) inside "$home" setsid -f bash /run/lab/dir/inside.sh /run/lab/dir "$p" ;;
  node-*) nsenter --target "$(pid_of fabric)" --mount --pid -- setsid -f bash /run/lab/dir/inside.sh /run/lab/dir enter "$p" ;;
  *) inside fabric setsid -f bash "/run/lab/dir/inside.sh" /run/lab/dir "$p" ;;
  esac </dev/null >>"$D/parts/$p/log" 2>&1
  until_true 20 lives "$p" || { log_of "$p"; fail "$p did not start"; }
}
begin_home() { begin "$1"; until_true 20 is_ready "$1" || { log_of "$1"; fail "$1 did not come up"; }; }

# --- control groups: DIR/cgroups holds ours in each hierarchy ---
make_cgroups() {
  local id=$1 mounted root c controllers
  # "36 25 0:31 / /sys/fs/cgroup/freezer rw shared:9 - cgroup cgroup rw,freezer"
  awk '{for (i = 7; i < NF; i++) if ($i == "-") break; if ($(i + 1) ~ /^cgroup2?$/) print $4, $5}' /proc/self/mountinfo >"$D/mounts"
  while read -r root mounted; do
    [ "$root" = / ] || fail "the control groups at $mounted are only a part of the machine's: a container? This needs the machine, or a VM"
    echo "$mounted/$id"
  done <"$D/mounts" >"$D/cgroups"
  [ -s "$D/cgroups" ] || fail "no control groups are mounted"
  while read -r c; do
    if [ -e "${c%/*}/cgroup.controllers" ]; then
      controllers=$(tr ' ' '\n' <"${c%/*}/cgroup.controllers" | grep -xE 'cpuset|cpu|io|memory|pids|hugetlb' || true)
      [[ $controllers == *memory* ]] || controllers='' # version 1 beside it does the work
      new_controllers "${c%/*}" "$controllers" >"$D/controllers"
      offer "${c%/*}" "$controllers"
    fi
    mkdir -p "$c"
    if [ -e "$c/cpuset.cpus" ] && [ -e "$c/cgroup.clone_children" ]; then
      cat "${c%/*}/cpuset.cpus" >"$c/cpuset.cpus"; cat "${c%/*}/cpuset.mems" >"$c/cpuset.mems"; echo 1 >"$c/cgroup.clone_children"
    fi
    [ ! -e "$c/cgroup.controllers" ] || offer "$c" "$controllers"
    mkdir -p "$c/fabric"
    for n in $(numbers); do mkdir -p "$c/node-$n/daemons"; [ ! -e "$c/cgroup.controllers" ] || offer "$c/node-$n" "$controllers"; done
  done <"$D/cgroups"
}
new_controllers() { local x; for x in $2; do grep -qw "$x" "$1/cgroup.subtree_control" || echo "$1 $x"; done; }
offer() { # group, controllers: to the groups below it
  local x; for x in $2; do echo "+$x" >"$1/cgroup.subtree_control" || fail "$1: cannot offer the controller $x to its groups"; done
}
members() { local c; while read -r c; do [ ! -d "$c" ] || find "$c" -name cgroup.procs -exec cat {} +; done 2>/dev/null <"$D/cgroups" | sort -un; }
thaw() { # what is frozen cannot be killed (version 1)
  local c f
  while read -r c; do [ ! -d "$c" ] || find "$c" \( -name freezer.state -o -name cgroup.freeze \); done 2>/dev/null <"$D/cgroups" |
    while read -r f; do case $f in *freezer.state) echo THAWED ;; *) echo 0 ;; esac 2>/dev/null >"$f" || true; done
}
cgroups_gone() {
  local c p
  thaw
  for p in $(members); do kill -KILL "$p" 2>/dev/null || true; done
  while read -r c; do [ ! -d "$c" ] || find "$c" -depth -type d -exec rmdir {} + 2>/dev/null || true; done <"$D/cgroups"
  while read -r c; do [ ! -d "$c" ] || return 1; done <"$D/cgroups"
}

# --- keys and certificates ---
certificates() (
  mkdir -p "$D/pki"; chmod 700 "$D/pki"; cd "$D/pki"
  cat >openssl.cnf <<'K'
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = IP:10.200.0.254, IP:10.96.0.1, IP:127.0.0.1, DNS:localhost, DNS:kubernetes, DNS:kubernetes.default, DNS:kubernetes.default.svc
K
  make() { # file, subject, kind, more
    local file=$1 subject=$2 kind=$3; shift 3
    openssl req -config openssl.cnf -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "$subject" -extensions "$kind" \
      -keyout "$file.key" -out "$file.crt" "$@" 2>openssl.log || { cat openssl.log >&2; fail "openssl could not make $file.crt"; }
  }
  signed() { make "$@" -CA ca.crt -CAkey ca.key; }
  user() { # file, subject: a certificate and a kubeconfig that holds it
    [ -e "$1.crt" ] || signed "$1" "$2" client
    cat >"$1.kubeconfig" <<K
apiVersion: v1
kind: Config
clusters: [{name: lab, cluster: {server: "https://10.200.0.254:6443", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}}]
contexts: [{name: lab, context: {cluster: lab, user: $1}}]
current-context: lab
K
  }
  make ca /CN=chaosd-lab authority
  signed apiserver /CN=kube-apiserver server
  signed kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client client
  openssl ecparam -name prime256v1 -genkey -noout -out accounts.key; openssl ec -in accounts.key -pubout -out accounts.pub 2>/dev/null
  user admin /O=system:masters/CN=admin
  user controller-manager /CN=system:kube-controller-manager
  user scheduler /CN=system:kube-scheduler
  user proxy /CN=system:kube-proxy
  for n in $(numbers); do user "node-$n" "/O=system:nodes/CN=system:node:node-$n"; done
  cp admin.kubeconfig "$D/kubeconfig"
)

# --- the parts in their order ---
images() {
  local b; b=$(cat "$D/programs")
  mkdir -p "$D/images"
  bash "$here/kube-image.sh" "$D/images/pause.tar" chaosd.lab/pause:1 '["/pause"]' "$b/pause=/pause"
  bash "$here/kube-image.sh" "$D/images/busybox.tar" chaosd.lab/busybox:1 '["/bin/tini", "--"]' busybox /usr/bin/curl /usr/bin/tini-static=/bin/tini
  bash "$here/kube-image.sh" "$D/images/etcd.tar" chaosd.lab/etcd:1 '["/usr/bin/etcd"]' busybox /usr/bin/etcd /usr/bin/etcdctl
}
load() { # node, archive
  inside "$1" ctr --namespace k8s.io images import - <"$2" >>"$D/parts/$1/log" 2>&1 || fail "$1 does not take the image $2 ($D/parts/$1/log)"
}
no_link() { ! nsenter --net="$1" ip link show "$2" >/dev/null 2>&1; }
containerd_answers() { inside "$1" ctr version >/dev/null 2>&1; }
node_up() { # number: up to its images; the kubelet wants an API server
  local n=$1 f p i m
  begin_home "node-$n"
  f=/proc/$(pid_of fabric)/ns/net; p=$(pid_of "node-$n")
  until_true 10 no_link "$f" "node-$n" || fail "the link of the node-$n that was is still there" # the kernel takes a dead namespace's links away in its own time
  nsenter --net="$f" ip link add "node-$n" type veth peer name eth0 netns "$p"
  nsenter --net="$f" ip link set "node-$n" master fabric0 up
  nsenter --net="$f" ip route replace "10.244.$n.0/24" via "10.200.0.$n"
  { # the other nodes' pods are behind the other nodes
    echo "addr add 10.200.0.$n/24 dev eth0"; echo "link set eth0 up"; echo "route add default via 10.200.0.254"
    for m in $(numbers); do [ "$m" = "$n" ] || echo "route add 10.244.$m.0/24 via 10.200.0.$m"; done
  } | nsenter --net="/proc/$p/ns/net" ip -batch -
  begin "node-$n.containerd"
  until_true 30 containerd_answers "node-$n" || { log_of "node-$n.containerd"; fail "containerd of node-$n does not answer"; }
  for i in "$D"/images/*.tar; do load "node-$n" "$i"; done
}
all_nodes_up() {
  local n waits=()
  for n in $(numbers); do (trap - EXIT; node_up "$n") & waits+=($!); done
  "$@" # meanwhile
  for n in "${waits[@]}"; do wait "$n" || fail "a node did not come up: see above"; done
  for n in $(numbers); do node_joins "$n"; done
}
node_joins() { begin "node-$1.proxy"; begin "node-$1.kubelet"; }

# --- the guest: its half of the network, of the files and of the work ---
guest_up() {
  local f n; f=/proc/$(pid_of fabric)/ns/net
  mkdir -p "$D/guest/parts" "$D/guest/mem" "$D/tmp"
  cp -r "$D"/{id,programs,nodes,inside.sh,pki} "$D/guest/"; ln -sfn ../images "$D/guest/images"; touch "$D/guest/is-guest"
  nsenter --net="$f" ip tuntap add dev guest mode tap
  nsenter --net="$f" ip link set guest master fabric0 up
  for n in $(numbers); do nsenter --net="$f" ip route replace "10.244.$n.0/24" via "10.200.0.$n"; done
  begin guest
}
nodes() { # in the guest: brings them up, and then does as it is told
  local c f
  [ -e "$D/is-guest" ] || fail "$D is not a guest's"
  umount /sys/fs/cgroup; mount -t tmpfs -o mode=755 cgroups /sys/fs/cgroup # Kubernetes 1.20 wants version 1, a mount for each
  for c in cpuset cpu cpuacct memory devices freezer blkio pids; do mkdir "/sys/fs/cgroup/$c"; mount -t cgroup -o "$c" "$c" "/sys/fs/cgroup/$c"; done
  mkdir /sys/fs/cgroup/{systemd,unified}; mount -t cgroup -o none,name=systemd systemd /sys/fs/cgroup/systemd; mount -t cgroup2 unified /sys/fs/cgroup/unified
  make_cgroups "$(cat "$D/id")"
  begin_home fabric
  f=/proc/$(pid_of fabric)/ns/net
  ip link set eth0 netns "$(pid_of fabric)"; nsenter --net="$f" ip link set eth0 master fabric0 up
  nsenter --net="$f" python3 "$here/remote.py" serve 10.200.0.253 1 &
  all_nodes_up true
  say "the nodes have begun after $(cut -d' ' -f1 /proc/uptime) s"
  wait
}
nodes_come() {
  if in_vm && ! lives guest; then log_of guest; fail "the guest ended"; fi
  nodes_ready
}

api() { in_fabric kubectl --kubeconfig "$D/kubeconfig" "$@"; }
in_fabric() {
  local p; p=$(pid_of fabric) || fail "no lab runs in $D (kube.sh up $D)"
  nsenter --net="/proc/$p/ns/net" env -u http_proxy -u https_proxy -u all_proxy -u HTTP_PROXY -u HTTPS_PROXY -u ALL_PROXY \
    KUBECONFIG="$D/kubeconfig" PATH="$D/tools:$(cat "$D/programs"):$PATH" "$@"
}
api_ready() {
  lives apiserver || { log_of apiserver; fail "the API server ended"; }
  api get --raw /readyz >/dev/null 2>&1
}
nodes_ready() { [ "$(api get nodes -o 'jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}' 2>/dev/null | grep -cx True)" = "$(cat "$D/nodes")" ]; }
has_account() { api get serviceaccount default >/dev/null 2>&1; }

missing_tools() {
  local c
  for c in containerd runc conntrack iptables etcd etcdctl openssl curl /bin/busybox /usr/bin/tini-static tini ip nsenter setsid /usr/lib/cni/ptp gcc; do
    command -v $c >/dev/null || echo $c
  done
}
control_up() {
  until_true 60 api_ready || { log_of apiserver; fail "the API server is not ready after a minute"; }
  begin controller-manager; begin scheduler; begin proxy
}
up() {
  [ "$(id -u)" = 0 ] || fail "namespaces and control groups need root"
  [[ ${1:-2} =~ ^[1-9][0-9]?$ ]] || fail "NODES is a number from 1 to 99, not \"$1\""
  [ ! -e "$D/id" ] || fail "$D holds a lab already: kube.sh down $D"
  [ -z "$(missing_tools)" ] || bash "$here/deps.sh" kube >&2
  [ -z "$(missing_tools)" ] || fail "missing: $(missing_tools | paste -sd' ')"
  [ -z "${KUBE_VM:-}" ] || bash "$here/vm.sh" --fetch || fail "no guest for the nodes: see above"
  local bin; bin=$(bash "$here/kube-build.sh")
  mkdir -p "$D/mem"
  # The id comes first: from here on `down` finds whatever is made.
  (set -o noclobber; echo "chaosd-kube-$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')" >"$D/id") 2>/dev/null || fail "$D holds a lab already"
  trap 'rc=$?; [ $rc -eq 0 ] || { say "up failed: taking down what is there"; trap - EXIT; down || true; exit $rc; }' EXIT
  trap 'exit 130' INT; trap 'exit 143' TERM
  rm -rf "${D:?}"/{parts,tools,guest,vm}; mkdir "$D/parts"; echo "$bin" >"$D/programs"; echo "${1:-2}" >"$D/nodes"
  mkdir "$D/tools"; printf '#!/bin/sh\nexec "%s/kubectl" --cache-dir="%s/mem/kubectl" "$@"\n' "$bin" "$D" >"$D/tools/kubectl"; chmod +x "$D/tools/kubectl"
  cp "$here/kube-inside.sh" "$D/inside.sh"; cp "$here/kube-audit.yaml" "$D/audit.yaml"
  [ -z "${KUBE_VM:-}" ] || { printf '%s\n' "$here" "$D" >"$D/vm"; export KUBE_PATIENCE=${KUBE_PATIENCE:-5}; }
  certificates
  make_cgroups "$(cat "$D/id")"
  begin_home fabric
  begin etcd; begin apiserver
  images
  if in_vm; then guest_up; control_up; else all_nodes_up control_up; fi
  until_true 60 nodes_come || { log_of node-1.kubelet; api get nodes >&2 || true; fail "the nodes are not Ready after $((60 * ${KUBE_PATIENCE:-1})) s"; }
  until_true 30 has_account || { log_of controller-manager; fail "no service account \"default\" was made"; }
  say "up in $SECONDS s: kube.sh exec $D kubectl get nodes"
}

down() {
  [ -e "$D/id" ] || { say "nothing of a lab in $D"; return 0; }
  local p x
  touch "$D/cgroups"; thaw
  for p in fabric $(parts); do if x=$(pid_of "$p"); then kill -KILL "$x" 2>/dev/null || true; fi; done
  until_true 30 cgroups_gone || { say "still there: processes $(members | paste -sd' '), groups below $(paste -sd' ' "$D/cgroups")"; return 1; }
  for p in $(parts); do until_true 10 is_dead "$p" || { say "$p is still there"; return 1; }; done
  # What we offered below the root group; somebody else may use it by now, then it stays.
  [ ! -e "$D/controllers" ] || while read -r p x; do echo "-$x" >"$p/cgroup.subtree_control" || true; done 2>/dev/null <"$D/controllers"
  rm -rf "${D:?}"/{pki,images,mem,tools,kubeconfig,inside.sh,audit.yaml,programs,nodes,mounts,cgroups,controllers,vm,tmp} "$D"/parts/*/{pid,pid.new,ready}
  [ ! -e "$D/guest" ] || rm -rf "$D"/guest/{pki,images,mem,inside.sh,programs,nodes,mounts,cgroups,controllers,id,is-guest} "$D"/guest/parts/*/{pid,pid.new,ready}
  rm -f "$D/id"
}

status() {
  local p x s rc=0
  [ -e "$D/id" ] || { echo "no lab in $D"; return 1; }
  for p in $(parts); do
    if x=$(pid_of "$p"); then
      s=$(awk '/^State:/{print $2}' "/proc/$x/status"); [ "$s" != T ] || rc=1
      case $s in T) s=frozen ;; *) s=runs ;; esac
      printf '%-24s %-7s pid %s\n' "$p" $s "$x"
    else
      printf '%-24s dead    %s\n' "$p" "$D/parts/$p/log"; rc=1
    fi
  done
  if in_vm && lives guest; then guest_kube status | grep -v '^fabric' || rc=1; fi
  if lives apiserver; then api --request-timeout=5s get nodes || rc=1; nodes_ready || rc=1; fi
  return $rc
}

signal() { # part, signal
  local p; p=$(pid_of "$1") || fail "$1 does not run"
  kill -s "$2" "$p" || fail "cannot send $2 to $1 (pid $p)"
  case ${2#SIG} in TERM | KILL) until_true 15 is_dead "$1" || fail "$1 (pid $p) did not end within 15 s" ;; esac
}
start() { # part
  [ -d "$D/parts/$1" ] || fail "no part \"$1\" here; there are: $(parts | paste -sd' ')"
  if lives "$1"; then fail "$1 runs already"; fi
  case $1 in
  fabric | guest) fail "the $1 is all of it: kube.sh down $D, then up" ;;
  node-*.*) begin "$1" ;;
  node-*) node_up "${1#node-}"; node_joins "${1#node-}" ;;
  *) begin "$1" ;;
  esac
}

[ $# -ge 2 ] || usage
command=$1; D=$2; shift 2
[ "$command" != up ] || mkdir -p "$D" || fail "cannot make $D"
D=$(realpath "$D"); [ -d "$D" ] || fail "$D: no such folder"
[[ $D != *[[:space:]]* ]] || fail "$D: the path may hold no blanks"
if in_vm; then
  export KUBE_PATIENCE=${KUBE_PATIENCE:-5}
  case $command.${1:-} in node.* | pid.node-* | signal.node-* | start.node-*) guest_kube "$command" "$@"; exit ;; esac
  if [ "$command" = load ]; then
    for a in "$@"; do guest bash -c 'cat >/run/image.tar && bash "$0" load "$1" /run/image.tar' "$here/kube.sh" "$D/guest" <"$a"; done
    exit
  fi
fi
case $command.$# in
up.[01]) up "$@" ;;
down.0) down ;;
status.0) status ;;
pid.1) pid_of "$1" || fail "$1 does not run" ;;
signal.2) signal "$@" ;;
start.1) start "$1" ;;
load.[1-9]*) for a in "$@"; do for n in $(numbers); do load "node-$n" "$a"; done; done ;;
exec.[1-9]*) in_fabric "$@" ;;
node.1) usage ;;
node.[1-9]*) n=$1; shift; inside "node-$n" "$@" ;;
nodes.0) nodes ;;
*) usage ;;
esac
