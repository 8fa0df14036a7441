"""Servers with session agents: a session moves with its client, to the server that its own id ranks
first. The applications share one agent here, so that each has every session, as with agents that
copy them; or each has one without peers, so that none has."""
import base64
import hashlib
import json
import signal

import pytest
from harness import Browser, checks, free_port, pool
from harness.agent import Agent
from harness.apps import StoredApp, crowd, join
from harness.clock import poll

NAMES = ("app1", "app2", "app3", "app4")
COOKIE = "SID"
USERS, VISITS, IDS, PINS = 60, 8, 24, 3
CHECKS = {"interval_ms": 500, "fall": 3}  # a server that is busy is not taken for a dead one


@pytest.fixture
def run_agents(tmp_path):
    """A maker of running agents without peers."""
    made = []

    def make(name):
        made.append(Agent(tmp_path / f"agent-{name}").start())
        return made[-1]

    yield make
    for agent in made:
        agent.stop()


@pytest.fixture
def run_stored(tmp_path):
    """A maker of running applications on these stores."""
    made = []

    def make(ports):
        made.extend(StoredApp(name, tmp_path, port).start() for name, port in zip(NAMES, ports))
        return made

    yield make
    for app in made:
        app.kill()


@pytest.fixture
def stored_apps(run_agents, run_stored):
    """Running applications that share a store."""
    return run_stored([run_agents("shared").port] * len(NAMES))


def rows(servers, without=()):
    """Server rows with an agent each, but for those left out. Nobody listens there: the proxy sends
    an agent nothing."""
    made = pool(servers)["servers"]
    for row in made:
        if row["name"] not in without:
            row["agent"] = f"127.0.0.1:{free_port()}"
    return made


def with_agents(servers, without=(), format="plain", **keys):
    session = {"cookie": COOKIE, "format": format}
    return pool(rows(servers, without), session=session, **keys)


def status(proxy):
    code, text = proxy.admin("/v1/status")
    assert code == 200, text
    return json.loads(text)


def outcomes(proxy, count):
    """What the access log says became of sessions, once it has as many."""

    def logged():
        return [row["session"] for row in proxy.access_log() if "session" in row]

    poll(lambda: len(logged()) >= count, 5, "logged")
    return logged()


# --- a server dies -------------------------------------------------------------------------------
def visit(user):
    """One request that must be answered; the session's counter goes up by one, whoever answers."""
    page = user.request().json()
    assert page["count"] == len(user.servers), f"a fresh session, or a stale one: {page}"
    user.told.append(page["told"])


def check_victim(user):
    """Told once that it moved, unless it did so by the very request whose failure ejected app2."""
    moved_to = user.servers[-1]
    told = [word for word in user.told if word is not None]
    assert set(told) <= {"stand-in; cause=failure", "moved; cause=down"}, told
    assert told and told.count("moved; cause=down") <= 1, told
    assert user.pins == 2, "moved once, with one new pin"
    first = user.servers.index(moved_to)
    assert set(user.servers[:first]) == {"app2"} and set(user.servers[first:]) == {moved_to}


def test_a_killed_servers_sessions_follow(run_proxy, stored_apps):
    health = checks(**CHECKS)
    proxy = run_proxy(pools=with_agents(stored_apps, health=health, on_loss="error"))
    users = [Browser(proxy.port) for _ in range(USERS)]
    for user in users:
        user.told = []

    def script(user):
        for _ in range(VISITS):
            visit(user)

    join(*crowd(users, script))
    victims = [user for user in users if user.servers[-1] == "app2"]
    assert victims and all(len(set(user.servers)) == 1 and user.pins == 1 for user in users)
    stored_apps[1].kill()
    for user in users:
        visit(user)  # before the check has found out
    proxy.wait_state("app2", "down")
    join(*crowd(users, script))

    for user in users:
        if user in victims:
            check_victim(user)
        else:
            assert len(set(user.servers)) == 1 and set(user.told) == {None}
    metrics = proxy.metrics()
    assert metrics.value("holdfast_sessions_moved_total", cause="down") == len(victims)
    assert metrics.value("holdfast_sessions_lost_total") == 0
    assert metrics.value("holdfast_sessions_refused_total") == 0
    assert outcomes(proxy, len(victims)) == ["moved"] * len(victims)
    check_recovery(proxy, metrics, len(victims), health)


