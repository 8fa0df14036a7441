"""Rows about cookies and forwarding fields (RFC 6265bis, RFC 7239)."""
import base64
import random

import pytest
from harness import pool
from harness.backend import raw
from harness.rows import Row, refused, run_row
from harness.stages import stage_fixture

NAMES = ("app1", "app2", "app3")
stage_process, stage = stage_fixture("stage", names=NAMES)


def two_pools(backends):
    def cookie(path):
        return [{"cookie": "HOLDFAST", "mode": "insert", "path": path}]

    one = pool(backends[:2], name="one", affinity=cookie("/one"))
    return [one, pool(backends[2:], name="two", affinity=cookie("/two"))]


pools_stage_process, pools_stage = stage_fixture(
    "pools_stage",
    pools=two_pools,
    names=("app1", "app2", "app1", "app2"),
    routes=[{"path": "/two", "pool": "two"}, {"path": "/", "pool": "one"}],
)
trusting_stage_process, trusting_stage = stage_fixture(
    "trusting_stage", trusted_proxies=["127.0.0.0/8"]
)
wary_stage_process, wary_stage = stage_fixture("wary_stage", trusted_proxies=["10.0.0.0/8"])


def pins(stage, target="/pin"):
    """A valid token for each server of a pool: {server: token}."""
    found = {}
    for _ in range(100):
        answer = stage.proxy.get(target)
        found[answer.json()["server"]] = answer.pin()
        if len(found) == len(NAMES if stage.backends[2].name == "app3" else NAMES[:2]):
            return found
    raise AssertionError(f"only {list(found)} are used")


def ask(stage, *cookies, target="/r", label="cookie"):
    """One request with these Cookie lines; its answer and what the server saw."""
    with stage.watch(label) as watch, stage.client() as client:
        answer = client.get(target, fields=[("Cookie", value) for value in cookies])
        assert answer.status == 200, answer.head
        watch.settle()
        (message,) = watch.messages
        assert not watch.rest
    return answer, message.request


def verdicts(stage, verdict):
    return stage.proxy.metric("holdfast_affinity_verdicts_total", verdict=verdict)


def joined(request):
    return b"; ".join(request.all("Cookie")).decode("latin-1")


def test_a_valid_cookie_sticks(stage):
    for server, token in pins(stage).items():
        for _ in range(3):
            answer, request = ask(stage, f"HOLDFAST={token}")
            assert answer.json()["server"] == server and answer.pins() == []
            assert request.all("Cookie") == []


@pytest.mark.parametrize("lines", [1, 2], ids=["row 160 one line", "row 161 two lines"])
def test_rows_160_161_two_different_pins(stage, lines):
    have = pins(stage)
    before = verdicts(stage, "duplicate")
    pairs = [f"HOLDFAST={have['app1']}", f"HOLDFAST={have['app2']}"]
    answer, request = ask(stage, *(pairs if lines == 2 else ["; ".join(pairs)]))
    assert answer.pin() not in have.values(), "exactly one new pin"
    assert "HOLDFAST" not in joined(request)
    assert verdicts(stage, "duplicate") == before + 1


def test_row_160_rebalances(stage):
    """Ignored means ignored: over many such requests, others than those two are chosen as well."""
    have = pins(stage)
    servers = {
        ask(stage, f"HOLDFAST={have['app1']}; HOLDFAST={have['app2']}")[0].json()["server"]
        for _ in range(12)
    }
    assert servers == set(NAMES)


def test_row_161_a_pin_in_the_second_line_counts(stage):
    token = pins(stage)["app2"]
    answer, request = ask(stage, "a=1", f"b=2; HOLDFAST={token}")
    assert answer.json()["server"] == "app2" and answer.pins() == []
    assert joined(request) == "a=1; b=2"


def test_row_163_quotes_are_data(stage):
    before = verdicts(stage, "malformed")
    answer, _ = ask(stage, f'HOLDFAST="{pins(stage)["app1"]}"')
    assert answer.pin()
    assert verdicts(stage, "malformed") == before + 1


def test_row_164_version_is_an_ordinary_name(stage):
    answer, request = ask(stage, f"$Version=1; HOLDFAST={pins(stage)['app3']}; $Path=/")
    assert answer.json()["server"] == "app3" and answer.pins() == []
    assert request.all("Cookie") == [b"$Version=1; $Path=/"]


