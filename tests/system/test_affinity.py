"""Stickiness: who is pinned, when a cookie is written, what moves a client and what does not."""
import time
from collections import Counter

import pytest
from harness import Browser, Client, checks, poll
from harness.backend import application, hang

NAMES = ("app1", "app2", "app3")


def users(proxy, count=12):
    """Browsers that made one request each."""
    made = [Browser(proxy.port) for _ in range(count)]
    for user in made:
        user.request("/first")
    return made


def stay(made, requests=3):
    """Each user's next requests are answered by the server of the first, and no pin is written."""
    for user in made:
        home, pins = user.servers[-1], user.pins
        for _ in range(requests):
            assert user.request("/again").json()["server"] == home
        assert user.pins == pins and user.errors == []


# --- the plain life of a pin ---------------------------------------------------------------------
def test_clients_stick_and_sessions_count_up(run_proxy, backends):
    proxy = run_proxy(backends(*NAMES))
    made = users(proxy, 30)
    assert {user.servers[0] for user in made} == set(NAMES)
    for number in range(2, 6):
        for user in made:
            assert user.request("/more").json()["count"] == number
    assert all(user.pins == 1 and len(set(user.servers)) == 1 for user in made)
    assert proxy.metric("holdfast_pins_total", kind="new") == 30
    assert proxy.metric("holdfast_pins_total", kind="moved") == 0
    assert proxy.metrics().verdicts() == {"none": 30, "pinned": 120}
    for name in NAMES:
        assert proxy.metric("holdfast_server_pins_total", server=name) == sum(
            u.servers[0] == name for u in made
        )


def test_stickiness_needs_no_connection(run_proxy, backends):
    proxy = run_proxy(backends(*NAMES))
    user = Browser(proxy.port, keep_alive=False)
    for _ in range(10):
        user.request()
    assert len(set(user.servers)) == 1 and user.pins == 1


@pytest.mark.parametrize(
    "keys, expected",
    [
        ({}, {"path=/", "httponly", "samesite=lax"}),
        ({"same_site": "strict", "path": "/shop"}, {"path=/shop", "httponly", "samesite=strict"}),
        (
            {"same_site": "none", "secure": "always"},
            {"path=/", "httponly", "samesite=none", "secure"},
        ),
        ({"domain": "example.com"}, {"path=/", "httponly", "samesite=lax", "domain=example.com"}),
        (
            {"cookie": "__Host-LB", "secure": "always"},
            {"path=/", "httponly", "samesite=lax", "secure"},
        ),
        (
            {"secure": "always", "partitioned": True, "same_site": "none"},
            {"path=/", "httponly", "samesite=none", "secure", "partitioned"},
        ),
    ],
    ids=["defaults", "strict and path", "none", "domain", "host prefix", "partitioned"],
)
def test_attributes(run_proxy, backends, keys, expected):
    cookie = {"cookie": "HOLDFAST", "mode": "insert", **keys}
    proxy = run_proxy([backends("app1")], pool_keys={"affinity": [cookie]})
    (pin,) = proxy.get("/").pins(cookie["cookie"])
    assert {word.strip().lower() for word in pin.split(";")[1:]} == expected


def test_secure_auto_follows_the_trusted_proxy(run_proxy, backends):
    proxy = run_proxy([backends("app1")], trusted_proxies=["127.0.0.0/8"])
    assert "; Secure" not in proxy.get("/").pins()[0]
    assert "; Secure" in proxy.get("/", fields=[("X-Forwarded-Proto", "https")]).pins()[0]


def test_a_token_tells_nothing(run_proxy, backends):
    """Opaque and different each time, even for the same server."""
    proxy = run_proxy([backends("app1")])
    tokens = {proxy.get("/").pin() for _ in range(20)}
    assert len(tokens) == 20 and all(len(token) == 88 and "app1" not in token for token in tokens)


