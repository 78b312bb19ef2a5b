#!/usr/bin/env bash
# Prints how many bytes the codec adds to a program for a machine without an operating system:
# `bash benches/size/run.sh`. Code and constants count. The program `nothing` is subtracted: it has an entry, an
# allocator and a handler of panics, but no HTTP.
set -euo pipefail
cd "$(dirname "$0")"
machine=thumbv7em-none-eabi
rustup target add "$machine"
target=${CARGO_TARGET_DIR:-../../target}/benches-size

# bytes PROGRAM
bytes() {
    size "$target/$machine/release/$1" | awk 'NR == 2 { print $1 }'
}

echo '| program | `opt-level` | bytes |'
echo '| --- | --- | --- |'
for level in s z 3; do
    CARGO_PROFILE_RELEASE_OPT_LEVEL=$level \
        cargo build --quiet --release --locked --target "$machine" --target-dir "$target"
    for program in request_head server client; do
        echo "| \`$program\` | $level | $(($(bytes "$program") - $(bytes nothing))) |"
    done
done
# The crates that are compiled, besides the programs' own.
cargo tree --edges normal --prefix none --target "$machine" | sed '1d; s/ (.*//'
