"""The least of an HTTPS client: it shares the cores with the server that it measures."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

_READ = 1 << 16


class Connection:
    """One kept-alive connection to a server on this machine."""

    def __init__(self, port: int, ca: str) -> None:
        plain = socket.create_connection(("127.0.0.1", port), timeout=120)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = ssl.create_default_context(cafile=ca).wrap_socket(plain, server_hostname="localhost")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def post(self, path: str, headers: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (names in lower case) and body of the answer; `headers` are whole lines."""
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        self._socket.sendall(head.encode() + body)
        data = bytearray()
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._receive()
        first, *lines = data[:end].decode().split("\r\n")
        found = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split()[1])
        rest = data[end + 4 :]
        if found.get("transfer-encoding") == "chunked":
            return status, found, self._chunked(rest)
        length = int(found.get("content-length", "0"))
        while len(rest) < length:
            rest += self._receive()
        return status, found, bytes(rest)

    def _chunked(self, data: bytearray) -> bytes:
        parts = []
        while True:
            while (end := data.find(b"\r\n")) < 0:
                data += self._receive()
            size = int(data[:end], 16)
            while len(data) < end + 2 + size + 2:
                data += self._receive()
            parts.append(bytes(data[end + 2 : end + 2 + size]))
            del data[: end + 2 + size + 2]
            if size == 0:
                return b"".join(parts)

    def _receive(self) -> bytes:
        data = self._socket.recv(_READ)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data
