"""Limits, their queue, the circuit breaker and the retry budget, counted where it matters: at
servers that hang, reset and fail."""
import select
import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager

import pytest
from harness import SLOWNESS, Browser, checks, poll, scaled
from harness.backend import echo_upgrade

WORKERS = pytest.mark.parametrize("workers", [1, 2])
QUEUE_FULL = "every server is at its limit, and so are their queues"
OWN_QUEUE_FULL = "your server is at its limit, and so is its queue"
QUEUE_SLOW = "the server is at its limit and no request ended in time"


def ms(number):
    return f"{int(number * SLOWNESS)}ms"


# --- servers that count ---------------------------------------------------------------------------
def given_up(connection):
    """Whether the proxy has ended it, also when its thread has not noticed."""
    if connection.finished or connection.closed:
        return True
    try:
        watch = select.poll()
        watch.register(connection.sock, select.POLLRDHUP)
        return bool(watch.poll(0))
    except (OSError, ValueError):
        return True


class Meter:
    """A behaviour that knows how many requests its server had, at once and in all, and what each
    POST said. `how` answers: ok, hold (until go is set), hang, reset, fail."""

    def __init__(self, how="ok"):
        self.how, self.go = how, threading.Event()
        self.running, self.most, self.total = set(), 0, 0
        self.bodies = Counter()
        self.lock = threading.Lock()

    def __call__(self, connection, request):
        if request.all("Upgrade"):
            echo_upgrade(connection, request)
            return
        with self.lock:
            self.running = {c for c in self.running if not given_up(c)} | {connection}
            self.most = max(self.most, len(self.running))
            self.total += 1
        body = connection.read_body(request)
        if request.method == b"POST":
            with self.lock:
                self.bodies[body] += 1
        try:
            getattr(self, self.how)(connection)
        finally:
            self.leave(connection)

    def leave(self, connection):
        with self.lock:
            self.running.discard(connection)

    def answer(self, connection, status=200):
        self.leave(connection)  # first: whoever reads the answer may come again at once
        connection.respond(status, {"server": connection.backend.name})

    ok = answer

    def hold(self, connection):
        assert self.go.wait(scaled(30)), "nobody opened the gate"
        self.answer(connection)

    def hang(self, connection):
        connection.drain()

    def reset(self, connection):
        self.leave(connection)
        connection.reset()

    def fail(self, connection):
        self.answer(connection, 500)


@pytest.fixture
def metered(backends):
    """A maker of counting servers: [(server, meter)]. Gates are opened at the end."""
    meters = []

    def make(*names, how="ok"):
        made = []
        for name in names:
            meter = Meter(how)
            meters.append(meter)
            made.append((backends(name, behave=meter), meter))
        return made

    yield make
    for meter in meters:
        meter.go.set()


@contextmanager
def asking(proxy, count, method="GET", name="r", **keys):
    """So many clients that have asked and not read their answer."""
    clients = [proxy.client() for _ in range(count)]
    for number, client in enumerate(clients):
        body = f"{name}-{number}".encode() if method == "POST" else None
        client.ask(f"/{name}/{number}", method, body=body, **keys)
    yield clients
    for client in clients:
        client.close()


def statuses(clients):
    return Counter(client.response().status for client in clients)


def once(*meters):
    """Every POST reached one server, once; how many did."""
    bodies = sum((meter.bodies for meter in meters), Counter())
    assert set(bodies.values()) <= {1}, bodies
    return len(bodies)


def wait_queue(proxy, name, active, pending):
    """Until so many requests are at the server and so many wait for it."""
    poll(
        lambda: (row := proxy.server(name)) and (row["active"], row["pending"]) == (active, pending),
        10,
        f"{name} has {active} and {pending} wait",
    )


def reasons(proxy, count):
    """How often each reason is in the log, once it has that many lines."""
    poll(lambda: len(proxy.access_log()) >= count, what=f"{count} lines of log")
    return Counter(row.get("reason") for row in proxy.access_log())


def limited(connections, pending, seconds=20, **keys):
    breaker = {"connections": connections, "pending": pending}
    breaker["pending_timeout"] = ms(seconds * 1000)
    return {"breaker": breaker, "passive": {"failures": 0}, **keys}


