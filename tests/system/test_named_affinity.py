"""The application's own cookie or URL names the server: `app1~value`, `value.app1`, ;jsessionid=.

The applications are real processes with sessions in memory; their journals tell what reached them.
"""
import re

import pytest
from harness import Browser, checks, poll

NAMES = ("app1", "app2", "app3")
PREFIX = {"cookie": "PHPSESSID", "mode": "prefix"}
ROUTE = {"route": "JSESSIONID"}
SEALED = {"cookie": "HOLDFAST", "mode": "insert"}
STYLES = {
    "prefix": ("php", PREFIX, "PHPSESSID", r"(app\d)~([0-9a-f]{16}~t)"),
    "route": ("servlet", ROUTE, "JSESSIONID", r"([0-9a-f]{16})\.(app\d)"),
}


@pytest.fixture(params=STYLES)
def named(request, session_apps, run_proxy):
    """A proxy by one strategy and its applications: (proxy, apps, cookie, who a value names)."""
    style, strategy, cookie, pattern = STYLES[request.param]
    apps = session_apps(*NAMES, style=style)
    proxy = run_proxy(apps, pool_keys={"affinity": [strategy], "health": checks()})
    part = 1 if request.param == "prefix" else 2
    return proxy, apps, cookie, lambda value: re.fullmatch(pattern, value).group(part)


def users(proxy, count=24):
    made = [Browser(proxy.port) for _ in range(count)]
    for user in made:
        user.request("/first")
    return made


def cookies_seen(apps):
    return [field for app in apps for entry in app.journal() for field in entry["cookies"]]


def app_of(apps, name):
    return next(app for app in apps if app.name == name)


# --- what both have in common --------------------------------------------------------------------
def test_clients_stay_where_their_session_is(named):
    proxy, apps, cookie, name_in = named
    made = users(proxy)
    assert {user.servers[0] for user in made} == set(NAMES)
    for number in range(2, 6):
        for user in made:
            assert user.request("/more").json()["count"] == number
    for user in made:
        assert len(set(user.servers)) == 1 and user.errors == []
        assert name_in(user.jar[cookie]) == user.servers[0] and "HOLDFAST" not in user.jar
    assert proxy.metrics().verdicts() == {"none": 24, "pinned": 96}


def test_drain_keeps_sessions_and_takes_no_new_clients(named):
    proxy, apps, cookie, name_in = named
    made = users(proxy)
    proxy.set_state("app2", "drain")
    for user in made:
        assert user.request().json()["server"] == user.servers[0]
    assert {user.servers[0] for user in users(proxy)} == {"app1", "app3"}


def test_a_dead_server_and_a_new_session(named):
    """The application starts a session elsewhere: its name is in the cookie from then on."""
    proxy, apps, cookie, name_in = named
    made = users(proxy)
    app_of(apps, "app2").kill()
    proxy.wait_state("app2", "down")
    lost = [user for user in made if user.servers[0] == "app2"]
    for user in made:
        homes = {user.request().json()["server"] for _ in range(3)}
        assert len(homes) == 1 and user.errors == []
        assert name_in(user.jar[cookie]) == user.servers[-1] != "app2"
        assert user in lost or homes == {user.servers[0]}
    assert lost and proxy.metrics().verdicts()["down"] == len(lost)
    app_of(apps, "app2").start()
    proxy.wait_state("app2", "ready")
    for user in made:
        assert user.request().json()["server"] == user.servers[-2], "nobody goes back"


def test_a_dead_server_without_a_new_session(named):
    """All requests of a session meet on one other server, are told, and return with the server."""
    proxy, apps, cookie, name_in = named
    made = users(proxy, 72)  # a third is lost: 24 coins do not all fall alike (1 in 8 million)
    lost = [user for user in made if user.servers[0] == "app2"]
    before = {user: dict(user.jar) for user in made}
    app_of(apps, "app2").kill()
    proxy.wait_state("app2", "down")
    for user in lost:
        pages = [user.request("/quiet").json() for _ in range(4)]
        assert len({page["server"] for page in pages}) == 1 and pages[0]["server"] != "app2"
        assert all("lost" in page["told"] for page in pages)
        assert user.jar == before[user]
    assert len({user.servers[-1] for user in lost}) == 2, "the load of a lost server is shared"
    assert proxy.metric("holdfast_stand_ins_total") == 4 * len(lost)
    assert proxy.metric("holdfast_pins_total", kind="moved") == 0
    app_of(apps, "app2").start()
    proxy.wait_state("app2", "ready")
    for user in lost:
        page = user.request("/quiet").json()
        assert page["server"] == "app2" and page["told"] is None


