"""A job of the fork server is as one in a process of its own: what it is given, what it gives, and when it dies."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from workflow_scripts.process import fork_server, sockets

ROOT = Path(__file__).parents[3]

# Stands in for a stage, and for what takes long to import: only the server's process has it.
SERVER = """
import gc, sys, types, os, time
from pathlib import Path
from workflow_scripts.process import fork_server, sockets

def main(arguments):
    match arguments:
        case ["tell"]:
            print("out", os.getcwd(), os.environ.get("PROBE"), os.environ.get("ONLY_SERVER"), fork_server.inside())
            print("err", sys.stdin.read(), file=sys.stderr)
        case ["imported"]:
            imports = set(map(id, gc.get_objects()))
            print(id(vars(types)) in imports, gc.get_freeze_count() > 1000)
        case ["leave", status]:
            sys.exit(int(status))
        case ["fail"]:
            raise RuntimeError("broken")
        case ["user"]:
            from workflow_scripts.base.errors import UserError
            raise UserError("models.x: is wrong; fix it")
        case ["sleep", place]:
            Path(place).write_text(str(os.getpid()))
            time.sleep(60)

probe = types.ModuleType("workflow_scripts.probe")
probe.main = main
sys.modules["workflow_scripts.probe"] = probe
fork_server.PRELOADED, fork_server.IDLE_SECONDS, sockets.ORDER_SECONDS = (), float(sys.argv[1]), 0.5
os.environ["ONLY_SERVER"] = "1"
fork_server.serve(fork_server._address())
"""
CLIENT = "import sys; from workflow_scripts.process import command; command.run('probe', sys.argv[1:])"


def wait_for(condition, seconds=300.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


def is_gone(pid):
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status.rsplit(")", 1)[1].split()[0] == "Z"  # dead, and waiting for its parent to notice


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """An environment in which a fork server may be used, and which has its own place for the address."""
    if not sys.platform.startswith("linux") or os.path.exists("/dev/nvidiactl"):
        pytest.skip("no fork server on this machine")
    place = tempfile.mkdtemp(prefix="mm", dir="/tmp")  # short: a socket's path has at most 107 bytes
    for name in (*sockets.CLUSTER_VARIABLES, "MIXMERGE_WARM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TMPDIR", place)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    yield
    shutil.rmtree(place)


@pytest.fixture
def serve(environment):
    """Start a server that goes after some idle seconds, and wait until it listens."""
    servers = []

    def start(idle=30.0):
        servers.append(subprocess.Popen([sys.executable, "-c", SERVER, str(idle)]))
        wait_for(lambda: sockets.connect(fork_server._address())).close()
        return servers[-1]

    yield start
    for server in servers:
        server.kill()
        server.wait()


def client(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def test_a_job_has_its_commands_folder_environment_and_streams(serve, tmp_path):
    serve()
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    job = client("tell", cwd=folder, env={**os.environ, "PROBE": "é"})
    out, err = job.communicate("what is asked")
    assert job.returncode == 0
    assert out.split() == ["out", str(folder), "é", "None", "True"]
    assert err == "err what is asked\n"


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [(["leave", "0"], 0, ""), (["leave", "3"], 3, ""), (["user"], 1, "mixmerge probe: models.x: is wrong; fix it\n")],
)
def test_a_job_gives_its_commands_exit_status_and_error(serve, arguments, status, told):
    serve()
    job = client(*arguments)
    assert job.communicate("")[1] == told
    assert job.returncode == status


def test_a_crash_is_told_with_its_traceback(serve):
    serve()
    job = client("fail")
    told = job.communicate("")[1]
    assert "Traceback" in told and "RuntimeError: broken" in told and job.returncode == 1


def test_a_job_dies_with_its_command_and_the_server_goes_on(serve, tmp_path):
    server = serve()
    command = client("sleep", str(tmp_path / "pid"))
    job = int(wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    command.kill()
    wait_for(lambda: is_gone(job))
    command.communicate()
    assert server.poll() is None and client("leave", "0").wait() == 0


def test_a_job_dies_with_the_server_and_its_command_fails(serve, tmp_path):
    server = serve()
    command = client("sleep", str(tmp_path / "pid"))
    job = int(wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    server.kill()
    command.communicate(timeout=300)
    assert command.returncode != 0
    wait_for(lambda: is_gone(job))


def test_a_job_that_is_killed_fails_its_command(serve, tmp_path):
    serve()
    command = client("sleep", str(tmp_path / "pid"))
    os.kill(int(wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())), signal.SIGKILL)
    command.communicate(timeout=300)
    assert command.returncode != 0


def test_several_jobs_run_at_once(serve, tmp_path):
    serve()
    commands = [client("sleep", str(tmp_path / str(i))) for i in range(3)]
    wait_for(lambda: all((tmp_path / str(i)).exists() for i in range(3)))
    for command in commands:
        command.kill()
        command.communicate()


@pytest.mark.parametrize(
    "sent", [b"", b"123", (100).to_bytes(8, "big") + b"half an order", (2).to_bytes(8, "big") + b"x}"]
)
def test_commands_that_are_killed_while_they_ask_do_the_server_no_harm(serve, sent):
    server = serve()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(fork_server._address()))
    connection.sendall(sent)
    connection.close()
    assert client("leave", "0").wait() == 0 and server.poll() is None


def test_a_command_that_says_nothing_is_left_alone(serve):
    serve()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(fork_server._address()))
        assert client("leave", "0").wait() == 0


def test_the_server_goes_when_it_is_idle_and_takes_its_address_along(serve):
    server = serve(idle=0.5)
    assert client("leave", "0").wait() == 0
    assert server.wait(timeout=300) == 0
    assert not fork_server._address().exists()
    assert fork_server.ask("probe", ["leave", "0"]) is None, "nobody is there, and nobody is started unasked"


def test_the_address_follows_sources_and_what_libraries_read_on_import(environment, monkeypatch, tmp_path):
    before = fork_server._address()
    assert before == fork_server._address()
    monkeypatch.setenv("PROBE", "1")
    assert fork_server._address() == before
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert fork_server._address() != before
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    shutil.copytree(ROOT / "workflow_scripts", tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sockets, "PACKAGE", tmp_path / "copy")
    copied = fork_server._address()
    (tmp_path / "copy" / "training.py").touch()
    assert len({before, copied, fork_server._address()}) == 3


def test_a_folder_that_others_may_enter_is_not_used(environment):
    folder = fork_server._address().parent
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    assert fork_server._address() is None
    assert fork_server.ask("probe", [], may_start=True) is None


@pytest.mark.parametrize(
    ("name", "value"), [("MIXMERGE_WARM", "0"), *((name, "1") for name in sockets.CLUSTER_VARIABLES)]
)
def test_it_is_off_where_it_is_switched_off_and_on_clusters(environment, monkeypatch, name, value):
    assert fork_server.allowed()
    monkeypatch.setenv(name, value)
    assert not fork_server.allowed()


def test_it_is_off_with_cuda_and_off_linux(environment, monkeypatch):
    exists = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: path == "/dev/nvidiactl" or exists(path))
    assert not fork_server.allowed()
    monkeypatch.setattr(os.path, "exists", exists)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not fork_server.allowed()


def test_collecting_garbage_in_a_job_does_not_go_through_what_the_server_imported(serve):
    serve()
    out, _ = client("imported").communicate()
    assert out == "False True\n"


def test_jobs_find_what_takes_long_to_import_in_the_server(environment):
    code = (
        "import importlib, sys; from workflow_scripts.process import fork_server\n"
        "for module in fork_server.PRELOADED: importlib.import_module(module)\n"
        "wanted = {'torch', 'transformers', 'trl', 'mergekit', 'litellm', 'matplotlib', 'scipy.stats', 'statsmodels'}\n"
        "print(wanted - sys.modules.keys())"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
