"""The server's side of a cut connection: ASGI itself has no way to end one without an answer."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CUT = "lurewire.cut"


class CuttableProtocol(HttpToolsProtocol):
    """Gives each request an extension `lurewire.cut`, whose `cut` drops the connection at once."""

    def on_message_begin(self) -> None:
        """Add the extension to the request's scope."""
        super().on_message_begin()
        self.scope["extensions"] = {CUT: {"cut": self.transport.abort}}
