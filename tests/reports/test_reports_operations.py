"""Operations against the file's work and the board's peak: what is matched, what not, the roofline."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecv.reports.operations import COSTLIEST, Work, peak_share, summarise
from edgecv.reports.schema import Peaks
from edgecv.runtime.engines import Timed

PEAKS = Peaks(gflops=10.0, copy_gb_s=4.0)


def row(name: str, ms: float = 1.0, operator: str = "Conv") -> Timed:
    return Timed(name=name, operator=operator, ms=ms)


# What the engines called the operations of converted and of foreign files.
WORK = {
    "stem": Work(100, 10, ("stem", "stem.relu6", "stem.out", "stem.relu6.out")),
    "block1.project": Work(200, 20, ("block1.project", "block1.project.out")),
    "Conv_101": Work(300, 30, ("Conv_101", "1045")),
    "classifier": Work(400, 40, ("classifier", "logits")),
}


@pytest.mark.parametrize(
    ("engine_name", "macs", "shown"),
    [
        ("stem", 100, "stem"),  # as in the file: ONNX Runtime on Arm
        ("stem.relu6.out_nchwc", 100, "stem"),  # by the value it makes, in a layout of its own: x86
        ("stem_token_0", 100, "stem"),  # ONNX Runtime, int8
        ("block1.project/WithoutBiases", 200, "block1.project"),  # OpenVINO
        ("classifier/WithoutBiases/DequantizationMultiply", 400, "classifier"),  # OpenVINO, int8
        ("logits", 400, "classifier"),  # OpenVINO, float: the last that was fused into it
        ("1045_nchwc", 300, "Conv_101"),  # of PyTorch's exporter
        ("image.scale_1_abcd_acdb_stem/WithoutBiases", None, None),  # a reordering in front of it
        ("stem_nchwc_extra", None, None),
        ("stem.relu", None, None),  # the beginning of a name is another's name
        ("Conv_10", None, None),
        ("ReorderOutput", None, None),
        ("_token_3", None, None),
        ("", None, None),
    ],
)
def test_a_row_is_matched_by_a_whole_name_or_not_at_all(
    engine_name: str, macs: int | None, shown: str | None
) -> None:
    (operation,) = summarise([row(engine_name)], WORK, PEAKS).costliest
    assert operation.macs == macs
    assert operation.name == (shown or engine_name)
    assert (operation.peak_share is None) == (macs is None)


def test_rows_that_claim_one_operation_both_go_without() -> None:
    # The convolution, and its clamp as a kernel of its own: neither took the time of both.
    found = summarise([row("stem", 3.0), row("stem.relu6"), row("Conv_101")], WORK, PEAKS)
    assert [(o.name, o.macs) for o in found.costliest] == [
        ("stem", None),
        ("stem.relu6", None),
        ("Conv_101", 300),
    ]


def test_a_name_of_two_operations_is_nobodys() -> None:
    work = {"a": Work(1, 1, ("shared",)), "b": Work(2, 2, ("shared",))}
    assert summarise([row("shared")], work, PEAKS).costliest[0].macs is None
    assert summarise([row("b")], work, PEAKS).costliest[0].macs == 2


def test_a_name_in_the_file_that_ends_as_engines_end_theirs() -> None:
    work = {"conv_nchwc": Work(1, 1), "conv": Work(2, 2)}
    found = summarise([row("conv_nchwc"), row("conv_nchwc_nchwc"), row("conv")], work, PEAKS)
    assert [o.macs for o in found.costliest] == [None, None, 2]  # two rows say conv_nchwc


def test_the_ten_costliest_of_all_and_their_share_of_all() -> None:
    rows = [row(f"op{i}", float(i)) for i in range(1, 21)]
    found = summarise(rows, {}, None)
    assert found.count == 20
    assert found.total_ms == 210
    assert [o.name for o in found.costliest] == [f"op{i}" for i in range(20, 20 - COSTLIEST, -1)]
    assert found.costliest[0].share == pytest.approx(20 / 210)


def test_no_rows_are_unknown() -> None:
    found = summarise([], WORK, PEAKS)
    assert (found.count, found.costliest) == (0, ())
    assert found.unknown == "the engine timed no operation"


@pytest.mark.parametrize(
    ("work", "ms", "share"),
    [
        (Work(5_000_000, 1), 1.0, 1.0),  # 10 million operations at 10 GFLOPS take 1 ms
        (Work(5_000_000, 1), 4.0, 0.25),
        (Work(0, 4_000_000), 2.0, 0.5),  # 4 MB at 4 GB/s take 1 ms
        (Work(5_000_000, 8_000_000), 4.0, 0.5),  # the longer of the two counts
        (Work(5_000_000, 1), 0.5, 2.0),  # int8, faster than float's peak
        (Work(5_000_000, 1), 0.0, None),  # under the clock's resolution
        (Work(0, 0), 1.0, None),  # nothing to do
    ],
)
def test_the_roofline(work: Work, ms: float, share: float | None) -> None:
    assert peak_share(work, ms, PEAKS) == (None if share is None else pytest.approx(share))


def test_without_peaks_macs_are_still_known() -> None:
    (operation,) = summarise([row("stem")], WORK, None).costliest
    assert (operation.macs, operation.peak_share) == (100, None)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30))
def test_shares_are_of_the_whole(times: list[float]) -> None:
    found = summarise([row(str(i), ms) for i, ms in enumerate(times)], {}, PEAKS)
    assert found.total_ms == pytest.approx(sum(times))
    assert all(0 <= o.share <= 1 for o in found.costliest)
    assert [o.ms for o in found.costliest] == sorted(times, reverse=True)[:COSTLIEST]
    if len(times) <= COSTLIEST and sum(times):
        assert sum(o.share for o in found.costliest) == pytest.approx(1)
