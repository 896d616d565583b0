"""A client of the forecasting service for Python programs. The command `sine` is the client for the terminal.

    from sine_client import Client

    with Client("http://localhost:8000") as client:
        client.predict(values).prediction                       # the next value
        client.generate(values, 100, level=[95]).values         # the next hundred; .intervals["lo-95"], …

        with client.stream(values, 10_000) as rollout:          # values as they are computed
            for part in rollout:
                part.values
        rollout.end.finish_reason

        answer = client.predict(values, diagnostics=True)
        answer.warnings                                         # reasons to mistrust the forecast; None without any
        answer.fit                                              # the model's errors on `values`, if they are known

        first = client.predict(values[:64], return_state=True)  # continue from a state, on any replica
        client.predict(values[64:], state=first.state)

        client.predict(values, model="other")                   # if several are served: see client.models()

`AsyncClient` has the same methods with `await`, `async with` and `async for`. Both build their requests from the models
of `sine_client/messages.py` and parse the answers into them. The service uses the same models: there is one contract.

- ValueError: an argument has a wrong type or value, or a variable below cannot be used. Nothing is sent.
- `ServiceError`: the service refuses the request. Its `problem` holds the problem details.
- `httpx.HTTPError`: there is no answer, the answer breaks off, or it is not one of this service.

A sequence is any iterable of numbers: a list, a generator, an array of NumPy, a tensor. Text, truth values, nested
lists, and what has no order (a set, a dictionary) are not.

No request changes anything in the service, so every request may be repeated. The client repeats it after a 503 or a
429, when the `Retry-After` header says, and after a failed connection, until its patience ends. A stream that has begun
is not restarted.

Any number of threads or tasks may use one client. At most 32 requests and 100 streams are under way at once, and the
others wait. A stream is under way from the beginning of its block to the end.

The variables HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR have their usual meaning. A
service on the same machine (localhost, 127.0.0.1, ::1) is reached without a proxy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["PATIENCE_S", "URL", "AsyncClient", "Client", "Options", "Rollout", "ServiceError"]

if TYPE_CHECKING:
    from sine_client.client import PATIENCE_S, URL, AsyncClient, Client
    from sine_client.exchange import Options, Rollout, ServiceError

_OF_EXCHANGE = {"Options", "Rollout", "ServiceError"}


def __getattr__(name: str) -> Any:
    """Import a name when it is used. The service imports only the messages, and needs no client."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"sine_client.{'exchange' if name in _OF_EXCHANGE else 'client'}"), name)
