#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs a command under Debian's own kernel: vm.sh COMMAND...   Its output, exit status and working directory are the command's own.
# vm.sh --fetch: only gets what it needs from the network, kernel and packages, for a later call that has none.
#
# A QEMU guest boots over this machine's root file system. What it writes stays in its memory, but for the working tree, the folder after a
# --out among COMMAND's own words, and the folders in LAB_KEEP (with colons between them): these are shared, and what is written there is kept.
# Set LAB_CPUS (2; emulated always 1, see below), LAB_MEMORY (2G), LAB_SECONDS (600: then it is ended, exit 124), LAB_ACCEL (tcg or kvm; otherwise KVM
# where a probe shows that it boots, else TCG), CHAOSD_CACHE (~/.cache/chaosd: the kernel is fetched into it once), LAB_CLOCK (host: emulated too, the
# guest's time is this machine's, for one that deals with others; see below), LAB_TAP (a tap device that is there already: the guest's eth0). Exit 125:
# the lab itself failed, and says why.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd); tree=$(cd "$here/../.." && pwd)
[ $# -gt 0 ] || { sed -n '3,12s/^# \{0,1\}//p' "$0"; exit 64; }
fail() { echo "lab: $*" >&2; exit 125; }
[ "$(uname -m)" = x86_64 ] || fail "only x86_64 machines so far, this is $(uname -m)"
PATH=$PATH:/usr/sbin:/sbin
missing() { local c; for c in qemu-system-x86_64 cpio busybox depmod; do command -v $c >/dev/null || echo $c; done; }
[ -z "$(missing)" ] || bash "$here/deps.sh" lab >&2
[ -z "$(missing)" ] || fail "missing $(missing | xargs) (packages qemu-system-x86, cpio, busybox-static, kmod)"
cache=${CHAOSD_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/chaosd}/lab
mkdir -p "$cache" 2>/dev/null && [ -w "$cache" ] || fail "cannot write to $cache (set CHAOSD_CACHE)"
job=$(mktemp -d) || fail "no folder for temporary files"
trap 'rm -rf "$job"' EXIT
case $job$cache in *[[:space:]]*) fail "the paths of the cache and of temporary files may hold no blanks" ;; esac

# --- what is kept ---
keep() { # a folder; it must be there, or nothing could be mounted over it
  mkdir -p "$1" || fail "cannot make $1"
  realpath "$1" >>"$job/keep"
}
keep "$tree"
IFS=: read -ra folders <<<"${LAB_KEEP:-}"
previous=
for word in "$@"; do
  [ "$previous" != --out ] || folders+=("$word")
  case $word in --out=*) folders+=("${word#--out=}") ;; esac
  previous=$word
