#!/bin/sh
# Installs the edgecv of this archive on this machine, without a network: sh install.sh
# PYTHON=/path/to/python sh install.sh names the Python to use.
set -eu
cd "$(dirname "$0")"
# shellcheck source=/dev/null
. ./settings.sh # $python, $machine, $glibc and $bundle, written with the archive

die() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}

echo "Checking the files"
sha256sum -c --quiet SHA256SUMS || die "damaged; copy the archive again"

suits='import platform, struct, sys
sys.exit(not (sys.version_info[:2] == tuple(map(int, sys.argv[1].split(".")))
              and platform.machine() == sys.argv[2] and struct.calcsize("P") == 8))'
chosen=""
for candidate in "${PYTHON:-}" "python$python" "$HOME/.local/bin/python$python" python3; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c "$suits" "$python" "$machine" 2>/dev/null; then
        chosen=$candidate
        break
    fi
    [ "$candidate" != "${PYTHON:-}" ] || die "PYTHON=$PYTHON is not a Python $python for $machine"
done
[ -n "$chosen" ] || die "needs Python $python on $machine, and there is none (this is $(uname -m) with" \
    "$(python3 --version 2>/dev/null || echo 'no python3')); make the archive for what is here: edgecv pack --python"

libc=$("$chosen" -c 'import os; print(os.confstr("CS_GNU_LIBC_VERSION"))' 2>/dev/null || true)
"$chosen" -c 'import sys
number = lambda text: tuple(map(int, text.split(".")[:2]))
name, _, version = sys.argv[1].partition(" ")
sys.exit(name != "glibc" or number(version) < number(sys.argv[2]))' "$libc" "$glibc" ||
    die "these wheels need glibc $glibc or newer, and this is ${libc:-not glibc}"
"$chosen" -c 'import ensurepip, venv' 2>/dev/null ||
    die "Python $python cannot make virtual environments here: sudo apt install python3-venv"

echo "Installing into $(pwd)/env"
rm -rf env
trap 'rm -rf env' EXIT # a half of it would look like a whole one
"$chosen" -m venv env
# All that is needed is here, resolved by uv, which does not heed upper bounds of Requires-Python; pip would.
env/bin/python -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-index --no-deps \
    --ignore-requires-python wheels/*.whl || die "pip could not install the wheels of this archive"
trap - EXIT

here=$(pwd)
cat <<EOF
Done. Next, to check that every artifact gives the right answers here, and to measure it:
    '$here/env/bin/edgecv' verify '$here/bundle/$bundle'
    '$here/env/bin/edgecv' bench '$here/bundle/$bundle'
EOF
