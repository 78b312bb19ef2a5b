#!/usr/bin/env bash
# What it costs to build a small program on this crate, and on others: `bash benches/peers/build_cost.sh`.
#
# Each program of this package is built with cargo's own profiles into an empty folder. The table has the
# crates below the program, the processor time of the release build in seconds, the part of it for the program
# itself, the size of the stripped program in KiB, and the processor time of a debug build after a change of
# the program itself. It takes a few minutes, and needs `strip`.
set -euo pipefail
cd "$(dirname "$0")/../.."
manifest=benches/peers/Cargo.toml
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
TIMEFORMAT='%U %S'

# The crates that are built for a program, itself not counted.
crates() {
    cargo tree --locked --manifest-path "$manifest" --features "$1" --edges normal,build --prefix none |
        sed 1d | awk 'NF { print $1, $2 }' | sort -u | grep -c .
}

# build PROGRAM [OPTION...]: builds what is not built yet, and prints the processor time.
build() {
    { time cargo build --quiet --locked --manifest-path "$manifest" \
        --target-dir "$folder/target" --features "$1" --bin "$@"; } 2>&1 |
        awk 'END { printf "%.1f", $1 + $2 }'
}

# again PROGRAM [OPTION...]: the same after a change of the program itself. A newer date is a change to cargo.
again() {
    local source=benches/peers/src/bin/$1.rs
    [ -e "$source" ] || source=examples/first_steps/$1.rs
    touch "$source"
    build "$@"
}

cargo fetch --quiet --locked --manifest-path "$manifest"
rustc --version
echo
echo '| program | crates | release build, s | the program itself, s | stripped, KiB | debug build again, s |'
echo '| --- | --- | --- | --- | --- | --- |'
[ $# -gt 0 ] || set -- wsgi_app hello_tiny_http hello_hyper hello_may
for program in "$@"; do
    rm -rf "$folder/target"
    seconds=$(build "$program" --release)
    own=$(again "$program" --release)
    build "$program" >"$folder/debug"
    strip -o "$folder/stripped" "$folder/target/release/$program"
    size=$(($(stat -c %s "$folder/stripped") / 1024))
    echo "| \`$program\` | $(crates "$program") | $seconds | $own | $size | $(again "$program") |"
done
