"""Writes tests/integration/kserve_schema.json: the JSON Schema of the types in KServe's own Python package.

The package asks for other versions than this project does, so it is not installed beside it:

    pip download --no-deps kserve==0.21.0 && unzip kserve-0.21.0-py3-none-any.whl 'kserve/protocol/rest/timeseries/*'
    python -m tests.integration.kserve_schema kserve/protocol/rest/timeseries/types.py

The types need nothing but pydantic and python-dateutil.
"""

import json
import runpy
import sys
from pathlib import Path

from pydantic.json_schema import models_json_schema

SCHEMA = Path(__file__).with_suffix(".json")
MODELS = ("ForecastRequest", "ForecastResponse", "ErrorResponse")


def main(types: Path) -> None:
    """Write the schema of the types in a file."""
    defined = runpy.run_path(str(types))
    models = [defined[name] for name in MODELS]
    for model in models:
        model.model_rebuild(_types_namespace=defined)
    _, schema = models_json_schema([(model, "validation") for model in models])
    SCHEMA.write_text(json.dumps(schema, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
