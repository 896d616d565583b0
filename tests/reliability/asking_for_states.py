"""A hook for schemathesis: requests that can, ask for a state token, which the links of the document go on from."""

from typing import Any

import schemathesis


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """The body with `return_state`, where it is one that may have it."""
    return {**body, "return_state": True} if isinstance(body, dict) and "sequence" in body else body
