#!/bin/sh
# What a board installs, on every Python that edgecv supports: sh scripts/matrix.sh [--allow-missing]
# One environment a version (.venv-3.10 and so on), with the engines and without the converters; and one with the
# oldest version of everything that pyproject.toml allows (.venv-lowest), which takes uv.
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
        missing="$missing Python-3.$minor"
        continue
    fi
    say "Python 3.$minor: $("$python" --version), engines without converters, in .venv-3.$minor"
    make_env ".venv-3.$minor" "$python" -e ".[tflite,onnx,openvino,test]"
    # tests/converters and tests/reports need the workstation's packages; scripts/test.sh runs them.
    if all_cores ".venv-3.$minor/bin/python" -m "not slow" -p no:cacheprovider tests \
        --ignore=tests/converters --ignore=tests/reports; then
        passed="$passed 3.$minor"
    else
        failed="$failed 3.$minor"
    fi
done

if ! have_uv; then
    missing="$missing lowest-versions(uv)"
elif python=$(find_python 10); then
    say "The lowest versions that pyproject.toml allows, on Python 3.10, in .venv-lowest"
    UV_RESOLUTION=lowest-direct make_env .venv-lowest "$python" -e ".[tflite,onnx,openvino,report,test]"
    if all_cores .venv-lowest/bin/python -m "not slow" -p no:cacheprovider tests --ignore=tests/converters; then
        passed="$passed lowest-versions"
    else
        failed="$failed lowest-versions"
    fi
fi

say "Python matrix: passed:${passed:- none}; failed:${failed:- none}; not on this machine:${missing:- none}"
[ -z "$failed" ] || die "tests failed on$failed"
if [ -n "$missing" ]; then
    [ "$*" = --allow-missing ] || die "no$missing here; install it, or pass --allow-missing"
fi
[ -n "$passed" ] || die "nothing was tested"
