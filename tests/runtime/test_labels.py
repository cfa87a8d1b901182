from __future__ import annotations

from pathlib import Path

import pytest

from edgecv.errors import UsageError
from edgecv.runtime.labels import mask

LABELS = ("tabby, tabby cat", "Tiger Cat", "Border terrier", "fox terrier", "Great Dane", "a[1]*", "tiger")


def shown(allow: tuple[str, ...] = (), deny: tuple[str, ...] = ()) -> list[int]:
    found = mask(LABELS, allow, deny)
    assert found is not None
    assert (found.shape, found.dtype) == ((len(LABELS),), bool)
    return found.nonzero()[0].tolist()


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("tabby, tabby cat", [0]),  # the whole label
        ("tabby", [0]),  # a synonym in it
        ("TABBY Cat", [0]),
        ("tiger", [6]),  # not "Tiger Cat": a word is no part of a label
        ("*terrier", [2, 3]),
        ("tiger*", [1, 6]),
        ("*cat", [0, 1]),  # patterns fit synonyms too
        ("[bf]o* terrier", [2, 3]),
        ("a[1]*", [5]),  # a label, though it looks like a pattern
        ("*", [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_words_fit_labels_synonyms_and_patterns(word: str, expected: list[int]) -> None:
    assert shown(allow=(word,)) == expected
    assert shown(allow=(f"  {word} ",)) == expected


def test_denied_is_denied_whatever_is_allowed() -> None:
    assert shown(deny=("*terrier", "tiger")) == [0, 1, 4, 5]
    assert shown(allow=("*t*",), deny=("*terrier",)) == [0, 1, 4, 6]
    assert mask(LABELS, (), ()) is None


def test_words_come_from_files(tmp_path: Path) -> None:
    words = tmp_path / "pets.txt"
    words.write_text("\ufeff# my pets\n\n  tabby\n*dane  \n", encoding="utf-8")
    assert shown(allow=(f"@{words}", "tiger")) == [0, 4, 6]
    assert shown(deny=(f"@{words}",)) == [1, 2, 3, 5, 6]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"tabby\n\ntigger\n", "words.txt:3: no label is 'tigger'; did you mean 'tiger'"),
        (b"# nothing\n", "words.txt holds no words"),
        (b"\xff\xfe\xfa", "cannot read words from .*words.txt"),
        (None, "cannot read words from .*words.txt"),
    ],
)
def test_files_that_do_not_help_are_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    words = tmp_path / "words.txt"
    if content is not None:
        words.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        mask(LABELS, [f"@{words}"], [])


@pytest.mark.parametrize(
    ("allow", "deny", "message"),
    [
        (["boarder terrier"], [], "no label is 'boarder terrier'; did you mean 'border terrier'"),
        ([], ["xyzzy"], "no label is 'xyzzy'; the labels are in the bundle's labels.txt"),
        (["*hound"], [], "no label is '\\*hound'"),
        ([""], [], "no label is ''"),
        (["tiger"], ["tiger"], "no label is left"),
        ([], ["*"], "no label is left"),
    ],
)
def test_words_that_fit_nothing_are_refused(allow: list[str], deny: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        mask(LABELS, allow, deny)


def test_a_label_that_stands_twice_is_shown_twice() -> None:
    found = mask(("crane", "cat", "crane, bird"), ["crane"], [])
    assert found is not None
    assert found.tolist() == [True, False, True]
