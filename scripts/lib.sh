# shellcheck shell=sh
# What the scripts beside this file share. POSIX sh, sourced from the root of the checkout, never run.

say() { printf '\n== %s\n' "$*"; }

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

have_uv() { uv --version >/dev/null 2>&1; }

# run_python COMMAND LOW HIGH: print the interpreter behind COMMAND when it starts, is CPython LOW..HIGH
# (minor versions of 3) and can make environments. A command that exists may still not start: pyenv's shims.
run_python() {
    modules=sys
    have_uv || modules=sys,ensurepip
    "$1" -c "import $modules
ok = sys.version_info[0] == 3 and $2 <= sys.version_info[1] <= $3
print(sys.executable) if ok else sys.exit(1)" 2>/dev/null
}

# find_python MINOR: print an interpreter of exactly Python 3.MINOR, or fail.
find_python() {
    for found in "python3.$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/3.$1".*/bin/python python3; do
        run_python "$found" "$1" "$1" && return 0
    done
    return 1
}

# any_python: print the interpreter to use, $PYTHON when it is set. Exits with one line when there is none.
any_python() {
    if [ -n "${PYTHON:-}" ]; then
        run_python "$PYTHON" 10 13 ||
            die "PYTHON=$PYTHON is not a Python 3.10 to 3.13 that can make virtual environments"
        return
    fi
    for minor in 11 12 13 10; do
        find_python "$minor" && return
    done
    die "needs Python 3.10 to 3.13 with venv (Debian: apt install python3-venv); or name one: PYTHON=/path sh $0"
}

# make_env FOLDER PYTHON PACKAGE...: a virtual environment with these packages, made or brought up to date.
make_env() {
    env_folder=$1 env_python=$2
    shift 2
    [ -n "$env_python" ] || exit 1 # any_python has said why
    wanted=$("$env_python" -c 'import sys; print(sys.version_info[:2])')
    present=$("$env_folder/bin/python" -c 'import sys; print(sys.version_info[:2])' 2>/dev/null || true)
    if have_uv; then
        [ "$wanted" = "$present" ] || uv venv -q --clear --python "$env_python" "$env_folder"
        uv pip install -q --python "$env_folder/bin/python" "$@"
        return
    fi
    [ "$wanted" = "$present" ] || "$env_python" -m venv --clear "$env_folder"
    # An environment that uv made has no pip.
    "$env_folder/bin/python" -m pip --version >/dev/null 2>&1 || "$env_folder/bin/python" -m ensurepip >/dev/null
    "$env_folder/bin/python" -m pip install -q --disable-pip-version-check "$@"
}

# main_env EXTRA: the checkout itself, editable, with that extra, in ./.venv. Keeps a .venv that is there,
# unless PYTHON asks for another version.
main_env() {
    main_python=""
    [ -n "${PYTHON:-}" ] || main_python=$(run_python .venv/bin/python 10 13) || true
    [ -n "$main_python" ] || main_python=$(any_python)
    say "Installing edgecv[$1] into .venv ($("$main_python" --version))"
    make_env .venv "$main_python" -e ".[$1]"
}

# all_cores PYTHON ARGUMENT...: pytest, for tests that measure nothing, as many at once as there are cores.
all_cores() {
    tests_python=$1
    shift
    "$tests_python" -m pytest -n logical --dist loadfile "$@"
}

# test_bundle: fill build/test-bundle, which tests on other engines and machines replay. Made again when the
# sources are newer.
test_bundle() {
    made=build/test-bundle/manifest.json
    if [ -f "$made" ] && [ -z "$(find edgecv pyproject.toml -type f ! -name '*.pyc' -newer "$made")" ]; then
        return
    fi
    main_env dev
    say "Converting the bundle that the tests replay"
    mkdir -p build
    .venv/bin/edgecv convert --int8 --fp16 --dynamic --to tflite,onnx -o build/test-bundle
}
