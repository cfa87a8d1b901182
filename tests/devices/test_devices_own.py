"""The user's folder of profiles: found by name, used by `auto`, and what a broken file costs."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest

from edgecv.devices import device_names, get_profile, load_own, load_profiles, own_folder, select
from edgecv.devices.profile import builtin_profiles
from edgecv.errors import DeviceError

PI5 = {"cpu": "4 A76", "compatible": ["raspberrypi,5-model-b", "brcm,bcm2712"], "model": "Raspberry Pi 5"}
PI5_CONTAINER = {"cpu": "4 A76", "revision": "c04170"}
PI_3B = {"cpu": "4 A53", "compatible": ["raspberrypi,3-model-b", "brcm,bcm2837"]}
PI_3B_PLUS = {"cpu": "4 A53", "compatible": ["raspberrypi,3-model-b-plus", "brcm,bcm2837"]}
CUSTOM = {"cpu": "4 A76", "compatible": ["acme,carrier", "brcm,bcm2712"]}
ROCK = {"cpu": "8 A78AE", "compatible": ["radxa,rock-5b", "rockchip,rk3588"]}
LAPTOP = {"cpu": "4 AVX2", "product": "ThinkPad X1"}
VNNI = {"cpu": "2 AVX-VNNI"}

Keep = Callable[..., Path]


@pytest.fixture
def keep(own_folder: Path) -> Keep:
    """A function that puts a profile into the user's folder, with this [detect], or as this text."""
    text = (resources.files("edgecv.devices") / "profiles" / "arm64.toml").read_text(encoding="utf-8")
    head = text[: text.index("[detect]")].replace("default_of_family = true # the only one\n", "")

    def write(name: str, detect: str = "", family: str = "arm", file: str = "", text: str = "") -> Path:
        own_folder.mkdir(parents=True, exist_ok=True)
        path = own_folder / (file or f"{name}.toml")
        made = head.replace('name = "arm64"', f'name = "{name}"').replace('"arm"', f'"{family}"', 1)
        path.write_text(text or f"{made}[detect]\n{detect}\n", encoding="utf-8")
        return path

    return write


def test_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert own_folder() == tmp_path / ".config" / "edgecv" / "devices"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert own_folder() == tmp_path / "xdg" / "edgecv" / "devices"
    monkeypatch.setenv("EDGECV_DEVICES", str(tmp_path / "mine"))
    assert own_folder() == tmp_path / "mine"


def test_no_folder_is_no_profiles() -> None:
    assert load_own().profiles == load_own().broken == {}
    assert load_profiles() == builtin_profiles()


def test_a_profile_is_found_by_its_name(keep: Keep, tree: Callable[..., Path]) -> None:
    path = keep("bench-pi", family="rpi", file="any-name.toml")
    assert get_profile("bench-pi").name == "bench-pi"
    assert "bench-pi" in device_names()
    assert [profile.name for profile in load_profiles()][:2] == ["arm64", "bench-pi"]
    assert load_own().profiles[path].name == "bench-pi"
    chosen = select("bench-pi", tree(**PI5))
    assert (chosen.profile.name, chosen.note) == ("bench-pi", None)


@pytest.mark.parametrize(
    ("machine", "rule", "family", "chosen"),
    [
        # as close as the built-in one: the user wrote theirs on purpose
        (PI5, 'compatible = ["raspberrypi,5-model-b"]', "rpi", "mine"),
        (PI5, "revision_types = [0x17]", "rpi", "rpi5"),  # the tree is there, and the code is not
        (PI5_CONTAINER, "revision_types = [0x17]", "rpi", "mine"),
        # closer: this model, and a board that only has a stand-in
        (PI5, 'models = ["Raspberry Pi 5"]', "rpi", "mine"),
        (CUSTOM, 'compatible = ["acme,carrier"]', "rpi", "mine"),
        (ROCK, 'compatible = ["radxa,rock-5b"]', "arm", "mine"),
        (LAPTOP, 'models = ["ThinkPad X1"]', "x86", "mine"),
        (VNNI, 'architecture = "x86_64"\nfeatures = ["avx_vnni"]', "x86", "mine"),
        ({"cpu": "4 AVX2"}, 'architecture = "x86_64"', "x86", "mine"),
        # less close: the SoC, the architecture, an x86 without the features that count
        (PI5, 'compatible = ["brcm,bcm2712"]', "rpi", "rpi5"),
        (PI5, 'architecture = "aarch64"', "arm", "rpi5"),
        (VNNI, 'architecture = "x86_64"', "x86", "x86-vnni"),
        # another board: one whose name begins like this one's, another model, none at all
        (PI_3B, 'compatible = ["raspberrypi,3-model-b"]', "rpi", "mine"),
        (PI_3B_PLUS, 'compatible = ["raspberrypi,3-model-b"]', "rpi", "rpi3b+"),
        (LAPTOP, 'models = ["ThinkPad"]', "x86", "x86"),
        (PI5, "", "rpi", "rpi5"),
    ],
)
def test_auto_takes_the_closer_one(
    machine: dict[str, object], rule: str, family: str, chosen: str, keep: Keep, tree: Callable[..., Path]
) -> None:
    path = keep("mine", rule, family)
    selected = select("auto", tree(**machine))
    assert selected.profile.name == chosen
    assert (str(path) in selected.detected.reason) is (chosen == "mine")
    assert selected.detected.origin == (path if chosen == "mine" else None)
    if chosen == "mine":
        assert selected.note is None
        assert selected.detected.exact


