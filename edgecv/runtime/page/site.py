"""The page's routes, and the guard in front of them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from edgecv.runtime.controls import Controls
from edgecv.runtime.page.access import Access, Asked
from edgecv.runtime.page.pictures import Pictures
from edgecv.runtime.page.state import State, Tally
from edgecv.spec import Struct

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Receive, Send], Awaitable[None]]

log = logging.getLogger(__name__)

PERIOD_S = 1 / 3  # between two states of /events
SNAPSHOT_WAIT_S = 2.0
MAX_BODY = 4096
BOUNDARY = "edgecv"

Threshold = Annotated[float, msgspec.Meta(gt=0.0, le=1.0)]


class Change(Struct):
    """Body of POST /controls; what is left out stays as it is."""

    on: Threshold | None = None
    off: Threshold | None = None
    motion_gate: bool | None = None


class Site:
    """What each route answers. Everything here runs on the event loop; states are looked up beside it."""

    def __init__(self, tally: Tally, pictures: Pictures, controls: Controls) -> None:
        self._tally, self._pictures, self._controls = tally, pictures, controls
        self._html = Path(__file__).with_name("index.html").read_bytes()
        self._ended = asyncio.Event()

    def app(self, access: Access) -> App:
        from starlette.applications import Starlette
        from starlette.routing import Route

        routes = [
            Route("/", self.index),
            Route("/stream.mjpg", self.stream),
            Route("/state", self.state),
            Route("/events", self.events),
            Route("/controls", self.change, methods=["POST"]),
            Route("/snapshot.jpg", self.snapshot),
            Route("/healthz", self.health),
        ]
        return guarded(Starlette(routes=routes), access, content_policy(self._html))

    def end(self) -> None:
        """Let every viewer go; on the loop's thread."""
        self._ended.set()
        self._pictures.end()

    async def index(self, _: Request) -> Response:
        return _answer(self._html, media_type="text/html")

    async def stream(self, request: Request) -> Response:
        media_type = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        return _stream(request, self._parts(), media_type)

    async def _parts(self) -> AsyncIterator[bytes]:
        """A part ends with the next one's boundary, without which browsers would show it one part late.

        The boundary is sent by itself: that waits until the part before has left, so that a slow viewer's
        next picture is the newest and not one that waited.
        """
        yield f"--{BOUNDARY}\r\n".encode()
        while (jpeg := await self._pictures.next()) is not None:
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            yield head.encode() + jpeg
            yield f"\r\n--{BOUNDARY}\r\n".encode()

    async def state(self, _: Request) -> Response:
        return _answer(msgspec.json.encode(await self._look()), media_type="application/json")

    async def events(self, request: Request) -> Response:
        return _stream(request, self._states(), "text/event-stream")

    async def _states(self) -> AsyncIterator[bytes]:
        """The whole state first; after it, of the events and the history only what is new."""
        event, at_s = 0, -1.0
        while not self._ended.is_set():
            state = await self._look()
            yield b"data: " + msgspec.json.encode(state.after(event, at_s)) + b"\n\n"
            event = state.events[-1].n if state.events else event
            at_s = state.history[-1].at_s if state.history else at_s
            try:
                await asyncio.wait_for(self._ended.wait(), PERIOD_S)
            except asyncio.TimeoutError:
                continue
        yield b"event: end\ndata: {}\n\n"

    async def change(self, request: Request) -> Response:
        body = bytearray()
        declared = request.headers.get("content-length", "0")  # digits: uvicorn refuses others
        if int(declared) > MAX_BODY:
            return _answer(f"more than {MAX_BODY} bytes", 413)
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                return _answer(f"more than {MAX_BODY} bytes", 413)
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return _answer("the body must be application/json", 415)
        try:
            change = msgspec.json.decode(bytes(body), type=Change)
        except msgspec.DecodeError as error:
            return _answer(str(error), 400)
        controls = self._controls
        on = controls.on if change.on is None else change.on
        off = controls.off if change.off is None else change.off
        if off > on:
            return _answer(f"off, {off:g}, is above on, {on:g}: it must not be", 400)
        # In an order that keeps off <= on at every step: the run may look in between.
        controls.off = min(controls.off, off)
        controls.on, controls.off = on, off
        if change.motion_gate is not None:
            controls.motion_gate = change.motion_gate
        now = {"on": on, "off": off, "motion_gate": controls.motion_gate}
        return _answer(msgspec.json.encode(now), media_type="application/json")

    async def snapshot(self, _: Request) -> Response:
        taken = await self._pictures.snapshot(SNAPSHOT_WAIT_S)
        if taken is None:
            return _answer(f"no frame came within {SNAPSHOT_WAIT_S:g} s", 503)
        when = time.strftime("%Y%m%dT%H%M%S", time.gmtime(taken.unix_s))
        name = f"edgecv-{when}.{int(taken.unix_s % 1 * 1000):03d}Z.jpg"
        response = _answer(taken.jpeg, media_type="image/jpeg")
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    async def health(self, _: Request) -> Response:
        state = (await self._look()).state
        return _answer(state, 200 if state == "running" else 503)

    async def _look(self) -> State:
        return await asyncio.to_thread(self._tally.state)


def guarded(app: App, access: Access, policy: str) -> App:
    """`app` for those whom `access` lets in, with headers that keep its answers to the page itself."""
    from starlette.datastructures import MutableHeaders
    from starlette.requests import ClientDisconnect

    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }

    async def guard(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        asked = Asked(
            scope["method"],
            scope["path"],
            scope["query_string"].decode("latin-1"),
            {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
        )
        refusal = access.refusal(asked)
        more = {"Set-Cookie": cookie} if not refusal and (cookie := access.cookie(asked)) else {}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update({**headers, **more})
            await send(message)

        if refusal:
            response = _answer(refusal.message, refusal.status)
            if refusal.status == 401:
                response.headers["WWW-Authenticate"] = "Bearer"
            await response(scope, receive, send_with_headers)
            return
        try:
            await app(scope, receive, send_with_headers)
        except ClientDisconnect:  # within its own request
            pass
        except Exception:  # what has been answered stays answered, and the page goes on
            log.exception("the page failed on %s", asked.path)

    return guard


def content_policy(html: bytes) -> str:
    """Only what lies in the page itself and comes from its own address."""

    def hashes(tag: str) -> str:
        found = re.findall(f"<{tag}>(.*?)</{tag}>".encode(), html, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(text).digest()).decode() for text in found]
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    return (
        f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; "
        "img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _answer(content: str | bytes, status: int = 200, media_type: str = "text/plain") -> Response:
    from starlette.responses import Response

    if isinstance(content, str):
        content = f"{content}\n"
    return Response(content, status, media_type=media_type)


def _stream(request: Request, parts: AsyncIterator[bytes], media_type: str) -> Response:
    """Endless, but for HEAD."""
    from starlette.responses import Response, StreamingResponse

    if request.method == "HEAD":
        return Response(media_type=media_type)
    return StreamingResponse(parts, media_type=media_type)
