"""uvicorn in a thread of its own, on a socket that listens already."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgecv.runtime.page.site import App

CONNECTIONS = 64
LEAVE_S = 0.3  # for those who are told that it is over
JOIN_S = 5.0


class Server:
    """Serves `app` until close(); `end` tells its endless answers that it is over, on the loop's thread."""

    def __init__(self, app: App, listener: socket.socket, end: Callable[[], None]) -> None:
        import uvicorn

        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # the site tells itself what fails in it
            access_log=False,
            server_header=False,
            limit_concurrency=CONNECTIONS,
        )
        self._uvicorn = uvicorn.Server(config)
        self._listener, self._end = listener, end
        self._started = threading.Event()
        self.loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=self._run, name="edgecv-page", daemon=True)
        self._thread.start()
        self._started.wait()

    def close(self) -> None:
        """End; any number of times."""
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._leave)
            self._thread.join(JOIN_S)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._started.set()
        try:
            await self._uvicorn.serve(sockets=[self._listener])
        finally:  # not uvicorn's work where it is told to end before it has begun
            self._listener.close()

    def _leave(self) -> None:
        self._end()
        self._uvicorn.should_exit = True
        self.loop.call_later(LEAVE_S, self._cut)

    def _cut(self) -> None:
        """Those who do not read what they are sent would be waited for for ever."""
        for connection in list(self._uvicorn.server_state.connections):
            connection.transport.abort()