def test_among_ones_own_the_closer_and_then_the_first_file(keep: Keep, tree: Callable[..., Path]) -> None:
    keep("generic", 'architecture = "x86_64"', "x86")
    assert select("auto", tree(**LAPTOP)).profile.name == "generic"
    keep("two", 'models = ["ThinkPad X1"]', "x86")
    keep("one", 'models = ["ThinkPad X1"]', "x86")
    assert select("auto", tree(**LAPTOP)).profile.name == "one"


def test_a_namesake_replaces_the_built_in_one_and_says_so(keep: Keep, tree: Callable[..., Path]) -> None:
    path = keep("rpi5", 'compatible = ["raspberrypi,5-model-b"]', "rpi")
    assert get_profile("rpi5").title == "64-bit Arm board"
    assert [profile.name for profile in load_profiles()] == [profile.name for profile in builtin_profiles()]
    for name in ("rpi5", "auto", "rpi"):
        note = select(name, tree(**PI5)).note
        assert note == f"profile 'rpi5' is yours, {path}, and replaces the one of EdgeCV"
    assert select("rpi4b", tree(**PI5)).note == (
        "this machine was not recognised as Raspberry Pi 4 Model B: engines and threads follow that profile"
    )


@pytest.mark.parametrize("name", ["auto", "rpi", "x86"])
def test_a_name_with_a_meaning_is_refused(name: str, keep: Keep) -> None:
    path = keep(name)
    (error,) = load_own().broken.values()
    assert (
        str(error)
        == f"device profile {path}: name {name!r} is a name that --device has a meaning for: choose another"
    )


def test_two_files_cannot_have_one_name(keep: Keep) -> None:
    keep("mine", file="a.toml")
    second = keep("mine", file="b.toml")
    assert [path.name for path in load_own().profiles] == ["a.toml"]
    assert str(load_own().broken[second]).endswith("name 'mine' is that of a.toml too: choose another")


def test_a_broken_file_costs_itself(keep: Keep, tree: Callable[..., Path]) -> None:
    path = keep("broken", text='name = "broken"\nfamly = "rpi"\n')
    keep("whole", family="rpi")
    message = f"device profile {path}: Object contains unknown field `famly`"
    # by its name: what is wrong with it
    for function in (get_profile, select):
        with pytest.raises(DeviceError) as caught:
            function("broken")
        assert str(caught.value) == message
    # by a name that is not there: it may be that one
    with pytest.raises(DeviceError, match="unknown device 'brokn'.*left out: device profile .*broken.toml"):
        get_profile("brokn")
    # `auto` and families go on, and say it; a profile that was named has nothing to do with it
    assert select("auto", tree(**PI5)).profile.name == "rpi5"
    assert select("auto", tree(**PI5)).note == f"left out: {message}"
    assert select("rpi", tree(**PI5)).note == f"left out: {message}"
    assert select("whole", tree(**PI5)).note is None
    assert select("rpi5", tree(**PI5)).note is None


def test_a_broken_namesake_is_not_passed_over(keep: Keep, tree: Callable[..., Path]) -> None:
    keep("rpi3b+", file="rpi3bplus.toml", text="?")
    with pytest.raises(DeviceError, match="rpi3bplus.toml"):
        select("rpi3b+", tree(**PI_3B_PLUS))
    assert select("auto", tree(**PI_3B_PLUS)).profile.name == "rpi3b+"


def test_other_files_are_let_alone(keep: Keep, own_folder: Path) -> None:
    keep("x", file="notes.txt", text="?")
    keep("x", file=".mine.toml.swp", text="?")
    keep("x", file=".mine.toml", text="?")
    assert load_own().broken == {}
    (own_folder / "folder.toml").mkdir()
    (error,) = load_own().broken.values()
    assert str(error).endswith("folder.toml: Is a directory")


def test_a_folder_that_was_named_has_to_be_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tree: Callable[..., Path]
) -> None:
    monkeypatch.setenv("EDGECV_DEVICES", str(tmp_path / "nowhere"))
    chosen = select("auto", tree(**PI5))
    assert chosen.profile.name == "rpi5"
    assert chosen.note == (
        f"left out: cannot read the device profiles in {tmp_path / 'nowhere'}: No such file or directory"
    )
