# shellcheck shell=bash disable=SC2034
# What the project needs from Debian and how it gets here. Sourced by ./dev, which sets ROOT and defines say and die.
#
# Only what is missing is installed. Debian 12 is too old for some libraries: those are unpacked from Debian 13's packages
# under build/deps, by a private APT configuration that leaves the system alone.

PACKAGES_BUILD=(gcc libc6-dev cmake ninja-build pkgconf ccache clang bpftool libbpf-dev libssl-dev libyaml-dev libcbor-dev
                libcmocka-dev libnghttp2-dev libjansson-dev libwslay-dev libcurl4-openssl-dev libzip-dev libarchive-dev
                libc-ares-dev libsqlite3-dev)
PACKAGES_RUN=(curl)
PACKAGES_TEST=(python3 python3-pytest python3-jsonschema python3-yaml curl openssl nginx libnginx-mod-stream
               python3-websockets python3-hypothesis haproxy apache2-bin wrk valgrind python3-hpack nghttp2-client
               python3-grpcio python3-cryptography)
PACKAGES_FUZZ=(clang libclang-rt-dev)
PACKAGES_CHECK=(python3 clang-format clang-tidy shellcheck pyflakes3)
PACKAGES_KERNEL=(qemu-system-x86 kmod)
PACKAGES_BENCH=(python3 iproute2 nginx haproxy wrk nghttp2-client openssl curl gnuplot-nox)

# Named by Debian 13, the same on both; on Debian 12 these come to build/deps.
PACKAGES_NEWER_BUILD=(liburing-dev)
PACKAGES_NEWER_TEST=(libllhttp-dev)
PACKAGES_UNPACKED=(liburing-dev liburing2 linux-libc-dev libllhttp-dev libllhttp9.2)

# What goes on without, and what is lost then. Every other package is needed.
declare -A WITHOUT=(
    [ccache]="builds take longer"
    [curl]="the tests that use curl are skipped"
    [openssl]="tests that need certificates are skipped, TLS is not measured"
    [python3-jsonschema]="the configuration's JSON Schema is not tested"
    [python3-yaml]="the configuration's JSON Schema is not tested"
    [iproute2]="the comparison can only run in the system's network (--congestion system)"
    [gnuplot-nox]="the report has no plots"
    [nginx]="tests in front of nginx are skipped"
    [libnginx-mod-stream]="tests behind nginx's PROXY header are skipped"
    [python3-cryptography]="records of TLS that break the rules are not tested"
    [python3-grpcio]="gRPC through the gateway is not tested"
    [python3-hypothesis]="deployments are not tested by random sequences"
    [python3-websockets]="no other WebSocket client than ours is tested"
    [haproxy]="tests behind HAProxy are skipped"
    [apache2-bin]="tests in front of Apache are skipped"
    [wrk]="tests under wrk's load are skipped"
    [python3-hpack]="HTTP/2 is not tested frame by frame"
    [nghttp2-client]="HTTP/2 is not tested under h2load's load, nor measured"
    [valgrind]="instructions of the HTTP code are not counted"
    [libllhttp-dev]="the HTTP parser is not compared with llhttp"
    [libclang-rt-dev]="nothing is fuzzed"
    [pyflakes3]="Python files are only compiled, not linted"
)

DEPS=$ROOT/build/deps
APT_LOG=$ROOT/build/apt.log

as_root()
{
    if ((EUID == 0)); then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -- "$@"
    else
        die "this needs root, and there is no sudo: $*"
    fi
}

# Without a password, or by asking for it on a terminal.
may_sudo()
{
    command -v sudo >/dev/null || return 1
    sudo -n true 2>/dev/null || { [[ -t 0 ]] && sudo -v; }
}

# Prints "12" or "13"; a Debian without a number (testing, unstable) counts as newer than both.
debian_version()
{
    local ID="" VERSION_ID=""
    [[ -r /etc/os-release ]] && . /etc/os-release
    [[ $ID == debian ]] || die "this is not Debian (/etc/os-release: ID=$ID); Debian 12 and 13 are what ./dev knows"
    printf '%s\n' "${VERSION_ID:-99}"
}

missing_packages()
{
    local installed package
    installed=$(dpkg-query -W -f='${Package}:${db:Status-Status}\n' "$@" 2>/dev/null) || true
    for package in "$@"; do
        [[ $'\n'$installed$'\n' == *$'\n'$package:installed$'\n'* ]] || printf '%s\n' "$package"
    done
}

