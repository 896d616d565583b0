"""A sequence that is observed value by value, as a connection to /live does.

Each answer is that of /predict for all values so far, at the cost of the new ones: the state is carried along. Only a
value beyond all before it changes the scale, and then the whole is encoded again at the new one. That takes the values
themselves, of which the last `longest` are kept; where there were more, the sequence begins anew with those.
"""

from collections import deque
from collections.abc import Callable, Sequence

from app.api.endpoints import next_value, observed, origin_of
from app.api.state_tokens import START, Origin
from app.engine.repository import ServedModel
from app.schemas import PredictRequest


class LiveSequence:
    """What one client has sent so far."""

    def __init__(self, served: ServedModel, named: Callable[[str], ServedModel], longest: int) -> None:
        """`served` forecasts until a message names another model, which `named` finds."""
        self._served = served
        self._named = named
        self._longest = longest
        self._origin = START
        self._kept: deque[float] | None = deque(maxlen=longest)
        """The values so far; None after a state token, which does not hold those that it is of."""

    async def observe(self, request: PredictRequest) -> bytes:
        """The answer to the values that come next: a `PredictResponse`, serialised.

        A `state` in the request begins anew from there, and its scale stays; a `model` other than the one so far begins
        anew with that. Raises Problem for what is refused; the sequence is then what it was before.
        """
        new, origin, kept, served = request.sequence, self._origin, self._kept, self._served
        if request.model is not None and request.model != served.info.name:
            served, origin, kept = self._named(request.model), START, deque(maxlen=self._longest)
        if request.state is not None:
            origin, kept = origin_of(request, served), None
        elif kept and self._rescales(new):
            request, origin = request.model_copy(update={"sequence": [*kept, *new]}), START
        content, forecast = await next_value(request, origin, served, None, keeps_state=True)
        if kept is not None:
            kept.extend(new)
        self._origin, self._kept, self._served = Origin(forecast.observed, observed(request, origin)), kept, served
        return content

    def _rescales(self, new: Sequence[float]) -> bool:
        """Whether the model would scale the sequence otherwise with these values."""
        state, runtime = self._origin.state, self._served.forecaster.runtime
        # The first comparison is the cheaper one, and says nothing of a model with a fixed scale.
        return state is not None and max(map(abs, new)) > state.scale and runtime.start(new).scale > state.scale