# --- limits and the queue -------------------------------------------------------------------------
@WORKERS
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_so_many_at_once_so_many_wait_and_no_more(run_proxy, metered, workers, method):
    ((server, meter),) = metered("app1", how="hold")
    proxy = run_proxy([server], workers=workers, pool_keys=limited(4, 8))
    with asking(proxy, 30, method) as clients:
        poll(lambda: proxy.metric("holdfast_pending_total", result="refused") == 18)
        wait_queue(proxy, "app1", 4, 8)
        poll(lambda: meter.total == 4)
        assert proxy.metric("holdfast_server_pending_requests") == 8
        assert proxy.metric("holdfast_server_limit") == 4
        meter.go.set()
        answers = [client.response() for client in clients]
    refused = [answer for answer in answers if answer.status == 503]
    assert len(refused) == 18 and sum(answer.status == 200 for answer in answers) == 12
    assert all(answer.field("Retry-After") == "1" for answer in refused)
    assert (meter.most, meter.total, once(meter)) == (4, 12, 12 if method == "POST" else 0)
    assert proxy.metric("holdfast_pending_total", result="waited") == 8
    assert reasons(proxy, 30) == {None: 12, QUEUE_FULL: 18}
    assert sum("queued_ms" in row for row in proxy.access_log()) == 8
    wait_queue(proxy, "app1", 0, 0)


