#!/usr/bin/env bash
# Several reactors behind the real nginx, replaced one after the other under load: no request is lost.
# `bash tests/smoke_nginx.sh`
set -euo pipefail
cd "$(dirname "$0")/.."
for command in nginx curl; do
    command -v "$command" >/dev/null || {
        echo "SKIPPED: there is no $command"
        exit 0
    }
done
cargo build --quiet --profile ci --example behind_nginx
example=$(realpath "${CARGO_TARGET_DIR:-target}")/ci/examples/behind_nginx
patience=10 # seconds, for anything one waits for
scratch=$(mktemp -d)
mkdir "$scratch/run"
declare -A process

cleanup() {
    [ ! -e "$scratch/run/nginx.pid" ] || kill "$(<"$scratch/run/nginx.pid")" 2>/dev/null || true
    for job in $(jobs -p); do
        kill -KILL "$job" && wait "$job"
    done 2>/dev/null || true
    rm -rf "$scratch"
}
trap cleanup EXIT

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    cat "$scratch"/*.log >&2 || true
    exit 1
}

# until_true COMMAND…: waits until it succeeds.
until_true() {
    local end=$((SECONDS + patience))
    until "$@" 2>/dev/null; do
        [ "$SECONDS" -lt "$end" ] || fail "never: $*"
        sleep 0.02
    done
}

# start NUMBER: a process on its path. Returns when it serves.
start() {
    (cd "$scratch" && exec "$example" "run/$1.sock") >"$scratch/$1.log" 2>&1 &
    process[$1]=$!
    until_true grep -q "^${process[$1]} serves on run/$1.sock$" "$scratch/$1.log"
}

start 0
start 1

# In front, too, a path takes the place of the port. As root, nginx would run its workers as another user.
sed "s#listen 127.0.0.1:8080#listen unix:run/front.sock#" examples/embed/behind_nginx/nginx.conf >"$scratch/nginx.conf"
user=()
[ "$(id -u)" -ne 0 ] || user=(-g 'user root;')
(cd "$scratch" && nginx -p "$scratch" -c nginx.conf "${user[@]}") 2>"$scratch/nginx.log" || fail 'nginx does not start'
ask() {
    curl --silent --noproxy '*' --max-time "$patience" --unix-socket "$scratch/run/front.sock" "$@"
}
until_true ask --fail --output /dev/null http://nginx/

# Two clients that do not stop: POST, because nginx would send a GET again.
load() {
    while [ ! -e "$scratch/enough" ]; do
        ask --parallel --parallel-max 16 --no-progress-meter --data ping --output '#1' \
            --write-out '%{http_code} %{errormsg}\n' 'http://nginx/slow?[1-200]' >>"$1" || true
    done
}
mkdir "$scratch/a" "$scratch/b"
(cd "$scratch/a" && load "$scratch/load-a.txt") &
(cd "$scratch/b" && load "$scratch/load-b.txt") &
until_true test -s "$scratch/load-a.txt"

for round in 1 2 3; do
    for number in 0 1; do
        old=${process[$number]}
        start "$number"
        kill -TERM "$old"
        status=0
        timeout "$patience" tail --pid="$old" -f /dev/null || fail "process $old does not end"
        wait "$old" || status=$?
        [ "$status" -eq 0 ] || fail "process $old ends with $status"
        answer=$(ask http://nginx/)
        [[ $answer != "$old "* ]] || fail 'the old process still serves'
    done
done
: >"$scratch/enough"
wait %?load-a %?load-b || true

sort "$scratch"/load-?.txt | uniq -c >"$scratch/sum.txt"
if grep -qv ' 200 *$' "$scratch/sum.txt" || [ ! -s "$scratch/sum.txt" ]; then
    cat "$scratch/sum.txt" >&2
    fail 'requests were lost while processes were replaced'
fi
echo "$(awk '{ print $1 }' "$scratch/sum.txt") requests, and none was lost while each process was replaced three times"
