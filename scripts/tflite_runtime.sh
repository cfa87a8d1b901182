#!/bin/sh
# The engine of 32-bit boards on real files: sh scripts/tflite_runtime.sh
# tflite-runtime's last release needs Python 3.11 or older and NumPy 1, so it has an environment of its own.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh

python=$(find_python 11) || die "needs Python 3.11, the last that tflite-runtime has x86-64 wheels for"
test_bundle

say "tflite-runtime 2.14 in .venv-tflite-runtime"
make_env .venv-tflite-runtime "$python" "tflite-runtime==2.14.0" "numpy<2" "opencv-python-headless<4.11" \
    click hypothesis msgspec pytest rich
EDGECV_TEST_BUNDLE=$(pwd)/build/test-bundle .venv-tflite-runtime/bin/python -m pytest -p no:cacheprovider \
    tests/test_tflite_runtime.py
