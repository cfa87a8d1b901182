"""Profiles written from what was detected and measured: what is read back is what was found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgecv.devices import Detected, detect, get_profile, own_folder, select
from edgecv.devices.new import new_profile, own_path
from edgecv.devices.profile import ALL_KINDS, Profile, decode_profile
from edgecv.errors import DeviceError
from edgecv.spec import Kind

MACHINES = {
    "a board with a profile": {"cpu": "4 A76", "compatible": ["raspberrypi,5-model-b", "brcm,bcm2712"]},
    "a module": {"cpu": "6 A78AE", "compatible": ["nvidia,p3768-0000+p3767-0005", "nvidia,p3767-0005"]},
    "a container": {"cpu": "4 A76", "revision": "c04170"},
    "an unlisted board": {"cpu": "8 A78AE", "compatible": ["radxa,rock-5b"], "model": "ROCK 5B"},
    "a PC": {"cpu": "4 AVX2", "product": 'A "quoted" \\ name'},
    "a PC without a name": {"cpu": "2 AVX-VNNI"},
    "nothing known": {},
}
MEASURED = [
    (Kind.parse("onnx:int8"), 10.5),
    (Kind.parse("tflite:int8"), 8.25),
    (Kind.parse("onnx:int8"), 9.75),  # another variant of the same kind
    (Kind.parse("tflite:fp16"), 40.0),
]


def read(text: str) -> Profile:
    return decode_profile(text.encode(), "a test")


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES.keys())
def test_a_machine_is_recognised_by_the_profile_written_on_it(
    machine: dict[str, object], tree: Callable[..., Path]
) -> None:
    root = tree(**machine)
    before = select("auto", root)
    own_path("mine").parent.mkdir(parents=True)
    own_path("mine").write_text(new_profile("mine", before.detected), encoding="utf-8")
    after = select("auto", root)
    known = machine != {}
    assert (after.profile.name == "mine") is known
    assert after.profile.inference.order == before.profile.inference.order
    assert (after.threads, after.int8_saturates) == (before.threads, before.int8_saturates)
    assert get_profile("mine").camera == before.profile.camera


def test_what_was_detected_is_in_the_facts(tree: Callable[..., Path]) -> None:
    root = tree(
        cpu="6 A78AE",
        compatible=["nvidia,p3767-0005"],
        mem_kb=7802880,
        tegra="# R36 (release), REVISION: 4.7,",
    )
    profile = read(new_profile("mine", detect(root)))
    assert {fact.name: fact.value for fact in profile.facts} == {
        "cpu": "6x Cortex-A78AE",
        "cpu_features": "dotprod, fp16, neon",
        "ram_mb": 7620,
        "l4t": "36.4.7",
        "jetpack": "6.2.1",
    }
    assert all(fact.verified and fact.source == "detected" for fact in profile.facts)
    assert profile.family.value == "jetson"


def test_the_order_is_that_of_the_measured_times(tree: Callable[..., Path]) -> None:
    found = detect(tree(cpu="4 A76", compatible=["raspberrypi,5-model-b"]))
    text = new_profile("mine", found, MEASURED, threads=3)
    profile = read(text)
    # then the profile of the Pi 5 without those
    assert profile.inference.order == (
        *("tflite:int8", "onnx:int8", "tflite:fp16"),
        *("openvino:int8", "tflite:fp32", "onnx:fp32", "openvino:fp32"),
    )
    assert profile.inference.threads == 3
    assert "onnx:int8 9.75 ms" in profile.inference.why
    facts = {fact.name: (fact.value, fact.source) for fact in profile.facts}
    assert facts["onnx_int8_p50_ms"] == (9.75, "measured on this machine")
    assert '  "tflite:int8", # 8.25 ms\n' in text


def test_what_was_not_measured_says_so(tree: Callable[..., Path]) -> None:
    found = detect(tree(**MACHINES["a PC"]))
    assert read(new_profile("mine", found)).inference.why.endswith("Not measured on this board.")


@pytest.mark.parametrize(
    ("name", "order", "message"),
    [
        ("My Board", None, "'My Board' cannot be a profile's name: take a-z"),
        ("mine\n", None, "cannot be a profile's name"),
        ("", None, "'' cannot be a profile's name"),
        ("rpi", None, "'rpi' is a name that --device has a meaning for: choose another"),
        ("auto", None, "'auto' is a name"),
        ("mine", [(ALL_KINDS[0], 0.0)], "the measured time of tflite:fp32 is 0.0 ms: it has to be above 0"),
        ("mine", [(ALL_KINDS[0], float("nan"))], "is nan ms"),
    ],
)
def test_what_cannot_be_is_refused(
    name: str, order: list[tuple[Kind, float]] | None, message: str, tree: Callable[..., Path]
) -> None:
    with pytest.raises(DeviceError, match=message):
        new_profile(name, detect(tree()), order)


PLAIN = Detected(None, False, "unknown", "aarch64", frozenset(), None, None, None, None, "")
times = st.lists(st.tuples(st.sampled_from(ALL_KINDS), st.floats(1e-3, 1e6)))


@given(st.text(min_size=1), times)
@example('a "quoted" \\ name,\n2 lines\x7f \U0001f600', [])
def test_whatever_a_machine_is_called_the_text_can_be_read(
    model: str, order: list[tuple[Kind, float]]
) -> None:
    found = Detected(None, False, model, "aarch64", frozenset(), None, None, None, None, "")
    try:
        model.encode()
    except UnicodeEncodeError:  # lone surrogates: detection reads UTF-8, where there are none
        return
    profile = read(new_profile("mine", found, order))
    assert profile.title in (model, "64-bit Arm board")
    ranked = [
        min(ms for kind, ms in order if str(kind) == text)
        for text in profile.inference.order
        if text in {str(kind) for kind, _ in order}
    ]
    assert ranked == sorted(ranked)


def test_where_it_belongs() -> None:
    assert own_path("rpi3b+") == own_folder() / "rpi3bplus.toml"