def test_the_idle_lifetime_is_checked_here(run_proxy, backends):
    proxy = run_proxy(
        backends(*NAMES),
        pool_keys={
            "affinity": [{"cookie": "HOLDFAST", "mode": "insert", "idle": "2s", "lifetime": "1h"}]
        },
    )
    token, start = proxy.get("/").pin(), time.monotonic()
    answer = poll(
        lambda: (a := proxy.get("/", fields=[("Cookie", f"HOLDFAST={token}")])).pins()
        and proxy.metrics().verdicts().get("expired_idle")
        and a,
        15,
        "the unused token expires",
        0.1,
    )
    assert answer.pin() != token and time.monotonic() - start >= 1.9


def test_use_puts_the_idle_end_off(run_proxy, backends):
    """A client that keeps coming gets its token renewed, now and then, and never moves."""
    proxy = run_proxy(
        backends(*NAMES),
        pool_keys={"affinity": [{"cookie": "HOLDFAST", "mode": "insert", "idle": "3s"}]},
    )
    user, start, requests = Browser(proxy.port), time.monotonic(), 0
    while time.monotonic() - start < 5:
        user.request()
        requests += 1
        time.sleep(0.05)  # the pace of the client
    assert len(set(user.servers)) == 1
    assert 2 <= user.pins <= requests / 4, f"{user.pins} cookies in {requests} answers"
    assert "expired_idle" not in proxy.metrics().verdicts()
    assert proxy.metric("holdfast_pins_total", kind="refreshed") == user.pins - 1


def test_the_absolute_lifetime_ends_even_a_busy_pin(run_proxy, backends):
    proxy = run_proxy(
        backends(*NAMES),
        pool_keys={"affinity": [{"cookie": "HOLDFAST", "mode": "insert", "lifetime": "2s"}]},
    )
    user = Browser(proxy.port)
    poll(
        lambda: user.request() and proxy.metrics().verdicts().get("expired_lifetime"),
        15,
        "the lifetime ends",
        0.1,
    )
    assert user.pins == 2


def test_the_application_is_not_shown_our_cookie(run_proxy, backends):
    backend = backends("app1")
    user = Browser(run_proxy([backend]).port)
    for _ in range(3):
        user.request()
    assert [request.cookies() for request in backend.requests] == [
        {},
        {"APP": "app1-0"},
        {"APP": "app1-0"},
    ]


# --- keys ----------------------------------------------------------------------------------------
def test_keys_rotate_by_reload(run_proxy, backends, tmp_path):
    for number, digit in ((1, "1"), (2, "2")):
        (tmp_path / f"key{number}").write_text(digit * 64 + "\n")
        (tmp_path / f"key{number}").chmod(0o600)
    keys = [{"id": n, "file": str(tmp_path / f"key{n}")} for n in (1, 2)]
    proxy = run_proxy(backends(*NAMES), cookie_keys=keys[:1])
    made = users(proxy)
    old = made[0].jar["HOLDFAST"]
    stay(made, 1)

    proxy.reload({**proxy.config, "cookie_keys": [keys[1], keys[0]]})
    for user in made:  # accepted, and sealed again under the new key, once
        assert user.request().json()["server"] == user.servers[0] and user.pins == 2
    stay(made)
    assert proxy.metrics().verdicts()["refreshed"] == len(made)

    proxy.reload({**proxy.config, "cookie_keys": [keys[1]]})
    stay(made)
    answer = proxy.get("/", fields=[("Cookie", f"HOLDFAST={old}")])
    assert answer.pin() and proxy.metrics().verdicts()["unknown_key"] == 1


def test_generated_keys_survive_a_kill(run_proxy, backends):
    proxy = run_proxy(backends(*NAMES))
    made = users(proxy)
    proxy.kill()
    proxy.start()
    stay(made, 2)
    assert set(proxy.metrics().verdicts()) == {"pinned"}


# --- states of a server --------------------------------------------------------------------------
def test_drain_keeps_sessions_and_takes_no_new_clients(run_proxy, backends):
    proxy = run_proxy(backends(*NAMES))
    made = users(proxy)
    proxy.set_state("app2", "drain")
    assert proxy.server_state("app2") == "drain"
    stay(made)
    assert {user.servers[0] for user in users(proxy, 20)} == {"app1", "app3"}
    proxy.set_state("app2", "ready")
    assert "app2" in {user.servers[0] for user in users(proxy, 20)}


