"""What `edgecv run` is compared with, and nothing of edgecv: python bare.py JOB, a JSON object.

Run by runtime.py, each time in a process of its own; prints one JSON line, `serial` with `frames` one a
frame. A package that is missing ends it with status 3 and its name.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

MISSING = 3
WARM_UP_S = 0.5
SKIPPED = 10  # frames at the beginning that no rate counts

Job = dict[str, Any]
Put = Callable[["np.ndarray"], None]  # [1, H, W, 3] uint8
Infer = Callable[[], "np.ndarray"]  # [1, classes]


def litert(job: Job) -> tuple[Put, Infer]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(job["model"], num_threads=job["threads"])
    interpreter.allocate_tensors()
    (given,), (gives,) = interpreter.get_input_details(), interpreter.get_output_details()

    def put(image: np.ndarray) -> None:
        # int8 with the zero point -128: the same byte with its highest bit turned over.
        interpreter.set_tensor(given["index"], (image ^ 0x80).view("int8") if job["int8"] else image)

    def infer() -> np.ndarray:
        interpreter.invoke()
        return interpreter.get_tensor(gives["index"])

    return put, infer


def onnxruntime(job: Job) -> tuple[Put, Infer]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job["threads"]
    options.log_severity_level = 4
    if job["precise"]:
        options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(job["model"], options, providers=["CPUExecutionProvider"])
    feeds: dict[str, np.ndarray] = {}
    given, gives = session.get_inputs()[0].name, [session.get_outputs()[0].name]
    return lambda image: feeds.update({given: image}), lambda: session.run(gives, feeds)[0]


def openvino(job: Job) -> tuple[Put, Infer]:
    import openvino

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": job["threads"],
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = openvino.Core().compile_model(job["model"], "CPU", settings).create_infer_request()
    images: list[np.ndarray] = []

    def put(image: np.ndarray) -> None:
        images[:] = [image]

    return put, lambda: request.infer(images, share_inputs=True, share_outputs=True)[0]


ENGINES = {"tflite": litert, "onnx": onnxruntime, "openvino": openvino}


def frames(source: str) -> Iterator[np.ndarray]:
    """[H, W, 3] uint8 BGR without end: a video again and again, or the moving picture of synthetic:WxH."""
    import numpy as np

    if source.startswith("synthetic:"):
        width, height = map(int, source.partition(":")[2].split("x"))
        x, y = np.arange(width), np.arange(height)[:, None]
        once = np.empty((height, width, 3), np.uint8)
        once[..., 0], once[..., 1] = x * 255 // width, y * 255 // height
        once[..., 2] = ((x // 32 + y // 32) % 2) * 255
        twice = np.hstack((once, once))
        while True:
            for shift in range(0, width, max(1, width // 100)):
                yield twice[:, shift : shift + width]
    import cv2

    while True:
        capture, read = cv2.VideoCapture(source, cv2.CAP_FFMPEG), False
        while (frame := capture.read())[0]:
            read = True
            yield frame[1]
        if not read:
            sys.exit(f"{source} holds no frame")


def prepared(job: Job, bgr: np.ndarray) -> np.ndarray:
    """[1, h, w, 3] uint8 RGB: the middle of a frame, resized."""
    import cv2

    h, w = job["size_hw"]
    height, width = bgr.shape[:2]
    scale = min(height / h, width / w) * job["crop_fraction"]
    crop_h, crop_w = round(h * scale), round(w * scale)
    top, left = (height - crop_h) // 2, (width - crop_w) // 2
    small = cv2.resize(
        bgr[top : top + crop_h, left : left + crop_w],
        (w, h),
        interpolation=getattr(cv2, f"INTER_{job['interpolation'].upper()}"),
    )
    return cv2.cvtColor(small, cv2.COLOR_BGR2RGB)[None]


def limit(job: Job) -> None:
    """Back-to-back inferences of one picture; int8 converts and puts it in every time."""
    put, infer = ENGINES[job["format"]](job)
    image = prepared(job, next(frames(job["source"])))

    def once() -> None:
        if job["int8"]:
            put(image)
        infer()

    put(image)
    timed(once, min(WARM_UP_S, job["seconds"]))
    print(json.dumps({"per_s": timed(once, job["seconds"])}))


def serial(job: Job) -> None:
    """Read, prepare, infer, softmax, the best class, one frame after the other."""
    import numpy as np

    put, infer = ENGINES[job["format"]](job)
    source = frames(job["source"])

    def once() -> dict[str, Any]:
        put(prepared(job, next(source)))
        logits = infer()[0]
        scores = np.exp(logits - logits.max())
        best = int(scores.argmax())
        return {"class": best, "score": float(scores[best] / scores.sum())}

    if job["frames"]:
        for _ in range(job["frames"]):
            print(json.dumps(once()), flush=True)
        return
    for _ in range(SKIPPED):
        once()
    print(json.dumps({"per_s": timed(once, job["seconds"])}))


def mediapipe(job: Job) -> None:
    """MediaPipe's ImageClassifier, as its guide uses it on a video; `mode` is IMAGE or VIDEO."""
    import cv2
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    mode = vision.RunningMode[job["mode"]]
    options = vision.ImageClassifierOptions(
        base_options=BaseOptions(model_asset_path=job["model"]), running_mode=mode, max_results=1
    )
    source, time_ms = frames(job["source"]), iter(range(0, sys.maxsize, 33))
    with vision.ImageClassifier.create_from_options(options) as classifier:

        def once() -> None:
            rgb = cv2.cvtColor(next(source), cv2.COLOR_BGR2RGB)
            image = mp.Image(image_format=mp.ImageFormat.SRGB, data=rgb)
            if mode is vision.RunningMode.VIDEO:
                classifier.classify_for_video(image, next(time_ms))
            else:
                classifier.classify(image)

        for _ in range(SKIPPED):
            once()
        print(json.dumps({"per_s": timed(once, job["seconds"])}))


def timed(once: Callable[[], object], seconds: float) -> float:
    """Calls a second, one after the other for so long."""
    calls, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds or not calls:
        once()
        calls += 1
    return calls / spent


WAYS: dict[str, Callable[[Job], None]] = {"limit": limit, "serial": serial, "mediapipe": mediapipe}

if __name__ == "__main__":
    try:
        task = json.loads(sys.argv[1])
        WAYS[task["way"]](task)
    except ModuleNotFoundError as error:
        print(error.name)
        sys.exit(MISSING)