def seconds(text):
    assert text.endswith("ms")
    return int(text[:-2]) / 1000


def check_recovery(proxy, metrics, victims, health):
    """One failure, so one detection and one propagation; each session has a look-up."""
    for part, count in (("detection", 1), ("propagation", 1), ("lookup", victims)):
        assert metrics.value(f"holdfast_recovery_{part}_seconds_count") == count, part
    promised = seconds(health["interval"]) * 1.1 * health["fall"] + seconds(health["timeout"])
    took = metrics.value("holdfast_recovery_detection_seconds_sum")
    assert took <= promised * 1.5, f"{took} s, promised {promised} s"
    (last,) = status(proxy)["recoveries"]
    assert (last["pool"], last["server"], last["session"]) == ("app", "app2", "moved")
    assert last["successor"] in NAMES and last["lookup_ms"] > 0
    assert abs(last["detection_ms"] / 1000 - took) < 0.002
    assert abs(
        last["propagation_ms"] / 1000
        - metrics.value("holdfast_recovery_propagation_seconds_sum")
    ) < 0.002


def test_a_hung_servers_sessions_follow(run_proxy, stored_apps):
    """Found by checks alone: detection counts from the last good one."""
    health = checks(**CHECKS)
    proxy = run_proxy(pools=with_agents(stored_apps, health=health))
    users = [Browser(proxy.port) for _ in range(USERS // 2)]
    for user in users:
        user.told = []
        visit(user)
    poll(lambda: proxy.server("app2")["checks"]["ok"] > 1, 10, "app2 is checked")
    stored_apps[1].process.send_signal(signal.SIGSTOP)
    proxy.wait_state("app2", "down")
    victims = [user for user in users if user.servers[0] == "app2"]
    for user in users:
        visit(user)
        assert user.told[1] == ("moved; cause=down" if user in victims else None)
    assert victims and proxy.metric("holdfast_sessions_moved_total") == len(victims)
    check_recovery(proxy, proxy.metrics(), len(victims), health)
    (last,) = status(proxy)["recoveries"]
    least = seconds(health["interval"]) * 0.9 + seconds(health["timeout"])
    assert last["detection_ms"] >= least * 1000, "checks failed, the last by its timeout"


# --- where a session goes ------------------------------------------------------------------------
def pinned_to(proxy, name, count, path="/"):
    """Affinity cookies of different clients on that server."""
    pins = []
    while len(pins) < count:
        user = Browser(proxy.port)
        if user.request(path).json()["server"] == name:
            pins.append(user.jar["HOLDFAST"])
        user.drop()
    return pins


def where(proxy, pin, cookie, path="/"):
    field = ("Cookie", f"HOLDFAST={pin}; {COOKIE}={cookie}")
    return proxy.get(path, fields=[field]).json()["server"]


def test_all_requests_of_a_session_meet(run_proxy, backends):
    """Whatever client brings it, by whatever sealed cookie, and the stand-in of one failed request
    is the server that the session moves to when its own is judged."""
    servers = backends(*NAMES)
    proxy = run_proxy(pools=with_agents(servers, passive="off"))
    pins = pinned_to(proxy, "app1", PINS)
    servers[0].stop()
    stand_ins = {id: {where(proxy, pin, id) for pin in pins} for id in map(str, range(IDS))}
    servers[0].start()
    assert {where(proxy, pin, "0") for pin in pins} == {"app1"}, "nothing has moved"
    proxy.set_state("app1", "maintenance")
    for id, met in stand_ins.items():
        assert len(met) == 1, f"session {id} was on {met}"
        assert {where(proxy, pin, id) for pin in pins} == met
    assert len(set.union(*stand_ins.values())) == len(NAMES) - 1, "sessions spread over the others"


def test_the_next_of_the_rank_follows_when_the_first_is_away_too(run_proxy, backends):
    """Who had none of the lost sessions loses none when another server goes."""
    proxy = run_proxy(pools=with_agents(backends(*NAMES)))
    (pin,) = pinned_to(proxy, "app1", 1)
    proxy.set_state("app1", "maintenance")
    first = {id: where(proxy, pin, id) for id in map(str, range(IDS))}
    gone = first["0"]
    proxy.set_state(gone, "maintenance")
    for id, server in first.items():
        now = where(proxy, pin, id)
        assert now not in ("app1", gone)
        assert now == server or server == gone, "it moved though its server is well"


def cookie_of(format, id):
    """The application's cookie, and the id that its store has for it."""
    if format == "express":
        return f"s%3A{id}.c2lnbmF0dXJl", id
    if format == "rack":
        return id, "2::" + hashlib.sha256(id.encode()).hexdigest()
    if format == "base64":
        return base64.b64encode(f"{id}.app1".encode()).decode(), id
    return f"{id}.app1.app2", id


@pytest.mark.parametrize("format", ["express", "rack", "base64", "route_suffix"])
def test_a_format_leads_to_the_id_of_the_store(run_proxy, backends, format):
    """Beside a pool of the same servers whose cookie is that id as it stands."""
    servers = backends(*NAMES)
    plain = with_agents(servers, name="plain")
    formatted = with_agents(servers, name="formatted", format=format)
    formatted["affinity"] = [{"cookie": "HOLDFAST", "mode": "insert", "path": "/f"}]
    plain["affinity"] = [{"cookie": "HOLDFAST", "mode": "insert", "path": "/p"}]
    routes = [{"path": "/f", "pool": "formatted"}, {"path": "/p", "pool": "plain"}]
    proxy = run_proxy(pools=[plain, formatted], routes=routes)
    pins = {path: pinned_to(proxy, "app1", 1, path)[0] for path in ("/p", "/f")}
    for name in ("plain", "formatted"):
        proxy.set_state("app1", "maintenance", pool=name)
    met = set()
    for number in range(IDS):
        cookie, id = cookie_of(format, f"id{number}")
        expected = where(proxy, pins["/p"], id, "/p")
        assert where(proxy, pins["/f"], cookie, "/f") == expected
        met.add(expected)
    assert len(met) > 1


def test_a_new_id_changes_the_order_and_not_the_server(run_proxy, stored_apps):
    proxy = run_proxy(pools=with_agents(stored_apps))
    users = [Browser(proxy.port) for _ in range(USERS // 4)]
    for user in users:
        user.request()
        user.request("/login")
        assert user.request().json()["count"] == 3
        assert len(set(user.servers)) == 1 and user.pins == 1
    home = users[0].servers[0]
    others = [user for user in users if user.servers[0] == home]
    proxy.set_state(home, "maintenance")
    for user in others:
        expected = where(proxy, user.jar["HOLDFAST"], user.jar[COOKIE])  # counts once, too
        page = user.request().json()
        assert (page["server"], page["count"]) == (expected, 5)


def test_an_answer_with_another_session_tells_that_it_did_not_follow(
    run_proxy, run_agents, run_stored
):
    """Agents that keep no copies for each other, though the proxy is told that they do: who asks is
    given a new session, and that is what is counted."""
    servers = run_stored([run_agents(name).port for name in NAMES])
    proxy = run_proxy(pools=with_agents(servers, health=checks(**CHECKS)))
    users = [Browser(proxy.port) for _ in range(USERS // 4)]
    for user in users:
        assert user.request().json()["count"] == 1
    victims = [user for user in users if user.servers[0] == "app2"]
    servers[1].kill()
    proxy.wait_state("app2", "down")
    for user in users:
        page = user.request().json()
        assert page["count"] == (1 if user in victims else 2), page
    metrics = proxy.metrics()
    assert victims and metrics.value("holdfast_sessions_replaced_total", cause="down") == len(victims)
    assert metrics.value("holdfast_sessions_moved_total") == 0
    assert metrics.value("holdfast_sessions_lost_total") == 0
    (last,) = status(proxy)["recoveries"]
    assert last["session"] == "replaced"
    assert outcomes(proxy, len(victims)) == ["replaced"] * len(victims)


# --- when it cannot follow -----------------------------------------------------------------------
@pytest.mark.parametrize("bare", ["owner", "others"])
def test_on_loss_holds_for_a_session_that_cannot_follow(run_proxy, backends, bare):
    """The server that was lost had no agent, or no other server has one."""
    without = ["app1"] if bare == "owner" else [name for name in NAMES if name != "app1"]
    servers = backends(*NAMES)
    config = with_agents(servers, without, on_loss="error")
    if bare == "others":
        config["servers"][0]["agent"] = "127.0.0.1:7401"
    proxy = run_proxy(pools=config)
    (pin,) = pinned_to(proxy, "app1", 1)
    field = ("Cookie", f"HOLDFAST={pin}; {COOKIE}=1")
    proxy.set_state("app1", "maintenance")
    assert proxy.get(fields=[field]).status == 503
    assert proxy.metric("holdfast_sessions_refused_total", cause="maintenance") == 1
    assert outcomes(proxy, 1) == ["refused"]
    proxy.set_state("app1", "ready")
    servers[0].stop()
    assert proxy.get(fields=[field]).status == 503, "nor does a stand-in answer it"
    assert proxy.metric("holdfast_sessions_moved_total") == 0


def test_with_agents_nobody_is_refused_or_redirected(run_proxy, backends):
    servers = backends(*NAMES)
    for on_loss in ("error", {"redirect": "/login"}):
        proxy = run_proxy(pools=with_agents(servers, on_loss=on_loss))
        (pin,) = pinned_to(proxy, "app1", 1)
        servers[0].stop()
        assert where(proxy, pin, "1") != "app1", "a stand-in answers"
        servers[0].start()
        proxy.set_state("app1", "maintenance")
        assert where(proxy, pin, "1") != "app1"
        assert proxy.metric("holdfast_sessions_moved_total", cause="maintenance") == 1
        assert proxy.metric("holdfast_sessions_refused_total") == 0
        assert status(proxy)["recoveries"] == [], "what an operator does is no failure"


def test_a_session_without_a_known_id_follows_too(run_proxy, backends):
    """Its client's number ranks: one server for all its requests, and another client's differs."""
    proxy = run_proxy(pools=with_agents(backends(*NAMES), format="express"))
    pins = pinned_to(proxy, "app1", PINS * 3)
    proxy.set_state("app1", "maintenance")
    met = [{where(proxy, pin, "unsigned") for _ in range(3)} for pin in pins]
    assert all(len(servers) == 1 for servers in met) and len(set.union(*met)) > 1
    moved = proxy.metric("holdfast_sessions_moved_total", cause="maintenance")
    assert moved == 3 * len(pins), "each of them brought the old pin and got a new one"


def test_agents_come_and_go_with_a_reload(run_proxy, backends):
    servers = backends(*NAMES)
    proxy = run_proxy(pools=pool(servers))
    pins = pinned_to(proxy, "app1", PINS)
    proxy.set_state("app1", "maintenance")
    where(proxy, pins[0], "1")
    assert proxy.metric("holdfast_sessions_lost_total") == 1
    proxy.reload({**proxy.config, "pools": [with_agents(servers)]})
    assert len({where(proxy, pin, "1") for pin in pins}) == 1, "ranked by the session now"
    assert proxy.metric("holdfast_sessions_moved_total") == PINS
    bare = [{"name": row["name"], "address": row["address"]} for row in rows(servers)]
    proxy.reload({**proxy.config, "pools": [pool(bare)]})
    where(proxy, pins[0], "1")
    assert proxy.metric("holdfast_sessions_lost_total") == 2
    assert proxy.metric("holdfast_sessions_moved_total") == PINS
