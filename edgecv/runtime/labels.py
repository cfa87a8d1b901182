"""Which classes may be shown: words, patterns and files of them -> a mask over the labels."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgecv.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def mask(labels: Sequence[str], allow: Sequence[str], deny: Sequence[str]) -> NDArray[np.bool_] | None:
    """[classes], True where a class may be shown; None when all may.

    allow: only these, all where it is empty. deny: not these, whatever `allow` says. A word is a label, one
    of the synonyms in it ("tabby" of "tabby, tabby cat"), a shell pattern ("*terrier"), or `@FILE` with such
    words, one a line; case does not matter. Raises UsageError for a word that fits no label.
    """
    if not allow and not deny:
        return None
    names = _names(labels)
    shown = np.full(len(labels), not allow)
    for words, state in ((allow, True), (deny, False)):
        for word, where in _words(words):
            shown[_matches(word, where, names)] = state
    if not shown.any():
        raise UsageError("no label is left to show: allow more, or deny less")
    return shown


def _names(labels: Sequence[str]) -> dict[str, list[int]]:
    """Every label and every synonym in one, in small letters, with the classes that have it."""
    names: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        for name in dict.fromkeys((label, *label.split(","))):
            names.setdefault(name.strip().lower(), []).append(index)
    return names


def _words(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each word, files read, and what a message about it begins with."""
    for word in words:
        if not word.startswith("@"):
            yield word.strip(), ""
            continue
        path = Path(word[1:]).expanduser()
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read words from {path}: {error}") from error
        numbered = [(line.strip(), f"{path}:{number}: ") for number, line in enumerate(lines, 1)]
        found = [(line, where) for line, where in numbered if line and not line.startswith("#")]
        if not found:
            raise UsageError(f"{path} holds no words: give one a line")
        yield from found


def _matches(word: str, where: str, names: dict[str, list[int]]) -> list[int]:
    wanted = word.lower()
    found = names.get(wanted) or [
        index for name, classes in names.items() if fnmatch.fnmatchcase(name, wanted) for index in classes
    ]
    if not found:
        import difflib  # for a message only

        near = difflib.get_close_matches(wanted, names, n=3)
        hint = (
            f"did you mean {' or '.join(map(repr, near))}?"
            if near
            else "the labels are in the bundle's labels.txt"
        )
        raise UsageError(f"{where}no label is {word!r}; {hint}")
    return found
