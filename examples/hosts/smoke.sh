#!/usr/bin/env bash
# Starts the server in each loop, talks to it, looks whether it sleeps, and stops it with a signal:
# `bash examples/hosts/smoke.sh`. It runs on Linux. GLib and winit are left out where their libraries are
# missing.
set -euo pipefail
# Job control, so that the programs start with SIGINT at its default.
set -m
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-../../target}/hosts
patience=10 # seconds, for anything one waits for
idle=2      # seconds, in which nobody asks for anything

features=() hosts=(poll polling calloop tokio frames)
if command -v pkg-config >/dev/null && pkg-config --exists 'glib-2.0 >= 2.66'; then
    features+=(glib) hosts+=(glib)
else
    echo 'SKIPPED glib: its library is missing (libglib2.0-dev)'
fi
display=()
[ -n "${DISPLAY:-}" ] || ! command -v xvfb-run >/dev/null || display=(xvfb-run -a)
if [ -n "${DISPLAY:-}${display[*]}" ]; then
    features+=(winit) hosts+=(winit)
else
    echo 'SKIPPED winit: there is no display (xvfb)'
fi
cargo build --quiet --target-dir "$target" --features "${features[*]}"

scratch=$(mktemp -d)
mkfifo "$scratch/output"
running=

cleanup() {
    [ -z "$running" ] || kill -KILL -- "-$running" 2>/dev/null || true
    rm -rf "$scratch"
}
trap cleanup EXIT

fail() {
    printf 'FAILED: %s: %s\n' "$host" "$*" >&2
    exit 1
}

# get COUNT…: each client sends so many requests on one connection, and all clients come at once.
get() {
    local clients=() count client
    for count; do
        curl --silent --show-error --fail --noproxy '*' --max-time "$patience" \
            --write-out '%{num_connects}\n' "http://$address/page[1-$count]" >"$scratch/${#clients[@]}" &
        clients+=($!)
    done
    for client in "${!clients[@]}"; do
        wait "${clients[client]}" || fail 'a client has no answer'
        count=$(grep -c '^You asked for /page[0-9]*$' "$scratch/$client")
        [ "$count" -eq "${*:client + 1:1}" ] || fail "a client has $count answers"
        [ "$(grep -c '^1$' "$scratch/$client")" -eq 1 ] || fail 'a connection was not kept'
    done
}

# How often the threads of a process have slept, and how many hundredths of a second they have computed.
waits() { awk '/^voluntary_ctxt_switches/ { sum += $2 } END { print sum }' "/proc/$1/task/"*/status; }
ticks() { awk '{ sub(/.*\) /, ""); sum += $12 + $13 } END { print sum }' "/proc/$1/task/"*/stat; }

# sleeps MOST: with one open connection and nothing to do, it waits that often, and does not compute.
sleeps() {
    local pid=$1 most=$2 before=() after=()
    exec 4<>"/dev/tcp/${address%:*}/${address#*:}"
    get 1
    before=("$(waits "$pid")" "$(ticks "$pid")")
    sleep "$idle"
    after=("$(waits "$pid")" "$(ticks "$pid")")
    exec 4>&-
    printf '   %d waits in %d s, %d ticks\n' $((after[0] - before[0])) "$idle" $((after[1] - before[1]))
    [ $((after[0] - before[0])) -le "$most" ] || fail "it woke more than $most times for nothing"
    [ $((after[1] - before[1])) -le 20 ] || fail 'it computes although there is nothing to do'
}

for host in "${hosts[@]}"; do
    for signal in INT TERM; do
        printf -- '-- %s\n' "$host"
        runner=()
        [ "$host" != winit ] || runner=("${display[@]}")
        "${runner[@]}" "$target/debug/$host" 127.0.0.1:0 >"$scratch/output" 2>&1 &
        running=$!
        exec 3<"$scratch/output"
        read -r -t "$patience" line <&3 || fail 'prints no line'
        [[ $line =~ ^Serving\ on\ http://([0-9.:]+)/$ ]] || fail "prints no address: $line"
        address=${BASH_REMATCH[1]}
        pid=$running
        for child in $(cat "/proc/$running/task/$running/children"); do
            [ "$(cat "/proc/$child/comm")" != "$host" ] || pid=$child # of xvfb-run
        done

        get 3
        get 1 1 1 1 1 2 2 2 2 2 3 3 3 3 3 4 4 4 4 4
        most=$((10 * idle))
        [ "$host" != frames ] || most=$((200 * idle))
        [ "$signal" = INT ] || sleeps "$pid" "$most"

        kill -s "$signal" "$pid"
        timeout "$patience" cat <&3 >"$scratch/log" || fail "still runs $patience s after SIG$signal"
        status=0
        wait "$running" || status=$?
        running=
        exec 3<&-
        [ "$status" -eq 0 ] || fail "ended with status $status after SIG$signal: $(cat "$scratch/log")"
    done
done
