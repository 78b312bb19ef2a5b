#!/usr/bin/env bash
# Measures the codec beside other parsers: `bash benches/h1/run.sh`. With `--instructions`, Valgrind counts
# instructions instead. What is missing on this machine is left out, and named.
set -euo pipefail
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-../../target}/benches-h1

features=()
if LLHTTP=$(bash llhttp.sh "$target"); then
    features+=(llhttp)
    export LLHTTP
else
    echo 'SKIPPED llhttp: its sources cannot be had'
fi
# Valgrind does not know all instructions of SSE 4.2.
[ "${1:-}" = --instructions ] || features+=(sse4)
cargo build --quiet --release --locked --no-default-features --features "${features[*]}" --target-dir "$target"
h1=$target/release/h1

# The instructions that one parser executes for one case so many times.
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$h1" repeat "$@" 2>&1 |
        sed -n 's/.*Collected *: *//p'
}

instructions() {
    command -v valgrind >/dev/null || { echo 'SKIPPED: there is no valgrind' && return; }
    mapfile -t parsers < <("$h1" names | grep -v $'^\t')
    mapfile -t cases < <("$h1" names | sed -n 's/^\t//p')
    echo 'Instructions, with the copy of the bytes; picohttpparser without SSE 4.2:'
    echo
    local case parser few many row
    printf '| |' && printf ' %s |' "${parsers[@]}" && echo
    printf '| --- |' && printf ' --- |%.0s' "${parsers[@]}" && echo
    for case in "${cases[@]}"; do
        row="| $case |"
        for parser in "${parsers[@]}"; do
            # The difference leaves out how the program starts.
            few=$(count "$parser" "$case" 100) many=$(count "$parser" "$case" 1100)
            row+=" $(((many - few) / 1000)) |"
        done
        echo "$row"
    done
}

if [ "${1:-}" = --instructions ]; then
    instructions
else
    "$h1"
    python3 h11_times.py "$h1" || echo 'SKIPPED h11: `pip install h11`'
fi
