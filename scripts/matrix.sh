#!/bin/sh
# What a board installs, on every Python that edgecv supports: sh scripts/matrix.sh [--allow-missing]
# One environment a version (.venv-3.10 and so on), with the engines and without the converters.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh

case "$*" in
    "" | --allow-missing) ;;
    *) die "unknown argument '$*'; usage: sh scripts/matrix.sh [--allow-missing]" ;;
esac

missing="" failed="" passed=""
for minor in 10 11 12 13; do
    if ! python=$(find_python "$minor"); then
        missing="$missing 3.$minor"
        continue
    fi
    say "Python 3.$minor: $("$python" --version), engines without converters, in .venv-3.$minor"
    make_env ".venv-3.$minor" "$python" -e ".[tflite,onnx,openvino,test]"
    # tests/converters and tests/reports need the workstation's packages; scripts/test.sh runs them.
    if ".venv-3.$minor/bin/python" -m pytest -m "not slow" -p no:cacheprovider tests \
        --ignore=tests/converters --ignore=tests/reports; then
        passed="$passed 3.$minor"
    else
        failed="$failed 3.$minor"
    fi
done

say "Python matrix: passed:${passed:- none}; failed:${failed:- none}; not on this machine:${missing:- none}"
[ -z "$failed" ] || die "tests failed on Python$failed"
if [ -n "$missing" ]; then
    [ "$*" = --allow-missing ] || die "no Python$missing here; install it, or pass --allow-missing"
fi
[ -n "$passed" ] || die "nothing was tested"
