"""Servers that die, refuse, reset and hang up: who is harmed, and that nothing happens twice."""
import statistics
import threading
import time
from collections import Counter

import pytest
from harness import Backend, Browser, checks, poll, scaled
from harness.apps import User, crowd, join, repeated
from harness.backend import application, raw

NAMES = ("app1", "app2", "app3")
USERS, VISITS = 200, 20


class Kill:
    """Kills one application when a share of all requests was made; the users go on meanwhile."""

    def __init__(self, app, after):
        self.app, self.after = app, after
        self.count, self.lock, self.done = 0, threading.Lock(), threading.Event()

    def tick(self):
        with self.lock:
            self.count += 1
            due = self.count == self.after
        if due:
            self.app.kill()
            self.done.set()


def test_killing_a_server_under_load(run_proxy, apps):
    servers = apps(*NAMES)
    proxy = run_proxy(servers, pool_keys={"health": checks(interval_ms=1000)})
    made = [User(proxy.port, number) for number in range(USERS)]
    kill = Kill(servers[1], USERS * VISITS // 3)

    def script(user):
        for number in range(VISITS):
            user.visit("POST" if number % 5 == 4 else "GET")
            kill.tick()
        assert kill.done.wait(scaled(60))
        poll(lambda: proxy_down.is_set(), 20, "the dead server is down")
        for _ in range(3):
            user.visit()

    proxy_down = threading.Event()
    threads, failures = crowd(made, script)
    kill.done.wait(scaled(120))
    try:
        proxy.wait_state("app2", "down")
    finally:
        proxy_down.set()
    join(threads, failures, 120)

    check_users(made)
    check_counts(proxy, servers, made)


def check_users(made):
    """Errors only for requests that must not be repeated; its clients elsewhere, at once, and there
    they stay; the others untouched."""
    victims = {user.number for user in made if user.servers[0] == "app2"}
    assert victims
    for user in made:
        assert user.wrong == [], f"user {user.number}: a counter is wrong: {user.wrong[0]}"
        homes = list(dict.fromkeys(user.servers))
        if user.number not in victims:
            assert user.errors == [] and user.pins == 1 and len(homes) == 1, (user.errors, homes)
            continue
        assert all(
            method == "POST" and status == 502 for method, _, status in user.errors
        ), user.errors
        assert len(user.errors) <= 1, user.errors
        assert len(homes) == 2 and homes[0] == "app2", homes
        first = user.servers.index(homes[1])
        assert set(user.servers[first:]) == {homes[1]}, "once moved it stays"
        assert user.pins == 2, f"{user.pins} cookies for one move"
        assert len(user.sessions) == 2, user.sessions
    spread = Counter(user.servers[-1] for user in made if user.number in victims)
    assert set(spread) == {"app1", "app3"}, "the dead server's clients are spread over the others"


def check_counts(proxy, servers, made):
    """What /metrics says is what the clients and the applications saw."""
    victims = [user for user in made if user.servers[0] == "app2"]
    errors = sum(len(user.errors) for user in made)
    answered = sum(len(user.servers) for user in made)
    metrics = proxy.metrics()
    assert metrics.value("holdfast_requests_total") == answered + errors
    assert metrics.value("holdfast_responses_total", **{"class": "2xx"}) == answered
    assert metrics.value("holdfast_responses_total", **{"class": "5xx"}) == errors
    assert metrics.value("holdfast_pins_total", kind="new") == len(made)
    assert metrics.value("holdfast_pins_total", kind="moved") == len(victims)
    assert metrics.value("holdfast_sessions_lost_total", cause="down") == len(victims)
    assert metrics.value("holdfast_affinity_verdicts_total", verdict="none") == len(made)
    for name in ("app1", "app3"):
        seen = sum(user.servers.count(name) for user in made)
        assert (
            metrics.value("holdfast_server_responses_total", server=name, **{"class": "2xx"})
            == seen
        )
    assert metrics.value("holdfast_exchanges_total", end="server_gone") == 0
    posts = {entry: count for entry, count in repeated(servers).items() if entry[1] == "POST"}
    assert posts == {}, f"sent twice: {posts}"
    again = repeated(servers)
    assert len(again) <= metrics.value("holdfast_retries_total")


def test_a_refused_connection_costs_no_time(run_proxy, backends):
    """Another server answers in the same request, without waiting for a check or a back-off."""
    servers = backends(*NAMES)
    servers[0].stop()
    servers[1].stop()
    proxy = run_proxy(
        servers,
        workers=1,
        pool_keys={
            "balance": "round_robin",
            "affinity": None,
            "passive": {"failures": 0},
            "retry": {"attempts": 2, "budget": "0%", "on": ["connect"]},
        },
    )
    times = []
    for number in range(30):
        start = time.monotonic()
        answer = proxy.get(f"/{number}", method="POST", body=b"x")
        times.append(time.monotonic() - start)
        assert answer.json()["server"] == "app3"
    assert statistics.median(times) < scaled(0.1) and max(times) < scaled(0.5), sorted(times)[-5:]
    assert proxy.metric("holdfast_redispatches_total") >= 20
    assert proxy.metric("holdfast_server_failures_total", cause="connect") >= 20


def journal(backends):
    return Counter(r.field("X-Request") for b in backends for r in b.requests if r.all("X-Request"))


def reset_first(names):
    """A behaviour: the named servers reset after reading the request, the others answer."""

    def behave(connection, request):
        connection.read_body(request)
        if connection.backend.name in names:
            connection.reset()
        else:
            connection.respond(200, {"server": connection.backend.name})

    return behave


@pytest.mark.parametrize(
    "method, body", [("POST", b"x"), ("POST", b""), ("PATCH", b"x"), ("LOCK", None)]
)
def test_what_may_have_had_an_effect_is_sent_once(run_proxy, backends, method, body):
    """The server reads the request and resets: no other server gets it, the client gets 502. A POST
    without content is a POST."""
    servers = backends(*NAMES, behave=reset_first(("app1", "app2")))
    proxy = run_proxy(
        servers,
        workers=1,
        pool_keys={"balance": "round_robin", "affinity": None, "passive": {"failures": 0}},
    )
    statuses = Counter()
    for number in range(30):
        answer = proxy.get("/", method=method, body=body, fields=[("X-Request", number)])
        statuses[answer.status] += 1
    assert statuses == {200: 10, 502: 20}
    assert set(journal(servers).values()) == {1} and len(journal(servers)) == 30
    assert proxy.metric("holdfast_retries_total") == 0


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_what_is_idempotent_is_tried_on_another_server(run_proxy, backends, method):
    servers = backends(*NAMES, behave=reset_first(("app1",)))
    proxy = run_proxy(
        servers,
        workers=1,
        pool_keys={"balance": "round_robin", "affinity": None, "passive": {"failures": 0}},
    )
    for number in range(12):
        assert proxy.get("/", method=method, fields=[("X-Request", number)]).status == 200
    counts = journal(servers)
    assert len(counts) == 12 and set(counts.values()) <= {1, 2} and sum(counts.values()) == 16
    assert proxy.metric("holdfast_retries_total", cause="reset") == 4


def test_content_is_never_sent_twice(run_proxy, backends):
    """PUT is idempotent, but content that streamed through is gone: an honest 502."""
    servers = backends(*NAMES, behave=reset_first(NAMES))
    proxy = run_proxy(servers, pool_keys={"affinity": None})
    with proxy.client() as client:
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nX-Request: 1\r\nContent-Length: 300000\r\n\r\n")
        client.send(bytes(300000))
        assert client.response().status == 502
    assert journal(servers) == {"1": 1}


class Stale:
    """Answers the first request of a connection; at the first byte of the second it hangs up, as an
    application does whose keep-alive timeout ends just then. `read`: it has read that request."""

    def __init__(self, how, read):
        self.how, self.read, self.second = how, read, 0

    def __call__(self, connection, request):
        connection.read_body(request)
        if len(connection.requests) > 1:
            self.second += 1
            getattr(connection, self.how)()
            return
        connection.respond(200, {"server": connection.backend.name})
        if not self.read:
            connection.fill(1)
            self.second += 1
            getattr(connection, self.how)()


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("read", [False, True], ids=["unread", "read"])
def test_a_stale_connection_and_a_get(run_proxy, backends, how, read):
    stale = Stale(how, read)
    backend = backends("app1", behave=stale)
    proxy = run_proxy([backend], workers=1)
    with proxy.client() as client:
        for number in range(10):
            assert client.get(f"/{number}").status == 200
    assert stale.second > 0, "no connection was reused: this test has shown nothing"
    assert proxy.metric("holdfast_retries_total", cause="stale_connection") == stale.second


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("read", [False, True], ids=["unread", "read"])
def test_a_stale_connection_and_a_post(run_proxy, backends, how, read):
    """Nobody can know whether it had an effect: once, and an error."""
    stale = Stale(how, read)
    backend = backends("app1", behave=stale)
    proxy = run_proxy([backend], workers=1)
    statuses = Counter()
    with proxy.client() as client:
        for number in range(10):
            statuses[
                client.get(
                    f"/{number}", method="POST", body=b"x", fields=[("X-Request", number)]
                ).status
            ] += 1
    assert stale.second > 0 and statuses[502] == stale.second and statuses[200] == 10 - stale.second
    assert set(journal([backend]).values()) == {1}
    assert proxy.metric("holdfast_retries_total") == 0


def test_a_connection_closed_while_idle_costs_a_post_nothing(run_proxy, backends):
    """The close was there before the request: it is seen, and a fresh connection is used."""
    backend = backends("app1")
    proxy = run_proxy([backend], workers=1)
    with proxy.client() as client:
        for number in range(10):
            answer = client.get("/", method="POST", body=b"x", fields=[("X-Request", number)])
            assert answer.status == 200
            backend.close_idle()
            poll(lambda: proxy.server("app1")["connections"] == 0, what="the close was seen")
    assert set(journal([backend]).values()) == {1}


def test_the_retry_budget_bounds_an_outage(run_proxy, backends):
    """Every server resets everything: retries stay a fraction of the requests, plus the floor."""
    servers = backends(*NAMES, behave=reset_first(NAMES))
    proxy = run_proxy(
        servers,
        workers=1,
        pool_keys={
            "affinity": None,
            "passive": {"failures": 0},
            "retry": {"attempts": 2, "budget": "10%", "on": ["connect", "reset_before_response"]},
        },
    )
    for _ in range(200):
        assert proxy.get("/").status == 502
    sent = sum(len(server.requests) for server in servers)
    retries = proxy.metric("holdfast_retries_total")
    assert sent == 200 + retries and 10 <= retries <= 10 + 0.1 * 200 + 1
    assert proxy.metric("holdfast_retries_denied_total") > 100


def test_without_retry_nothing_is_repeated(run_proxy, backends):
    servers = backends(*NAMES, behave=reset_first(NAMES))
    proxy = run_proxy(servers, pool_keys={"affinity": None, "retry": {"attempts": 0}})
    for _ in range(10):
        assert proxy.get("/").status == 502
    assert sum(len(server.requests) for server in servers) == 10


@pytest.mark.parametrize("pinned", [False, True], ids=["new clients", "pinned clients"])
def test_5xx_is_retried_only_on_request_and_never_for_a_session(run_proxy, backends, pinned):
    sick, well = backends(
        "app1", behave=raw(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    ), backends("app2")
    proxy = run_proxy(
        [sick, well],
        workers=1,
        pool_keys={
            "balance": "round_robin",
            "retry": {"attempts": 1, "budget": "100%", "on": ["connect", "5xx"]},
        },
    )
    if not pinned:
        assert [proxy.get("/").status for _ in range(6)] == [200] * 6
        assert proxy.get("/", method="POST", body=b"x").status in (200, 503)
        return
    sick.behave = application
    user = next(
        u for u in (Browser(proxy.port) for _ in range(9)) if u.request().json()["server"] == "app1"
    )
    sick.behave = raw(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    assert user.request().status == 503, "the application's own word about its session"


# --- judging servers -----------------------------------------------------------------------------
def test_passive_failures_eject_and_the_time_ends(run_proxy, backends):
    servers = backends(*NAMES, behave=reset_first(("app1",)))
    proxy = run_proxy(
        servers,
        workers=1,
        pool_keys={
            "balance": "round_robin",
            "affinity": None,
            "retry": {"attempts": 2, "budget": "100%", "on": ["reset_before_response"]},
            "passive": {"failures": 3, "window": "60s", "eject": "2s", "maximum_ejected": "50%"},
        },
    )
    for _ in range(9):
        assert proxy.get("/").status == 200
    assert proxy.server_state("app1") == "ejected"
    before = len(servers[0].requests)
    for _ in range(9):
        assert proxy.get("/").status == 200
    assert len(servers[0].requests) == before == 3
    for server in servers:
        server.behave = application
    proxy.wait_state("app1", "ready")
    assert "app1" in {proxy.get("/").json()["server"] for _ in range(6)}


def test_never_more_than_the_maximum_is_ejected(run_proxy, backends):
    servers = backends(*NAMES, behave=reset_first(NAMES))
    proxy = run_proxy(
        servers,
        workers=1,
        pool_keys={
            "affinity": None,
            "retry": {"attempts": 0},
            "passive": {"failures": 1, "window": "60s", "eject": "60s", "maximum_ejected": "50%"},
        },
    )
    for _ in range(30):
        assert proxy.get("/").status == 502
    states = Counter(proxy.server_state(name) for name in NAMES)
    assert states["ejected"] == 1, states


@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_active_checks_see_a_death_and_a_return(run_proxy, backends, kind):
    server, other = backends("app1", "app2")
    health = {"tcp": True} if kind == "tcp" else {"http": "/healthz"}
    proxy = run_proxy(
        [server, other],
        pool_keys={"health": checks(health)},
    )
    proxy.wait_state("app1", "ready")
    server.stop()
    proxy.wait_state("app1", "down")
    assert {proxy.get("/").json()["server"] for _ in range(6)} == {"app2"}
    server.start()
    proxy.wait_state("app1", "ready")
    assert {proxy.get("/").json()["server"] for _ in range(12)} == {"app1", "app2"}
    assert proxy.metric("holdfast_server_transitions_total", server="app1", to="down") == 1


def test_a_flapping_check_moves_no_one(run_proxy, backends):
    """Every third check fails: never `fall` in a row."""
    server = backends("app1", health=lambda number: 500 if number % 3 == 0 else 200)
    other = backends("app2")
    proxy = run_proxy([server, other], pool_keys={"health": checks(interval_ms=100, fall=2)})
    user = next(
        u
        for u in (Browser(proxy.port) for _ in range(20))
        if u.request().json()["server"] == "app1"
    )
    while server.checks < 12:
        assert user.request().json()["server"] == "app1"
    failed = proxy.metric("holdfast_server_checks_total", server="app1", result="failed")
    assert failed >= 3 and user.pins == 1, proxy.stderr()
    assert proxy.metric("holdfast_server_transitions_total", server="app1", to="down") == 0


def test_checks_want_the_expected_status(run_proxy, backends):
    server, other = backends("app1", "app2")
    server.health = 404
    proxy = run_proxy(
        [server, other],
        pool_keys={"health": checks(expect="200-299")},
    )
    proxy.wait_state("app1", "down")
    assert proxy.server_state("app2") == "ready"


def test_the_last_servers_death_is_told_and_its_return_is_used(run_proxy, backends):
    backend = Backend("app1")
    proxy = run_proxy([backend], pool_keys={"health": checks()})
    proxy.wait_state("app1", "down")
    assert proxy.get("/").status == 503
    with backend:
        proxy.wait_state("app1", "ready")
        assert proxy.get("/").json()["server"] == "app1"
