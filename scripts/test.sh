#!/bin/sh
# What CI runs first: sh scripts/test.sh [--all]
# Lint, formatting and the tests that take seconds; --all adds the slow ones.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh

case "$*" in
    "") select="not slow" ;;
    --all) select="slow or not slow" ;;
    *) die "unknown argument '$*'; usage: sh scripts/test.sh [--all]" ;;
esac

main_env dev
say "ruff"
.venv/bin/ruff check .
.venv/bin/ruff format --check .
say "pytest -m \"$select\""
.venv/bin/python -m pytest -m "$select"
