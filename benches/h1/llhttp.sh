#!/usr/bin/env bash
# `bash llhttp.sh FOLDER` prints where the C sources of llhttp (MIT) are. They are in a source package of PyPI,
# which is not compiled. It is downloaded into the folder, if it is not there. Fails if it cannot be had.
set -euo pipefail
llhttp=llhttp-9.3.0.0
if [ ! -d "$1/$llhttp" ]; then
    mkdir -p "$1"
    pip download --quiet --no-deps --no-binary :all: --dest "$1" "${llhttp/-/==}" >&2
    tar -xzf "$1/$llhttp.tar.gz" -C "$1"
fi
realpath "$1/$llhttp/lib"
