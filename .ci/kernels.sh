# shellcheck shell=bash
# ./dev kernel: tests on the kernels that Debian 12 and 13 come with, whatever runs here. Sourced by ./dev.
#
# The kernels are unpacked under build/kernels, never installed. tests/kernel/boot.py boots one in an emulated machine that
# sees this file system; nothing of this machine is changed but build/.

KERNELS=$ROOT/build/kernels
declare -A KERNEL_SUITES=([6.1]=bookworm [6.12]=trixie)

# What meets the kernel. Left out: what measures time or loads the machine, which says nothing about an emulated one; what
# plays with simulated completions or with bytes alone.
KERNEL_TESTS='/(bpf\.|unit\.(test_gateway|test_listen|test_descriptors|test_ring_refused|test_access_writer|tls_)|e2e\.)'
KERNEL_TESTS_NOT='/e2e\.(load|load_times|load_tls|limits|steering|floor|harness_run|peers|attacks_slow|attacks_beside)$'

cmd_kernel()
{
    local versions=(6.1 6.12) version status=0
    case ${1:-} in
    6.1 | 6.12) versions=("$1"); shift ;;
    [0-9]*) die_with 2 "kernel: got '$1', wanted 6.1 (Debian 12's) or 6.12 (Debian 13's)" ;;
    esac
    [[ $(uname -m) == x86_64 ]] || die "kernel: this machine is $(uname -m); only x86_64 kernels are tried"
    (($# > 0)) || set -- -R "$KERNEL_TESTS" -E "$KERNEL_TESTS_NOT"
    require BUILD TEST KERNEL
    for version in "${versions[@]}"; do
        unpack_kernel "$version"
    done
    build_kernel_tests
    for version in "${versions[@]}"; do
        run_on_kernel "$version" "$@" || status=1
    done
    return $status
}

build_kernel_tests()
{
    local tree trees
    read -ra trees <<<"${RG_KERNEL_TREES:-release}"
    for tree in "${trees[@]}"; do
        build_tree "$tree"
    done
    python3 tests/house/merge_trees.py --slower "${RG_KERNEL_SLOWER:-4}" build/kernel "${trees[@]}"
}

# The log of all tests is left beside the machine's files, also of those that passed.
run_on_kernel()
{
    local version=$1 out=$ROOT/build/kernel/$1
    shift
    mkdir -p "$out"
    say "booting Linux $version in an emulated machine (a minute or two, without a word)"
    python3 tests/kernel/boot.py --accel "${RG_KERNEL_ACCEL:-tcg}" "$KERNELS/$version" "$out" \
        env RINGGATE_OWN_MACHINE=1 ctest --test-dir "$ROOT/build/kernel" --parallel 4 --output-on-failure \
        --no-label-summary --no-tests=error --output-log /run/out/ctest.log "$@"
}

kernel_is_there()
{
    [[ -x $KERNELS/busybox ]] && compgen -G "$KERNELS/$1/boot/vmlinuz-*" >/dev/null &&
        compgen -G "$KERNELS/$1/usr/lib/modules/*/modules.dep" >/dev/null
}

unpack_kernel()
{
    local version=$1 suite=${KERNEL_SUITES[$1]}
    kernel_is_there "$version" && return
    say "unpacking Debian's Linux $version ($suite) under build/kernels: a download of about 100 MB"
    mkdir -p "$KERNELS"
    (
        flock 9
        kernel_is_there "$version" && exit 0
        trap 'rm -rf "$KERNELS/apt" "$KERNELS/new"' EXIT
        unpack_kernel_from "$(system_mirror)" "$version" "$suite" ||
            unpack_kernel_from http://deb.debian.org/debian "$version" "$suite" ||
            die "Debian's Linux $version can't be had (see $APT_LOG)"
    ) 9>"$ROOT/build/.packages.lock" || exit 1
}

unpack_kernel_from()
{
    local mirror=$1 version=$2 suite=$3 apt=$KERNELS/apt new=$KERNELS/new image
    rm -rf "$apt" "$new"
    mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$apt/debs" "$new/kernel" "$new/busybox"
    write_apt_configuration "$mirror" "$apt" "$suite"
    apt-get -qq -c "$apt/apt.conf" update >>"$APT_LOG" 2>&1 || return 1
    # The package without a version in its name depends on the newest one.
    image=$(apt-cache -c "$apt/apt.conf" depends linux-image-amd64 2>>"$APT_LOG" | awk '$1 == "Depends:" {print $2; exit}')
    [[ $image == linux-image-"$version".* ]] || {
        printf 'linux-image-amd64 of %s depends on "%s", wanted %s\n' "$suite" "$image" "$version" >>"$APT_LOG"
        return 1
    }
    printf '+ apt-get download from %s: %s busybox-static\n' "$mirror" "$image" >>"$APT_LOG"
    (cd "$apt/debs" && apt-get -qq -c "$apt/apt.conf" download "$image" busybox-static) >>"$APT_LOG" 2>&1 || return 1
    dpkg -x "$apt"/debs/linux-image-*.deb "$new/kernel" && dpkg -x "$apt"/debs/busybox-static_*.deb "$new/busybox" || return 1
    lay_out_kernel "$new" "$KERNELS/$version"
}

# Modules to usr/lib, where Debian 13 has them; lib leads there, as versions of depmod look in the one or the other.
lay_out_kernel()
{
    local new=$1 to=$2 release
    if [[ -d $new/kernel/lib/modules ]]; then
        mkdir -p "$new/kernel/usr/lib"
        mv "$new/kernel/lib/modules" "$new/kernel/usr/lib/" || return 1
    fi
    rm -rf "$new/kernel/lib"
    ln -s usr/lib "$new/kernel/lib"
    release=$(basename "$new"/kernel/usr/lib/modules/*)
    PATH=$PATH:/sbin:/usr/sbin depmod -b "$new/kernel" "$release" >>"$APT_LOG" 2>&1 || return 1
    mv -f "$(find "$new/busybox" -type f -path '*/bin/busybox')" "$KERNELS/busybox" || return 1
    rm -rf "$to"
    mv "$new/kernel" "$to"
}
