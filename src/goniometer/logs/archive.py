"""Members of a zip archive, Zstandard among them, which Python's zipfile reads from 3.14 on."""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import final

from goniometer.errors import GoniometerError

_ZSTANDARD = 93  # APPNOTE.TXT 6.3.8, section 4.4.5
# What a damaged member raises: NotImplementedError, a RuntimeError, for a method not known.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    struct.error,
)
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")


@final
@dataclass(frozen=True)
class Members:
    """An open archive."""

    path: Path
    archive: zipfile.ZipFile

    def names(self) -> tuple[str, ...]:
        """Each name once: of equal ones the last member counts, as where a log was amended."""
        return tuple(dict.fromkeys(self.archive.namelist()))

    def read(self, name: str) -> bytes:
        """The bytes of a member.

        Raises:
            GoniometerError: it is damaged, encrypted, or of a compression that is not read here.
        """
        info = self.archive.getinfo(name)
        try:
            if info.compress_type == _ZSTANDARD:
                return self._zstandard(info)
            return self.archive.read(info)
        except _DAMAGE as error:
            raise GoniometerError(f"cannot be read: {error}", file=self.path, key=name) from None

    def _zstandard(self, info: zipfile.ZipInfo) -> bytes:
        import pyarrow as pa

        with self.path.open("rb") as file:
            file.seek(info.header_offset)
            header = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
            file.seek(header[-2] + header[-1], 1)  # the name again, and the extra field
            compressed = file.read(info.compress_size)
        with pa.CompressedInputStream(pa.BufferReader(compressed), "zstd") as stream:
            data: bytes = stream.read()
        if zlib.crc32(data) != info.CRC:
            raise zipfile.BadZipFile("its checksum is another")
        return data


@contextmanager
def members(path: Path) -> Iterator[Members]:
    """Open an archive.

    Raises:
        GoniometerError: it is none, or damaged.
    """
    try:
        archive = zipfile.ZipFile(path)
    except _DAMAGE as error:
        raise GoniometerError(f"a damaged zip archive: {error}", file=path) from None
    with archive:
        yield Members(path, archive)
