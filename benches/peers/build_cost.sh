#!/usr/bin/env bash
# What it costs to build a small program on this crate, and on others: `bash benches/peers/build_cost.sh`.
#
# Each program of this package is built with cargo's own release profile into an empty folder. The table
# has the crates below the program, the processor time of the build in seconds, and the size of the stripped
# program in KiB. It takes a few minutes, and needs `strip`.
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

# build PROGRAM: prints the processor time of a clean build.
build() {
    rm -rf "${folder:?}/target"
    { time cargo build --quiet --release --locked --manifest-path "$manifest" \
        --target-dir "$folder/target" --features "$1" --bin "$1"; } 2>&1 |
        awk 'END { printf "%.1f", $1 + $2 }'
}

cargo fetch --quiet --locked --manifest-path "$manifest"
rustc --version
echo
echo '| program | crates | processor time of the build, s | stripped, KiB |'
echo '| --- | --- | --- | --- |'
[ $# -gt 0 ] || set -- wsgi_app hello_tiny_http hello_hyper hello_may
for program in "$@"; do
    seconds=$(build "$program")
    strip -o "$folder/stripped" "$folder/target/release/$program"
    size=$(($(stat -c %s "$folder/stripped") / 1024))
    echo "| \`$program\` | $(crates "$program") | $seconds | $size |"
done
