# shellcheck shell=sh
# An arm64 Linux in a folder, for the scripts beside this file. POSIX sh, sourced after lib.sh, never run.
# A Debian arm64 tree with the real aarch64 wheels of the engines, run by QEMU user emulation on a Linux x86-64
# machine. The tree is kept in .arm64 (EDGECV_ARM64 names another folder) and made again when pyproject.toml or
# this file changes. QEMU_CPU picks the core: cortex-a53, cortex-a72 (the default) or cortex-a76.
# Nothing it does says anything about the speed of a board.

suite=bookworm python_version=3.11
tree=${EDGECV_ARM64:-$(pwd)/.arm64}
mirror=$(awk '/^URIs:/ { print $2; exit }' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
mirror=${mirror:-http://deb.debian.org/debian} # whichever this machine uses
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

host_packages() {
    needed=""
    command -v mmdebstrap >/dev/null || needed="$needed mmdebstrap"
    [ -f $keyring ] || needed="$needed debian-archive-keyring"
    [ -n "$needed" ] || return 0
    command -v apt-get >/dev/null || die "needs a Debian or Ubuntu machine, for$needed"
    [ "$(id -u)" = 0 ] || die "needs: sudo apt-get install$needed"
    say "Installing$needed"
    apt-get update -qq || die "cannot reach the packages of this machine's release, for$needed"
    # shellcheck disable=SC2086  # a list
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $needed
}

# QEMU 10 from the backports, one static binary: 7.2, which the release has, passes the host's /proc/cpuinfo on
# to the guest, and importing onnxruntime then crashes.
fetch_qemu() {
    apt=$tree/apt
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    : >"$apt/status"
    echo "deb [arch=amd64 signed-by=$keyring] $mirror $suite-backports main" >"$apt/sources.list"
    cat >"$apt/apt.conf" <<EOF
Dir::State "$apt"; Dir::State::lists "$apt/lists"; Dir::State::status "$apt/status"; Dir::Cache "$apt/cache";
Dir::Etc::sourcelist "$apt/sources.list"; Dir::Etc::sourceparts "/dev/null";
Acquire::Languages "none"; APT::Sandbox::User "root";
EOF
    APT_CONFIG=$apt/apt.conf apt-get update -qq &&
        (cd "$apt" && APT_CONFIG=$apt/apt.conf apt-get download -qq qemu-user) ||
        die "cannot get QEMU from $mirror $suite-backports"
    dpkg-deb --fsys-tarfile "$apt"/qemu-user_*.deb | tar -xO ./usr/bin/qemu-aarch64 >"$tree/qemu-aarch64"
    chmod +x "$tree/qemu-aarch64"
    rm -rf "$apt"
}

# Packages are unpacked, their scripts not run: nothing is emulated while the tree is made.
unpack_debian() {
    mmdebstrap -q --variant=extract --architectures=arm64 --include="libc6,libc-bin,libstdc++6,libgcc-s1,\
libgomp1,zlib1g,python$python_version,python$python_version-minimal,libpython$python_version-stdlib" \
        "$suite" "$tree/root" "deb [signed-by=$keyring] $mirror $suite main" ||
        die "cannot get Debian's arm64 packages from $mirror $suite"
    for folder in lib bin sbin; do
        [ -e "$tree/root/$folder" ] || ln -s "usr/$folder" "$tree/root/$folder"
    done
}

# QEMU opens a file of the tree in place of the machine's own: this is what detection reads.
write_device_tree() {
    mkdir -p "$tree/root/proc/device-tree"
    printf 'Raspberry Pi 4 Model B Rev 1.4\0' >"$tree/root/proc/device-tree/model"
    printf 'raspberrypi,4-model-b\0brcm,bcm2711\0' >"$tree/root/proc/device-tree/compatible"
}

# The wheels that a 64-bit board gets, resolved and unpacked here: nothing of theirs is compiled or run.
unpack_wheels() {
    uv=uv
    if ! have_uv; then
        make_env .venv-uv "$(any_python)" uv
        uv=.venv-uv/bin/uv
    fi
    $uv pip install -q --python-platform aarch64-manylinux_2_35 --python-version $python_version \
        --only-binary :all: --target "$tree/site" -r pyproject.toml --extra tflite --extra onnx --extra test ||
        die "cannot get the aarch64 wheels of the engines for Python $python_version from the package index"
}

# The guest's sys.executable is this host script, so that Python programs which tests start are emulated too.
write_python() {
    mkdir -p "$tree/bin"
    cat >"$tree/bin/python3" <<EOF
#!/bin/sh
export QEMU_LD_PREFIX='$tree/root' QEMU_CPU="\${QEMU_CPU:-cortex-a72}"
export PYTHONHOME='$tree/root/usr' PYTHONPATH="\${PYTHONPATH:-$tree/site}"
export PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
exec '$tree/qemu-aarch64' -0 '$tree/bin/python3' '$tree/root/usr/bin/python$python_version' "\$@"
EOF
    chmod +x "$tree/bin/python3"
}

# arm64_tree: make the tree unless it is there; $arm64_python then runs a Python program in it.
arm64_tree() {
    [ "$(uname -sm)" = "Linux x86_64" ] || die "needs a Linux x86-64 machine; an Arm board needs no emulation"
    stamp=$(cat pyproject.toml scripts/arm64_tree.sh | cksum)
    if [ "$(cat "$tree/stamp" 2>/dev/null || true)" != "$stamp" ]; then
        host_packages
        say "Making the arm64 tree in $tree"
        rm -rf "$tree/root" "$tree/site" "$tree/stamp"
        mkdir -p "$tree"
        echo '*' >"$tree/.gitignore"
        [ -x "$tree/qemu-aarch64" ] || fetch_qemu
        unpack_debian
        write_device_tree
        unpack_wheels
        write_python
        echo "$stamp" >"$tree/stamp"
    fi
    arm64_python=$tree/bin/python3
}
