"""Servers that die, return, are added and removed: who moves, who does not, and what is counted."""
import threading
from collections import Counter

import pytest
from harness import SLOWNESS, Browser, checks, poll
from harness.apps import User, crowd, join, repeated
from harness.backend import Closed, application, hang, raw

NAMES = ("app1", "app2", "app3")
MODES = ("stay", "return", "temporary")
USERS, PACE_S = 60, 0.03


# --- a server dies and returns, under load -------------------------------------------------------
class Story:
    """Users who keep coming while app2 is killed, found dead, started again and found well."""

    PHASES = ("before", "dying", "away", "back")

    def __init__(self, proxy, victim):
        self.proxy, self.victim = proxy, victim
        self.phase = "before"
        self.answers = []  # (user number, phase in which it was asked, server)
        self.lock = threading.Lock()
        self.stop = threading.Event()

    def script(self, user):
        while not self.stop.wait(PACE_S):
            asked = self.phase
            if user.visit("POST" if user.sent % 4 == 3 else "GET"):
                with self.lock:
                    self.answers.append((user.number, asked, user.servers[-1]))

    def of(self, phase):
        """Who was answered by whom in that phase: {user number: [server, ...]}"""
        seen = {}
        with self.lock:
            for number, asked, server in self.answers:
                if asked == phase:
                    seen.setdefault(number, []).append(server)
        return seen

    def everybody(self, phase, times=2):
        """Begins a phase, and is back when every user was answered that often in it."""
        self.phase = phase
        poll(
            lambda: len(seen := self.of(phase)) == USERS
            and min(map(len, seen.values())) >= times,
            30,
            f"everybody was answered {phase}",
        )

    def tell(self):
        self.everybody("before")
        self.phase = "dying"
        self.victim.kill()
        self.proxy.wait_state(self.victim.name, "down")
        self.everybody("away")
        self.phase = "returning"
        self.victim.start()
        self.proxy.wait_state(self.victim.name, "ready")
        self.everybody("back")
        self.stop.set()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("mode", MODES)
def test_a_server_dies_and_returns_under_load(run_proxy, apps, mode, workers):
    servers = apps(*NAMES)
    proxy = run_proxy(
        servers,
        workers=workers,
        pool_keys={"health": checks(), "passive": {"failures": 0}, "failback": mode},
    )
    made = [User(proxy.port, number) for number in range(USERS)]
    story = Story(proxy, servers[1])
    threads, failures = crowd(made, story.script)
    try:
        story.tell()
    finally:
        story.stop.set()
        join(threads, failures)

    homes = {number: seen[0] for number, seen in story.of("before").items()}
    victims = {number for number, home in homes.items() if home == "app2"}
    assert victims and len(victims) < USERS
    check_others([user for user in made if user.number not in victims])
    check_victims([user for user in made if user.number in victims], story, mode)
    check_counts(proxy, story, made, victims, mode)
    twice = [entry for entry in repeated(servers) if entry[1] == "POST"]
    assert twice == [], "a POST reached servers twice"


def check_others(made):
    for user in made:
        assert user.errors == [] and user.wrong == [] and user.pins == 1
        assert len(set(user.servers)) == 1, "its server was well all the time"


def check_victims(made, story, mode):
    away, back = story.of("away"), story.of("back")
    for user in made:
        guests = set(away[user.number])
        assert len(guests) == 1 and guests != {"app2"}, "one other server, always the same"
        after = set(back[user.number])
        assert after == (guests if mode == "stay" else {"app2"})
        assert user.pins == {"stay": 2, "return": 3, "temporary": 1}[mode]
        assert {method for method, _, _ in user.errors} <= {"POST"}, user.errors
    if len(made) > 12:
        assert len({away[user.number][0] for user in made}) == 2, "its clients are spread"


