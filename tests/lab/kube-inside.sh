#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kube.sh's other half: what runs inside the lab's namespaces. kube-inside.sh DIR PART | kube-inside.sh DIR enter PART
#
# Every part of the lab starts as this script, joins the lab's control groups, writes its pid and start time (as the machine sees them) into
# DIR/parts/PART/pid and becomes the program. The fabric and each node are namespaces of their own whose first process is tini; when it is killed,
# the kernel ends all that runs in them and drops their mounts and links. In there /run is a tmpfs with /run/lab: dir (DIR), bin, volumes, machine-proc.
set -euo pipefail
dir=$1 part=$2 patience=${KUBE_PATIENCE:-1}
fail() { echo "$part: $*" >&2; exit 1; }

join() { # which leaf of the lab's control groups
  while read -r c; do echo 0 >"$c/$1/cgroup.procs" || fail "cannot join $c/$1"; done <"$dir/cgroups"
}
record() { # /proc/self of the machine's /proc is this shell, under the pid that the machine knows
  local s
  read -r -a s </run/lab/machine-proc/self/stat
  echo "${s[0]} ${s[21]}" >"$dir/parts/$part/pid.new"
  mv "$dir/parts/$part/pid.new" "$dir/parts/$part/pid"
}
keep() { # the first process of namespaces: reaps what is orphaned in them
  touch "$dir/parts/$part/ready"
  exec tini -- sleep infinity
}

if [ "$part" = enter ]; then
  part=$3
  case $part in
  fabric) join fabric; exec unshare --net --mount --pid --fork bash "$dir/inside.sh" "$dir" fabric ;;
  *) join "$part/daemons"; exec unshare --net --mount --pid --uts --fork bash "$dir/inside.sh" "$dir" "$part" ;;
  esac
fi

fabric() {
  local m=$dir/mem
  mount -t tmpfs -o mode=755 lab "$m"
  mkdir -p "$m"/lab/{dir,bin,volumes,machine-proc,etcd} "$m/lock"
  mount --bind "$dir" "$m/lab/dir"; mount --bind "$(cat "$dir/programs")" "$m/lab/bin"; mount --bind /proc "$m/lab/machine-proc"
  mount --no-mtab --move "$m" /run
  dir=/run/lab/dir
  mount -t proc proc /proc
  record
  ip link set lo up
  ip link add fabric0 type bridge
  if [ -e $dir/is-guest ]; then # the lab's other bridge, on this machine's, has the rest
    ip addr add 10.200.0.253/24 dev fabric0
    ip link set fabric0 up
    keep
  fi
  ip addr add 10.200.0.254/24 dev fabric0
  ip link set fabric0 up
  ip route add 10.96.0.0/16 dev fabric0 # Services: kube-proxy turns the address into a pod's before anything asks who has it
  echo 1 >/proc/sys/net/ipv4/ip_forward
  keep
}

node() { # number
  local n=$1 d
  hostname "$part"
  mkdir -p /run/new
  mount -t tmpfs -o mode=755 node /run/new
  mkdir -p /run/new/{lab,lock,sysctl,cni}
  mount --rbind /run/lab /run/new/lab; mount --no-mtab --move /run/new /run
  for d in /var/lib /var/log /opt; do [ ! -d $d ] || mount -t tmpfs -o mode=755 node $d; done
  mkdir -p /var/lib/volumes; mount --bind /run/lab/volumes /var/lib/volumes
  mount -t proc proc /proc
  own_sysctl
  mount --make-rshared / # as a kubelet wants it; nothing outside is in the group
  node_files "$n"
  record
  ip link set lo up
  echo 1 >/proc/sys/net/ipv4/ip_forward
  keep
}

# The kubelet sets these for the whole machine unless they are right: it is shown files that are.
own_sysctl() {
  local key value
  while read -r key value; do
    [ -e "/proc/sys/$key" ] || continue
    echo "$value" >"/run/sysctl/${key##*/}"
    mount --bind "/run/sysctl/${key##*/}" "/proc/sys/$key"
  done <<'SYSCTL'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
SYSCTL
}

# ptp, not a bridge: each packet is routed, so that Services work between pods of one node without br_netfilter.
node_files() { # number
  : >/run/resolv.conf
  cat >/run/cni/10-lab.conflist <<K
{"cniVersion": "0.4.0", "name": "lab", "plugins": [{"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local", "dataDir": "/run/cni-addresses",
  "subnet": "10.244.$1.0/24", "routes": [{"dst": "0.0.0.0/0"}]}}]}
