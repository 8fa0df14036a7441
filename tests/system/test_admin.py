"""The admin API as its users see it: documents, metrics, changes, and who is refused."""
import http.client
import json
import socket

import pytest

import exposition
from harness.clock import poll

KEYS = {
    "pool",
    "name",
    "address",
    "weight",
    "backup",
    "state",
    "admin",
    "health",
    "since",
    "since_s",
    "breaker",
    "active",
    "pending",
    "limit",
    "connections",
    "response_ms_ewma",
    "requests",
    "responses",
    "failures",
    "connects",
    "reuses",
    "pins",
    "checks",
    "ejections",
}


def ask(proxy, path, method="GET", body=None, host=None, **fields):
    """(status, header fields, body); field names with _ for -."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.admin_port, timeout=10)
    try:
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        if host is not None:
            fields["Host"] = host
        connection.request(method, path, body, fields)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def change(proxy, server, body='{"state": "drain"}', path=None, **fields):
    fields.setdefault("Content_Type", "application/json")
    fields = {name: value for name, value in fields.items() if value is not None}
    return ask(proxy, path or f"/v1/servers/app/{server}/state", "POST", body, **fields)


def document(answer, status=200):
    assert answer[0] == status, answer
    assert answer[1]["Content-Type"] == "application/json"
    assert answer[1]["Cache-Control"] == "no-store"
    return json.loads(answer[2])


def refused(answer, status):
    """An error says what is wrong and, behind a semicolon, what to do."""
    error = document(answer, status)
    assert list(error) == ["error"] and "; " in error["error"], error
    return error["error"]


@pytest.fixture
def two(backends, run_proxy):
    return run_proxy(backends("app1", "app2"))


def test_status(two):
    status = document(ask(two, "/v1/status"))
    assert status["node"] == "test" and status["generation"] == 1 and status["workers"] == 2
    assert status["config"] == str(two.file)
    assert 0 <= status["uptime_s"] < 3600
    assert status["listeners"] == [{"name": "web", "bind": f"127.0.0.1:{two.port}"}]
    [pool] = status["pools"]
    assert pool["name"] == "app" and pool["servers"] == 2 and pool["active"] == 0
    assert pool["states"] == {"ready": 2, "drain": 0, "maintenance": 0, "down": 0, "ejected": 0}


def test_servers_count_what_happened(two):
    for _ in range(5):
        assert two.get("/x").status == 200
    servers = document(ask(two, "/v1/servers"))["servers"]
    assert [server["name"] for server in servers] == ["app1", "app2"]
    for server in servers:
        assert set(server) == KEYS
        assert server["state"] == server["admin"] == "ready" and server["weight"] == 1
    assert sum(server["requests"] for server in servers) == 5
    assert sum(server["responses"]["2xx"] for server in servers) == 5
    assert sum(server["pins"] for server in servers) == 5
    one = document(ask(two, "/v1/servers/app/app2"))
    assert one["address"] == servers[1]["address"] and one["requests"] == servers[1]["requests"]


def test_drain_ready_maintenance(two):
    for state in ("drain", "maintenance", "ready", "ready"):
        changed = document(change(two, "app1", json.dumps({"state": state})))
        assert changed["admin"] == changed["state"] == state
        assert document(ask(two, "/v1/servers/app/app1"))["state"] == state
        assert document(ask(two, "/v1/servers/app/app2"))["state"] == "ready"
    families = exposition.parse(ask(two, "/metrics")[2])
    assert families["holdfast_admin_state_changes_total"].value() == 3


def test_drained_server_gets_no_new_clients(two):
    document(change(two, "app1"))
    assert {two.get("/").json()["server"] for _ in range(6)} == {"app2"}


def test_metrics_are_strictly_well_formed_and_true(two):
    for _ in range(4):
        assert two.get("/").status == 200
    status, headers, text = ask(two, "/metrics")
    assert status == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = exposition.parse(text)
    assert families["holdfast_server_requests_total"].value(pool="app") == 4
    assert families["holdfast_server_responses_total"].value(**{"class": "2xx"}) == 4
    assert families["holdfast_server_up"].value(server="app1") == 1
    assert families["holdfast_server_state"].value(server="app1", state="ready") == 1
    assert families["holdfast_server_state"].value(server="app1") == 1
    assert families["holdfast_config_generation"].value() == 1
    document(change(two, "app2", '{"state": "maintenance"}'))
    families = exposition.parse(ask(two, "/metrics")[2])
    assert families["holdfast_server_up"].value(server="app2") == 0
    assert families["holdfast_server_state"].value(server="app2", state="maintenance") == 1


def test_a_dead_server_shows_as_down(backends, run_proxy):
    one, two = backends("app1", "app2")
    proxy = run_proxy(
        [one, two],
        pool_keys={
            "health": {"tcp": True, "interval": "100ms", "timeout": "100ms", "rise": 1, "fall": 2}
        },
    )

    def app1():
        return document(ask(proxy, "/v1/servers/app/app1"))

    # The very first check decides alone, only later ones have to fail twice.
    poll(lambda: app1()["health"] == "up", 10, "app1 is up")
    one.stop()
    poll(lambda: app1()["state"] == "down", 10, "app1 is down")
    server = app1()
    assert (
        server["health"] == "down"
        and server["admin"] == "ready"
        and server["checks"]["failed"] >= 2
    )
    assert document(ask(proxy, "/v1/status"))["pools"][0]["states"]["down"] == 1


def test_what_is_not_there(two):
    for path in (
        "/nothing",
        "/v1",
        "/v1/servers/",
        "/v1/servers/app",
        "/v1/servers/app/",
        "/v1/servers//app1",
        "/v1/servers/app/app1/states",
        "/v1/servers/app/app3",
        "/v1/servers/none/app1",
        "/v1/servers/app/" + "a" * 500,
        "/v1/servers/" + "a" * 500 + "/app1",
        "/v1/servers/%ff/%fe",
        "/v1/servers/app/app1%20",
    ):
        refused(ask(two, path), 404)
    refused(change(two, "app3"), 404)
    assert document(ask(two, "/v1/status"))


def test_methods(two):
    for path, method, allowed in (
        ("/v1/status", "POST", "GET, HEAD"),
        ("/", "DELETE", "GET, HEAD"),
        ("/metrics", "PUT", "GET, HEAD"),
        ("/v1/servers/app/app1", "PATCH", "GET, HEAD"),
        ("/v1/servers/app/app1/state", "GET", "POST"),
    ):
        answer = ask(two, path, method)
        refused(answer, 405)
        assert answer[1]["Allow"] == allowed
    status, headers, body = ask(two, "/v1/servers", "HEAD")
    assert status == 200 and body == "" and int(headers["Content-Length"]) > 100


def test_bodies_that_are_not_a_change(two):
    for body in (
        "",
        "{",
        "null",
        "[]",
        "{}",
        '{"state": 3}',
        '{"state": "down"}',
        '{"state": "drain", "x": 1}',
        '{"state": "drain", "state": "ready"}',
        '{"state": "\\u0000drain"}',
        b"\xff\xfe",
        "[" * 60000,
    ):
        refused(change(two, "app1", body), 400)
    assert document(ask(two, "/v1/servers/app/app1"))["admin"] == "ready"


def test_sizes(two):
    fits = '{"state": "drain"' + " " * (65536 - 18) + "}"
    assert len(fits) == 65536
    assert document(change(two, "app1", fits))["admin"] == "drain"
    refused(change(two, "app1", fits + " "), 413)
    head = (
        b"POST /v1/servers/app/app1/state HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", two.admin_port), timeout=10) as connection:
        connection.sendall(head)  # refused before any of its body
        assert connection.recv(65536).startswith(b"HTTP/1.1 411 ")
    assert document(ask(two, "/v1/servers/app/app1"))["admin"] == "drain"
    status, _, _ = ask(two, "/v1/status", Padding="x" * 40000)
    assert status in (413, 431)


def test_a_page_of_the_web_cannot_read_or_change(two):
    refused(ask(two, "/v1/servers", host="evil.example"), 403)
    refused(ask(two, "/", host="evil.example:9900"), 403)
    assert ask(two, "/v1/status", host=f"localhost:{two.admin_port}")[0] == 200
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{two.admin_port + 1}"):
        refused(change(two, "app1", Origin=origin), 403)
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        None,
    ):
        refused(change(two, "app1", Content_Type=kind), 415)
    assert document(ask(two, "/v1/servers/app/app1"))["admin"] == "ready"
    own = f"http://127.0.0.1:{two.admin_port}"
    assert document(change(two, "app1", Origin=own, Content_Type="application/json; charset=utf-8"))
    assert (
        "Access-Control-Allow-Origin"
        not in ask(two, "/v1/servers", Origin="http://evil.example")[1]
    )


def test_token(backends, run_proxy, tmp_path):
    from harness.ports import free_port

    token = tmp_path / "token"
    secret = "s3cret-of-sixteen"
    right = f"Bearer {secret}"
    token.write_text(f"{secret}\n")
    token.chmod(0o600)
    proxy = run_proxy(
        [backends("app1")], admin={"bind": f"127.0.0.1:{free_port()}", "token_file": str(token)}
    )
    for path in ("/metrics", "/v1/status", "/v1/servers", "/v1/servers/app/app1"):
        answer = ask(proxy, path)
        refused(answer, 401)
        assert answer[1]["WWW-Authenticate"] == 'Bearer realm="holdfast"'
        for wrong in (right[:-1], right + "n", f"Basic {secret}", secret, "Bearer"):
            refused(ask(proxy, path, Authorization=wrong), 401)
        assert ask(proxy, path, Authorization=right)[0] == 200
    refused(change(proxy, "app1"), 401)
    assert document(change(proxy, "app1", Authorization=right))["admin"] == "drain"
    status, headers, page = ask(proxy, "/")  # holds nothing; it asks for the token
    assert status == 200 and "s3cret" not in page


def test_page(two):
    status, headers, page = ask(two, "/")
    assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert (
        "/v1/servers" in page and "http://" not in page and "https://" not in page
    )  # nothing external


def test_connections_have_a_maximum_and_come_back(two):
    idle = [socket.create_connection(("127.0.0.1", two.admin_port), timeout=10) for _ in range(70)]
    for connection in idle:
        connection.close()
    poll(lambda: answers(two), 10, "the admin server answers again")
    assert two.get("/").status == 200


def answers(proxy):
    try:
        return ask(proxy, "/v1/status")[0] == 200
    except OSError:
        return False


def test_garbage_does_not_end_it(two):
    for garbage in (
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/servers/app/app1/state HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
        b"application/json\r\nContent-Length: 20\r\n\r\n{",
    ):
        with socket.create_connection(("127.0.0.1", two.admin_port), timeout=10) as connection:
            connection.sendall(garbage)
    assert ask(two, "/v1/status")[0] == 200
    assert document(ask(two, "/v1/servers/app/app1"))["admin"] == "ready"