def check_counts(proxy, story, made, victims, mode):
    """/metrics says what the users saw, no more and no less."""
    metrics = proxy.metrics()
    moved = len(victims) if mode != "temporary" else 0
    returned = len(victims) if mode == "return" else 0
    assert metrics.value("holdfast_sessions_lost_total") == moved
    assert metrics.value("holdfast_sessions_lost_total", cause="down") == moved
    assert metrics.value("holdfast_failbacks_total") == returned
    assert metrics.value("holdfast_affinity_verdicts_total", verdict="returned") == returned
    assert metrics.value("holdfast_pins_total", kind="new") == USERS
    assert metrics.value("holdfast_pins_total", kind="moved") == moved + returned
    guests = sum(
        server != "app2" for number, _, server in story.answers if number in victims
    )
    if mode == "temporary":  # while it is away: every answer to its clients
        assert metrics.value("holdfast_stand_ins_total") == guests
    else:  # between its death and the judgement alone
        assert metrics.value("holdfast_stand_ins_total") < guests
    assert metrics.value("holdfast_responses_total", **{"class": "2xx"}) == len(story.answers)
    errors = sum(len(user.errors) for user in made)
    assert metrics.value("holdfast_responses_total", **{"class": "5xx"}) == errors


# --- return and temporary at their edges ---------------------------------------------------------
def pinned_to(proxy, name, count=1):
    """Users of that server."""
    found = []
    while len(found) < count:
        user = Browser(proxy.port)
        if user.request().json()["server"] == name:
            found.append(user)
    return found


def test_a_drain_takes_nobody_back(run_proxy, backends):
    proxy = run_proxy(backends(*NAMES), pool_keys={"failback": "return"})
    (user,) = pinned_to(proxy, "app2")
    proxy.set_state("app2", "maintenance")
    other = user.request().json()["server"]
    assert other != "app2" and user.pins == 2
    proxy.set_state("app2", "drain")
    assert user.request().json()["server"] == other
    proxy.set_state("app2", "ready")
    assert user.request().json()["server"] == "app2" and user.pins == 3
    assert user.request().json()["server"] == "app2" and user.pins == 3
    assert proxy.metric("holdfast_sessions_lost_total", cause="maintenance") == 1
    poll(
        lambda: [row["why"] for row in proxy.access_log()][-2:] == ["returned", "pinned"],
        what="the log says why",
    )


def test_home_is_remembered_by_the_cookie_alone(run_proxy, backends):
    """Killed and started again, the proxy still knows where a client is at home."""
    servers = backends(*NAMES)
    proxy = run_proxy(servers, pool_keys={"failback": "return"})
    (user,) = pinned_to(proxy, "app2")
    proxy.set_state("app2", "maintenance")
    assert user.request().json()["server"] != "app2"
    proxy.kill()
    proxy.start()
    user.drop()
    assert user.request().json()["server"] == "app2" and user.pins == 3


def test_a_return_that_fails_is_answered_where_the_session_is(run_proxy, backends):
    servers = backends(*NAMES)
    proxy = run_proxy(servers, pool_keys={"failback": "return"})
    (user,) = pinned_to(proxy, "app2")
    proxy.set_state("app2", "maintenance")
    other = user.request().json()["server"]
    servers[1].stop()
    proxy.set_state("app2", "ready")
    for _ in range(3):
        assert user.request().json()["server"] == other
    assert user.pins == 2 and user.errors == []
    servers[1].start()
    assert user.request().json()["server"] == "app2" and user.pins == 3


def test_a_temporary_guest_of_a_strict_pool_waits_for_its_server(run_proxy, backends):
    proxy = run_proxy(backends(*NAMES), pool_keys={"failback": "temporary", "on_loss": "error"})
    (user,) = pinned_to(proxy, "app2")
    proxy.set_state("app2", "maintenance")
    assert [user.request().status for _ in range(3)] == [503] * 3
    proxy.set_state("app2", "ready")
    page = user.request().json()
    assert (page["server"], page["count"]) == ("app2", 2) and user.pins == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_backup_stands_in_and_is_left(run_proxy, backends, mode):
    servers = backends(*NAMES)
    rows = [
        {"name": b.name, "address": f"127.0.0.1:{b.port}", "backup": b.name == "app3"}
        for b in servers
    ]
    proxy = run_proxy(rows, pool_keys={"failback": mode})
    (user,) = pinned_to(proxy, "app1")
    proxy.set_state("app1", "maintenance")
    proxy.set_state("app2", "maintenance")
    assert user.request().json()["server"] == "app3"
    proxy.set_state("app1", "ready")
    assert user.request().json()["server"] == ("app3" if mode == "stay" else "app1")


# --- one failed request moves nobody -------------------------------------------------------------
def reset_once_read(connection, request):
    connection.read_body(request)
    connection.reset()


def never_answer(connection, request):
    hang(connection, request)
    raise Closed()


