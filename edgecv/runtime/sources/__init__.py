"""Frame sources: cameras, streams, videos, photographs and a synthetic pattern behind one string."""

from __future__ import annotations

from edgecv.runtime.sources.base import Counts, Frame, Source
from edgecv.runtime.sources.masking import masked_uri
from edgecv.runtime.sources.uri import GRAMMAR, is_path, open_source

__all__ = ["GRAMMAR", "Counts", "Frame", "Source", "is_path", "masked_uri", "open_source"]
