"""What the proxy says of itself: the access log, /metrics and the admin API."""
import json
import re
import signal
from collections import Counter

import pytest
from harness import Browser, poll
from harness.backend import raw
from harness.stages import stage_fixture

stage_process, stage = stage_fixture("stage", names=("app1", "app2"))


def logged(proxy, path):
    """The line of the one request for that path."""

    def found():
        return [row for row in proxy.access_log() if row["path"] == path]

    rows = poll(found, what=f"a line for {path}")
    assert len(rows) == 1, rows
    return rows[0]


def test_a_line_says_which_server_and_why(stage):
    user = Browser(stage.proxy.port)
    user.request("/log-new?q=1", "POST", body=b"12345")
    user.request("/log-pinned")
    first, second = logged(stage.proxy, "/log-new?q=1"), logged(stage.proxy, "/log-pinned")
    assert (first["why"], second["why"]) == ("balanced", "pinned")
    assert first["server"] == second["server"] == user.servers[0] and first["pool"] == "app"
    assert (first["method"], first["status"], first["received"]) == ("POST", 200, 5)
    assert first["client"] == "127.0.0.1" and first["end"] == "complete" and first["sent"] > 0


def test_a_line_says_that_the_proxy_answered(stage):
    assert stage.proxy.get("/log-connect", method="TRACE").status < 600
    with stage.client() as client:
        client.send("GET /log-bad  HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.response().status == 400
    rows = poll(lambda: [r for r in stage.proxy.access_log() if r["status"] == 400])
    assert rows[-1]["end"] == "answered_here" and rows[-1]["reason"]


@pytest.mark.parametrize("host", ['"quoted"', "back\\slash"])
def test_no_client_can_forge_a_line(stage, host):
    """Whatever it sends, each line stays one JSON object (parsed by every reader of the log)."""
    with stage.client() as client:
        client.send(f'GET /forge HTTP/1.1\r\nHost: {host}\r\nReferer: "}}\r\n\r\n')
        client.response()
    stage.proxy.get("/log-after-" + str(len(host)))
    logged(stage.proxy, "/log-after-" + str(len(host)))


def test_common_format(run_proxy, backends, tmp_path):
    path = tmp_path / "common.log"
    proxy = run_proxy(
        [backends("app1")], log={"level": "info", "access": str(path), "format": "common"}
    )
    proxy.get("/x", fields=[("User-Agent", 'a "b"'), ("Referer", "http://r/")])
    line = poll(lambda: path.exists() and path.read_text(), what="a line")
    assert re.match(
        r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET /x HTTP/1\.1" 200 \d+ '
        r'"http://r/" "a \S+b\S+" app/app1 balanced',
        line,
    ), line


def test_the_log_is_opened_again_at_reload(run_proxy, backends):
    proxy = run_proxy([backends("app1")])
    proxy.get("/before")
    logged(proxy, "/before")
    path = proxy.directory / "access.log"
    path.rename(proxy.directory / "access.log.1")
    proxy.reload()
    proxy.get("/after")
    logged(proxy, "/after")
    assert "/after" not in (proxy.directory / "access.log.1").read_text()


def test_access_log_off(run_proxy, backends):
    proxy = run_proxy([backends("app1")], log={"access": "off"})
    assert proxy.get("/").status == 200
    assert b"/" not in (proxy.directory / "stdout").read_bytes()


def test_metrics_are_a_valid_exposition(stage):
    stage.proxy.get("/")
    _, text = stage.proxy.admin("/metrics")
    helped, typed, family = set(), {}, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ")[2]
            assert name not in helped, f"{name} is told twice"
            helped.add(name)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            typed[name], family = kind, name
        else:
            assert re.fullmatch(r'[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? \S+', line), line
            name = line.split("{")[0].split(" ")[0]
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            assert family in (name, base), f"{line} stands under {family}"
            assert typed[family] != "counter" or name.endswith("_total"), line
    assert set(typed) == helped and len(typed) > 20


def test_histograms_are_cumulative(stage):
    for _ in range(5):
        stage.proxy.get("/")
    buckets = [
        (float(re.search(r'le="([^"]+)"', key)[1]), value)
        for key, value in stage.proxy.metrics().items()
        if key.startswith("holdfast_request_duration_seconds_bucket")
    ]
    assert len(buckets) > 5 and buckets[-1][0] == float("inf")
    assert [v for _, v in buckets] == sorted(v for _, v in buckets)
    assert buckets[-1][1] == stage.proxy.metric("holdfast_request_duration_seconds_count")


def test_status_and_servers(stage):
    status, text = stage.proxy.admin("/v1/status")
    document = json.loads(text)
    assert status == 200 and document["node"] == "test" and document["workers"] == 2
    assert stage.proxy.server("app1")["state"] == "ready"
    assert stage.proxy.server("app1")["address"] == f"127.0.0.1:{stage.backends[0].port}"


@pytest.mark.parametrize(
    "path, method, body, expected",
    [
        ("/v1/servers/app/none/state", "POST", {"state": "drain"}, 404),
        ("/v1/servers/none/app1/state", "POST", {"state": "drain"}, 404),
        ("/v1/servers/app/app1/state", "POST", {"state": "asleep"}, 400),
        ("/v1/servers/app/app1/state", "POST", {"stat": "drain"}, 400),
        ("/v1/servers/app/app1/state", "POST", ["drain"], 400),
        ("/v1/servers/app/app1/state", "DELETE", None, 405),
        ("/nowhere", "GET", None, 404),
    ],
)
def test_wrong_admin_requests_change_nothing(stage, path, method, body, expected):
    status, text = stage.proxy.admin(path, method, body)
    assert status == expected and json.loads(text)["error"]
    assert stage.proxy.server("app1")["admin"] == "ready"


def test_counts_agree_with_what_clients_saw(stage):
    before = stage.proxy.metrics()
    statuses = Counter()
    for status in (200, 204, 302, 404, 500, 503, 200):
        stage.behave = raw(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
        if status == 204:
            stage.behave = raw(b"HTTP/1.1 204 X\r\n\r\n")
        statuses[stage.proxy.get("/r").status // 100] += 1

    def grown_by_class(name):
        after = stage.proxy.metrics()
        classes = {first: f"{first}xx" for first in (2, 3, 4, 5)}
        return {
            first: after.value(name, **{"class": word}) - before.value(name, **{"class": word})
            for first, word in classes.items()
        }

    # A client may have its answer a moment before the worker counts it.
    for name in ("holdfast_responses_total", "holdfast_server_responses_total"):
        poll(lambda: grown_by_class(name) == statuses, 5, f"{name} counts what was answered")
    after = stage.proxy.metrics()
    grown = after.value("holdfast_requests_total") - before.value("holdfast_requests_total")
    assert grown == 7


def test_sighup_without_a_change_changes_nothing(run_proxy, backends):
    proxy = run_proxy(backends("app1", "app2"))
    user = Browser(proxy.port)
    user.request()
    generation = proxy.generation()
    for _ in range(3):
        proxy.reload()
        user.request()
    assert proxy.generation() == generation + 3 and user.pins == 1 and len(set(user.servers)) == 1
    proxy.signal(signal.SIGHUP)  # and one that nobody waits for, right before the end