@pytest.mark.parametrize("byte", [0x00, 0x01, 0x0A, 0x0D, 0x1F, 0x7F])
def test_row_166_control_byte(stage, byte):
    run_row(
        stage,
        Row(
            166,
            f"byte {byte}",
            b"GET /r HTTP/1.1\r\nHost: a\r\nCookie: a=1" + bytes([byte]) + b"; b=2\r\n\r\n",
            refused(400),
        ),
    )


@pytest.mark.parametrize(
    "value", ["c=" + "x" * 8000, "; ".join(["a=b"] * 1000)], ids=["8 KB", "1000 pairs"]
)
@pytest.mark.parametrize("place", ["first", "last"])
def test_row_167_large_cookies(stage, value, place):
    pair = f"HOLDFAST={pins(stage)['app2']}"
    answer, request = ask(stage, f"{pair}; {value}" if place == "first" else f"{value}; {pair}")
    assert answer.json()["server"] == "app2" and answer.pins() == []
    assert request.all("Cookie") == [value.encode()]


def test_row_169_a_token_of_another_pool_is_nothing(pools_stage):
    """Same server names, same cookie name, same key: the pool is under the seal."""
    one = pins(pools_stage, "/one")
    before = verdicts(pools_stage, "forged")
    answer, _ = ask(pools_stage, f"HOLDFAST={one['app1']}", target="/two")
    assert answer.pin()
    assert verdicts(pools_stage, "forged") == before + 1
    answer, _ = ask(pools_stage, f"HOLDFAST={one['app1']}", target="/one")
    assert answer.json()["server"] == "app1" and answer.pins() == []


def test_row_169_no_changed_token_selects(stage):
    token = pins(stage)["app1"]
    data = bytearray(base64.urlsafe_b64decode(token))
    count = sum(verdicts(stage, v) for v in ("forged", "malformed", "unknown_key"))
    positions = sorted({0, 1, 2, 13, 14, 15, 21, 22, 30, 49, 50, 51, 64, len(data) - 1})
    for position in positions:
        changed = bytearray(data)
        changed[position] ^= 0x01
        answer, _ = ask(stage, "HOLDFAST=" + base64.urlsafe_b64encode(changed).decode().rstrip("="))
        assert answer.pin(), f"byte {position} is not under the seal"
    after = sum(verdicts(stage, v) for v in ("forged", "malformed", "unknown_key"))
    assert after == count + len(positions)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: "",
        lambda t: t[:-1],
        lambda t: t + "A",
        lambda t: t[:40],
        lambda t: t + "=",
        lambda t: t.replace(t[0], "!", 1),
        lambda t: "app1",
    ],
    ids=["empty", "one short", "one long", "half", "padded", "alphabet", "a name"],
)
def test_row_169_no_odd_form_selects(stage, change):
    before = verdicts(stage, "malformed")
    answer, _ = ask(stage, f"HOLDFAST={change(pins(stage)['app1'])}")
    assert answer.pin()
    assert verdicts(stage, "malformed") == before + 1


CUTS = [
    ("HOLDFAST={}", None),
    ("HOLDFAST={}; a=1", "a=1"),
    ("a=1; HOLDFAST={}", "a=1"),
    ("a=1; HOLDFAST={}; b=2", "a=1; b=2"),
    ('a="x y"; HOLDFAST={};  b=2', 'a="x y";  b=2'),
    ("XHOLDFAST=1; HOLDFAST={}; HOLDFASTX=2", "XHOLDFAST=1; HOLDFASTX=2"),
    ("holdfast=1; HOLDFAST={}", "holdfast=1"),
    ("a; =b; HOLDFAST={}; c==d", "a; =b; c==d"),
    ("a=HOLDFAST; HOLDFAST={}", "a=HOLDFAST"),
    ("\x80=\xff; HOLDFAST={}", "\x80=\xff"),
]


@pytest.mark.parametrize("value, rest", CUTS, ids=[str(number) for number in range(len(CUTS))])
def test_row_175_the_rest_stays_byte_identical(stage, value, rest):
    answer, request = ask(stage, value.format(pins(stage)["app1"]))
    assert answer.json()["server"] == "app1"
    assert request.all("Cookie") == ([] if rest is None else [rest.encode("latin-1")])


