#!/bin/bash -eu
# Licensed under the Apache License, Version 2.0: http://www.apache.org/licenses/LICENSE-2.0
#
# For each target: the program, the inputs of the corpus and the findings as a zip archive, the
# dictionary, and the options that the README uses.

cd "$SRC/serve_forever"
cargo fuzz build -O --debug-assertions

built=fuzz/target/x86_64-unknown-linux-gnu/release
for target in $(cargo fuzz list); do
    cp "$built/$target" "$OUT/"
    seeds=("fuzz/corpus/$target")
    [ ! -d "fuzz/findings/$target" ] || seeds+=("fuzz/findings/$target")
    zip -q -r -j "$OUT/${target}_seed_corpus.zip" "${seeds[@]}"
    cp fuzz/http.dict "$OUT/$target.dict"
    printf '[libfuzzer]\nmax_len = 4096\n' >"$OUT/$target.options"
done
