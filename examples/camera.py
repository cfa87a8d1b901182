"""Say what the camera sees, whenever it changes.

    python examples/camera.py [SOURCE] [BUNDLE]

SOURCE is a camera index, a file, a folder, rtsp://..., http://... or synthetic:WxH@FPS.
"""

import sys

import edgecv

if __name__ == "__main__":
    source = sys.argv[1] if len(sys.argv) > 1 else "0"
    bundle = sys.argv[2] if len(sys.argv) > 2 else None
    seen = None
    try:
        for result in edgecv.stream(bundle, source, device="auto", top_k=1):
            best = result.top[0]
            if best.score > 0.3 and best.label != seen:
                seen = best.label
                print(f"{result.time_s:7.2f} s  {best.label} ({best.score:.0%}, {result.latency_ms:.0f} ms)")
    except edgecv.EdgecvError as error:  # no camera, no bundle, no engine: one line that says what to do
        sys.exit(str(error))
