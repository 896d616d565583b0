"""Tests of deploy/kubernetes: every combination renders, is valid, and agrees with the code that it runs.

`make test-kubernetes` installs what they need: kubectl, and the schemas of Kubernetes.
"""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tyro
import yaml
from fastapi.routing import iter_route_contexts
from pydantic_settings import CliApp

from app.api.guard import OPEN, is_admin
from app.bulk.command import INDEX, WRONG, Command
from app.main import create_app
from app.settings import PREFIX, Settings
from app.variables import check_variables
from tests.server import ROOT

Document = dict[str, Any]

FOLDER = ROOT / "deploy" / "kubernetes"
COMPONENTS = ("models", "gpu", "monitoring", "busy-autoscaling", "gateway", "keys")
"""In the order in which an overlay lists them."""

VERSIONS = ("1.31", "1.36")
"""The oldest and the newest version of Kubernetes that the manifests are checked against."""

KUBECTL = shutil.which("kubectl", path=Path(sys.executable).parent) or shutil.which("kubectl")

needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed: make test-kubernetes")
pytestmark = needs_kubectl

NATIVE = {"v1", "apps", "autoscaling", "batch", "policy", "networking.k8s.io"}
"""The groups of Kubernetes itself. All others come with an operator, and have no schema here."""

INTERNAL = {"/livez", "/readyz", "/metrics", "/docs", "/openapi.json", "/static-offline-docs"}
"""Routes that are for people and machines inside of a cluster."""


def render(folder: Path) -> list[Document]:
    """Return the documents of a folder with a kustomization."""
    assert KUBECTL is not None
    done = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module")
def combinations(tmp_path_factory: pytest.TempPathFactory) -> dict[frozenset[str], list[Document]]:
    """Return the documents of the base with every set of components.

    All are rendered at once, because a start of kubectl takes longer than the rendering. A namespace keeps them apart.
    """
    folder = tmp_path_factory.mktemp("combinations")
    sets = [s for size in range(len(COMPONENTS) + 1) for s in itertools.combinations(COMPONENTS, size)]
    for number, components in enumerate(sets):
        overlay(folder / f"c{number}", components, f"c{number}")
    root = {"resources": [f"c{number}" for number in range(len(sets))]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(root))
    found: dict[frozenset[str], list[Document]] = {frozenset(components): [] for components in sets}
    for document in render(folder):
        number = int(document["metadata"].pop("namespace").removeprefix("c"))
        found[frozenset(sets[number])].append(document)
    return found


