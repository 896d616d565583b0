"""A hook for schemathesis. It asks for a state token in each request that can have one, for the document's links."""

from typing import Any

import schemathesis


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """Return the body with `return_state`, if it may have the field and has no invalid value there already."""
    may = isinstance(body, dict) and "sequence" in body and isinstance(body.get("return_state", True), bool)
    return {**body, "return_state": True} if may else body