@pytest.mark.parametrize("cause", ["maintenance", "down"])
def test_a_lost_server_moves_its_clients_with_one_cookie(run_proxy, backends, cause):
    servers = backends(*NAMES)
    proxy = run_proxy(servers, pool_keys={"health": checks()})
    made = users(proxy, 72)  # a third moves: 24 coins do not all fall alike (1 in 8 million)
    if cause == "maintenance":
        proxy.set_state("app2", "maintenance")
    else:
        servers[1].stop()
    proxy.wait_state("app2", cause)
    moved = [user for user in made if user.servers[0] == "app2"]
    assert moved
    for user in made:
        homes = {user.request().json()["server"] for _ in range(4)}
        assert len(homes) == 1 and homes != {"app2"} and user.errors == []
        assert user.pins == (2 if user in moved else 1)
        assert user in moved or homes == {user.servers[0]}
    assert len({user.servers[-1] for user in moved}) == 2, "the load of a lost server is shared"
    assert proxy.metric("holdfast_sessions_lost_total", cause=cause) == len(moved)
    assert proxy.metric("holdfast_pins_total", kind="moved") == len(moved)
    assert proxy.metrics().verdicts()[cause] == len(moved)
    # default failback: stay
    if cause == "maintenance":
        proxy.set_state("app2", "ready")
    else:
        servers[1].start()
    proxy.wait_state("app2", "ready")
    stay(made)


def test_one_failure_never_moves_a_pin(run_proxy, backends):
    """A refused connection while the server counts as up: another one stands in, the pin stays."""
    servers = backends(*NAMES)
    proxy = run_proxy(servers)
    user = Browser(proxy.port)
    home = user.request().json()["server"]
    backend = next(b for b in servers if b.name == home)
    backend.stop()
    stand_ins = {user.request().json()["server"] for _ in range(3)}
    assert len(stand_ins) == 1 and home not in stand_ins, "always the same stand-in"
    assert user.pins == 1 and user.errors == []
    assert proxy.metric("holdfast_stand_ins_total") == 3
    backend.start()
    assert user.request().json()["server"] == home and user.pins == 1


def told(backends):
    """What the application was told of the session, request by request."""
    return [v.decode() for b in backends for r in b.requests for v in r.all("Holdfast-Session")]


def test_the_application_is_told_of_a_loss(run_proxy, backends):
    servers = backends(*NAMES)
    proxy = run_proxy(servers)
    made = users(proxy)
    stay(made)
    assert told(servers) == []
    proxy.set_state("app1", "maintenance")
    for user in made:
        user.request()
    lost = [user for user in made if user.servers[0] == "app1"]
    assert (
        lost and len(told(servers)) == len(lost) and all("lost" in word for word in told(servers))
    )
    stay(made)
    assert len(told(servers)) == len(lost), "told once"


def test_a_client_cannot_say_that_it_lost_its_session(run_proxy, backends):
    backend = backends("app1")
    run_proxy([backend]).get("/", fields=[("Holdfast-Session", "lost")])
    assert told([backend]) == []


def test_on_loss_error(run_proxy, backends):
    """The client is told, not moved: when its server is back, so is its session."""
    servers = backends(*NAMES)
    proxy = run_proxy(servers, pool_keys={"on_loss": "error"})
    user = Browser(proxy.port)
    home = user.request().json()["server"]
    proxy.set_state(home, "maintenance")
    for _ in range(2):
        answer = user.request()
        assert answer.status == 503 and answer.pins() == []
    assert proxy.metric("holdfast_sessions_refused_total") == 2
    proxy.set_state(home, "ready")
    page = user.request().json()
    assert (page["server"], page["count"]) == (home, 2)


def test_on_loss_redirect(run_proxy, backends):
    proxy = run_proxy(backends(*NAMES), pool_keys={"on_loss": {"redirect": "/login"}})
    user = Browser(proxy.port)
    home = user.request().json()["server"]
    proxy.set_state(home, "maintenance")
    answer = user.request("/cart")
    assert answer.status in (302, 303, 307) and answer.field("Location") == "/login"
    assert (
        len(answer.pins()) == 1
    ), "the redirect carries the pin, or the client would turn in circles"
    assert user.request("/login").json()["server"] != home
    stay([user])
    assert proxy.metric("holdfast_sessions_refused_total") == 1