def test_one_failure_moves_nobody(session_apps, run_proxy):
    """Without checks the killed server still counts as up: another one stands in."""
    apps = session_apps(*NAMES, style="php")
    proxy = run_proxy(apps, pool_keys={"affinity": [PREFIX], "passive": "off"})
    user = Browser(proxy.port)
    home = user.request().json()["server"]
    app_of(apps, home).kill()
    stand_ins = {user.request("/quiet").json()["server"] for _ in range(3)}
    assert len(stand_ins) == 1 and home not in stand_ins
    app_of(apps, home).start()
    assert user.request("/quiet").json()["server"] == home
    assert user.jar["PHPSESSID"].startswith(home + "~")


def test_on_loss_error_refuses_until_the_server_is_back(session_apps, run_proxy):
    apps = session_apps(*NAMES, style="servlet")
    proxy = run_proxy(apps, pool_keys={"affinity": [ROUTE], "on_loss": "error"})
    user = Browser(proxy.port)
    home = user.request().json()["server"]
    proxy.set_state(home, "maintenance")
    assert user.request().status == 503
    proxy.set_state(home, "ready")
    assert user.request().json() == {"server": home, "count": 2, "told": None} | {
        "session": user.jar["JSESSIONID"]
    }


def test_a_removed_server_is_gone(named):
    proxy, apps, cookie, name_in = named
    made = users(proxy)
    config = proxy.config
    rows = [row for row in config["pools"][0]["servers"] if row["name"] != "app2"]
    proxy.reload({**config, "pools": [{**config["pools"][0], "servers": rows}]})
    for user in made:
        user.request()
        assert name_in(user.jar[cookie]) == user.servers[-1]
        assert user.servers[-1] == user.servers[0] or user.servers[0] == "app2"
    lost = [user for user in made if user.servers[0] == "app2"]
    assert proxy.metrics().verdicts()["gone"] == len(lost) > 0


# --- prefix --------------------------------------------------------------------------------------
def test_the_prefix_is_put_in_and_taken_out(session_apps, run_proxy):
    """Everything else of both fields stays byte for byte."""
    apps = session_apps(*NAMES, style="php")
    proxy = run_proxy(apps, pool_keys={"affinity": [PREFIX]})
    made = [Browser(proxy.port) for _ in range(9)]
    for user in made:
        answer = user.request("/first")
        page = answer.json()
        assert re.fullmatch("[0-9a-f]{16}~t", page["session"])
        assert answer.all("Set-Cookie") == [
            "theme=dark",
            f'PHPSESSID={page["server"]}~{page["session"]}; Path=/;HttpOnly ; Odd="a b"',
        ]
        assert answer.field("Cache-Control") == "no-cache"
        for _ in range(3):
            again = user.request("/again")
            assert again.json()["session"] == page["session"]
            assert again.all("Set-Cookie") == []
    seen = cookies_seen(apps)
    assert len(seen) == 27
    assert all(re.fullmatch("theme=dark; PHPSESSID=[0-9a-f]{16}~t", field) for field in seen)
    assert proxy.metric("holdfast_pins_total", kind="new") == 9
    assert proxy.metric("holdfast_pins_total", kind="moved") == 0
    for name in NAMES:
        assert proxy.metric("holdfast_server_pins_total", server=name) == sum(
            user.servers[0] == name for user in made
        )


def test_a_moved_prefix_is_counted_as_a_loss(session_apps, run_proxy):
    proxy = run_proxy(session_apps(*NAMES, style="php"), pool_keys={"affinity": [PREFIX]})
    made = users(proxy)
    proxy.set_state("app1", "maintenance")
    for user in made:
        user.request()
    lost = sum(user.servers[0] == "app1" for user in made)
    assert lost and proxy.metric("holdfast_pins_total", kind="moved") == lost
    assert proxy.metric("holdfast_pins_total", kind="new") == len(made)
    assert proxy.metric("holdfast_sessions_lost_total", cause="maintenance") == lost