@pytest.mark.parametrize("value", ["a=1;b=2", ";;a=1 ;", "a=1;", '$x="1', "HOLDFASTER=x"])
def test_row_175_without_our_pair_nothing_changes(stage, value):
    _, request = ask(stage, value)
    assert request.all("Cookie") == [value.encode()]


@pytest.mark.parametrize(
    "control",
    [
        None,
        "public, max-age=60",
        "max-age=3600",
        "s-maxage=60",
        "no-cache",
        "private, max-age=9",
        "no-store",
    ],
)
def test_row_176_an_answer_with_a_pin_is_not_shared(stage, control):
    field = f"Cache-Control: {control}\r\n" if control else ""
    stage.behave = raw(f"HTTP/1.1 200 OK\r\n{field}Content-Length: 2\r\n\r\nok".encode())
    fresh = stage.proxy.get("/r")
    if fresh.pins():
        words = {
            word.strip().lower()
            for value in fresh.all("Cache-Control")
            for word in value.split(",")
        }
        assert words & {"private", "no-store"}, fresh.fields
        assert "public" not in words and not any(word.startswith("s-maxage") for word in words)
    with stage.client() as client:  # without a pin the answer stays as the application made it
        stuck = client.get("/r", fields=[("Cookie", f"HOLDFAST={fresh.pin()}")])
    assert stuck.pins() == [] and stuck.field("Cache-Control") == control


def test_row_178_a_flood_of_random_cookies_costs_nothing(stage):
    """Sealed cookies need no memory in the proxy, whatever clients invent."""
    generator = random.Random(178)
    with stage.client() as client:

        def flood(count):
            for _ in range(count):
                value = base64.urlsafe_b64encode(generator.randbytes(66)).decode()
                answer = client.get("/r", fields=[("Cookie", f"HOLDFAST={value}")])
                assert answer.status == 200 and len(answer.pins()) == 1

        flood(200)
        before = stage.proxy.rss()
        flood(2000)
        assert stage.proxy.grew_less(before, 2 * 1024 * 1024)
    assert stage.proxy.get("/still").json()["target"] == "/still"


FORGED = [
    ("X-Forwarded-For", "6.6.6.6"),
    ("Forwarded", "for=6.6.6.6;proto=https;host=evil"),
    ("X-Real-IP", "6.6.6.6"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "evil"),
    ("X-Forwarded-Port", "666"),
    ("X-Forwarded-Server", "evil"),
]


@pytest.mark.parametrize("name, value", FORGED, ids=[name for name, _ in FORGED])
def test_row_179_nothing_is_believed_from_an_untrusted_peer(wary_stage, name, value):
    with wary_stage.watch("179") as watch, wary_stage.client() as client:
        assert client.get("/r", fields=[(name, value), (name, value)]).status == 200
        watch.settle()
        (message,) = watch.messages
    request = message.request
    assert b"6.6.6.6" not in request.head and b"evil" not in request.head
    assert b"666" not in request.all("X-Forwarded-Port")
    assert request.field("X-Forwarded-For") == "127.0.0.1"
    assert request.field("X-Forwarded-Proto") == "http"
    assert request.field("X-Forwarded-Host") == "a"


def test_row_179_a_trusted_peer_is_believed_and_added(trusting_stage):
    with trusting_stage.watch("179") as watch, trusting_stage.client() as client:
        assert (
            client.get(
                "/r",
                fields=[
                    ("X-Forwarded-For", "6.6.6.6, 7.7.7.7"),
                    ("X-Forwarded-Proto", "https"),
                    ("X-Forwarded-Host", "shop"),
                ],
            ).status
            == 200
        )
        watch.settle()
        (message,) = watch.messages
    request = message.request
    assert (
        ", ".join(v.decode() for v in request.all("X-Forwarded-For"))
        == "6.6.6.6, 7.7.7.7, 127.0.0.1"
    )
    assert (
        request.field("X-Forwarded-Proto") == "https"
        and request.field("X-Forwarded-Host") == "shop"
    )
