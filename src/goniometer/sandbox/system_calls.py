"""System calls that a program under test is refused: memory beside its limits, and other ways out.

Shared memory and files in memory are outside a process's address space, so that its limit does not
hold them. The filter is a program of classic BPF as seccomp(2) takes it; the numbers are of
arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of Linux. Elsewhere
than on these two architectures there is none.
"""

import os
import platform
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# By the name of the machine: its audit number, and the calls of the comment in this order.
# shmget, msgget, mq_open, memfd_create, ptrace, process_vm_readv, process_vm_writev, add_key,
# request_key, keyctl, unshare, setns, mount, bpf, perf_event_open, userfaultfd; then, alike on
# both, io_uring_setup, memfd_secret, fsopen, open_tree, move_mount, pidfd_getfd
_ALIKE = (425, 447, 430, 428, 429, 438)
_X86_64 = (29, 68, 240, 319, 101, 310, 311, 248, 249, 250, 272, 308, 165, 321, 298, 323)
_GENERIC = (194, 186, 180, 279, 117, 270, 271, 217, 218, 219, 97, 268, 40, 280, 241, 282)
_REFUSED: Mapping[str, tuple[int, tuple[int, ...]]] = {
    "x86_64": (0xC000003E, _X86_64 + _ALIKE),
    "aarch64": (0xC00000B7, _GENERIC + _ALIKE),
}
_OTHER_TABLE = 0x40000000  # of x32, on x86_64
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_KILL, _ALLOW, _NOT_PERMITTED = 0x80000000, 0x7FFF0000, 0x00050001
_ARCHITECTURE, _NUMBER = 4, 0  # offsets in struct seccomp_data


def program(machine: str) -> bytes:
    """Return the filter for a machine; empty where its numbers are not known."""
    if machine not in _REFUSED:
        return b""
    architecture, refused = _REFUSED[machine]
    instructions = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _OTHER_TABLE),
        (_RETURN, 0, 0, _NOT_PERMITTED),
    ]
    for number in refused:
        instructions += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _NOT_PERMITTED)]
    instructions.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


@contextmanager
def descriptor() -> Iterator[int | None]:
    """Give the end of a pipe from which bubblewrap reads the filter; None where there is none."""
    filtering = program(platform.machine())
    if not filtering:
        yield None
        return
    reading, writing = os.pipe()
    try:
        os.write(writing, filtering)  # fits into a pipe
        os.close(writing)
        yield reading
    finally:
        os.close(reading)
