"""What Prometheus and Grafana are given: alerts, their paragraphs, dashboards; all about metrics that there are."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tools import needs

from checks.alerts.faults import FAULTS
from checks.alerts.prometheus import quickened
from schemas.error_words import VOCABULARY
from schemas.metrics.definitions import METRICS

ROOT = Path(__file__).parent.parent
PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
ALERTS: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"][0]["rules"]
KNOWN = {metric.name for metric in METRICS}
OF_HISTOGRAMS = re.compile(r"_(bucket|sum|count)$")


def metrics_in(query: str) -> set[str]:
    """Return the metrics of ours that a query names, a histogram's without what its samples end with."""
    names = re.findall(r"\baudience_\w+", query)
    return {name if name in KNOWN else OF_HISTOGRAMS.sub("", name) for name in names}


def queries(dashboard: Path) -> Iterator[str]:
    """Yield the queries of a dashboard, with what Grafana puts in."""
    for panel in json.loads(dashboard.read_text())["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "1m").replace("$account", ".*")


def promtool(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run promtool."""
    tool = shutil.which("promtool")
    assert tool is not None
    return subprocess.run([tool, *words], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_is_about_metrics_of_the_list_and_names_its_paragraph(alert: dict[str, Any]) -> None:
    assert metrics_in(alert["expr"]) <= KNOWN
    assert metrics_in(alert["expr"]) or alert["expr"].startswith("up{")
    assert alert["annotations"]["runbook"] == f"docs/runbook.md#{alert['alert'].lower()}"
    assert alert["labels"] == {"severity": "page"}


def test_each_alert_has_its_paragraph_and_each_paragraph_its_alert() -> None:
    page = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\w+)\n\n[A-Z]", page, re.MULTILINE) == [alert["alert"] for alert in ALERTS]


def test_each_alert_is_made_to_fire_alone_and_to_clear() -> None:
    cases = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]
    assert [case["name"] for case in cases] == [alert["alert"] for alert in ALERTS]
    for case in cases:
        fires, clears = case["promql_expr_test"]
        assert {fires["expr"], clears["expr"]} == {'ALERTS{alertstate="firing"}'}
        assert [f'alertname="{case["name"]}"' in sample["labels"] for sample in fires["exp_samples"]] == [True]
        assert clears["exp_samples"] == []


def test_an_account_s_alert_is_for_the_words_that_wait_for_a_person_and_the_other_one_for_the_rest() -> None:
    waiting = "|".join(
        word for word, of in VOCABULARY.items() if (of.action, of.scope) == ("stop", "account")
    )  # in their order
    by_name = {alert["alert"]: alert["expr"] for alert in ALERTS}
    assert f'{{error=~"{waiting}"}}' in by_name["AudienceAccountBlocked"]
    assert f'{{error!~"{waiting}"}}' in by_name["AudiencePlatformAway"]


def test_the_dashboards_show_each_metric_of_the_list_and_no_other() -> None:
    shown = {name for dashboard in DASHBOARDS for query in queries(dashboard) for name in metrics_in(query)}
    assert shown == KNOWN


def test_compose_mounts_what_is_there_under_a_profile_of_its_own() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    ours = [services["prometheus"], services["grafana"]]
    mounted = [volume.split(":")[0] for service in ours for volume in service["volumes"]]
    assert [place for place in mounted if not (ROOT / place).is_dir()] == []
    assert [service["profiles"] for service in ours] == [["monitoring"]] * 2
    scraped = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    hosts = [target.split(":")[0] for job in scraped for one in job["static_configs"] for target in one["targets"]]
    assert sorted(hosts) == sorted(services.keys() - {"kafka", "sandbox", "prometheus", "grafana"})


def test_each_alert_but_one_is_also_brought_about_on_a_product_that_runs() -> None:
    """By `make alerts`, which takes minutes; what ends a process is written by hand in tests/test_quarantine.py."""
    brought = {alert for alerts in FAULTS for alert in alerts}
    assert {alert["alert"] for alert in ALERTS} - brought == {"AudienceRecordQuarantined"}
    assert re.findall(r"for: (?!2s)|> \d\d+|\[(?!20s)", quickened((PROMETHEUS / "alerts.yml").read_text())) == []


@needs("promtool", "prometheus")
def test_promtool_takes_the_configuration_and_makes_each_alert_fire_and_clear() -> None:
    config = promtool("check", "config", "--syntax-only", PROMETHEUS / "prometheus.yml")
    assert config.returncode == 0, config.stdout + config.stderr
    rules = promtool("test", "rules", PROMETHEUS / "alerts_test.yml")
    assert rules.returncode == 0, rules.stdout + rules.stderr


@needs("promtool", "prometheus")
@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.stem)
def test_promtool_parses_each_query_of_a_dashboard(dashboard: Path, tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries(dashboard))]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": dashboard.stem, "rules": rules}]}))
    parsed = promtool("check", "rules", file)
    assert f"{len(rules)} rules found" in parsed.stdout, parsed.stdout + parsed.stderr
    assert parsed.returncode == 0, parsed.stdout + parsed.stderr
