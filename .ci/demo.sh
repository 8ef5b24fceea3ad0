# shellcheck shell=bash
# ./dev run: a demo replica, a platform, and the gateway that is in front of the one and under the other. Sourced by ./dev;
# nothing of it outlives ./dev.

RUN_PIDS=()
RUN_DIR=

# Every listening TCP port of this network namespace, in hexadecimal, one per line.
listening_ports()
{
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == "0A" {n = split($2, a, ":"); print a[n]}'
}

# free_port WANTED NEXT: WANTED if nobody listens there, else the first free one from NEXT on.
free_port()
{
    local used port=$1 next=$2
    used=$(listening_ports)
    while grep -qix "$(printf '%04X' "$port")" <<<"$used"; do
        port=$next
        next=$((next + 1))
    done
    printf '%s\n' "$port"
}

can_bind_low_ports()
{
    ((EUID == 0)) || (($(</proc/sys/net/ipv4/ip_unprivileged_port_start) <= 80))
}

# Its own process group, so that CTRL-C reaches ./dev alone; gone with ./dev even when that is killed.
start()
{
    set -m
    setpriv --pdeathsig TERM -- "$@" </dev/null &
    RUN_PIDS+=($!)
    set +m
}

stop_all()
{
    local i
    trap '' INT TERM HUP
    for ((i = ${#RUN_PIDS[@]} - 1; i >= 0; i--)); do
        kill -TERM "${RUN_PIDS[i]}" 2>/dev/null || continue
        wait "${RUN_PIDS[i]}" 2>/dev/null || true
    done
    RUN_PIDS=()
    [[ -z $RUN_DIR ]] || rm -rf "$RUN_DIR"
}

http_status()
{
    local port=$1 path=$2 answer=
    {
        exec {sock}<>"/dev/tcp/127.0.0.1/$port" || return 1
        printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$path" >&"$sock"
        IFS= read -r -d '' -t 2 answer <&"$sock" || true
        exec {sock}>&-
    } 2>/dev/null
    [[ $answer =~ ^HTTP/1\.[01]\ ([0-9]+) ]] && printf '%s\n' "${BASH_REMATCH[1]}"
}

# wait_for WHAT CONDITION...: until it holds, for 10 s, as long as everything that was started lives.
wait_for()
{
    local what=$1 i pid
    shift
    for ((i = 0; i < 200; i++)); do
        "$@" && return
        for pid in "${RUN_PIDS[@]}"; do
            kill -0 "$pid" 2>/dev/null || die "$what: a program ended before it was ready"
        done
        sleep 0.05
    done
    die "$what: not ready after 10 s"
}

gateway_is_ready()
{
    [[ $(http_status "$1" /ready) == 200 ]]
}

# Port 80 and the steering program need root. The user can't signal root's processes, so sudo passes it on.
run_by_sudo()
{
    local child status=0
    say "going on as root, by sudo"
    sudo -n -- "$ROOT/dev" run &
    child=$!
    # shellcheck disable=SC2064  # the child's number is known now
    trap "sudo -n kill -TERM $child" INT TERM HUP
    while [[ -d /proc/$child ]]; do
        status=0
        wait "$child" || status=$?
    done
    exit "$status"
}

# A script's background jobs ignore SIGINT, and bash can't take that back; env can.
heed_interrupts()
{
    if [[ $(trap -p INT) == "trap -- '' SIGINT" ]]; then
        exec env --default-signal=INT "$ROOT/dev" run
    fi
}

# What runs have left that were killed without a chance to clean up.
sweep_run_dirs()
{
    local dir
    for dir in build/run.*; do
        [[ -d /proc/${dir##*.} ]] || rm -rf "$dir" 2>/dev/null || true # root's may stay
    done
}

platform_is_up()
{
    [[ -s $RUN_DIR/platform/admin.token && -n $(http_status "$1" /api/v0.9/gateways) ]]
}

# start_platform PORT: with a gateway that it knows, and the token of that.
start_platform()
{
    local rgctl=(build/release/bin/rgctl --platform "http://127.0.0.1:$1" --token-file "$RUN_DIR/platform/admin.token")
    start build/release/bin/ringgate-platform --listen "127.0.0.1:$1" --data "$ROOT/$RUN_DIR/platform"
    wait_for "the platform" platform_is_up "$1"
    "${rgctl[@]}" gateway create demo >/dev/null
    (umask 077 && "${rgctl[@]}" token create demo >"$RUN_DIR/gateway.token")
}

# The examples of the documentation, for the demo replica.
write_examples()
{
    local name
    for name in hello broken; do
        sed "s|http://127.0.0.1:8000|http://127.0.0.1:$1|" "docs/examples/$name.yaml" >"$RUN_DIR/$name.yaml"
    done
}

cmd_run()
{
    local origin_port port admin platform host=""
    heed_interrupts
    require BUILD RUN
    build_tree release
    if ((EUID != 0)) && may_sudo; then
        run_by_sudo
    fi
    trap stop_all EXIT
    trap 'exit 0' INT TERM HUP
    sweep_run_dirs
    RUN_DIR=build/run.$$
    mkdir -p "$RUN_DIR"

    start build/release/bin/ringgate-origin --quiet --listen 127.0.0.1:0 --port-file "$RUN_DIR/port"
    wait_for "the demo replica" test -s "$RUN_DIR/port"
    origin_port=$(<"$RUN_DIR/port")

    write_examples "$origin_port"

    platform=$(free_port 9080 9081)
    ((platform == 9080)) || say "port 9080 is taken: the platform listens on port $platform instead"
    start_platform "$platform"

    port=$(gateway_port)
    admin=$(free_port 9901 9902)
    ((admin == 9901)) || say "port 9901 is taken: the admin endpoint listens on port $admin instead"
    start build/release/bin/ringgate --listen "$(any_address):$port" --replica "127.0.0.1:$origin_port" \
        --admin "127.0.0.1:$admin" --control "http://127.0.0.1:$platform" --token-file "$ROOT/$RUN_DIR/gateway.token" \
        --state-dir "$ROOT/$RUN_DIR/state"
    wait_for "the gateway" gateway_is_ready "$admin"
    ((port == 80)) || host=:$port
    print_what_to_try "127.0.0.1$host" "127.0.0.1:$admin" "127.0.0.1:$origin_port" "127.0.0.1:$platform"
    wait_for_end
}

any_address()
{
    if [[ -e /proc/net/if_inet6 ]]; then
        printf '[::]'
    else
        printf '0.0.0.0'
    fi
}

gateway_port()
{
    local first=80 port
    if ! can_bind_low_ports; then
        say "port 80 needs root"
        first=8080
    fi
    port=$(free_port $first 8080)
    ((port == 80)) || say "port 80 is not free for us: the gateway listens on port $port instead"
    printf '%s\n' "$port"
}

print_what_to_try()
{
    cat <<TRY

  gateway   http://$1      replica    http://$3
  admin     http://$2      platform   http://$4

  curl -i http://$1/api/v2/status      through the gateway to the demo replica (CBOR: add --output - to see it)
  curl -i http://$1/health             the gateway itself
  curl -s http://$2/metrics      and /ready, /config, /workers

  Deploy an API, call it, and break it on purpose to see the reason (in another terminal, here):

  export RINGGATE_PLATFORM=http://$4 RINGGATE_TOKEN=\$(cat $RUN_DIR/platform/admin.token)
  build/release/bin/rgctl apply -f $RUN_DIR/hello.yaml
  curl -i http://$1/hello/inspect
  build/release/bin/rgctl apply -f $RUN_DIR/broken.yaml

  CTRL-C stops all of it.

TRY
}

# No program ends by itself; when one does, its status is ours (1 if it claims success).
wait_for_end()
{
    local status=0 pid i which="" names=("the demo replica" "the platform" "the gateway")
    wait -n -p pid "${RUN_PIDS[@]}" || status=$?
    for i in "${!RUN_PIDS[@]}"; do
        [[ $pid != "${RUN_PIDS[i]}" ]] || which=${names[i]}
    done
    die_with "$((status > 0 ? status : 1))" "$which ended by itself, with status $status"
}
