"""The binary's words: what each subcommand prints, and its exit code."""
import json
import os
import re
import stat
import subprocess

import pytest

from harness.proxy import BINARY

GOOD = """\
node: lb1
workers: 2
admin: {bind: "127.0.0.1:9900"}
state_dir: STATE
listeners:
  - {name: web, bind: "127.0.0.1:8080", protocol: http}
pools:
  - name: shop
    balance: least_connections
    affinity: [{cookie: HOLDFAST, mode: insert, idle: 30m}]
    health: {http: /healthz, interval: 1s, timeout: 500ms, rise: 2, fall: 2}
    servers:
      - {name: app1, address: "127.0.0.1:3001", weight: 3}
      - {name: app2, address: "127.0.0.1:3002"}
"""
COMMANDS = ["proxy", "check", "ctl", "keygen", "version", "shop", "agent", "simulate"]


def run(*words, code=0, environment=None):
    done = subprocess.run(
        [BINARY, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == code, done
    return done


@pytest.fixture
def write(tmp_path):
    def made(text, name="holdfast.yaml"):
        (tmp_path / "state").mkdir(exist_ok=True)
        file = tmp_path / name
        file.write_text(text.replace("STATE", str(tmp_path / "state")))
        return file

    return made


def test_help_is_everywhere():
    overview = run("--help").stdout
    for command in COMMANDS:
        assert re.search(rf"^  {command} +\S", overview, re.M), command
        assert command in run(command, "--help").stdout
        assert run("help", command).stdout == run(command, "--help").stdout
    assert run(code=2).stderr == overview


def test_unknown_commands_and_options():
    assert (
        run("chekc", code=2).stderr == "holdfast: unknown command 'chekc': did you mean 'check'?\n"
    )
    assert "--help" in run("explode", code=2).stderr
    for command in ("agent", "check", "ctl", "keygen", "version", "shop", "simulate"):
        done = run(command, "--no-such-option", code=2)
        assert "--no-such-option" in done.stderr and done.stdout == ""


def test_not_built_yet():
    for words in (
        ["ctl", "explain"],
        ["ctl", "preview", "x"],
        ["ctl", "migrate"],
        ["ctl", "drain", "shop/app1", "--deadline", "10m"],
    ):
        assert "not supported yet" in run(*words, code=2).stderr


def test_version():
    assert re.match(r"holdfast \d+\.\d+\.\d+\n.*OpenSSL", run("version").stdout)
    assert run("--version").stdout == run("version").stdout
    run("version", "extra", code=2)


def test_keygen_to_output():
    first, second = run("keygen").stdout, run("keygen").stdout
    assert re.fullmatch(r"[0-9a-f]{64}\n", first) and first != second


def test_keygen_to_a_file(tmp_path):
    file = tmp_path / "key"
    assert run("keygen", file).stdout == ""
    assert re.fullmatch(r"[0-9a-f]{64}\n", file.read_text())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_text()
    assert "never overwritten" in run("keygen", file, code=1).stderr
    assert file.read_text() == before
    assert "No such file" in run("keygen", tmp_path / "none" / "key", code=1).stderr
    run("keygen", file, "extra", code=2)


def test_a_full_disk_leaves_no_half_key():
    assert (
        "No space left"
        in subprocess.run(
            [BINARY, "keygen"],
            stdout=open("/dev/full", "wb"),
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        ).stderr
    )


def test_check_good(write):
    file = write(GOOD)
    done = run("check", "-c", file)
    assert done.stderr == ""
    assert done.stdout.startswith(f"{file}: good: 1 listener, 1 route, 1 pool, 2 workers\n")
    for line in (
        "listener web: 127.0.0.1:8080",
        "admin: 127.0.0.1:9900",
        "pool shop: 2 servers, least_connections, affinity: cookie HOLDFAST (sealed)",
        "app1 127.0.0.1:3001 weight 3",
        "app2 127.0.0.1:3002 weight 1",
    ):
        assert f"  {line}\n" in done.stdout, done.stdout
    assert "shop" in done.stdout.split("\n\n")[1]  # the recovery text


def test_check_tells_each_mistake_with_its_line(write):
    file = write(GOOD.replace("balance:", "balanse:").replace("interval: 1s", "interval: 1 parsec"))
    done = run("check", "-c", file, code=1)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert all(re.match(rf"{re.escape(str(file))}:\d+: \S", line) for line in lines), lines
    assert any(
        line.startswith(f"{file}:9: ") and "balanse" in line and "balance" in line for line in lines
    )
    assert any(line.startswith(f"{file}:11: ") and "parsec" in line for line in lines)


def test_check_files_that_cannot_be(write, tmp_path):
    for file in (
        tmp_path / "none.yaml",
        write("", "empty.yaml"),
        write("{", "broken.yaml"),
        tmp_path,
    ):
        done = run("check", "-c", file, code=1)
        assert done.stderr.startswith(str(file)) and done.stdout == ""
    run("check", code=2)
    run("check", "-c", write(GOOD), "extra", code=2)


def test_check_agent(write):
    good = "node: app1\nadmin: {bind: 127.0.0.1:9911}\nagent:\n  redis: 127.0.0.1:6380\n  mode: local\n"
    assert "agent" in run("check", "-c", write(good)).stdout
    file = write(good.replace("mode: local", "mood: local"))
    assert f"{file}:5: " in run("check", "-c", file, code=1).stderr
    ahead = good.replace("mode: local", "peers: {dns: \"app.example:7401\"}")
    assert ":5: not supported yet: dns" in run("check", "-c", write(ahead), code=1).stderr
    inner = GOOD.replace("least_connections", "least_connections\n    agent: {}")
    assert (
        "good" not in run("check", "-c", write(inner), code=1).stdout
    )  # not at the top: no agent's file


PEERS = """agent:
  redis: 127.0.0.1:6380
  peer: 127.0.0.1:7401
  peers: {app1: "127.0.0.1:7401", app2: "127.0.0.1:7402", app3: "127.0.0.1:7403"}
"""
STORE = """agent:
  redis: 127.0.0.1:6380
  mode: external
  external: {url: "redis://127.0.0.1:6379/0", write: behind}
"""


@pytest.mark.parametrize(
    "text, told",
    [
        ("agent: {redis: 127.0.0.1:6380}\n", ["local, 1024 MiB", "all are gone; write peers:"]),
        (PEERS, ["detection 1100 ms", "2 at the same moment", "unless all others were silent for 250 ms",
                 "each part goes on"]),
        (PEERS + "  backups: 2\n", ["3 at the same moment"]),
        (PEERS + "  consistency: consistent\n", ["fewer than 2 of the 3 agents", "lost: nothing that was"]),
        (PEERS + "  acknowledge: memory\n", ["lost: writes of the last moments"]),
        (PEERS.replace(', app3: "127.0.0.1:7403"', "") + "  consistency: consistent\n",
         ["with 2 agents the end of one stops all"]),
        (PEERS + "  mode: local\n", ["local, 1024 MiB", "all are gone; write peers: and mode: replicated"]),
        (PEERS + '  mode: transition\n  external: {url: "redis://127.0.0.1:6379/0"}\n', ["transition, 1024 MiB"]),
        (STORE, ["store: redis://127.0.0.1:6379/0, write behind", "what was written in the last moments"]),
    ],
)  # fmt: skip
def test_check_agent_tells_what_it_promises(write, text, told):
    out = run("check", "-c", write(text)).stdout
    for part in told:
        assert part in out


def test_what_an_agents_mode_does_not_use_is_a_warning(write):
    file = write(PEERS + '  mode: local\n  external: {url: "redis://127.0.0.1:6379/0"}\n')
    done = run("check", "-c", file)
    assert f"{file}:4: warning: mode: local does not use 'peers', 'peer', its sessions" in done.stderr
    assert f"{file}:6: warning: mode: local does not use 'external', its store is" in done.stderr
    assert "local" in done.stdout and "store: " not in done.stdout
    assert run("check", "-c", write(PEERS)).stderr == ""


# --- ctl -------------------------------------------------------------------------------------------
@pytest.fixture
def running(backends, run_proxy):
    return run_proxy(backends("app1", "app2"))


def ctl(proxy, *words, **keys):
    return run("ctl", "--admin", f"http://127.0.0.1:{proxy.admin_port}", *words, **keys)


def test_ctl_tables(running):
    status = ctl(running, "status").stdout.splitlines()
    assert re.match(r"holdfast \S+ on test, up \d+ s, configuration 1 \(.*proxy.yaml\)", status[0])
    assert status[2].split()[:4] == ["POOL", "BALANCE", "SERVERS", "READY"]
    assert status[3].split()[0] == "app" and status[3].split()[2:4] == ["2", "2"]
    servers = ctl(running, "servers").stdout.splitlines()
    assert servers[0].split()[:4] == ["SERVER", "ADDRESS", "WEIGHT", "STATE"]
    assert [line.split()[0] for line in servers[1:]] == ["app/app1", "app/app2"]


def test_ctl_json(running):
    assert json.loads(ctl(running, "--json", "status").stdout)["node"] == "test"
    assert len(json.loads(ctl(running, "servers", "--json").stdout)["servers"]) == 2
    assert json.loads(ctl(running, "--json", "drain", "app/app1").stdout)["admin"] == "drain"


def test_ctl_changes(running):
    for state in ("drain", "maintenance", "ready"):
        assert ctl(running, state, "app/app2").stdout == f"app/app2: {state}, 0 active\n"
        assert running.server_state("app2") == state


def test_ctl_slips(running):
    assert "did you mean 'app/app1'?" in ctl(running, "drain", "app/ap1", code=1).stderr
    assert (
        "'holdfast ctl servers' lists them" in ctl(running, "drain", "elsewhere/x", code=1).stderr
    )
    assert "did you mean 'drain'?" in ctl(running, "drian", "app/app1", code=2).stderr
    for name in ("app1", "app/", "/app1", "app/app1/state", ""):
        assert "POOL/SERVER" in ctl(running, "drain", name, code=2).stderr
    assert "no server" in ctl(running, "drain", "app/a b%", code=1).stderr
    ctl(running, "drain", code=2)
    ctl(running, "status", "extra", code=2)
    ctl(running, code=2)


def test_ctl_finds_the_proxy_by_its_configuration(running):
    assert run("ctl", "-c", running.file, "status").stdout.startswith("holdfast ")


def test_ctl_without_a_proxy(tmp_path):
    done = run("ctl", "--admin", "http://127.0.0.1:1", "status", code=1)
    assert "no answer from http://127.0.0.1:1" in done.stderr and "holdfast proxy" in done.stderr
    assert "no answer" in run("ctl", "--admin", f"unix:{tmp_path}/none", "status", code=1).stderr


def test_ctl_of_something_else(backends):
    backend = backends("app1")
    for words in (["status"], ["servers"], ["drain", "app/app1"]):
        done = run("ctl", "--admin", f"127.0.0.1:{backend.port}", *words, code=1)
        assert "not this API's" in done.stderr and done.stdout == ""


def test_ctl_token(backends, run_proxy, tmp_path):
    from harness.ports import free_port

    token = tmp_path / "token"
    token.write_text("s3cret-of-sixteen\n")
    token.chmod(0o600)
    proxy = run_proxy(
        [backends("app1")], admin={"bind": f"127.0.0.1:{free_port()}", "token_file": str(token)}
    )
    assert "a token is needed" in ctl(proxy, "status", code=1).stderr
    wrong = ctl(proxy, "status", code=1, environment={"HOLDFAST_TOKEN": "guess"})
    assert "the token is wrong" in wrong.stderr and "guess" not in wrong.stderr
    ctl(proxy, "status", environment={"HOLDFAST_TOKEN": "s3cret-of-sixteen"})
    ctl(proxy, "--token-file", token, "status")
    run("ctl", "-c", proxy.file, "status")
    assert "No such file" in ctl(proxy, "--token-file", tmp_path / "none", "status", code=1).stderr