done
for folder in ${folders[@]+"${folders[@]}"}; do
  case $(realpath -m "$folder") in "$(realpath "$tree")" | "$(realpath "$tree")"/*) ;; *) keep "$folder" ;; esac
done

# --- the kernel: Debian's package, unpacked, not installed ---
image() { apt-cache depends linux-image-amd64 2>/dev/null | awk '/Depends:/{print $2; exit}'; }
download() { apt-get -o Acquire::http::Timeout=30 -o Acquire::Retries=1 "$@" >"$job/apt" 2>&1; }
apt_said() { { grep '^E:' "$job/apt" || cat "$job/apt"; } | tail -1; }
fetch_kernel() {
  command -v apt-get >/dev/null || fail "the kernel comes from Debian's package linux-image-amd64, and this system has no apt-get"
  local new; new=$(mktemp -d "$cache/new.XXXXXX") && cd "$new" || fail "cannot write to $cache (set CHAOSD_CACHE)"
  [ -n "$(image)" ] && download download "$(image)" || { # stale package lists: once more with new ones
    download update
    [ -n "$(image)" ] || { rm -rf "$new"; fail "no package linux-image-amd64 in the package lists: $(apt_said)"; }
    download download "$(image)" || { rm -rf "$new"; fail "cannot fetch Debian's kernel $(image): $(apt_said)"; }
  }
  dpkg -x "$new"/*.deb "$new/root" && depmod -b "$new/root" "$(ls "$new/root/lib/modules")" || { rm -rf "$new"; fail "cannot unpack Debian's kernel"; }
  mv -T "$new/root" "$cache/kernel" 2>/dev/null || true # another run was as fast: its copy does
  rm -rf "$new"
}
[ -e "$cache/kernel/lib/modules" ] || { echo "lab: fetching Debian's kernel into $cache" >&2; (fetch_kernel) || exit; }
[ "$*" != --fetch ] || exit 0
release=$(ls "$cache/kernel/lib/modules" | head -1) && [ -n "$release" ] || fail "$cache/kernel holds no kernel: remove it and run again"
modules=$cache/kernel/lib/modules/$release

# --- an initramfs that mounts the root over 9p, with an overlay in memory ---
order="virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_console netfs fscache 9pnet 9pnet_virtio 9p overlay"
make_initramfs() {
  local root=$job/root; mkdir -p "$root"/{bin,mod,dev,proc}; cp "$(command -v busybox)" "$root/bin/busybox"
  for m in $order; do # what the kernel has built in needs no file
    find "$modules/kernel" -name "$m.ko*" -exec cp {} "$root/mod/" \;
  done
  cat >"$root/init" <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev; $b mount -t proc proc /proc
for a in $($b cat /proc/cmdline); do case $a in lab.*) export "${a#lab.}";; esac; done
[ -z "$probe" ] || { echo lab: probe boots; $b poweroff -f; }
for m in $order; do [ ! -e /mod/$m.ko ] || $b insmod /mod/$m.ko; done
$b mkdir /host /rw /root
$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=loose root /host
$b mount -t tmpfs rw /rw && $b mkdir /rw/up /rw/work
$b mount -t overlay -o lowerdir=/host,upperdir=/rw/up,workdir=/rw/work root /root
while read -r d; do $b mkdir -p "/root$d"; $b mount --bind "/host$d" "/root$d"; done </host$job/keep
$b umount /proc; exec $b switch_root /root /bin/bash $job/init
INIT
  sed -i "s/\$order/$order/" "$root/init"; chmod +x "$root/init"
  (cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$job/initramfs" || fail "cannot make the initramfs"
}

cat >"$job/init" <<INIT
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm; mount -t devpts pts /dev/pts; mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run -o mode=755; mkdir -p /run/lock /run/netns
mkdir -p /lib/modules/$release; mount --bind $modules /lib/modules/$release
mount -t cgroup2 cg /sys/fs/cgroup; mount -t bpf bpf /sys/fs/bpf
ip link set lo up; hostname lab
${LAB_TAP:+modprobe virtio_net}
port() { for p in /sys/class/virtio-ports/*; do [ "\$(cat \$p/name)" != "\$1" ] || echo /dev/\${p##*/}; done; }
exec 7>"\$(port status)"
mkfifo /run/out /run/err
cat /run/out >"\$(port out)" & cat /run/err >"\$(port err)" &
bash $job/command >/run/out 2>/run/err </dev/null; echo \$? >/run/status
for i in \$(seq 50); do [ -n "\$(jobs -pr)" ] || break; sleep 0.1; done # what the command left running holds the pipes open no longer than this
sync; cat /run/status >&7; exec 7>&-
echo o >/proc/sysrq-trigger; sleep 60
INIT
{ # the caller's folder and what the tests look at in the environment
  echo "cd $(printf %q "$PWD") || exit 125"
  for v in B CI SAN CHAOSD CHAOSD_EXE CHAOSD_FULL CMOCKA_MESSAGE_OUTPUT CMOCKA_TEST_FILTER PYTHONDONTWRITEBYTECODE; do [ -z "${!v:-}" ] || printf 'export %s=%q\n' $v "${!v}"; done
  echo 'export CHAOSD_LAB=1'
  printf '%q ' "$@"; echo
} >"$job/command"

