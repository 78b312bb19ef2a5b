#!/usr/bin/env bash
# The codec beside other parsers, with a stable compiler: `bash fuzz/differential/run.sh [--seconds N]`. It tests
# the table of differences, and then looks for others. `--inputs N` and `--seed N` are options, too. What is
# missing on this machine is left out, and named.
set -euo pipefail
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-../../target}/differential

features=()
if LLHTTP=$(bash ../../benches/h1/llhttp.sh "$target"); then
    features+=(--features llhttp)
    export LLHTTP
else
    echo 'SKIPPED llhttp: its sources cannot be had'
fi
cargo test --quiet --locked "${features[@]}" --target-dir "$target"
cargo run --quiet --locked "${features[@]}" --target-dir "$target" -- run "$@"
