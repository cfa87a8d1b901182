"""Convert a model to int8 in every format, and look at what int8 cost.

python examples/convert.py [OUT]
"""

import sys

import edgecv

if __name__ == "__main__":
    out = sys.argv[1] if len(sys.argv) > 1 else "lite0-bundle"
    # Give calibration="photos/" for ranges taken from your own camera, data="labelled/" for accuracy.
    done = edgecv.convert("efficientnet-lite0", int8=True, out=out)
    for artifact in done.bundle.manifest.artifacts:
        check = artifact.verified
        print(f"{artifact.kind!s:14} {artifact.bytes / 1e6:5.1f} MB  same answer {check.top1_agreement:.1%}")
    print(f"{done.bundle.root}: {sum(done.seconds.values()):.0f} s")
    for note in done.notes:
        print("note:", note)
