#!/bin/sh
# The tests of the board side on 64-bit Arm, in emulation: sh scripts/arm64.sh
# scripts/arm64_tree.sh says what is emulated, and how to choose the core.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/arm64_tree.sh

arm64_tree
test_bundle
main_env dev
EDGECV_TEST_BUNDLE=$(pwd)/build/test-bundle
EDGECV_HOST_LOGITS=$(pwd)/build/host-logits.npz
export EDGECV_TEST_BUNDLE EDGECV_HOST_LOGITS
say "The golden samples on this machine"
.venv/bin/python tests/arm64/arm64_replay.py logits "$EDGECV_TEST_BUNDLE" "$EDGECV_HOST_LOGITS"

PYTHONPATH=$(pwd):$tree/site
export PYTHONPATH
say "The board side on ${QEMU_CPU:-cortex-a72}, emulated, as a Raspberry Pi 4"
# Left out is the one test that holds a clock to 1 %.
EDGECV_EXPECTED_PROFILE=rpi4b all_cores "$arm64_python" -m "not slow" -p no:cacheprovider \
    tests/arm64 tests/devices tests/runtime -k "not keeps_its_rate"
say "edgecv verify, emulated"
"$arm64_python" -m edgecv verify "$EDGECV_TEST_BUNDLE" --precision int8
say "edgecv run, emulated"
"$arm64_python" -m edgecv run "$EDGECV_TEST_BUNDLE" --source synthetic:640x480 --frames 3
