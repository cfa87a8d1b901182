"""The page in a real browser: it draws, follows the theme, and loads nothing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from conversion_samples import make_manifest, make_worst
from reports_samples import make_report

from edgecv.reports import conversion
from edgecv.reports.render import write_reports

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here to look at the page with"),
]


def _chromium(page: Path, profile: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@pytest.fixture(params=["benchmark", "conversion"])
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "benchmark":
        return write_reports(make_report(), tmp_path / "out").paths[-1]
    conversion.write(tmp_path / "conversion.html", make_manifest(), make_worst())
    return tmp_path / "conversion.html"


@pytest.mark.parametrize(("theme", "bright"), [("1", True), ("0", False)])  # 1 is light, 0 is dark
def test_it_draws_in_both_themes(theme: str, bright: bool, page: Path, tmp_path: Path) -> None:
    shot = tmp_path / "page.png"
    _chromium(
        page,
        tmp_path / "profile",
        f"--blink-settings=preferredColorScheme={theme}",
        "--window-size=1200,1600",
        f"--screenshot={shot}",
    )
    picture = cv2.imread(str(shot))
    assert picture is not None
    background = picture[5, 5]
    assert background.mean() > 200 if bright else background.mean() < 60
    drawn = np.abs(picture.astype(int) - background).max(axis=2) > 60
    assert drawn[:600].mean() > 0.01  # headline and table
    assert drawn[600:1300].mean() > 0.01  # figures


def test_it_loads_nothing(page: Path, tmp_path: Path) -> None:
    result = _chromium(page, tmp_path / "profile", "--dump-dom")
    assert result.stdout.count("<svg") == (2 if page.name == "conversion.html" else 4)
    # The page's own policy refuses every request; a refusal would be a line on the console.
    assert "default-src 'none'" in result.stdout
    assert "CONSOLE" not in result.stderr