# Emulated, the guest's clock is the number of its instructions (2 ns each) and of the host's time while it idles: where the host takes processor
# time away, the guest's time stands still too, and nothing in it comes late. That wants one processor; two hung besides, as QEMU 7.2's TCG may keep
# a breakpoint that the kernel put into its code for a moment, while another processor ran there. A kernel that stalls ends the guest. LAB_CLOCK=host
# takes that risk: a guest whose leases and deadlines are kept by programs outside it cannot have a time of its own.
stall="sysctl.kernel.panic_on_rcu_stall=1 rcupdate.rcu_cpu_stall_timeout=60 softlockup_panic=1 sysctl.kernel.watchdog_thresh=60"
qemu() { # accelerator, command line, more; the shell that calls it becomes the guest
  local accel=$1 line=$2 as=(-smp "${LAB_CPUS:-2}"); shift 2
  [ "$accel" = kvm ] || [ "${LAB_CLOCK:-}" = host ] || as=(-smp 1 -icount "shift=1,sleep=on" -rtc clock=vm)
  exec qemu-system-x86_64 -accel "$accel" "${as[@]}" -cpu max -m "${LAB_MEMORY:-2G}" -nodefaults -no-user-config -display none -no-reboot \
    -serial "file:$job/console" -kernel "$cache/kernel/boot/vmlinuz-$release" -initrd "$job/initramfs" \
    -append "console=ttyS0 quiet panic=-1 mitigations=off $stall $line" "$@" </dev/null >"$job/qemu" 2>&1
}

# /dev/kvm may be there and hang a guest before it boots: believed after a probe, once per boot of this machine.
accelerator() {
  case ${LAB_ACCEL:-} in kvm) echo kvm; return ;; tcg) echo tcg; return ;; esac
  local note; note=$cache/kvm-$(cat /proc/sys/kernel/random/boot_id)
  if [ -w /dev/kvm ] && [ ! -e "$note" ]; then
    rm -f "$cache"/kvm-*
    export -f qemu; export job cache release stall
    timeout --kill-after=2 10 bash -c 'qemu kvm lab.probe=1'; grep -q 'lab: probe boots' "$job/console" 2>/dev/null && echo yes >"$note" || echo no >"$note"
  fi
  if [ "$(cat "$note" 2>/dev/null)" = yes ]; then echo kvm; else echo tcg; fi
}

make_initramfs
: >"$job/out"; : >"$job/err"; : >"$job/status"
accel=$(accelerator)
ports=(-device virtio-serial-pci)
[ -z "${LAB_TAP:-}" ] || ports+=(-netdev "tap,id=net,ifname=$LAB_TAP,script=no,downscript=no" -device virtio-net-pci,netdev=net,romfile=)
for p in out err status; do ports+=(-chardev "file,id=$p,path=$job/$p" -device "virtserialport,chardev=$p,name=$p"); done
qemu "$accel" "lab.job=$job" "${ports[@]}" -device virtio-rng-pci \
  -virtfs local,path=/,mount_tag=root,security_model=none,multidevs=remap & guest=$!
trap 'kill -KILL $guest 2>/dev/null; rm -rf "$job"' EXIT
trap 'exit 143' TERM INT
tail --pid=$guest -s 0.2 -c +1 -f "$job/out" & shows=$!
tail --pid=$guest -s 0.2 -c +1 -f "$job/err" >&2 & complains=$!
until=$((SECONDS + ${LAB_SECONDS:-600})) late=
while kill -0 $guest 2>/dev/null; do
  [ $SECONDS -lt $until ] || { late=1; kill -KILL $guest; break; }
  sleep 0.2
done
{ wait $guest $shows $complains; } 2>/dev/null
[ -z "$late" ] || { echo "lab: ended after ${LAB_SECONDS:-600} s" >&2; exit 124; }
status=$(cat "$job/status")
if ! [[ $status =~ ^[0-9]+$ ]]; then
  tail -60 "$job/console" "$job/qemu" >&2; fail "the guest (accelerator $accel) ended without an answer: see above"
fi
exit "$status"