@pytest.mark.parametrize(
    "sent, reaches, verdict",
    [
        ("PHPSESSID=app9~x", "PHPSESSID=x", "gone"),
        ("PHPSESSID=../etc~x", "PHPSESSID=../etc~x", "none"),
        ("PHPSESSID=x", "PHPSESSID=x", "none"),
        ("PHPSESSID=~x", "PHPSESSID=~x", "none"),
        ("PHPSESSID=app2~x~y; a=app1~b", "PHPSESSID=x~y; a=app1~b", "pinned"),
        ('PHPSESSID="app2~x"', 'PHPSESSID="x"', "pinned"),
        ("PHPSESSID=app1~x; PHPSESSID=app2~y", "PHPSESSID=x; PHPSESSID=y", "duplicate"),
    ],
)
def test_what_clients_may_send(session_apps, run_proxy, sent, reaches, verdict):
    apps = session_apps(*NAMES, style="php")
    proxy = run_proxy(apps, pool_keys={"affinity": [PREFIX]})
    server = proxy.get("/quiet", fields=[("Cookie", sent)]).json()["server"]
    assert verdict != "pinned" or server == "app2"
    assert cookies_seen(apps) == [reaches] and proxy.metrics().verdicts() == {verdict: 1}


def test_more_prefixed_cookies_than_there_is_room_for(run_proxy, backends):
    """The connection to the client lives on: only that answer is bad."""

    def many(connection, request):
        count = int(request.target[1:])
        connection.respond(fields=[("Set-Cookie", f"PHPSESSID={n}; Path=/{n}") for n in range(count)])

    proxy = run_proxy([backends("app1", behave=many)], pool_keys={"affinity": [PREFIX]})
    fields = proxy.get("/8").all("Set-Cookie")
    assert fields == [f"PHPSESSID=app1~{n}; Path=/{n}" for n in range(8)]
    assert proxy.get("/9").status == 502
    assert proxy.get("/1").status == 200


# --- route ---------------------------------------------------------------------------------------
def test_the_route_is_only_read(session_apps, run_proxy):
    apps = session_apps(*NAMES, style="servlet")
    proxy = run_proxy(apps, pool_keys={"affinity": [ROUTE]})
    made = [Browser(proxy.port) for _ in range(9)]
    sent = []
    for user in made:
        answer = user.request("/first")
        page = answer.json()
        assert page["session"].endswith("." + page["server"])
        assert answer.all("Set-Cookie") == [
            "theme=dark",
            f'JSESSIONID={page["session"]}; Path=/;HttpOnly ; Odd="a b"',
        ]
        sent += [user.cookie_field()] * 3
        for _ in range(3):
            assert user.request("/again").all("Set-Cookie") == []
    assert sorted(cookies_seen(apps)) == sorted(sent)


def test_a_route_in_the_url(session_apps, run_proxy):
    """A client without cookies; the target reaches the application as it was."""
    apps = session_apps(*NAMES, style="servlet")
    proxy = run_proxy(apps, pool_keys={"affinity": [ROUTE]})
    homes, targets = set(), []
    for number in range(12):
        page = proxy.get("/login").json()
        homes.add(page["server"])
        for count in range(2, 5):
            target = f"/shop;v=1;jsessionid={page['session']}/cart?n={number};jsessionid=x.app1"
            again = proxy.get(target).json()
            assert (again["server"], again["count"]) == (page["server"], count)
            targets.append(target)
    assert homes == set(NAMES)
    seen = [entry["target"] for app in apps for entry in app.journal()]
    assert sorted(t for t in seen if t != "/login") == sorted(targets)
    assert proxy.get("/quiet;jsessionid=x.app9").status == 200
    assert proxy.metrics().verdicts() == {"none": 12, "pinned": 36, "gone": 1}


@pytest.mark.parametrize(
    "cookie, verdict",
    [("x.app9", "gone"), ("x.APP1", "gone"), ("x", "none"), ("x.", "none"), ("a.app2", "pinned")],
)
def test_what_a_route_may_be(session_apps, run_proxy, cookie, verdict):
    apps = session_apps(*NAMES, style="servlet")
    proxy = run_proxy(apps, pool_keys={"affinity": [ROUTE]})
    field = f"a=1;JSESSIONID={cookie} ; b"
    proxy.get("/quiet;jsessionid=y.app3", fields=[("Cookie", field)])
    assert cookies_seen(apps) == [field] and proxy.metrics().verdicts() == {verdict: 1}


# --- several in order ----------------------------------------------------------------------------
@pytest.mark.parametrize("order", [[ROUTE, SEALED], [SEALED, ROUTE]], ids=["behind", "in front"])
def test_a_url_never_outranks_a_sealed_cookie(session_apps, run_proxy, order):
    proxy = run_proxy(session_apps(*NAMES, style="servlet"), pool_keys={"affinity": order})
    tokens = {}
    while len(tokens) < 3:
        answer = proxy.get("/quiet")
        tokens[answer.json()["server"]] = answer.pin()
    for home, token in tokens.items():
        for other in NAMES:
            fields = [("Cookie", f"HOLDFAST={token}")]
            answer = proxy.get(f"/quiet;jsessionid=x.{other}", fields=fields)
            assert answer.json()["server"] == home and answer.pins() == []
    # Without a token the link decides, and its client is pinned there.
    answer = proxy.get("/quiet;jsessionid=x.app2")
    assert answer.json()["server"] == "app2" and len(answer.pins()) == 1
    forged = [("Cookie", f"HOLDFAST={tokens['app1'][:-1]}")]
    assert proxy.get("/quiet;jsessionid=x.app2", fields=forged).json()["server"] == "app2"


