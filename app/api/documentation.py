"""GET /docs: the documentation of the API, where each operation can be tried.

Its addresses are relative, and so is the server in the OpenAPI document. A proxy may therefore serve all of them below
a path of its own, which nothing here has to know.
"""

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse

_FILES = "static-offline-docs"
"""The folder below which FastAPIOffline serves its copy of Swagger UI."""

SERVERS = [{"url": "."}]
"""The only server of the OpenAPI document: the folder of the document itself."""

routes = APIRouter(include_in_schema=False)


@routes.get("/docs")
async def documentation(request: Request) -> HTMLResponse:
    return get_swagger_ui_html(
        openapi_url="openapi.json",
        title=f"{request.app.title} - Swagger UI",
        swagger_js_url=f"{_FILES}/swagger-ui-bundle.js",
        swagger_css_url=f"{_FILES}/swagger-ui.css",
        swagger_favicon_url=f"{_FILES}/favicon.png",
    )
