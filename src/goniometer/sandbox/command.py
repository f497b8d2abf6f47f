"""The command that starts one side of a sandbox, and whether this machine can run it.

A user's sandbox is one call of bubblewrap in a user namespace of its own, where no further one can
be made. The limit on processes does not bind root, not even under another name in a user namespace,
so that for root the mounts are made first, then the user becomes nobody (`setpriv`), and an inner
call makes the user namespace.
"""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Literal

from goniometer.errors import AbsentError, GoniometerError
from goniometer.sandbox.system_calls import descriptor

Sandbox = Literal["bubblewrap", "none"]

INSIDE = Path(__file__).parent / "inside"
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}
SCRATCH = "/tmp"  # noqa: S108 (inside, a file system of its own)
_NOBODY = "65534"
_OWN_USERS = ("--unshare-user", "--disable-userns", "--uid", _NOBODY, "--gid", _NOBODY)
_AS_NOBODY = (
    *("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP", "--"),
    *("setpriv", "--reuid", _NOBODY, "--regid", _NOBODY, "--clear-groups"),
    *("--bounding-set=-all", "bwrap", "--dev-bind", "/", "/", "--chdir", SCRATCH),
)
_START = "import sys; sys.path.insert(0, {!r}); import inside.{}; del sys.path[0]; inside.{}.main()"


def command(
    side: str, sandbox: Sandbox, scratch_bytes: int, refused: int | None, *arguments: str
) -> list[str]:
    """Compose the command of `inside/SIDE.py`; the interpreter is this one, without packages.

    Args:
        side: `program` or `tests`.
        sandbox: which one.
        scratch_bytes: size of the scratch folder.
        refused: file descriptor of the filter of system calls.
        arguments: of the side.
    """
    prefix = Path(sys.base_prefix).resolve()
    real = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    if sandbox == "none":
        return [str(real), *_python(side, str(INSIDE.parent)), *arguments]
    own = not prefix.is_relative_to("/usr")  # else it is mounted with the system
    executable = Path("/python") / real.relative_to(prefix) if own else real
    mounted = ["--ro-bind", str(prefix), "/python"] if own else []
    library = ["--setenv", "LD_LIBRARY_PATH", "/python/lib"] if own else []
    started = [str(executable), *_python(side, "/harness"), *arguments]
    harness = ["--perms", "0755", "--dir", "/harness", "--ro-bind", str(INSIDE), "/harness/inside"]
    mounts = [*_system(), *mounted, *harness]
    scratch = ["--perms", "1777", "--size", str(scratch_bytes), "--tmpfs", SCRATCH]
    environment = [part for pair in ENVIRONMENT.items() for part in ("--setenv", *pair)]
    return [
        shutil.which("bwrap") or "bwrap",
        *("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"),
        *("--unshare-cgroup-try", "--die-with-parent", "--new-session", "--clearenv"),
        *mounts,
        *("--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"),
        *scratch,
        *("--remount-ro", "/", "--chdir", SCRATCH, "--cap-drop", "ALL"),
        *environment,
        *library,
        *(_AS_NOBODY if os.geteuid() == 0 else ()),
        *_OWN_USERS,
        *(() if refused is None else ("--seccomp", str(refused))),
        "--",
        *started,
    ]


def missing(sandbox: Sandbox) -> GoniometerError | None:
    """Return the error that this machine cannot run such a sandbox; None where it can."""
    if sandbox == "none":
        if os.geteuid() == 0:
            return GoniometerError(
                "no limit on processes binds root, so that code is not run as root unsandboxed",
                fix="run as another user, or with sandbox: bubblewrap",
            )
        return None
    fault = _fault_of_bubblewrap()
    if not fault:
        return None
    return AbsentError(
        f"no sandbox for the code of a model: {fault}",
        fix="install bubblewrap 0.8 or later (`apt-get install bubblewrap`), or run the code "
        "under resource limits alone with sandbox: none",
    )


@cache
def _fault_of_bubblewrap() -> str:
    """Run one side, which ends at once without input; return why it does not, or nothing."""
    if shutil.which("bwrap") is None:
        return "bubblewrap (bwrap) is not installed"
    try:
        with descriptor() as refused:
            done = subprocess.run(  # noqa: S603
                command("program", "bubblewrap", 2**20, refused),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                pass_fds=() if refused is None else (refused,),
                timeout=60,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.stdout.strip() == b'"ready"':
        return ""
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"it ended with {done.returncode}"


def _python(side: str, path: str) -> list[str]:
    return ["-s", "-S", "-B", "-c", _START.format(path, side, side)]


def _system() -> list[str]:
    """Mount the system's programs and libraries, and nothing of /etc, /home or /var."""
    parts = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "lib", "lib64", "sbin"):
        path = Path("/") / name
        if path.is_symlink():
            parts += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            parts += ["--ro-bind", str(path), str(path)]
    return parts
