#!/usr/bin/env bash
# Runs all fuzz targets until they have executed so many inputs in sum, and prints a table for guide::proof:
#
#     fuzz/campaign.sh 100000000
#     fuzz/campaign.sh 100000000 framing encode_then_parse    # further rounds of these targets only
#
# Each target runs for FUZZ_SECONDS (60) in a round, and as many targets at once as there are processors. You
# can stop it: the next call goes on. The sum belongs to one build: after a change of the library or of a
# target it begins again at zero. The inputs that a round finds stay in target/fuzz for the next one.
#
# There is no sanitizer, because the crate has no unsafe code, and without one a target is several times as
# fast. Assertions and the checks for overflow are on. It ends at the first input that breaks a promise, with
# exit status 1 and the input's name.
set -euo pipefail
cd "$(dirname "$0")/.."
total=${1:-100000000}
chosen=("${@:2}")

cargo +nightly fuzz build --sanitizer none
programs=fuzz/target/$(rustc -vV | sed -n 's/^host: //p')/release
targets=$(cargo fuzz list)
# The list is made of names without spaces.
# shellcheck disable=SC2206
[ ${#chosen[@]} -gt 0 ] || chosen=($targets)
for target in "${chosen[@]}"; do
    grep -qx "$target" <<<"$targets" || { echo "no target: $target" >&2 && exit 2; }
done
build=$(for target in $targets; do sha256sum <"$programs/$target"; done | sha256sum | cut -c 1-16)
results=target/fuzz/campaign/$build
mkdir -p "$results"

# round TARGET: appends a line to the target's results: executions, seconds of processor time, edges.
round() {
    local target=$1 found=target/fuzz/$1 log=$results/$1.log TIMEFORMAT='seconds %U'
    mkdir -p "$found" "fuzz/artifacts/$target"
    # A finding ends the program with an error. The others finish their round.
    { time "$programs/$target" "$found" "fuzz/corpus/$target" -max_total_time="${FUZZ_SECONDS:-60}" \
        -max_len="${FUZZ_LENGTH:-512}" -timeout=60 -dict=fuzz/http.dict -print_final_stats=1 \
        -artifact_prefix="fuzz/artifacts/$target/"; } >"$log" 2>&1 || true
    awk '/^stat::number_of_executed_units:/ { executions = $2 }
        /^seconds / { seconds = $2 }
        { for (i = 1; i < NF; i++) if ($i == "cov:") edges = $(i + 1) }
        END { print executions + 0, seconds, edges + 0 }' "$log" >>"$results/$target"
}

# sum COLUMN: of the results of all targets
sum() {
    local target
    for target in $targets; do cat "$results/$target"; done |
        awk -v column="$1" '{ sum += $column } END { printf "%.0f\n", sum }'
}

findings() {
    find fuzz/artifacts -type f
}

# row TARGET
row() {
    local inputs edges
    inputs=$(find "fuzz/corpus/$1" -type f | wc -l)
    edges=$("$programs/$1" "fuzz/corpus/$1" -runs=0 2>&1 | sed -n 's/.*INITED cov: \([0-9]*\).*/\1/p')
    awk -v target="$1" -v inputs="$inputs" -v edges="$edges" '
        { executions += $1; seconds += $2; last = $3 }
        END {
            rate = executions / (seconds ? seconds : 1)
            printf "| `%s` | %d | %d | %d | %d | %d |\n", target, inputs, executions, rate, edges, last
        }' "$results/$1"
}

export -f round
export programs results
for target in $targets; do
    mkdir -p "fuzz/artifacts/$target"
    touch "$results/$target"
done
while [ -z "$(findings)" ] && [ "$(sum 1)" -lt "$total" ]; do
    printf '%s\n' "${chosen[@]}" | xargs -P "$(nproc)" -I '{}' bash -c 'round "$1"' round '{}'
done

echo '| target | inputs | executions | a second | edges of the inputs | edges at the end |'
echo '| --- | --- | --- | --- | --- | --- |'
for target in $targets; do row "$target"; done
echo "$(sum 1) executions in $(sum 2) s of processor time, build $build"
if [ -n "$(findings)" ]; then
    findings
    exit 1
fi
