"""Tests of GitHub's files: they are YAML, run the project's own commands, and grant only the permissions they need."""

import re
import tomllib
from typing import Any

import yaml

from tests.server import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


def workflow() -> dict[str, Any]:
    """Return the workflow as GitHub reads it, except that YAML takes the key `on` for a boolean."""
    read: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text("utf-8"))
    return read


def test_the_workflow_can_read_only_and_ends() -> None:
    assert workflow()["permissions"] == {"contents": "read"}
    assert "secrets" not in WORKFLOW.read_text("utf-8")
    jobs = workflow()["jobs"]
    assert len(jobs) == 2
    assert all(job["timeout-minutes"] <= 60 and "permissions" not in job for job in jobs.values())


def test_actions_are_pinned_to_a_major_version() -> None:
    actions = [step["uses"] for job in workflow()["jobs"].values() for step in job["steps"] if "uses" in step]
    assert len(actions) >= 4
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in actions)


def test_the_workflow_checks_every_python_that_the_package_claims() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    claimed = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    assert len(claimed) == 3
    assert workflow()["jobs"]["check"]["strategy"]["matrix"]["python"] == claimed


def test_the_workflow_runs_what_has_to_pass_and_bounds_the_skips() -> None:
    check, complete = (
        [step.get("run", "") for step in workflow()["jobs"][job]["steps"]] for job in ("check", "complete")
    )
    assert ".ci/run" in check
    assert "-p tests.skips --skips-at-most" in complete[-1]
    for folder in re.findall(r"tests/\w+", complete[-1]):
        assert (ROOT / folder).is_dir()


def test_torch_and_uvicorn_are_updated_by_hand() -> None:
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text("utf-8"))["updates"]
    ignored = {update["package-ecosystem"]: update.get("ignore", []) for update in updates}
    assert {"pip", "github-actions", "docker"} <= set(ignored)
    assert [ignore["dependency-name"] for ignore in ignored["pip"]] == ["torch", "uvicorn"]
    assert all(update["groups"] for update in updates)
