#!/bin/sh
# What CI runs first: sh scripts/test.sh [--all]
# Lint, formatting and the tests that take seconds; --all adds the slow ones.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh

case "$*" in
    "" | --all) ;;
    *) die "unknown argument '$*'; usage: sh scripts/test.sh [--all]" ;;
esac

main_env dev
say "ruff"
.venv/bin/ruff check .
.venv/bin/ruff format --check .
say "pytest -m \"not slow\""
all_cores .venv/bin/python -m "not slow"
if [ "$*" = --all ]; then
    say "pytest -m slow" # one at a time: many of them measure
    .venv/bin/python -m pytest -m slow
fi
