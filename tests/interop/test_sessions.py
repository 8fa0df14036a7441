"""Stock session libraries behind the proxy: their sessions outlive the servers.

Three instances of each shop of fleet/applications.py. Where they keep their sessions is chosen by
--session-stores; see fleet/stores.py.
"""
import threading

import pytest
from fleet import APPLICATIONS, NAMES, STORES, Fleet
from harness import poll
from harness.apps import crowd, join

USERS = 6
NOTHING = {"user": None, "cart": 0}
FAILURES = 4  # more than any client takes before it gives a server up for a while
RECOVERY_SECONDS = 5
ADDS = 5  # of each of the threads that add to one cart at once


CASES = {(shop.name, store): (shop, store) for store in STORES for shop in APPLICATIONS}


def pytest_generate_tests(metafunc):
    chosen = metafunc.config.getoption("--session-stores").split(",")
    unknown = [store for store in chosen if store not in STORES]
    if unknown:
        raise pytest.UsageError(f"no such place for sessions: {', '.join(unknown)}")
    # The same object each time: that is how pytest knows that a fleet is there already.
    cases = [CASES[shop.name, store] for store in chosen for shop in APPLICATIONS]
    ids = [f"{shop.name}-{store}" for shop, store in cases]
    metafunc.parametrize("fleet", cases, ids=ids, indirect=True, scope="module")


@pytest.fixture(scope="module")
def fleet(request, modules, tmp_path_factory):
    application, store = request.param
    made = Fleet(application, store, tmp_path_factory.mktemp(application.name))
    try:
        made.start()
        yield made
    finally:
        made.stop()


def customers(fleet):
    """Users who are logged in and have been busy: number n has n + 2 things in the cart."""
    users = [fleet.user(f"user{number}") for number in range(USERS)]
    for number, user in enumerate(users):
        user.add()
        user.log_in()
        for _ in range(number + 1):
            user.add()
        user.look()
    return users


def agree(fleet, users):
    for user in users:
        assert fleet.everywhere(user.session) == {name: user.expected() for name in NAMES}


def test_a_login_gives_the_session_another_id(fleet):
    user = fleet.user("alice")
    user.look()
    user.add()
    before = user.session
    user.log_in()
    assert (user.session != before) == fleet.application.rotates
    if fleet.application.rotates:
        assert fleet.everywhere(before) == {name: NOTHING for name in NAMES}
    agree(fleet, [user])


def test_users_stay_where_they_are(fleet):
    users = customers(fleet)
    for user in users:
        assert len(set(user.servers)) == 1 and user.pins == 1 and user.errors == []
    assert {user.server for user in users} == set(NAMES)
    agree(fleet, users)


def test_a_server_dies_and_nobody_is_logged_out(fleet):
    users = customers(fleet)
    victim = users[0].server
    victims = [user for user in users if user.server == victim]
    leaving = victims[-1]
    assert leaving is not users[0]
    before = fleet.outcomes()
    fleet.kill(victim)
    try:
        for number, user in enumerate(users):
            user.add() if number % 2 else user.look()
            found = user.server
            assert found != victim
            for _ in range(3):
                user.add()
                user.look()
            assert user.server == found and user.errors == []
        if fleet.store.replicated:
            fleet.proxy.wait_state(victim, "down")
            for user in users:
                user.look()  # whoever was served by a stand-in so far moves
            after = fleet.outcomes()
            told = {outcome: after[outcome] - before[outcome] for outcome in after}
            assert told == {**dict.fromkeys(told, 0), "moved": len(victims)}
        gone = leaving.session
        leaving.log_out()
    finally:
        fleet.revive(victim)
    # The server that was dead when they bought things and left knows what happened meanwhile.
    assert fleet.everywhere(gone) == {name: NOTHING for name in NAMES}
    agree(fleet, [user for user in users if user is not leaving])


def test_a_logout_holds_everywhere(fleet):
    users = customers(fleet)
    agree(fleet, users)  # each server has seen each session
    for user in users[1:]:
        cookie = user.session
        user.log_out()
        assert fleet.everywhere(cookie) == {name: NOTHING for name in NAMES}
        user.look()
    agree(fleet, users[:1])


def test_requests_of_one_session_on_all_servers_at_once(fleet):
    """With locks nothing is lost; without, a slower request may overwrite a faster one's cart, as
    on any store, but nobody is logged out."""
    user = fleet.user("alice")
    user.log_in()
    cookie = user.session
    start = threading.Barrier(len(NAMES))

    def script(instance):
        start.wait()
        for _ in range(ADDS):
            answer = instance.ask("/add", cookie, "POST")
            assert answer.status == 200 and answer.json()["user"] == "alice", answer.body

    join(*crowd(list(fleet.instances.values()), script))
    added = ADDS * len(NAMES)
    user.cart = fleet.everywhere(cookie)[NAMES[0]]["cart"]
    assert user.cart == added if fleet.application.locks else 1 <= user.cart <= added
    agree(fleet, [user])


def test_a_store_that_went_away_and_came_back(fleet):
    """The application stays up: what it answers meanwhile is in its guide."""
    user = fleet.user("alice")
    user.log_in()
    user.add()
    name = user.server
    instance = fleet.instances[name]
    fleet.store.lose(name)
    try:
        for _ in range(FAILURES if fleet.application.away else 0):
            answer = instance.ask("/me", user.session)
            assert answer.status == fleet.application.away, answer.body
            if answer.status == 200:
                assert answer.json()["user"] is None
    finally:
        fleet.store.restore(name)
    poll(instance.keeps_sessions, RECOVERY_SECONDS, "it finds its store again", 0.1)
    if fleet.store.replicated:
        agree(fleet, [user])
