"""The HTTP decoy's answers. They hold nothing that a client sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVER = "nginx"

_STYLE = (
    "body{font-family:sans-serif;background:#eceff1;margin:0}"
    "main{max-width:20em;margin:12vh auto;background:#fff;padding:2em;border:1px solid #cfd8dc}"
    "label{display:block;margin:1em 0 .3em}input{width:100%;box-sizing:border-box;padding:.5em}"
    "button{margin-top:1.5em;width:100%;padding:.7em}.error{color:#b71c1c}"
)


def _login_html(message: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Sign in</title>'
        f"<style>{_STYLE}</style></head><body><main><h1>Administration</h1>{message}"
        '<form method="post" action="/login"><label for="username">User name</label>'
        '<input id="username" name="username" autocomplete="username">'
        '<label for="password">Password</label>'
        '<input id="password" name="password" type="password" autocomplete="current-password">'
        '<button type="submit">Sign in</button></form></main></body></html>\n'
    )


def _error_html(status: str) -> str:
    return (
        f"<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}</h1></center>\r\n"
        f"<hr><center>{SERVER}</center>\r\n</body>\r\n</html>\r\n"
    )


@dataclass(frozen=True, slots=True)
class Page:
    """One answer."""

    status: str
    body: str
    headers: tuple[str, ...] = ()

    def render(self, *, head_only: bool) -> bytes:
        """The bytes of the whole response; the connection ends after it."""
        body = self.body.encode()
        lines = (
            f"HTTP/1.1 {self.status}",
            f"Server: {SERVER}",
            *self.headers,
            "Content-Type: text/html; charset=utf-8",
            f"Content-Length: {len(body)}",
            "Cache-Control: no-store",
            "Connection: close",
        )
        head = "".join(f"{line}\r\n" for line in lines).encode("ascii") + b"\r\n"
        return head if head_only else head + body


LOGIN = Page("200 OK", _login_html(""))
LOGIN_FAILED = Page("401 Unauthorized", _login_html('<p class="error">User name or password is wrong.</p>'))
BASIC_FAILED = Page(
    "401 Unauthorized", _error_html("401 Authorization Required"), ('WWW-Authenticate: Basic realm="Administration"',)
)
NOT_FOUND = Page("404 Not Found", _error_html("404 Not Found"))
NOT_ALLOWED = Page("405 Not Allowed", _error_html("405 Not Allowed"), ("Allow: GET, HEAD, POST",))
BAD_REQUEST = Page("400 Bad Request", _error_html("400 Bad Request"))
TIMED_OUT = Page("408 Request Timeout", _error_html("408 Request Time-out"))
TOO_LARGE = Page("413 Content Too Large", _error_html("413 Request Entity Too Large"))

PAGES: Mapping[str, Page] = {
    "/": LOGIN,
    "/login": LOGIN,
    "/admin": LOGIN,
    "/index.html": LOGIN,
    "/manager/html": BASIC_FAILED,
}
"""What lies where; every other path is not found."""

_METHODS = (b"GET", b"HEAD", b"POST")


def page_for(method: bytes, target: bytes, *, login: bool) -> Page:
    """The answer to a request; `login` says that it carried credentials."""
    if method not in _METHODS:
        return NOT_ALLOWED
    path = target.partition(b"?")[0].decode("latin-1")
    page = PAGES.get(path.rstrip("/") or "/", NOT_FOUND)
    if login and page is not BASIC_FAILED:
        return LOGIN_FAILED if method == b"POST" else BASIC_FAILED
    return page
