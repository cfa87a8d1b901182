#!/bin/sh
# From a fresh clone to predictions and a report: sh scripts/demo.sh
# Needs Python 3.10 to 3.13 (PYTHON=... names one) and the package index; takes two to five minutes.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh

main_env convert

say "Converting EfficientNet-Lite0 to TFLite, ONNX and OpenVINO, float and int8"
.venv/bin/edgecv convert --int8

say "Classifying photographs: an astronaut, a cat, coffee, a motorcycle, a rocket, a palace, a flower"
.venv/bin/edgecv run --source sample:photos

say "Classifying 50 frames of a video: a bus from above, from frame 30 on a man in a suit and tie"
.venv/bin/edgecv run --source sample:video --frames 50

say "Measuring every artifact on this machine"
.venv/bin/edgecv bench -o edgecv-report

say "Done. The report: $(pwd)/edgecv-report/report.html (and report.md, report.json)"