def test_a_lost_token_is_not_replaced_by_a_link(session_apps, run_proxy):
    """Its client moves as any other that lost its server, wherever the link points."""
    keys = {"affinity": [ROUTE, SEALED], "balance": "round_robin"}
    proxy = run_proxy(session_apps(*NAMES, style="servlet"), workers=1, pool_keys=keys)
    pins = [answer.pin() for answer in (proxy.get("/quiet") for _ in range(72))]
    proxy.set_state("app1", "maintenance")
    went = {}
    for token in pins:
        fields = [("Cookie", f"HOLDFAST={token}")]
        answer = proxy.get("/quiet;jsessionid=x.app2", fields=fields)
        if answer.pins():
            went.setdefault(answer.json()["server"], []).append(token)
    assert sum(map(len, went.values())) == 24 and set(went) == {"app2", "app3"}
    assert proxy.metric("holdfast_sessions_lost_total", cause="maintenance") == 24


def test_the_first_that_names_a_usable_server_wins(session_apps, run_proxy):
    apps = session_apps(*NAMES, style="php")
    order = [PREFIX, ROUTE, SEALED, {"source_ip": "hash"}]
    proxy = run_proxy(apps, pool_keys={"affinity": order})
    by_address = proxy.get("/quiet").json()["server"]
    other, third = [name for name in NAMES if name != by_address]
    token = proxy.get(f"/quiet;jsessionid=x.{other}").pin()  # a link's client is pinned

    def answers(*cookies, path="/quiet"):
        fields = [("Cookie", "; ".join(cookies))] if cookies else []
        return proxy.get(path, fields=fields).json()["server"]

    prefix, route, sealed = f"PHPSESSID={third}~x", f"JSESSIONID=x.{other}", f"HOLDFAST={token}"
    assert answers(prefix, route, sealed) == third
    assert answers(sealed, route, prefix) == third, "the order in the request means nothing"
    assert answers(route) == other
    assert answers("PHPSESSID=x", "JSESSIONID=x", sealed) == other
    assert answers(sealed, path=f"/quiet;jsessionid=x.{third}") == other
    assert answers("PHPSESSID=app9~x", "JSESSIONID=x.app9") == by_address
    proxy.set_state(third, "maintenance")
    assert answers(prefix, route) == other, "a name whose server is lost does not end the search"
    assert answers(prefix, sealed) == other
    assert answers(prefix) == by_address


def test_a_lost_name_gets_a_pin_when_there_is_a_sealed_cookie_too(session_apps, run_proxy):
    apps = session_apps(*NAMES, style="servlet")
    proxy = run_proxy(apps, pool_keys={"affinity": [ROUTE, SEALED]})
    made = users(proxy)
    for user in made:  # clients from before there was a sealed cookie
        del user.jar["HOLDFAST"]
        assert user.request().pins() == [], "the name is enough"
    proxy.set_state("app1", "maintenance")
    lost = [user for user in made if user.servers[0] == "app1"]
    for user in lost:
        homes = {user.request("/quiet").json()["server"] for _ in range(3)}
        assert len(homes) == 1 and user.pins == 2
    assert lost and proxy.metric("holdfast_pins_total", kind="moved") == len(lost)
    assert proxy.metric("holdfast_sessions_lost_total", cause="maintenance") == len(lost)


def test_from_one_cookie_to_the_other_by_reload(session_apps, run_proxy):
    """A pool that goes from prefix to sealed cookies: both behind each other, and nobody moves."""
    apps = session_apps(*NAMES, style="php")
    proxy = run_proxy(apps, pool_keys={"affinity": [PREFIX]})
    made = users(proxy)
    config = proxy.config
    both = {**config["pools"][0], "affinity": [SEALED, PREFIX]}
    proxy.reload({**config, "pools": [both]})
    for user in made:
        for _ in range(2):
            assert user.request().json()["server"] == user.servers[0]
        assert user.pins == 1
    poll(lambda: len(cookies_seen(apps)) == 2 * len(made), what="all journals are written")
    assert all("HOLDFAST" not in field and "app" not in field for field in cookies_seen(apps))