# --- a server that is gone, row 170 --------------------------------------------------------------
def test_row_170_a_removed_server_and_its_address_under_another_name(run_proxy, backends):
    servers = backends(*NAMES)
    proxy = run_proxy(servers)
    made = users(proxy)
    config = dict(proxy.config)
    rows = [
        {**row, "name": "app4"} if row["name"] == "app1" else row
        for row in config["pools"][0]["servers"]
    ]
    proxy.reload({**config, "pools": [{**config["pools"][0], "servers": rows}]})
    lost = [user for user in made if user.servers[0] == "app1"]
    for user in made:
        user.request()
        assert user.pins == (2 if user in lost else 1)
    assert proxy.metrics().verdicts()["gone"] == len(lost) > 0
    assert proxy.metric("holdfast_sessions_lost_total", cause="gone") == len(lost)
    stay([user for user in made if user not in lost])


def test_row_170_the_same_name_is_the_same_server(run_proxy, backends):
    """Identity is the name: an address may change under it, and position does not matter."""
    servers = backends(*NAMES)
    proxy = run_proxy(servers)
    made = users(proxy)
    moved = backends("app1")  # the same application elsewhere
    moved.sessions.update(servers[0].sessions)
    config = proxy.config
    rows = [
        {"name": name, "address": f"127.0.0.1:{server.port}"}
        for name, server in (("app3", servers[2]), ("app2", servers[1]), ("app1", moved))
    ]
    proxy.reload({**config, "pools": [{**config["pools"][0], "servers": rows}]})
    stay(made)
    assert moved.requests and set(proxy.metrics().verdicts()) == {"none", "pinned"}


# --- balancing of the first request --------------------------------------------------------------
def answered_by(proxy, count, **keys):
    return Counter(proxy.get("/", **keys).json()["server"] for _ in range(count))


def weighted(backends, weights):
    rows = [
        {"name": b.name, "address": f"127.0.0.1:{b.port}", "weight": w}
        for b, w in zip(backends, weights)
    ]
    return rows


def test_round_robin_is_smooth_and_weighted(run_proxy, backends):
    rows = weighted(backends(*NAMES), (3, 1, 1))
    proxy = run_proxy(rows, workers=1, pool_keys={"balance": "round_robin", "affinity": None})
    order = [proxy.get("/").json()["server"] for _ in range(50)]
    assert Counter(order) == {"app1": 30, "app2": 10, "app3": 10}
    for start in range(0, 50, 5):
        assert Counter(order[start : start + 5]) == {"app1": 3, "app2": 1, "app3": 1}
    assert "app1app1app1" not in "".join(order), "smooth: never three in a row at 3:1:1"


def busy(proxy, servers, name, count):
    """Requests that hang on one server: `count` clients, held open."""
    others = [server.name for server in servers if server.name != name]
    for other in others:
        proxy.set_state(other, "maintenance")
    held = [Client(proxy.port).ask("/hang") for _ in range(count)]
    poll(lambda: proxy.server(name)["active"] == count, what="all of them hang")
    for other in others:
        proxy.set_state(other, "ready")
    return held


def hang_on_request(connection, request):
    (hang if request.target == b"/hang" else application)(connection, request)


@pytest.mark.parametrize("balance", ["least_connections", "p2c"])
def test_the_busy_server_is_spared(run_proxy, backends, balance):
    servers = backends(*NAMES, behave=hang_on_request)
    proxy = run_proxy(servers, workers=1, pool_keys={"balance": balance, "affinity": None})
    held = busy(proxy, servers, "app2", 6)
    counts = answered_by(proxy, 60)
    if balance == "least_connections":
        assert counts["app2"] == 0 and min(counts["app1"], counts["app3"]) >= 15
    else:  # two are drawn; one slow answer counts against its server for a while
        assert counts["app2"] <= 12 and min(counts["app1"], counts["app3"]) >= 4
    for client in held:
        client.close()


