#!/bin/sh
# Holds a cluster in namespaces of its own (network, mounts, processes). When their first process ends, however
# that comes, the kernel ends every other, and with them go mounts, addresses, routes and packet filters; what
# is left then, control groups and the folder, is swept away here.
#   hold.sh hold  RUN CGROUP   until that process is killed
#   hold.sh leash RUN CGROUP   until then, or until standard input ends
#   hold.sh sweep RUN CGROUP   removes what a cluster without a holder left
set -u
mode=$1 run=$2 cgroup=$3

inside() {
  # The number of this process as everybody else sees it.
  read -r pid _ </proc/self/stat
  mount -t proc proc /proc
  # What programs write to fixed places stays in the cluster's own.
  mkdir -p "$run/lib" "$run/log"
  mount --bind "$run/lib" /var/lib && mount --bind "$run/log" /var/log && mount -t tmpfs tmpfs /run || exit 1
  ip link set lo up
  echo 1 >/proc/sys/net/ipv4/ip_forward
  echo "$pid" >"$run/holder.tmp" && mv "$run/holder.tmp" "$run/holder"
  # The first process of a namespace inherits every orphan, and has to bury it.
  while :; do sleep 5 & wait; done
}

sweep() {
  for _ in $(seq 50); do
    find /sys/fs/cgroup -depth -type d -path "*/$cgroup*" -exec rmdir {} + 2>/dev/null
    [ -z "$(find /sys/fs/cgroup -type d -name "$cgroup")" ] && break
    sleep 0.2
  done
  rm -rf "$run"
}

case $mode in
inside) inside ;;
sweep) sweep ;;
hold | leash)
  trap '' HUP INT TERM
  unshare --net --mount --pid --fork --kill-child sh "$0" inside "$run" "$cgroup" &
  if [ "$mode" = leash ]; then
    read -r _
    kill -KILL "$(cat "$run/holder")"
  fi
  wait
  sweep
  ;;
esac
