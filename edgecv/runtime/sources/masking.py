"""Passwords stay out of everything that is shown, logged or written."""

from __future__ import annotations

import re

ADDRESS = re.compile(r"[\w+.-]+://[^\s\"']*")
SECRET = re.compile(r"""(?i)\b([\w-]*(?:pass|pw|token|key|secret)[\w-]*\s*=\s*)("[^"]*"|'[^']*'|[^\s!]+)""")


def masked_uri(uri: str) -> str:
    """The same address, fit to be shown: passwords and keys are `***`.

    Of a GStreamer pipeline, all its addresses and the properties that may hold a password.
    """
    if uri.startswith("gst:"):
        return SECRET.sub(r"\1***", ADDRESS.sub(lambda match: masked_uri(match[0]), uri))
    uri = re.sub(r"(?i)([?&;][^=&]*(?:pass|pwd|token|key|secret)[^=&]*=)[^&#]*", r"\1***", uri)
    masked, found = re.subn(r"^([\w+.-]+://[^/?#@:]*):[^/?#]*@", r"\1:***@", uri)
    # A password with a slash in it ends the host too early: unless a port follows, it is one.
    return masked if found else re.sub(r"^([\w+.-]+://[^/?#@:\[]*):(?!\d*(?:[/?#]|$)).*@", r"\1:***@", uri)
