#!/bin/bash
# Runs as the first process in the machine that boot.py starts, on the file system of the machine outside, which it can't
# change. The kernel's command line names the project and the folder of this run, where boot.py left the command.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH LANG=C.UTF-8 HOME=/root

word()
{
    sed -n "s/.*ringgate\.$1=\([^ ]*\).*/\1/p" /proc/cmdline
}

mkdir -p /dev/pts /dev/shm /sys/fs/bpf /lib/modules
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
ln -sfn /proc/self/fd /dev/fd
run=$(word run)
mount --bind "$run/modules" /lib/modules # so that the kernel's own modprobe finds them
mkdir /run/tmp /run/out
mount -t 9p -o trans=virtio,version=9p2000.L,access=any out /run/out
export TMPDIR=/run/tmp RINGGATE_OUT=/run/out

ip link set lo up
echo 1 >/proc/sys/vm/overcommit_memory # some tests reserve more than this machine has, and use little of it
ulimit -n 524288
cd "$(word project)" || exit 1
echo "kernel: $(uname -r), $(nproc) CPUs"
sh "$run/command"
echo "kernel: exit status $?"
sync
echo o >/proc/sysrq-trigger
sleep 60
