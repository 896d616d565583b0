"""A hook for schemathesis: requests that can, ask for a state token, which the links of the document go on from."""

from typing import Any

import schemathesis


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """The body with `return_state`, where it may have it, and is not to be refused for what it has there."""
    may = isinstance(body, dict) and "sequence" in body and isinstance(body.get("return_state", True), bool)
    return {**body, "return_state": True} if may else body
