"""The live page of a run: its picture, its numbers and its controls, in a browser."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from edgecv.devices.telemetry import Telemetry
from edgecv.errors import SinkError
from edgecv.runtime.controls import Controls
from edgecv.runtime.page.access import admit, listen, parse_address
from edgecv.runtime.page.pictures import Pictures, encode_jpeg
from edgecv.runtime.page.state import Tally
from edgecv.runtime.results import Result
from edgecv.runtime.sinks.base import Context, Item, Sink, Traits

if TYPE_CHECKING:
    from edgecv.runtime.page.pictures import Encode
    from edgecv.runtime.page.server import Server

__all__ = ["Page", "open_page"]


class Page(Sink):
    """Sees every result in passing, and asks for a picture only while somebody looks.

    url: where it is, with the token where one is needed.
    """

    def __init__(self, url: str, tally: Tally, pictures: Pictures, server: Server) -> None:
        self.url = url
        self.traits = Traits(f"page {url.partition('?')[0]}", pictures=True, depth=2)
        self._tally, self._pictures, self._server = tally, pictures, server
        self._frame = -1

    def wants(self, result: Result) -> bool:
        self._tally.note(result)
        if result.frame == self._frame or not self._pictures.wanted():  # a frame has a result a region
            return False
        self._frame = result.frame
        return True

    def write(self, item: Item) -> None:
        self._pictures.put(item)

    def close(self) -> None:
        self._server.close()


def open_page(
    address: str,
    context: Context,
    controls: Controls,
    token: str | None = None,
    encode: Encode = encode_jpeg,
) -> Page:
    """Serve the page, which listens when this returns.

    Args:
        address: '', 'PORT', 'HOST', 'HOST:PORT' or '[IPV6]:PORT'; by default 127.0.0.1:8080, and port 0 is
            any free one.
        context: what the page says about the run.
        controls: what the page's controls set.
        token: what viewers must know. Without one nobody needs any on loopback, and elsewhere one is made.
        encode: makes the JPEG files.

    Raises UsageError for an address that is none, and SinkError when the page cannot be served.
    """
    host, port = parse_address(address)
    missing = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        raise SinkError(f'the live page needs {" and ".join(missing)}: pip install "edgecv[serve]"')
    from edgecv.runtime.page.server import Server
    from edgecv.runtime.page.site import Site

    tally, pictures = Tally(context, controls, Telemetry().read), Pictures(encode)
    site = Site(tally, pictures, controls)
    listener = listen(host, port)
    access, url = admit(listener, host, token)
    server = Server(site.app(access), listener, site.end)
    pictures.loop = server.loop
    return Page(url, tally, pictures, server)
