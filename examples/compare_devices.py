"""What would run on each board: the artifact its profile puts first, its threads, and why.

python examples/compare_devices.py [BUNDLE]
"""

import sys

import edgecv
from edgecv.devices import load_profiles

if __name__ == "__main__":
    bundle = edgecv.open_bundle(sys.argv[1] if len(sys.argv) > 1 else None)
    held = {artifact.kind: artifact for artifact in bundle.manifest.artifacts}
    for profile in load_profiles():
        kind = next(kind for kind in profile.inference.kinds if kind in held)
        threads = f"{profile.inference.threads} threads" if profile.inference.threads else "all cores"
        print(f"{profile.title:26} {kind!s:14} {held[kind].bytes / 1e6:4.1f} MB  {threads}")
        print(f"{'':26} {profile.inference.why}")
