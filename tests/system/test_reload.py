"""Reload, restart and stop: what goes on, what is kept, what is refused."""
import signal
import socket
import threading

import pytest
from harness import Browser, Client, Gone, Proxy, checks, configuration, free_port, poll, pool
from harness import scaled
from harness.apps import User, crowd, join
from harness.backend import application, echo_upgrade

NAMES = ("app1", "app2", "app3")
UPGRADE = [
    ("Connection", "upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
]


def with_pool(proxy, **keys):
    return {**proxy.config, "pools": [{**proxy.config["pools"][0], **keys}]}


def test_100_reloads_under_load(run_proxy, apps):
    """No failed request, no moved client, no lost WebSocket."""
    proxy = run_proxy(
        apps(*NAMES),
        pool_keys={"health": checks(interval_ms=2000)},
    )
    tunnels = [proxy.client() for _ in range(20)]
    for tunnel in tunnels:
        tunnel.ask("/chat", fields=UPGRADE)
        assert tunnel.head().status == 101
    made = [User(proxy.port, number, keep_alive=number % 4 != 0) for number in range(40)]
    done = threading.Event()

    def script(user):
        while not done.is_set():
            assert user.visit("POST" if user.sent % 5 == 4 else "GET"), user.errors
        assert user.visit(), user.errors

    before = proxy.generation()
    threads, failures = crowd(made, script)
    try:
        for number in range(100):
            # every other one changes something that matters to requests
            proxy.reload(
                with_pool(proxy, balance="least_connections" if number % 2 else "round_robin")
            )
            for tunnel in tunnels[:3]:
                tunnel.send(b"%03d" % number)
                assert tunnel.take(3) == b"%03d" % number
            assert not failures, failures[0]
    finally:
        done.set()
    join(threads, failures)
    assert proxy.generation() == before + 100
    assert sum(user.sent for user in made) > 100 * 2, "hardly any load"
    for user in made:
        assert user.errors == [] and user.wrong == []
        assert len(set(user.servers)) == 1 and user.pins == 1
    for tunnel in tunnels:
        tunnel.send(b"still")
        assert tunnel.take(5) == b"still"
    assert proxy.metric("holdfast_pins_total", kind="moved") == 0
    requests = sum(user.sent for user in made) + len(tunnels)
    assert proxy.metric("holdfast_requests_total") == requests
    assert proxy.descriptors() < 300


@pytest.mark.parametrize(
    "text",
    ["", "pools: [", "nonsense: 1\n", "pools: []\n"],
    ids=["empty", "not YAML", "unknown key", "no pool"],
)
def test_a_bad_configuration_is_refused_and_the_old_one_stays(run_proxy, backends, text):
    proxy = run_proxy(backends(*NAMES))
    user = Browser(proxy.port)
    home = user.request().json()["server"]
    generation, said = proxy.generation(), len(proxy.stderr())
    proxy.write(text)
    proxy.signal(signal.SIGHUP)
    poll(lambda: "proxy.yaml" in proxy.stderr()[said:], 10, "the refusal is told")
    assert proxy.generation() == generation
    assert user.request().json()["server"] == home and user.pins == 1
    proxy.reload(proxy.config)  # and a good one is taken again
    assert user.request().json()["server"] == home and user.pins == 1


def test_a_reload_with_a_key_file_that_is_gone_is_refused(run_proxy, backends, tmp_path):
    key = tmp_path / "key"
    key.write_text("a" * 64 + "\n")
    key.chmod(0o600)
    proxy = run_proxy(backends(*NAMES), cookie_keys=[{"id": 1, "file": str(key)}])
    user = Browser(proxy.port)
    user.request()
    key.unlink()
    generation, said = proxy.generation(), len(proxy.stderr())
    proxy.signal(signal.SIGHUP)
    poll(lambda: str(key) in proxy.stderr()[said:], 10, "the refusal is told")
    user.request()
    assert proxy.generation() == generation and user.pins == 1 and len(set(user.servers)) == 1


def test_a_server_is_added_and_removed(run_proxy, backends):
    one, two = backends("app1", "app2")
    proxy = run_proxy([one])
    made = [Browser(proxy.port) for _ in range(6)]
    for user in made:
        user.request()
    rows = [{"name": b.name, "address": f"127.0.0.1:{b.port}"} for b in (one, two)]
    proxy.reload(with_pool(proxy, servers=rows))
    for user in made:
        assert user.request().json()["server"] == "app1" and user.pins == 1
    assert {proxy.get("/").json()["server"] for _ in range(12)} == {"app1", "app2"}
    proxy.reload(with_pool(proxy, servers=rows[1:]))
    for user in made:
        assert user.request().json()["server"] == "app2" and user.pins == 2 and user.errors == []


def test_a_request_under_way_ends_under_its_old_configuration(run_proxy, backends):
    go = threading.Event()

    def wait(connection, request):
        if request.target == b"/wait":
            go.wait(scaled(20))
        application(connection, request)

    one, two = backends("app1", behave=wait), backends("app2")
    proxy = run_proxy([one])
    with proxy.client() as client:
        client.ask("/wait")
        poll(lambda: "/wait" in one.targets())
        proxy.reload(
            with_pool(proxy, servers=[{"name": "app2", "address": f"127.0.0.1:{two.port}"}])
        )
        assert proxy.get("/").json()["server"] == "app2"
        go.set()
        assert client.response().json()["server"] == "app1"
        assert client.get("/next").json()["server"] == "app2"


def test_admin_states_survive_a_reload(run_proxy, backends):
    proxy = run_proxy(backends(*NAMES))
    proxy.set_state("app1", "drain")
    proxy.set_state("app2", "maintenance")
    proxy.reload(with_pool(proxy, balance="random"))
    assert [proxy.server_state(name) for name in NAMES] == ["drain", "maintenance", "ready"]
    assert {proxy.get("/").json()["server"] for _ in range(8)} == {"app3"}


def test_a_listener_is_added_and_removed(run_proxy, backends):
    proxy = run_proxy([backends("app1")])
    first, port = proxy.config["listeners"][0], free_port()
    second = {"name": "second", "bind": f"127.0.0.1:{port}", "protocol": "http"}
    proxy.reload({**proxy.config, "listeners": [first, second]})
    kept = Client(port)
    assert kept.get("/").status == 200 and proxy.get("/").status == 200
    proxy.reload({**proxy.config, "listeners": [first]})
    poll(lambda: refused(port), what="the removed listener refuses")
    assert proxy.get("/").status == 200
    assert kept.get("/kept").status == 200, "its connections live on"


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return False
    except ConnectionRefusedError:
        return True


def test_limits_and_timeouts_change_by_reload(run_proxy, backends):
    proxy = run_proxy([backends("app1")])
    assert proxy.get("/", method="POST", body=bytes(2000)).status == 200
    proxy.reload(
        {**proxy.config, "limits": {"request_body": "1KiB"}, "timeouts": {"client_idle": "1s"}}
    )
    assert proxy.get("/", method="POST", body=bytes(2000)).status == 413
    with proxy.client() as client:
        assert client.get("/").status == 200 and client.end() == "fin"


def test_kill_and_restart_every_client_still_sticks(run_proxy, apps):
    proxy = run_proxy(apps(*NAMES))
    made = [User(proxy.port, number) for number in range(100)]
    for user in made:
        assert user.visit()
    proxy.kill()
    proxy.start()
    for _ in range(3):
        for user in made:
            assert user.visit(), user.errors
    for user in made:
        assert len(set(user.servers)) == 1 and user.pins == 1 and user.wrong == []
    assert proxy.metric("holdfast_affinity_verdicts_total", verdict="pinned") == 300


def test_two_proxies_with_one_key_agree(run_proxy, backends, tmp_path):
    key = tmp_path / "key"
    key.write_text("5" * 64 + "\n")
    key.chmod(0o600)
    servers = backends(*NAMES)
    one, two = (run_proxy(servers, cookie_keys=[{"id": 7, "file": str(key)}]) for _ in range(2))
    for number in range(12):
        user = Browser(one.port)
        home = user.request().json()["server"]
        other = Browser(two.port)
        other.jar = user.jar
        assert other.request().json()["server"] == home and other.pins == 0


# --- the end -------------------------------------------------------------------------------------
def test_sigterm_lets_requests_finish(run_proxy, backends):
    go = threading.Event()

    def wait(connection, request):
        if request.target == b"/wait":
            go.wait(scaled(20))
        application(connection, request)

    backend = backends("app1", behave=wait)
    proxy = run_proxy([backend])
    busy, idle = [proxy.client() for _ in range(10)], proxy.client()
    assert idle.get("/").status == 200
    for client in busy:
        client.ask("/wait")
    poll(lambda: backend.targets().count("/wait") == 10)
    proxy.signal(signal.SIGTERM)
    assert idle.end() == "fin", "an idle connection ends at once"
    poll(lambda: new_client_is_turned_away(proxy.port), 10, "new clients are turned away")
    assert proxy.process.poll() is None, "it waits for its requests"
    go.set()
    for client in busy:
        answer = client.response()
        assert answer.status == 200 and answer.field("Connection") == "close"
        assert client.end() == "fin"
    assert proxy.wait_end() == 0


def new_client_is_turned_away(port):
    try:
        with Client(port) as client:
            return client.get("/").field("Connection") == "close"
    except (ConnectionError, Gone):
        return True


def test_sigterm_when_idle_is_quick(run_proxy, backends):
    proxy = run_proxy([backends("app1")])
    clients = [proxy.client() for _ in range(20)]
    for client in clients:
        assert client.get("/").status == 200
    proxy.signal(signal.SIGTERM)
    assert proxy.wait_end(5) == 0
    for client in clients:
        assert client.end() == "fin"


def test_sigterm_with_open_tunnels_ends(run_proxy, backends):
    proxy = run_proxy([backends("app1", behave=echo_upgrade)])
    with proxy.client() as client:
        client.ask("/", fields=UPGRADE)
        assert client.head().status == 101
        proxy.signal(signal.SIGTERM)
        poll(lambda: "SIGTERM" in proxy.stderr(), what="the first one was taken")
        proxy.signal(signal.SIGTERM)  # the second one means: now
        assert proxy.wait_end() == 0
        assert client.end() in ("fin", "reset")


def test_a_port_that_is_taken_is_an_error_with_its_name(backends, tmp_path):
    backend = backends("app1")
    listener = {"name": "web", "bind": f"127.0.0.1:{backend.port}", "protocol": "http"}
    proxy = Proxy(tmp_path, configuration(pool([backend]), listeners=[listener]))
    with pytest.raises(AssertionError):
        proxy.start()
    assert proxy.process.returncode == 1 and f"127.0.0.1:{backend.port}" in proxy.stderr()
