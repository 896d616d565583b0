"""HTTP/1.1 responses as bytes, for answers that no ASGI application sends."""

from collections.abc import Iterable
from http import HTTPStatus

from app.errors import Problem
from app.problems import problem_response

STATUS_LINES = {int(status): b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}
"""The first line of a response, by its status code."""


def header_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Format header fields as HTTP/1.1 writes them, one a line."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def refusal(problem: Problem, path: str = "", keep_alive: bool = False) -> bytes:
    """Format a refusal of a request to `path`. Without `keep_alive`, it announces that the connection closes."""
    response = problem_response(problem, path)
    lines = header_lines(response.raw_headers) + (b"" if keep_alive else b"connection: close\r\n")
    return STATUS_LINES[response.status_code] + lines + b"\r\n" + bytes(response.body)
