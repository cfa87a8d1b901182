from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from edgecv.devices import Family, get_profile, load_profile_file
from edgecv.devices.profile import ALL_KINDS, builtin_profiles, decode_profile
from edgecv.devices.recognise import VENDORS
from edgecv.errors import DeviceError

NAMES = [
    "arm64",
    "jetson-agx-orin",
    "jetson-nano",
    "jetson-orin-nano",
    "jetson-orin-nx",
    "jetson-thor",
    "jetson-xavier-nx",
    "rpi-zero2w",
    "rpi3b+",
    "rpi4b",
    "rpi5",
    "x86",
    "x86-vnni",
]
DATA = resources.files("edgecv.devices") / "profiles"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "devices.md"
each_profile = pytest.mark.parametrize("profile", builtin_profiles(), ids=lambda profile: profile.name)


def test_the_profiles_there_are():
    assert [profile.name for profile in builtin_profiles()] == NAMES


@each_profile
def test_every_profile_is_in_the_file_of_its_name(profile):
    assert load_profile_file(str(DATA / (profile.name.replace("+", "plus") + ".toml"))) == profile


@each_profile
def test_every_kind_is_listed_so_that_some_engine_is_always_left(profile):
    assert sorted(profile.inference.kinds) == sorted(ALL_KINDS)
    assert len(ALL_KINDS) == 12


@each_profile
def test_every_fact_has_a_source_and_memory_is_no_source(profile):
    assert profile.facts
    for fact in profile.facts:
        assert len(fact.source) > 1
        assert "://" not in fact.source + fact.note
        assert not (fact.verified and fact.source == "from memory")


@each_profile
def test_no_fact_is_given_twice(profile):
    names = [fact.name for fact in profile.facts]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("family", "default"),
    [("rpi", "rpi4b"), ("jetson", "jetson-orin-nano"), ("arm", "arm64"), ("x86", "x86")],
)
def test_one_default_a_family(family, default):
    family = Family(family)
    assert [p.name for p in builtin_profiles() if p.family is family and p.default_of_family] == [default]


def test_int8_saturates_only_on_x86_without_vnni():
    assert [profile.name for profile in builtin_profiles() if profile.inference.int8_saturates] == ["x86"]


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("rpi5", "tflite:int8"),  # XNNPACK on NEON
        ("jetson-nano", "tflite:int8"),
        ("x86", "onnx:int8"),  # the fastest as measured
        ("x86-vnni", "onnx:int8"),
    ],
)
def test_first_choice(name, first):
    assert str(get_profile(name).inference.kinds[0]) == first


@pytest.mark.parametrize(
    "name", ["rpi-zero2w", "rpi3b+", "rpi4b", "jetson-nano", "jetson-xavier-nx", "arm64"]
)
def test_openvino_comes_last_where_dotprod_or_the_wheel_is_missing(name):
    assert [kind.format.value for kind in get_profile(name).inference.kinds[4:6]] == ["openvino"] * 2


def test_each_recognition_rule_belongs_to_one_profile():
    rules = []
    for profile in builtin_profiles():
        for board in (profile.detect, *profile.detect.siblings):
            rules += [*board.compatible, *board.revision_types]
    assert len(rules) == len(set(rules))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('family = "rpi"', 'family = "pi"', "Invalid enum value 'pi' - at `$.family`"),
        ('name = "rpi4b"', 'name = "RPI 4"', "at `$.name`"),
        # a misspelt key is not silently left out
        ("threads = 4", "thread = 4", "unknown field `thread` - at `$.inference`"),
        ("threads = 4", "threads = -1", ">= 0 - at `$.inference.threads`"),
        ("threads = 4", 'threads = "4"', "Expected `int`, got `str` - at `$.inference.threads`"),
        ('"onnx:fp32", ', "", "missing: onnx:fp32 - at `$.inference`"),
        ('"onnx:fp32", ', '"onnx:fp32", "onnx:fp32", ', "names a kind twice - at `$.inference`"),
        ("onnx:fp32", "onnx:fp64", "'onnx:fp64' is not one of tflite:fp32, onnx:fp32"),
        ("[1024, 2048", "[0, 2048", "at `$.memory.ram_mb[0]`"),
        ('value = 1.8, source = "raspberrypi/documentation"', "value = 1.8", "at `$.facts[1]`"),
        ('source = "computed"', 'source = ""', "at `$.facts[3].source`"),
        ("revision_types = [0x11]", "revision_types = [0x111]", "at `$.detect.revision_types[0]`"),
        ('source = "0"', "", "missing required field `source` - at `$.camera`"),
        # sections: misspelt, missing, not a list
        ("[camera]", "[kamera]", "unknown field `kamera`"),
        (
            '[memory]\nram_mb = [1024, 2048, 4096, 8192]\nsource = "raspberrypi/documentation"\n',
            "",
            "missing required field `memory`",
        ),
        (
            'compatible = ["raspberrypi,4-model-b"]',
            'compatible = "raspberrypi,4-model-b"',
            "Expected `array`, got `str` - at `$.detect.compatible`",
        ),
        ("[memory]", "[memory", ""),  # not TOML; the words are the parser's
    ],
)
def test_a_bad_profile_is_refused_by_file_and_key(tmp_path, old, new, message):
    text = (DATA / "rpi4b.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DeviceError) as caught:
        load_profile_file(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_the_example_of_the_page_is_a_profile():
    (example,) = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    profile = decode_profile(example.encode(), "the page's")
    assert (profile.name, profile.camera.source, profile.inference.threads) == ("bench-pi", "picamera2", 3)


@pytest.mark.parametrize(
    ("old", "new"),
    [("threads = 3", "thread = 3"), ('"onnx:fp32", ', "")],  # in the order of the page
)
def test_the_messages_of_the_page_are_those_that_come(old, new):
    example = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)[0]
    with pytest.raises(DeviceError) as caught:
        decode_profile(example.replace(old, new).encode(), "bench-pi.toml")
    assert f"{caught.value}\n" in PAGE.read_text()


def test_unreadable_profiles_are_refused(tmp_path):
    with pytest.raises(DeviceError, match=r"cannot read device profile .*none\.toml: No such file"):
        load_profile_file(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(DeviceError, match=r"latin\.toml: not UTF-8"):
        load_profile_file(tmp_path / "latin.toml")


def test_unknown_names_get_the_list_and_the_nearest():
    with pytest.raises(DeviceError) as caught:
        get_profile("rpi4")
    assert caught.value.exit_code == 2
    assert str(caught.value) == f"unknown device 'rpi4'; did you mean 'rpi4b'? allowed: {', '.join(NAMES)}"


def test_a_name_like_no_other_gets_the_list_alone():
    with pytest.raises(DeviceError, match="unknown device 'zzz'; allowed: arm64, "):
        get_profile("zzz")


def test_the_profiles_of_a_family_are_found_by_their_text_alone():
    for family in Family:
        assert builtin_profiles(family) == tuple(p for p in builtin_profiles() if p.family is family)
    assert builtin_profiles(Family.RPI, Family.X86) == tuple(
        p for p in builtin_profiles() if p.family in (Family.RPI, Family.X86)
    )


def test_every_board_is_of_a_vendor_that_detection_knows():
    for profile in builtin_profiles():
        named = [*profile.detect.compatible, *(n for s in profile.detect.siblings for n in s.compatible)]
        assert {VENDORS[name.partition(",")[0]] for name in named} <= {profile.family}
