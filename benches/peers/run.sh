#!/usr/bin/env bash
# Measures the servers of other crates beside ours, with the client of the bench `macro`:
#
#     bash benches/peers/run.sh
#     bash benches/peers/run.sh --rounds 21 keep-alive
#
# The arguments are those of the bench. What does not build on this machine is left out, and named.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/benches-peers
# As the release profile of the crate.
export CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1

servers=()
for peer in hyper hyper_blocking tiny_http may; do
    if cargo build --quiet --release --locked --manifest-path benches/peers/Cargo.toml \
        --target-dir "$target" --features "hello_$peer" --bin "hello_$peer"; then
        servers+=(--server "$peer=$target/release/hello_$peer 127.0.0.1:{port}")
    else
        echo "SKIPPED $peer: it does not build"
    fi
done
cargo bench --bench macro -- --own floor,handler,workers "${servers[@]}" "$@"
