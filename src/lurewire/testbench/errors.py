"""What the bench's own API refuses, in the shape of the control plane."""

from __future__ import annotations

from lurewire.core.errors import WireError


class BadFault(WireError):
    """The fault is none that the bench can give; says what does not fit."""

    status = 400
    code = "InvalidFault"


class TooManyFaults(WireError):
    """As many faults are in force as there can be."""

    status = 409
    code = "TooManyFaults"


class FaultNotFound(WireError):
    """No fault in force has the id."""

    status = 404
    code = "FaultNotFound"


class BadRequest(WireError):
    """A parameter or the body of a request to the bench does not fit."""

    status = 400
    code = "InvalidRequestContent"


class RequestTooLarge(WireError):
    """The body is over the limit."""

    status = 413
    code = "RequestContentTooLarge"


class TableNotFound(WireError):
    """The workspace has no table of the name."""

    status = 404
    code = "TableNotFound"
