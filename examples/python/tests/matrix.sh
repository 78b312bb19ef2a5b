#!/bin/sh
# usage: matrix.sh PYTHON ...
# Builds one wheel for all versions of Python, and runs the tests with each of the Pythons.
set -eu

package=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$1" -m venv "$folder/build"
"$folder/build/bin/pip" -q wheel --no-deps -w "$folder/wheels" -C build-args="--features abi3" "$package"

failed=
for python; do
    "$python" --version
    "$python" -m venv --clear "$folder/env"
    "$folder/env/bin/pip" -q install -r "$package/tests/requirements.txt" "$folder"/wheels/*.whl
    "$folder/env/bin/python" -X faulthandler -m unittest discover -s "$package/tests" ||
        failed="$failed $python"
done
[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
