"""Say what the camera sees, whenever it changes.

    python examples/camera.py [SOURCE] [BUNDLE]

SOURCE is as `edgecv run --source` takes it: a camera, a file, a folder, a stream.
"""

import sys

import edgecv

if __name__ == "__main__":
    source = sys.argv[1] if len(sys.argv) > 1 else "0"
    bundle = sys.argv[2] if len(sys.argv) > 2 else None
    try:
        for result in edgecv.stream(bundle, source, device="auto", top_k=1):
            for event in result.events:  # a label is on when it was seen in three of the last five frames
                print(f"{result.time_s:7.2f} s  {event.label} {event.state} ({event.score:.0%})")
    except edgecv.EdgecvError as error:  # no camera, no bundle, no engine: one line that says what to do
        sys.exit(str(error))
