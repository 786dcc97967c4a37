"""The compose file, Grafana's dashboard and Prometheus' alerts: by parsers of their own languages, and true."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import compose_spec
import promql_parser
import pytest
import yaml
from prometheus_client.metrics_core import Metric

from nightjar.jobs.states import WorkerStatus
from nightjar.pipeline.routing.savings import Savings
from nightjar.web.meters import Meters
from nightjar.web.metrics import MachinesCollector, PlacesCollector, SavingsCollector

DEPLOY = Path(__file__).resolve().parents[3] / "scripts" / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = {"mongo", "redis", "dispatcher", "worker", "web", "prometheus", "grafana"}


def test_the_compose_file_is_one() -> None:
    """By a parser of the specification, strict about names and values."""
    filled = re.sub(r"\$\{(\w+):\?[^}]*\}", "x", (DEPLOY / "compose.yaml").read_text())
    found = compose_spec.PyOptions(apply_merge=True).from_yaml(filled)
    found.validate()
    found.to_spec()
    assert set(found.service_names()) == SERVICES
    assert set(COMPOSE["services"]) == SERVICES


def test_nothing_has_a_default_password_and_only_the_page_is_published() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    for name in ("MONGO_PASSWORD", "REDIS_PASSWORD", "GRAFANA_PASSWORD", "ALLOW_HOST", "MODEL"):
        assert set(re.findall(rf"\$\{{{name}(.)", text)) == {":"}, "it is required, and has no default"
        assert f"${{{name}:?" in text
    published = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}
    assert published == {"web": ["127.0.0.1:8420:8420"]}
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    only_inside = {name for name, service in COMPOSE["services"].items() if service["networks"] == ["inside"]}
    assert only_inside == SERVICES - {"web", "grafana"}


def test_what_the_compose_file_mounts_is_there() -> None:
    mounted = re.findall(r"- \./(\S+?):", (DEPLOY / "compose.yaml").read_text())
    assert mounted
    assert all((DEPLOY / path).is_dir() for path in mounted)


def test_the_commands_it_names_run_where_they_are_run() -> None:
    """In a service that starts without a user, as the page does not, by the path that its image has."""
    text = (DEPLOY / "compose.yaml").read_text()
    named = re.findall(r"docker compose exec (\S+) (\S+) (\w+) (\w+)", text)
    assert len(named) == 2
    for service, program, command, act in named:
        assert service != "web"
        assert COMPOSE["services"][service]["entrypoint"][0] == program
        commands = import_module(f"nightjar.scripts.commands.{command}").app.registered_commands
        assert act in {each.name or each.callback.__name__ for each in commands}
    assert f"docker compose up -d {named[0][0]}\n" in text


def test_volumes_belong_to_the_user_of_the_image() -> None:
    """A folder that the image lacks would be made for its volume, and be root's."""
    image = (DEPLOY / "Containerfile.cuda").read_text()
    [made] = re.findall(r"mkdir -p (.+) && chown nightjar (.+)\n", image)
    assert made[0] == made[1]
    mounted = {volume for service in COMPOSE["services"].values() for volume in service.get("volumes", ())}
    ours = {path.partition(":/opt/nightjar/")[2] for path in mounted if ":/opt/nightjar/" in path}
    assert ours == set(made[0].split())


@pytest.fixture(scope="module")
def exported() -> set[str]:
    """Names of all series that `/metrics` can have."""
    worker: Any = type("Anything", (), {"__getattr__": lambda self, name: 1.0, "state": WorkerStatus.READY})()
    saved = SavingsCollector(savings=Savings(assumption=""))
    places = PlacesCollector(workers=(worker,), folder=Path("/"))
    machines = MachinesCollector(readings=())
    families = [each for some in (Meters().registry, places, machines, saved) for each in some.collect()]
    return {name for family in families for name in _series(family)}


def _series(family: Metric) -> Iterator[str]:
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
    yield from (f"{family.name}{ending}" for ending in endings)


def _alerts() -> dict[str, str]:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"][0]["rules"]
    return {rule["alert"]: rule["expr"] for rule in rules}


def _panels() -> dict[str, str]:
    panels = json.loads((DEPLOY / "grafana" / "dashboards" / "nightjar.json").read_text())["panels"]
    return {f"{panel['title']} {target['refId']}": target["expr"] for panel in panels for target in panel["targets"]}


@pytest.mark.parametrize("expression", [*_alerts().values(), *_panels().values()])
def test_every_expression_is_promql_about_metrics_that_exist(expression: str, exported: set[str]) -> None:
    promql_parser.parse(expression)
    named = set(re.findall(r"\bnightjar_\w+", expression))
    assert named <= exported
    assert named or "up{" in expression


def test_every_alert_says_what_is_wrong() -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"][0]["rules"]
    for rule in rules:
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["for"]
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_prometheus_reads_the_alerts_with_a_token() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    assert all((DEPLOY / "prometheus" / name).is_file() for name in config["rule_files"])
    [scraped] = config["scrape_configs"]
    secret = scraped["authorization"]["credentials_file"].rpartition("/")[2]
    assert secret in COMPOSE["secrets"]
    target = scraped["static_configs"][0]["targets"][0]
    assert f"--allow-host={target}" in COMPOSE["services"]["web"]["command"]