def test_random_uses_all_by_weight(run_proxy, backends):
    rows = weighted(backends(*NAMES), (2, 1, 1))
    proxy = run_proxy(rows, pool_keys={"balance": "random", "affinity": None})
    counts = answered_by(proxy, 400)
    # binomial, n = 400: 6 standard deviations to each side
    assert (
        140 <= counts["app1"] <= 260 and 48 <= counts["app2"] <= 152 and 48 <= counts["app3"] <= 152
    )


def test_weight_zero_takes_only_sessions_that_it_has(run_proxy, backends):
    servers = backends(*NAMES)
    proxy = run_proxy(servers)
    made = users(proxy)
    config = proxy.config
    proxy.reload(
        {**config, "pools": [{**config["pools"][0], "servers": weighted(servers, (1, 0, 1))}]}
    )
    stay(made)
    assert {user.servers[0] for user in users(proxy, 15)} == {"app1", "app3"}


def test_a_backup_server_waits_until_it_is_needed(run_proxy, backends):
    servers = backends("app1", "app2")
    rows = weighted(servers, (1, 1))
    rows[1]["backup"] = True
    proxy = run_proxy(rows)
    assert set(answered_by(proxy, 10)) == {"app1"}
    proxy.set_state("app1", "maintenance")
    assert set(answered_by(proxy, 5)) == {"app2"}


@pytest.mark.parametrize(
    "keys",
    [{"balance": "ip_hash", "affinity": None}, {"affinity": [{"source_ip": "hash"}]}],
    ids=["ip_hash", "source_ip"],
)
def test_an_address_has_its_server(run_proxy, backends, keys):
    proxy = run_proxy(backends(*NAMES), pool_keys=keys)
    homes = {}
    for number in range(1, 41):
        source = f"127.0.{number}.{number}"
        served = set()
        for _ in range(3):
            with Client(proxy.port, source=source) as client:
                answer = client.get("/")
                assert answer.pins() == []
                served.add(answer.json()["server"])
        assert len(served) == 1
        homes[source] = served.pop()
    assert set(homes.values()) == set(NAMES)


def test_hash_of_a_cookie_is_mod_n(run_proxy, backends):
    """The textbook form: the application's cookie value decides, no cookie of ours is written."""
    proxy = run_proxy(backends(*NAMES), pool_keys={"affinity": [{"cookie": "SID", "hash": "mod"}]})
    homes = {}
    for number in range(30):
        answers = [proxy.get("/", fields=[("Cookie", f"a=b; SID=user{number}")]) for _ in range(3)]
        assert all(answer.pins() == [] and answer.all("Set-Cookie") for answer in answers)
        served = {answer.json()["server"] for answer in answers}
        assert len(served) == 1
        homes[number] = served.pop()
    assert set(homes.values()) == set(NAMES)
    assert proxy.metrics().verdicts()["hashed"] == 90


def test_strategies_stand_in_order(run_proxy, backends):
    """First the sealed cookie; without one the address decides, and the client is pinned there."""
    proxy = run_proxy(
        backends(*NAMES),
        pool_keys={"affinity": [{"cookie": "HOLDFAST", "mode": "insert"}, {"source_ip": "hash"}]},
    )
    fresh = {proxy.get("/").json()["server"] for _ in range(6)}
    assert len(fresh) == 1, "one address, one server"
    other = next(
        u
        for u in (Browser(proxy.port, source=f"127.0.{n}.{n}") for n in range(1, 60))
        if u.request().json()["server"] not in fresh
    )
    here = Browser(proxy.port)  # the cookie travels to another address
    here.jar = dict(other.jar)
    assert here.request().json()["server"] == other.servers[0] and here.pins == 0


def test_first_requests_at_once_get_one_pin_each(run_proxy, backends):
    """Without a cookie nobody can know that two requests are one client's: each gets a pin, and
    whichever the client keeps is good."""
    proxy = run_proxy(backends(*NAMES))
    clients = [proxy.client() for _ in range(8)]
    for client in clients:
        client.ask("/")
    answers = [client.response() for client in clients]
    for answer in answers:
        again = proxy.get("/", fields=[("Cookie", f"HOLDFAST={answer.pin()}")])
        assert again.json()["server"] == answer.json()["server"] and again.pins() == []
