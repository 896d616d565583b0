"""GET /: a page to try the service. All of its files are in `app/static/`."""

from pathlib import Path

from fastapi import APIRouter, Depends, Response

FOLDER = Path(__file__).parents[1] / "static"

_HEADERS = {
    # Allow the page's own files and requests to this service only: no inline code, no form, no frame.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Browsers ask again each time, and the ETag gives them a 304. After an update, nobody sees half of the old page.
    "Cache-Control": "no-cache",
}


def _add_headers(response: Response) -> None:
    response.headers.update(_HEADERS)


routes = APIRouter(dependencies=[Depends(_add_headers)])
# FastAPI tries the page after every other route.
routes.frontend("/", directory=FOLDER, fallback=None)
