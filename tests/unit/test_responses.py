"""Responses that no application sends: they are HTTP, and say the same as the application's."""

import json
from http import HTTPStatus
from http.client import HTTPResponse
from io import BytesIO

import pytest

from app.errors import HeadTooLarge, Overloaded, Problem
from app.server.responses import STATUS_LINES, header_lines, refusal


class _Socket:
    """What `HTTPResponse` reads a response from."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, mode: str) -> BytesIO:
        return BytesIO(self._content)


def parsed(content: bytes) -> HTTPResponse:
    response = HTTPResponse(_Socket(content))  # type: ignore[arg-type]
    response.begin()
    return response


def test_a_status_line_has_the_status_and_its_phrase() -> None:
    assert STATUS_LINES[503] == b"HTTP/1.1 503 Service Unavailable\r\n"
    assert STATUS_LINES.keys() >= {int(status) for status in HTTPStatus}


def test_header_fields_are_a_line_each() -> None:
    assert header_lines([(b"a", b"1"), (b"b", b"2")]) == b"a: 1\r\nb: 2\r\n"
    assert header_lines([]) == b""


@pytest.mark.parametrize("problem", [Overloaded(1.5), HeadTooLarge(10)])
@pytest.mark.parametrize("keep_alive", [False, True])
def test_a_refusal_is_a_whole_response_with_the_problem(problem: Problem, keep_alive: bool) -> None:
    response = parsed(refusal(problem, "/predict", keep_alive))
    assert response.status == problem.status
    assert response.getheader("connection") == (None if keep_alive else "close")
    assert response.getheader("content-type") == "application/problem+json"
    assert response.getheader("retry-after") == problem.headers.get("Retry-After")
    assert json.loads(response.read())["detail"] == problem.detail


def test_below_v2_a_refusal_has_the_form_of_the_protocol() -> None:
    assert json.loads(parsed(refusal(Overloaded(1), "/v2/models/sine/infer")).read()) == {"error": Overloaded(1).detail}
