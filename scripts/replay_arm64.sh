#!/bin/sh
# A bundle's answers on 64-bit Arm, in emulation, against this machine's:
#   sh scripts/replay_arm64.sh BUNDLE [--data LABELLED] [--count N]
# Replays the golden samples, and with --data N (20) labelled pictures, through LiteRT and ONNX Runtime on both.
# Fails where an artifact that must give the same numbers does not: LiteRT int8 bit for bit, float within rounding.
# scripts/arm64_tree.sh says what is emulated, and how to choose the core. Float takes seconds a picture.
set -eu
usage="usage: sh scripts/replay_arm64.sh BUNDLE [--data LABELLED] [--count N]"
bundle="" data="" count=20
while [ $# -gt 0 ]; do
    case "$1" in
        --data) data=${2:?$usage} && shift ;;
        --count) count=${2:?$usage} && shift ;;
        -*) echo "unknown option '$1'; $usage" >&2 && exit 2 ;;
        *) bundle=$1 ;;
    esac
    shift
done
[ -n "$bundle" ] || { echo "$usage" >&2 && exit 2; }
case "$count" in *[!0-9]* | "" | 0) echo "--count is a number of pictures; $usage" >&2 && exit 2 ;; esac
[ -f "$bundle/manifest.json" ] || {
    echo "no bundle at $bundle; edgecv convert --int8 -o $bundle makes one" >&2
    exit 1
}
bundle=$(cd "$bundle" && pwd)
case "$data" in "" | /*) ;; *) data=$(pwd)/$data ;; esac
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/arm64_tree.sh

arm64_tree
main_env dev
mkdir -p build
replay=tests/arm64/arm64_replay.py
folder=$(mktemp -d build/replay-arm64.XXXXXX)
trap 'rm -rf "$folder"' EXIT
if [ -n "$data" ]; then
    .venv/bin/python $replay pictures "$bundle" "$folder/pictures.npz" "$data" "$count"
else
    .venv/bin/python $replay pictures "$bundle" "$folder/pictures.npz"
fi
say "On this machine"
.venv/bin/python $replay logits "$bundle" "$folder/here.npz" "$folder/pictures.npz"
say "On ${QEMU_CPU:-cortex-a72}, emulated"
PYTHONPATH=$(pwd):$tree/site "$arm64_python" $replay logits "$bundle" "$folder/arm64.npz" "$folder/pictures.npz"
say "arm64 against this machine: $bundle"
.venv/bin/python $replay compare "$bundle" "$folder/pictures.npz" "$folder/here.npz" "$folder/arm64.npz"
