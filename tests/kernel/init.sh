#!/bin/busybox sh
# shellcheck shell=dash
# The first process of the machine that boot.py starts: the machine's file system below one in memory, then inside.sh.
# Runs from the initial RAM disk, with busybox alone.
busybox mkdir -p /proc /sys /dev /lower /memory /root
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys

fail()
{
    echo "kernel: $*" >/dev/console
    busybox poweroff -f
}

# In the order that boot.py found in modules.dep.
while read -r module; do
    busybox insmod "/modules/$module" || fail "the module $module can't be loaded"
done </modules/order

busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose,ro root /lower ||
    fail "the file system can't be mounted (9p)"
busybox mount -t tmpfs -o size=75% tmpfs /memory
busybox mkdir /memory/upper /memory/work
busybox mount -t overlay -o lowerdir=/lower,upperdir=/memory/upper,workdir=/memory/work overlay /root ||
    fail "the file system in memory can't be mounted (overlay)"
busybox mount -t devtmpfs devtmpfs /root/dev || fail "no devtmpfs"
busybox mount -t proc proc /root/proc
busybox mount -t sysfs sysfs /root/sys
busybox umount /proc /sys
exec busybox switch_root -c /dev/console /root /bin/bash "$(busybox cat /inside)"