FAULTS = {
    "reset": (reset_once_read, 200),  # a GET: another server answers
    "malformed": (raw(b"HTTP/9 what\r\n\r\n", "close"), 502),
    "status": (raw(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"), 500),
    "hang": (never_answer, 504),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("mode", MODES)
def test_one_failed_request_moves_nobody(run_proxy, backends, mode, fault):
    servers = backends(*NAMES)
    proxy = run_proxy(
        servers,
        pool_keys={"failback": mode},
        timeouts={"response_head": "300ms" if SLOWNESS == 1 else "2s"},
    )
    made = [Browser(proxy.port) for _ in range(12)]
    for user in made:
        user.request()
    behave, status = FAULTS[fault]
    failed = [user for user in made if user.servers[0] == "app2"][:1]
    servers[1].behave = behave
    assert [user.request().status for user in failed] == [status]
    servers[1].behave = application
    for user in made:
        assert user.request().json()["server"] == user.servers[0] and user.pins == 1
    assert proxy.metric("holdfast_sessions_lost_total") == 0


# --- servers added and removed -------------------------------------------------------------------
def rows_of(backends):
    return [{"name": b.name, "address": f"127.0.0.1:{b.port}"} for b in backends]


def put_servers(proxy, backends):
    pool = {**proxy.config["pools"][0], "servers": rows_of(backends)}
    proxy.reload({**proxy.config, "pools": [pool]})


def visit_all(made):
    """Everybody's server after one more request."""
    return {user: user.request().json()["server"] for user in made}


@pytest.mark.parametrize("mode", MODES)
def test_only_those_move_who_must(run_proxy, backends, mode):
    """A server is added, servers change places, one is removed and, unlike one that was down, is
    nobody's home when it is added again."""
    one, two, three, four = backends(*NAMES, "app4")
    proxy = run_proxy([one, two, three], pool_keys={"failback": mode})
    made = [Browser(proxy.port) for _ in range(60)]
    homes = visit_all(made)
    put_servers(proxy, [one, two, three, four])
    assert visit_all(made) == homes
    put_servers(proxy, [four, three, one, two])
    assert visit_all(made) == homes and {user.pins for user in made} == {1}
    newcomers = [Browser(proxy.port) for _ in range(20)]
    assert Counter(visit_all(newcomers).values())["app4"] > 0

    put_servers(proxy, [four, three, one])
    after = visit_all(made)
    moved = {user for user in made if after[user] != homes[user]}
    assert moved == {user for user in made if homes[user] == "app2"} != set()
    assert "app2" not in after.values()
    lost = len(moved) + sum(user.servers[0] == "app2" for user in newcomers)
    visit_all(newcomers)
    assert proxy.metric("holdfast_sessions_lost_total", cause="gone") == lost

    put_servers(proxy, [four, three, one, two])
    assert visit_all(made) == after
    assert all(user.pins == 1 + (user in moved) for user in made)


# --- slow start ----------------------------------------------------------------------------------
def share(proxy, name, count=40):
    return sum(proxy.get("/").json()["server"] == name for _ in range(count))


def slow(run_proxy, servers, seconds):
    return run_proxy(
        servers,
        workers=1,
        pool_keys={"balance": "round_robin", "slow_start": f"{int(seconds * SLOWNESS)}s"},
    )


@pytest.mark.parametrize("how", ["added", "ready"])
def test_a_newcomer_gets_its_share_slowly(run_proxy, backends, how):
    """5 % of its weight at first: of 40 clients 2; and in the end half of them."""
    one, two = backends("app1", "app2")
    proxy = slow(run_proxy, [one] if how == "added" else [one, two], 4)
    users = [] if how == "added" else pinned_to(proxy, "app2", 3)
    if how == "added":
        put_servers(proxy, [one, two])
    else:
        proxy.set_state("app2", "maintenance")
        proxy.set_state("app2", "ready")
    assert [user.request().json()["server"] for user in users] == ["app2"] * len(users)
    first = share(proxy, "app2")
    assert 1 <= first <= 10, first
    poll(lambda: share(proxy, "app2") >= 19, 30, "it has its full share", 0.3)


def test_no_server_is_new_when_the_proxy_starts(run_proxy, backends):
    proxy = slow(run_proxy, backends("app1", "app2"), 60)
    assert share(proxy, "app2") == 20