def overlay(folder: Path, components: Iterable[str], namespace: str) -> None:
    """Write a kustomization of the base and components."""
    folder.mkdir()
    content = {
        "namespace": namespace,
        "resources": [os.path.relpath(FOLDER / "base", folder)],
        "components": [os.path.relpath(FOLDER / "components" / name, folder) for name in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(content))


@pytest.fixture(scope="module")
def base(combinations: dict[frozenset[str], list[Document]]) -> list[Document]:
    return combinations[frozenset()]


@pytest.fixture(scope="module")
def full(combinations: dict[frozenset[str], list[Document]]) -> list[Document]:
    return combinations[frozenset(COMPONENTS)]


@pytest.fixture(scope="module")
def kserve() -> list[Document]:
    return render(FOLDER / "kserve")


@pytest.fixture(scope="module")
def bulk() -> list[Document]:
    return render(FOLDER / "bulk")


def one(documents: Iterable[Document], kind: str) -> Document:
    """Return the spec of the only document of a kind."""
    (found,) = (document for document in documents if document["kind"] == kind)
    spec: Document = found["spec"]
    return spec


def pod(documents: Iterable[Document]) -> Document:
    """Return the spec of the pods of the Deployment or of the Job."""
    (owner,) = (document for document in documents if document["kind"] in ("Deployment", "Job"))
    spec: Document = owner["spec"]["template"]["spec"]
    return spec


def container(documents: Iterable[Document]) -> Document:
    """Return the only container of the Deployment, of the Job, or of the ServingRuntime."""
    kinds = {document["kind"] for document in documents}
    (only,) = (one(documents, "ServingRuntime") if "ServingRuntime" in kinds else pod(documents))["containers"]
    found: Document = only
    return found


def environment(documents: Iterable[Document]) -> dict[str, str]:
    """Return the environment variables of the container."""
    return {entry["name"]: entry["value"] for entry in container(documents)["env"]}


def dockerfile(pattern: str) -> str:
    """Return the group of the only match of a pattern in the Dockerfile."""
    (found,) = re.findall(pattern, (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    text: str = found
    return text


def distinct(documents: Iterable[Document]) -> Iterator[Document]:
    """Yield the documents without repetitions."""
    yield from {json.dumps(document, sort_keys=True): document for document in documents}.values()


def test_every_combination_of_components_renders_and_every_component_is_tried(
    combinations: dict[frozenset[str], list[Document]],
) -> None:
    assert sorted(COMPONENTS) == sorted(path.name for path in (FOLDER / "components").iterdir())
    assert len(combinations) == 2 ** len(COMPONENTS)
    base = combinations[frozenset()]
    for components, documents in combinations.items():
        names = [(document["kind"], document["metadata"]["name"]) for document in documents]
        assert len(names) == len(set(names)) >= 5, components
        assert components == frozenset() or documents != base, components


@pytest.mark.parametrize("version", VERSIONS)
def test_every_document_is_valid_and_has_no_unknown_field(
    combinations: dict[frozenset[str], list[Document]], bulk: list[Document], version: str
) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="not installed: make test-kubernetes").validate
    own = [
        document
        for document in distinct(itertools.chain(bulk, *combinations.values()))
        if document["apiVersion"].partition("/")[0] in NATIVE
    ]
    assert {document["kind"] for document in own} >= {"Deployment", "Service", "NetworkPolicy", "Job"}
    for document in own:
        validate(document, version, strict=True)


def test_the_pods_run_the_image_of_this_version_as_its_user(
    full: list[Document], kserve: list[Document], bulk: list[Document]
) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert container(full)["image"] == f"sine-rnn-server:{version}-cuda"
    assert container(kserve)["image"] == container(bulk)["image"] == f"sine-rnn-server:{version}"
    user = [int(number) for number in dockerfile(r"^USER (.+)$").split(":")]
    for context in (
        pod(full)["securityContext"],
        pod(bulk)["securityContext"],
        container(kserve)["securityContext"],
    ):
        assert [context["runAsUser"], context["runAsGroup"]] == user
        assert context["runAsNonRoot"]
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}


@pytest.mark.parametrize("name", ["base", "full", "kserve", "bulk"])
def test_the_pods_can_do_nothing_that_the_service_does_not_need(name: str, request: pytest.FixtureRequest) -> None:
    documents: list[Document] = request.getfixturevalue(name)
    spec = one(documents, "InferenceService")["predictor"] if name == "kserve" else pod(documents)
    assert spec["automountServiceAccountToken"] is False
    context = container(documents)["securityContext"]
    assert context["readOnlyRootFilesystem"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    mounts = container(documents)["volumeMounts"]
    writable = {mount["mountPath"] for mount in mounts if not mount.get("readOnly")}
    data = {"/data"} if name == "bulk" else set()
    assert writable == {dockerfile(r"HOME=(\S+)"), dockerfile(r"NUMBA_CACHE_DIR=(\S+)")} | data


@pytest.mark.parametrize("name", ["base", "full", "kserve"])
def test_the_variables_are_settings_with_values_that_the_service_takes(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    documents: list[Document] = request.getfixturevalue(name)
    variables = environment(documents)
    assert len(variables) >= 4
    assert check_variables(variables, Settings()) == []
    mounts = [mount["mountPath"] for mount in container(documents)["volumeMounts"]]
    for variable, value in variables.items():
        if value.startswith("/"):  # a file or a folder that only the pod has
            assert any(Path(value).is_relative_to(mount) for mount in mounts), variable
            value = str(tmp_path / variable)
            Path(value).touch()
        monkeypatch.setenv(variable, value)
    settings = Settings()
    assert (settings.workers, settings.port) == (1, 8000)


@pytest.mark.parametrize("name", ["base", "full", "kserve"])
def test_the_ports_are_that_of_the_image(name: str, request: pytest.FixtureRequest) -> None:
    documents: list[Document] = request.getfixturevalue(name)
    (port,) = container(documents)["ports"]
    assert port["containerPort"] == int(dockerfile(rf"{PREFIX}PORT=(\d+)")) == int(dockerfile(r"^EXPOSE (\d+)$"))
    names = {port.get("name", port["containerPort"])}
    probes = [container(documents)[f"{kind}Probe"]["httpGet"]["port"] for kind in ("startup", "readiness", "liveness")]
    assert {*probes} == names
    if name != "kserve":
        (service,) = one(documents, "Service")["ports"]
        assert {service["targetPort"]} == names
        ports = [rule["ports"] for rule in one(documents, "NetworkPolicy")["ingress"]]
        assert ports
        assert all(rule == [{"protocol": "TCP", "port": service["targetPort"]}] for rule in ports)
    if name == "full":
        (monitored,) = one(documents, "PodMonitor")["podMetricsEndpoints"]
        assert {monitored["port"]} == names
        (rule,) = one(documents, "HTTPRoute")["rules"]
        assert rule["backendRefs"] == [{"name": "sine", "port": service["port"]}]


@pytest.mark.parametrize(
    ("name", "ready", "live"),
    [("base", "/readyz", "/livez"), ("kserve", "/v2/health/ready", "/v2/health/live")],
)
def test_the_probes_ask_what_answers_without_a_key(
    name: str, ready: str, live: str, request: pytest.FixtureRequest
) -> None:
    spec = container(request.getfixturevalue(name))
    asked = [spec[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")]
    assert asked == [ready, ready, live]
    assert {*asked} <= {*OPEN} & routes()


def routes() -> set[str]:
    """Return the paths of the service, with names of parameters."""
    return {context.path for context in iter_route_contexts(create_app().routes) if context.path}


@pytest.mark.parametrize("name", ["base", "full", "kserve"])
def test_a_pod_has_the_time_to_drain_and_to_finish(name: str, request: pytest.FixtureRequest) -> None:
    documents: list[Document] = request.getfixturevalue(name)
    spec = one(documents, "InferenceService")["predictor"] if name == "kserve" else pod(documents)
    variables = environment(documents)
    needed_s = int(variables["SINE_DRAIN_DELAY_S"]) + int(variables["SINE_GRACE_PERIOD_S"])
    assert int(variables["SINE_DRAIN_DELAY_S"]) > 0
    assert needed_s < spec["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("name", ["base", "kserve"])
def test_a_pod_gets_a_core_for_each_worker_and_as_much_memory_as_in_compose(
    name: str, request: pytest.FixtureRequest
) -> None:
    documents: list[Document] = request.getfixturevalue(name)
    resources, workers = container(documents)["resources"], int(environment(documents)["SINE_WORKERS"])
    assert int(resources["requests"]["cpu"]) == workers
    assert "cpu" not in resources["limits"]
    compose = (ROOT / "docker-compose.yml").read_text()
    limit_gib, default_workers = (
        int(re.findall(rf"\$\{{{variable}:-(\d+)", compose)[0]) for variable in ("SINE_MEMORY", "SINE_WORKERS")
    )
    assert resources["limits"]["memory"] == resources["requests"]["memory"]
    assert resources["limits"]["memory"] == f"{workers * limit_gib * 1024 // default_workers}Mi"


def test_every_selector_finds_the_pods_and_nothing_else(full: list[Document]) -> None:
    labels = one(full, "Deployment")["template"]["metadata"]["labels"]
    assert labels == {"app.kubernetes.io/name": "sine"}
    assert one(full, "Service")["selector"] == labels
    for kind, key in (
        ("Deployment", "selector"),
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
        ("PodMonitor", "selector"),
    ):
        assert one(full, kind)[key] == {"matchLabels": labels}, kind
    spreads = pod(full)["topologySpreadConstraints"]
    assert [spread["topologyKey"] for spread in spreads] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    for spread in spreads:
        assert spread["labelSelector"] == {"matchLabels": labels}
        assert spread["matchLabelKeys"] == ["pod-template-hash"]
    scaled = one(full, "HorizontalPodAutoscaler")["scaleTargetRef"]
    assert (scaled["kind"], scaled["name"]) == ("Deployment", "sine")


def test_an_update_starts_a_pod_before_it_ends_one_and_sets_no_number_of_replicas(full: list[Document]) -> None:
    deployment = one(full, "Deployment")
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert "replicas" not in deployment
    assert one(full, "HorizontalPodAutoscaler")["minReplicas"] >= 2
    assert one(full, "PodDisruptionBudget")["maxUnavailable"] == 1


def test_the_route_leads_to_every_endpoint_of_clients_and_to_no_other(full: list[Document]) -> None:
    (rule,) = one(full, "HTTPRoute")["rules"]
    assert rule["retry"] == {"attempts": 1}

    def leads(path: str) -> bool:
        return any(
            path == match["path"]["value"]
            or (match["path"]["type"] == "PathPrefix" and path.startswith(f"{match['path']['value']}/"))
            for match in rule["matches"]
        )

    assert len(routes()) > 20
    for path in routes():
        assert leads(path) == (path not in INTERNAL and not is_admin(path)), path
    assert not any(leads(path) for path in ("/admin/reload", "/metricsx", "/", "/predict/x"))


def test_the_rules_are_those_of_compose_and_one_for_the_autoscaler(full: list[Document]) -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text())["groups"]
    *same, pods = one(full, "PrometheusRule")["groups"]
    assert same == rules
    (record,) = pods["rules"]
    monitor = one(full, "PodMonitor")
    labels = one(full, "Deployment")["template"]["metadata"]["labels"]
    assert labels[monitor["jobLabel"]] == "sine"  # the label `job` that the rules name
    assert 'job="sine"' in json.dumps(rules).replace("\\", "")
    (metric,) = one(full, "HorizontalPodAutoscaler")["metrics"]
    adapter = (FOLDER / "components" / "busy-autoscaling" / "kustomization.yaml").read_text()
    assert f"name: {{as: {metric['pods']['metric']['name']}}}" in adapter
    assert f"seriesQuery: '{record['record']}'" in adapter


def test_the_overlay_in_the_page_renders_and_names_the_components_in_their_order(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "scale.md").read_text()
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "sine-rnn-server").symlink_to(ROOT)
    written = yaml.safe_load(text)
    names = [Path(component).name for component in written["components"]]
    assert names == [name for name in COMPONENTS if name in names]
    assert re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE) == [*COMPONENTS]
    # kubectl follows no symbolic link out of the folder, so the paths lead there from here.
    for key in ("resources", "components"):
        written[key] = [os.path.relpath((tmp_path / path).resolve(), tmp_path) for path in written[key]]
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(written))
    documents = render(tmp_path)
    assert container(documents)["image"].startswith("registry.example/sine-rnn-server:")
    assert {document["metadata"]["namespace"] for document in documents} == {"forecasts"}


def test_prometheus_shows_a_key_where_the_service_asks_for_one(
    combinations: dict[frozenset[str], list[Document]],
) -> None:
    for components, documents in combinations.items():
        if "monitoring" in components:
            (endpoint,) = one(documents, "PodMonitor")["podMetricsEndpoints"]
            assert ("authorization" in endpoint) == ("keys" in components)


def test_each_pod_of_the_job_does_one_share_of_the_parts(bulk: list[Document]) -> None:
    job, runs = one(bulk, "Job"), container(bulk)
    assert runs["command"] == ["python", "-m", "app.bulk"]
    command = tyro.cli(Command, args=runs["args"])
    assert int(command.shard) == job["completions"]
    assert job["completionMode"] == "Indexed"
    assert INDEX == "JOB_COMPLETION_INDEX"
    assert command.workers == int(runs["resources"]["requests"]["cpu"])
    for path in (command.source, command.out):
        assert path.is_relative_to(runs["volumeMounts"][0]["mountPath"])
    fails, ignored = job["podFailurePolicy"]["rules"]
    assert fails["onExitCodes"]["values"] == [WRONG]
    assert fails["onExitCodes"]["containerName"] == runs["name"]
    assert ignored == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert pod(bulk)["restartPolicy"] == "Never"  # a failure policy needs it


def test_kserve_starts_the_service_with_its_own_name_and_folder(
    kserve: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = container(kserve)
    assert runtime["name"] == "kserve-container"
    assert runtime["command"] == ["python", "-m", "app"]
    arguments = [argument.replace("{{.Name}}", "sine-forecasts") for argument in runtime["args"]]
    settings = CliApp.run(Settings, cli_args=arguments)
    assert (str(settings.model), settings.model_name) == ("/mnt/models", "sine-forecasts")
    predictor = one(kserve, "InferenceService")["predictor"]
    (form,) = one(kserve, "ServingRuntime")["supportedModelFormats"]
    assert predictor["model"]["modelFormat"]["name"] == form["name"]
    assert predictor["model"]["protocolVersion"] in one(kserve, "ServingRuntime")["protocolVersions"]


def test_kserve_runs_pods_like_those_of_the_deployment(kserve: list[Document], base: list[Document]) -> None:
    runtime, own = container(kserve), container(base)
    for field in ("env", "resources", "volumeMounts"):
        assert runtime[field] == own[field], field
    for kind in ("startup", "readiness", "liveness"):
        runtime_probe, own_probe = (dict(spec[f"{kind}Probe"]) for spec in (runtime, own))
        del runtime_probe["httpGet"], own_probe["httpGet"]
        assert runtime_probe == own_probe
    assert one(kserve, "ServingRuntime")["volumes"] == pod(base)["volumes"]