K
  cat >/run/containerd.toml <<K
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "chaosd.lab/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/run/cni"
K
  # syncFrequency: a pod whose container was gone when it was to be killed is looked at again only then, after a minute and more where it is not set.
  cat >/run/kubelet.yaml <<K
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: /run/lab/dir/pki/ca.crt}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
cgroupRoot: /$(cat $dir/id)/$part
evictionHard: {memory.available: 50Mi}
failSwapOn: false
healthzPort: 0
imageGCHighThresholdPercent: 100
nodeLeaseDurationSeconds: $((16 * patience))
nodeStatusUpdateFrequency: 4s
oomScoreAdj: 0
protectKernelDefaults: true
readOnlyPort: 0
resolvConf: /run/resolv.conf
syncFrequency: $((5 * patience))s
volumePluginDir: /var/lib/kubelet/plugins-exec
K
}

pki=/run/lab/dir/pki bin=/run/lab/bin
become() { # program...
  case $part in node-*) join "${part%%.*}/daemons" ;; *) join fabric ;; esac
  record
  local more=(); [ ! -e $dir/is-guest ] || more=(GOGC=800) # emulated, time is dearer than memory
  exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root ${more[@]+"${more[@]}"} "$@"
}

guest() { # its paths are the machine's
  local here
  { read -r here; read -r dir; } <"$dir/vm"
  join fabric
  record
  cd /; export TMPDIR=$dir/tmp LAB_TAP=guest LAB_CLOCK=${LAB_CLOCK:-host} LAB_KEEP=$dir LAB_SECONDS=$((7 * 86400)) LAB_MEMORY=${LAB_MEMORY:-4G}
  exec bash "$here/vm.sh" env KUBE_PATIENCE="$patience" bash "$here/kube.sh" nodes "$dir/guest"
}
proxy() { # the node's name and address
  become $bin/kube-proxy --kubeconfig=$pki/proxy.kubeconfig --hostname-override="$1" --bind-address="$2" --proxy-mode=iptables \
    --cluster-cidr=10.244.0.0/16 --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0s --conntrack-tcp-timeout-close-wait=0s --oom-score-adj=0
}
apiserver() {
  become $bin/kube-apiserver --etcd-servers=http://127.0.0.1:2379 --secure-port=6443 --advertise-address=10.200.0.254 --allow-privileged=true \
    --tls-cert-file=$pki/apiserver.crt --tls-private-key-file=$pki/apiserver.key --client-ca-file=$pki/ca.crt --cert-dir=/run/apiserver \
    --kubelet-client-certificate=$pki/kubelet-client.crt --kubelet-client-key=$pki/kubelet-client.key --kubelet-preferred-address-types=InternalIP \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --service-cluster-ip-range=10.96.0.0/16 \
    --service-account-key-file=$pki/accounts.pub --service-account-signing-key-file=$pki/accounts.key \
    --service-account-issuer=https://kubernetes.default.svc --profiling=false \
    --audit-policy-file=/run/lab/dir/audit.yaml --audit-log-path=/run/lab/dir/parts/apiserver/audit.log
}
case $part in
fabric) fabric ;;
etcd) become etcd --name lab --data-dir /run/lab/etcd --unsafe-no-fsync --logger zap \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 \
    --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster lab=http://127.0.0.1:2380 ;;
apiserver) apiserver ;;
controller-manager)
  become $bin/kube-controller-manager --kubeconfig=$pki/controller-manager.kubeconfig --service-account-private-key-file=$pki/accounts.key \
    --root-ca-file=$pki/ca.crt --use-service-account-credentials=true --port=0 --bind-address=127.0.0.1 --cert-dir=/run/controller-manager \
    --flex-volume-plugin-dir=/run/controller-manager/plugins \
    --node-monitor-grace-period=$((16 * patience))s --node-monitor-period=2s
  ;;
guest) guest ;;
scheduler) become $bin/kube-scheduler --kubeconfig=$pki/scheduler.kubeconfig --port=0 --bind-address=127.0.0.1 --cert-dir=/run/scheduler ;;
proxy) proxy fabric 10.200.0.254 ;;
node-*.containerd) become containerd -c /run/containerd.toml ;;
node-*.kubelet)
  n=${part%.kubelet}
  become $bin/kubelet --config=/run/kubelet.yaml --kubeconfig="$pki/$n.kubeconfig" --container-runtime=remote \
    --container-runtime-endpoint=unix:///run/containerd/containerd.sock --hostname-override="$n" --node-ip="10.200.0.${n#node-}"
  ;;
node-*.proxy) n=${part%.proxy}; proxy "$n" "10.200.0.${n#node-}" ;;
node-*) dir=/run/lab/dir; node "${part#node-}" ;;
*) fail "no such part" ;;
esac