# require GROUP...: the packages of PACKAGES_GROUP, and the newer ones that go with them.
require()
{
    local group list wanted=() missing version
    version=$(debian_version)
    for group in "$@"; do
        list="PACKAGES_${group}[@]"
        wanted+=("${!list}")
    done
    if ((version >= 13)); then
        wanted+=("${PACKAGES_NEWER_BUILD[@]}")
        [[ " $* " == *" TEST "* ]] && wanted+=("${PACKAGES_NEWER_TEST[@]}")
    else
        unpack_newer
    fi
    mapfile -t missing < <(missing_packages "${wanted[@]}")
    if ((${#missing[@]} > 0)); then
        install_packages "${missing[@]}"
    fi
}

# One at a time per clone; apt waits for other users of the system's package database by itself.
install_packages()
{
    say "installing with apt: $*"
    (
        flock 9
        trap allow_services EXIT
        forbid_services
        apt_install "$@" || { apt_update && apt_install "$@"; } || install_one_by_one "$@"
        disable_services "$@"
    ) 9>"$ROOT/build/.packages.lock" || exit 1
}

apt_install()
{
    apt_get install --no-install-recommends "$@"
}

apt_update()
{
    local try
    for try in 1 2 3 4 5 6; do
        apt_get update && return
        tail -n 5 "$APT_LOG" | grep -q 'lock' || return 1
        say "the package lists are locked by another program; trying again (${try} of 6)"
        sleep 10
    done
    return 1
}

apt_get()
{
    local rc=0
    printf '+ apt-get %s\n' "$*" >>"$APT_LOG"
    as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq -y -o DPkg::Lock::Timeout=300 \
        -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@" </dev/null >>"$APT_LOG" 2>&1 || rc=$?
    return $rc
}

# Some package of a set could not be had: find out which, say what is lost, give up only for what is needed.
install_one_by_one()
{
    local package failed=0
    for package in "$@"; do
        apt_install "$package" && continue
        say "apt-get install $package failed:"
        tail -n 5 "$APT_LOG" | sed 's/^/    /' >&2
        if [[ -n ${WITHOUT[$package]:-} ]]; then
            say "going on without $package: ${WITHOUT[$package]}"
        else
            say "$package is needed; the whole output is in $APT_LOG"
            failed=1
        fi
    done
    return $failed
}

# A test needs nginx's program, not its service. The file answers "don't start" while this ./dev lives, and removes
# itself should it outlive it.
POLICY=/usr/sbin/policy-rc.d
POLICY_MARK="put here by ringgate's ./dev"

forbid_services()
{
    [[ -e $POLICY ]] && return
    # shellcheck disable=SC2016  # expanded by the shell that root runs
    as_root sh -c 'printf "%s\n" "#!/bin/sh" "# $2 while it installs packages" \
        "kill -0 $3 2>/dev/null && exit 101" "rm -f $1" "exit 0" >"$1" && chmod 755 "$1"' \
        sh "$POLICY" "$POLICY_MARK" $$
}

allow_services()
{
    if grep -qs "$POLICY_MARK" "$POLICY"; then
        as_root rm -f "$POLICY"
    fi
}

# Nor shall a service of these start on the next boot and take port 80.
disable_services()
{
    local package
    for package in "$@"; do
        case $package in nginx | haproxy)
            as_root update-rc.d "$package" disable >>"$APT_LOG" 2>&1 || true
            ;;
        esac
    done
}

# ---- Debian 13's packages under build/deps ----

unpacked_is_there()
{
    local file
    for file in include/liburing.h include/llhttp.h include/linux/io_uring.h lib/*/liburing.a lib/*/libllhttp.a; do
        compgen -G "$DEPS/usr/$file" >/dev/null || return 1
    done
}

unpack_newer()
{
    unpacked_is_there && return
    say "unpacking from Debian 13 under build/deps: ${PACKAGES_UNPACKED[*]}"
    (
        flock 9
        unpacked_is_there && exit 0
        trap 'rm -rf "$DEPS/apt" "$DEPS/new"' EXIT
        unpack_from "$(system_mirror)" || unpack_from http://deb.debian.org/debian ||
            die "Debian 13's packages can't be had (see $APT_LOG); liburing 2.9 is needed to build"
    ) 9>"$ROOT/build/.packages.lock" || exit 1
}

# The mirror that this system uses for itself.
system_mirror()
{
    local uri
    # shellcheck disable=SC2016  # APT's placeholders
    uri=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 2>/dev/null |
        awk '$2 == "bookworm" || $2 == "stable" || $2 == "oldstable" {print $1; exit}') || true
    printf '%s\n' "${uri:-http://deb.debian.org/debian}"
}

unpack_from()
{
    local mirror=$1 apt=$DEPS/apt deb
    rm -rf "$apt" "$DEPS/new"
    mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$apt/debs" "$DEPS/new"
    write_apt_configuration "$mirror" "$apt"
    printf '+ apt-get download from %s: %s\n' "$mirror" "${PACKAGES_UNPACKED[*]}" >>"$APT_LOG"
    apt-get -qq -c "$apt/apt.conf" update >>"$APT_LOG" 2>&1 || return 1
    (cd "$apt/debs" && apt-get -qq -c "$apt/apt.conf" download "${PACKAGES_UNPACKED[@]}") >>"$APT_LOG" 2>&1 || return 1
    for deb in "$apt"/debs/*.deb; do
        dpkg -x "$deb" "$DEPS/new" || return 1
    done
    rm -rf "${DEPS:?}/usr"
    mv "$DEPS/new/usr" "$DEPS/usr"
    unpacked_is_there
}

# Read after the system's own configuration (so that a proxy set there is used), whose hooks are dropped.
write_apt_configuration()
{
    local mirror=$1 apt=$2 suite=${3:-trixie}
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$mirror" "$suite" \
        >"$apt/sources.list"
    cat >"$apt/apt.conf" <<CONF
Dir::State "$apt/state";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "$apt/cache";
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
CONF
}