@WORKERS
def test_limits_hold_under_load(run_proxy, metered, workers):
    """Users with sessions and without, two servers, never more than three requests at one."""
    (one, first), (two, second) = metered("app1", "app2")
    proxy = run_proxy([one, two], workers=workers, pool_keys=limited(3, 100))
    failures = []

    def visit(number):
        user = Browser(proxy.port, keep_alive=number % 3 > 0)
        for turn in range(25):
            body = f"{number}.{turn}".encode()
            if user.request("/", "POST" if turn % 2 else "GET", body=body).status != 200:
                failures.append(user.errors)
        if len(set(user.servers)) != 1:
            failures.append(user.servers)
        user.drop()

    threads = [threading.Thread(target=visit, args=(n,), daemon=True) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(scaled(60))
    assert failures == [] and not any(thread.is_alive() for thread in threads)
    assert first.most <= 3 and second.most <= 3 and first.total + second.total == 24 * 25
    assert once(first, second) == 24 * 12
    for name in ("app1", "app2"):
        wait_queue(proxy, name, 0, 0)


def test_first_come_first_served(run_proxy, metered):
    ((server, meter),) = metered("app1", how="hold")
    proxy = run_proxy([server], workers=2, pool_keys=limited(1, 9))
    clients = []
    for number in range(6):
        clients.append(proxy.client().ask(f"/{number}"))
        wait_queue(proxy, "app1", 1, number)
    meter.go.set()
    assert statuses(clients) == {200: 6}
    assert server.targets() == [f"/{number}" for number in range(6)]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_whoever_waits_too_long_gets_503(run_proxy, metered, method):
    ((server, meter),) = metered("app1", how="hold")
    proxy = run_proxy([server], pool_keys=limited(1, 5, 0.4))
    with asking(proxy, 1) as first:
        wait_queue(proxy, "app1", 1, 0)
        start = time.monotonic()
        with asking(proxy, 3, method, "late") as late:
            answers = [client.response() for client in late]
        took = time.monotonic() - start
        assert [answer.status for answer in answers] == [503] * 3
        assert all(answer.field("Retry-After") == "1" for answer in answers)
        assert 0.35 * SLOWNESS <= took <= scaled(2), took
        meter.go.set()
        assert statuses(first) == {200: 1}
    assert meter.total == 1 and once(meter) == 0, "nothing of them reached the server"
    assert proxy.metric("holdfast_deadlines_total", phase="pending") == 3
    assert reasons(proxy, 4)[QUEUE_SLOW] == 3


@WORKERS
@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_client_that_leaves_the_queue_frees_its_place(run_proxy, metered, workers, method, how):
    ((server, meter),) = metered("app1", how="hold")
    proxy = run_proxy([server], workers=workers, pool_keys=limited(1, 2))
    with asking(proxy, 1) as first:
        wait_queue(proxy, "app1", 1, 0)
        with asking(proxy, 2, method, "gone") as leaving:
            wait_queue(proxy, "app1", 1, 2)
            for client in leaving:
                getattr(client, how)()
            wait_queue(proxy, "app1", 1, 0)
        with asking(proxy, 2, method, "next") as clients:
            wait_queue(proxy, "app1", 1, 2)
            meter.go.set()
            assert statuses(first + clients) == {200: 3}
    assert meter.most == 1 and not any("gone" in target for target in server.targets())
    assert proxy.metric("holdfast_exchanges_total", end="client_gone") == 2


def test_a_session_waits_for_its_server_and_others_do_not(run_proxy, metered):
    (one, first), (two, second) = metered("app1", "app2")
    proxy = run_proxy([one, two], workers=1, pool_keys=limited(1, 1))
    user = next(
        u for u in (Browser(proxy.port) for _ in range(9)) if u.request().json()["server"] == "app1"
    )
    first.how = "hold"
    cookie = [("Cookie", user.cookie_field())]
    with asking(proxy, 1, fields=cookie) as busy:
        wait_queue(proxy, "app1", 1, 0)
        assert {proxy.get("/").json()["server"] for _ in range(4)} == {"app2"}
        with asking(proxy, 1, fields=cookie) as waiting:
            wait_queue(proxy, "app1", 1, 1)
            refused = proxy.get("/", fields=cookie)
            assert refused.status == 503 and refused.pins() == []
            first.go.set()
            assert [c.response().json()["server"] for c in busy + waiting] == ["app1"] * 2
    assert first.most == 1 and reasons(proxy, 7)[OWN_QUEUE_FULL] == 1


def test_a_tunnel_holds_its_slot(run_proxy, metered):
    ((server, meter),) = metered("app1")
    proxy = run_proxy([server], pool_keys=limited(1, 1))
    upgrade = [("Connection", "upgrade"), ("Upgrade", "echo")]
    with proxy.client() as tunnel:
        assert tunnel.ask("/", fields=upgrade).head().status == 101
        with asking(proxy, 1) as clients:
            wait_queue(proxy, "app1", 1, 1)
            assert tunnel.send("still here").take(10) == b"still here"
            tunnel.close()
            assert statuses(clients) == {200: 1}
    wait_queue(proxy, "app1", 0, 0)


# --- what happens to those who wait ---------------------------------------------------------------
def sessions_in_queue(proxy, servers, meter, count=3):
    """Clients of app1, one at it and `count` in its queue."""
    user = next(
        u for u in (Browser(proxy.port) for _ in range(9)) if u.request().json()["server"] == "app1"
    )
    meter.how = "hold"
    asked = asking(proxy, count + 1, fields=[("Cookie", user.cookie_field())])
    clients = asked.__enter__()
    wait_queue(proxy, "app1", 1, count)
    return clients


@pytest.mark.parametrize("state", ["maintenance", "down"])
def test_a_judged_server_keeps_nobody_waiting(run_proxy, metered, state):
    (one, first), (two, _) = metered("app1", "app2")
    proxy = run_proxy([one, two], pool_keys=limited(1, 9, health=checks()))
    clients = sessions_in_queue(proxy, [one, two], first)
    if state == "maintenance":
        proxy.set_state("app1", "maintenance")
    else:
        one.health = 500
    poll(lambda: proxy.server("app1")["pending"] == 0)
    first.go.set()
    answers = [client.response() for client in clients]
    assert Counter(answer.json()["server"] for answer in answers) == {"app1": 1, "app2": 3}
    assert sum(len(answer.pins()) for answer in answers) == 3
    assert proxy.metric("holdfast_sessions_lost_total", cause=state) == 3
    assert first.most == 1


def test_a_drain_lets_sessions_wait_and_sends_others_on(run_proxy, metered):
    (one, first), (two, second) = metered("app1", "app2")
    proxy = run_proxy([one, two], workers=1, pool_keys=limited(1, 9))
    clients = sessions_in_queue(proxy, [one, two], first)
    second.how = "hold"
    with asking(proxy, 3, name="new") as newcomers:  # one at app2, the others in some queue
        poll(lambda: sum(proxy.server(n)["pending"] for n in ("app1", "app2")) == 5)
        proxy.set_state("app1", "drain")
        first.go.set()
        assert {client.response().json()["server"] for client in clients} == {"app1"}
        second.go.set()
        assert {client.response().json()["server"] for client in newcomers} == {"app2"}


def reload_breaker(proxy, **changes):
    pool = {**proxy.config["pools"][0], **changes}
    proxy.reload({**proxy.config, "pools": [{k: v for k, v in pool.items() if v is not None}]})


@WORKERS
def test_a_reload_changes_limits_for_those_who_wait(run_proxy, metered, workers):
    ((server, meter),) = metered("app1", how="hold")
    proxy = run_proxy([server], workers=workers, pool_keys=limited(1, 20))
    with asking(proxy, 10) as clients:
        wait_queue(proxy, "app1", 1, 9)
        reload_breaker(proxy, breaker={"connections": 4, "pending": 20})
        wait_queue(proxy, "app1", 4, 6)
        poll(lambda: meter.total == 4)
        reload_breaker(proxy, breaker={"connections": 2, "pending": 1})
        wait_queue(proxy, "app1", 4, 6)  # nobody is thrown out
        assert proxy.get("/").status == 503
        reload_breaker(proxy, breaker=None)
        wait_queue(proxy, "app1", 10, 0)
        meter.go.set()
        assert statuses(clients) == {200: 10}


def test_who_waits_for_a_removed_server_is_served_by_it(run_proxy, metered):
    (one, first), (two, _) = metered("app1", "app2")
    proxy = run_proxy([one, two], pool_keys=limited(1, 20))
    clients = sessions_in_queue(proxy, [one, two], first)
    reload_breaker(proxy, servers=[{"name": "app2", "address": f"127.0.0.1:{two.port}"}])
    first.go.set()
    assert {client.response().json()["server"] for client in clients} == {"app1"}
    assert first.most == 1


@WORKERS
def test_sigterm_serves_the_queue_to_its_end(run_proxy, metered, workers):
    ((server, meter),) = metered("app1", how="hold")
    proxy = run_proxy([server], workers=workers, pool_keys=limited(2, 20))
    with asking(proxy, 12, "POST") as clients:
        wait_queue(proxy, "app1", 2, 10)
        poll(lambda: meter.total == 2)
        proxy.signal(signal.SIGTERM)
        meter.go.set()
        assert statuses(clients) == {200: 12}
    assert proxy.wait_end() == 0 and meter.most == 2 and once(meter) == 12


# --- the circuit breaker --------------------------------------------------------------------------
FAILURES, PROBES, EJECT_MS = 4, 3, 700
FAULTS = {"reset": 502, "hang": 504, "fail": 500}


def guarded(run_proxy, servers, workers, retries=0):
    return run_proxy(
        servers,
        workers=workers,
        timeouts={"response_head": ms(300)},
        pool_keys={
            "affinity": None,
            "balance": "round_robin",
            "retry": {"attempts": retries, "budget": "100%", "backoff": "1ms"},
            "passive": {
                "failures": FAILURES,
                "window": "60s",
                "eject": ms(EJECT_MS),
                "maximum_ejected": "50%",
                "count_5xx": True,
                "probes": PROBES,
            },
        },
    )


def breaker(proxy):
    return proxy.server("app1")["breaker"]


def wait_breaker(proxy, state):
    poll(lambda: breaker(proxy) == state, 10, f"the breaker is {state}")


def answered(clients):
    """(status, server) of each."""
    answers = [client.response() for client in clients]
    return Counter(
        (a.status, a.json()["server"] if a.body[:1] == b"{" else None) for a in answers
    )


@WORKERS
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("fault", FAULTS)
def test_the_breaker_opens_half_opens_and_closes(run_proxy, metered, fault, method, workers):
    (one, sick), (two, well) = metered("app1", "app2")
    proxy = guarded(run_proxy, [one, two], workers)
    sick.how = fault
    sent = 0

    def ask(count, name):
        nonlocal sent
        sent += count
        return asking(proxy, count, method, name)

    # Closed: one after the other, so that the last failure that is allowed is known.
    while sick.total < FAILURES:
        assert breaker(proxy) == "closed"
        with ask(1, f"closed{sent}") as (client,):
            assert client.response().status in (200, FAULTS[fault])
    assert sick.total == FAILURES and breaker(proxy) == "open"
    # Open: nothing.
    with ask(20, "open") as clients:
        assert statuses(clients) == {200: 20}
    assert sick.total == FAILURES
    # Half open: no more than the probes, all of them at once when they hang; then open again.
    wait_breaker(proxy, "half_open")
    with ask(20, "half") as clients:
        failed = answered(clients)
    probes = sick.total - FAILURES
    assert probes == PROBES if fault == "hang" else 1 <= probes <= PROBES
    assert sum(n for (status, _), n in failed.items() if status != 200) == probes
    assert breaker(proxy) == "open" and sick.most <= PROBES
    before = sick.total
    with ask(20, "reopened") as clients:
        assert statuses(clients) == {200: 20}
    assert sick.total == before
    # Well again, but slow: exactly the probes get through, and their success closes it.
    sick.how = "hold"
    wait_breaker(proxy, "half_open")
    with ask(20, "well") as clients:
        poll(lambda: well.total + sick.total >= sent, 10)
        assert sick.total == before + PROBES and breaker(proxy) == "half_open"
        sick.go.set()
        assert statuses(clients) == {200: 20}
    assert sick.total == before + PROBES and breaker(proxy) == "closed"
    with ask(20, "again") as clients:
        assert answered(clients)[200, "app1"] >= 8
    assert proxy.metric("holdfast_server_ejections_total", server="app1") == 2
    assert sick.total + well.total == sent and once(sick, well) == (sent if method == "POST" else 0)
    told = proxy.stderr()
    assert "app/app1 ejected for" in told and "a probe failed" in told
    assert "takes all its requests again" in told


def test_a_probe_whose_client_leaves_proves_nothing(run_proxy, metered):
    (one, sick), (two, _) = metered("app1", "app2")
    proxy = guarded(run_proxy, [one, two], 2)
    sick.how = "reset"
    while breaker(proxy) == "closed":
        proxy.get("/")
    sick.how = "hold"
    wait_breaker(proxy, "half_open")
    before = sick.total
    with asking(proxy, 20) as clients:
        poll(lambda: sick.total == before + PROBES)
    poll(lambda: proxy.server("app1")["active"] == 0, what="they have left")
    assert breaker(proxy) == "half_open"
    with asking(proxy, 20) as clients:
        poll(lambda: sick.total == before + 2 * PROBES)
        assert sick.most <= PROBES
        sick.go.set()
        assert statuses(clients) == {200: 20}
    assert breaker(proxy) == "closed"


def test_the_metric_of_the_state(run_proxy, metered):
    (one, sick), (two, _) = metered("app1", "app2")
    proxy = guarded(run_proxy, [one, two], 1)

    def told():
        metrics = proxy.metrics()
        states = ("closed", "open", "half_open")
        rows = {
            state: metrics.value("holdfast_server_breaker", server="app1", state=state)
            for state in states
        }
        assert sorted(rows.values()) == [0, 0, 1]
        return max(rows, key=rows.get)

    poll(lambda: proxy.metric("holdfast_server_weight") == 2, what="the servers are told of")
    assert told() == "closed"
    sick.how = "fail"
    poll(lambda: proxy.get("/") and told() == "open")
    poll(lambda: told() == "half_open")
    sick.how = "ok"
    poll(lambda: proxy.get("/") and told() == "closed")


@WORKERS
@pytest.mark.parametrize("fault", FAULTS)
def test_a_post_is_sent_once_and_limits_hold_whatever_fails(run_proxy, metered, fault, workers):
    """Retries, limits, queue and breaker together, against servers that mostly fail."""
    pairs = metered("app1", "app2", "app3")
    meters = [meter for _, meter in pairs]
    meters[0].how = meters[1].how = fault
    proxy = run_proxy(
        [server for server, _ in pairs],
        workers=workers,
        timeouts={"response_head": ms(150)},
        pool_keys={
            "affinity": None,
            "breaker": {"connections": 2, "pending": 50, "pending_timeout": ms(20000)},
            "retry": {
                "attempts": 3,
                "budget": "50%",
                "on": ["connect", "reset_before_response", "5xx"],
            },
            "passive": {"failures": 3, "window": "60s", "eject": ms(200), "count_5xx": True},
        },
    )
    sent = 0
    for turn in range(4):
        with asking(proxy, 12, "POST", f"p{turn}") as posts, asking(proxy, 12) as gets:
            for client in posts + gets:
                assert client.response().status in (200, 500, 502, 503, 504)
        sent += 24
    metrics = proxy.metrics()
    assert max(meter.most for meter in meters) <= 2
    assert once(*meters) <= sent // 2
    retries = metrics.value("holdfast_retries_total")
    assert sum(meter.total for meter in meters) <= sent + retries
    assert retries <= 10 + sent * 0.5


# --- the retry budget -----------------------------------------------------------------------------
@WORKERS
def test_one_retry_budget_for_all_workers_and_across_a_reload(run_proxy, metered, workers):
    pairs = metered("app1", "app2", "app3", how="reset")
    meters = [meter for _, meter in pairs]
    proxy = run_proxy(
        [server for server, _ in pairs],
        workers=workers,
        pool_keys={
            "affinity": None,
            "passive": {"failures": 0},
            "retry": {"attempts": 3, "budget": "10%", "backoff": "1ms"},
        },
    )
    start = time.monotonic()
    for turn in range(4):
        with asking(proxy, 40, name=f"g{turn}") as gets, asking(proxy, 10, "POST", f"p{turn}") as posts:
            assert statuses(gets + posts) == {502: 50}
        proxy.reload()
    took = time.monotonic() - start
    retries = proxy.metric("holdfast_retries_total")
    assert sum(meter.total for meter in meters) == 200 + retries
    assert once(*meters) == 40, "a POST is never tried again"
    windows = 1 + took // 10  # what the budget remembers
    assert 10 <= retries <= windows * (10 + 0.1 * 200), retries
    assert proxy.metric("holdfast_retries_denied_total") > 50
