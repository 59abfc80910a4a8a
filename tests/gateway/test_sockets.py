"""The Unix socket: one instance, the right mode, nothing stale."""

import os
import socket
import stat
from pathlib import Path

import pytest

from gateway import sockets


def test_a_second_instance_is_refused_and_a_dead_one_is_not(short_dir: Path) -> None:
    """The lock goes with its holder, and then the socket that it left is removed."""
    path = short_dir / "g" / "gateway.sock"
    lock = sockets.claim(path)
    with socket.socket(socket.AF_UNIX) as listener:
        with sockets.socket_umask():
            listener.bind(str(path))
        assert stat.S_IMODE(path.stat().st_mode) == sockets.SOCKET_MODE
        with pytest.raises(sockets.SocketError, match="another gateway holds"):
            sockets.claim(path)
        assert path.is_socket()
    os.close(lock)  # as the kernel does for a process that was killed
    again = sockets.claim(path)
    assert not path.exists()
    assert stat.S_IMODE(path.parent.stat().st_mode) == sockets.DIRECTORY_MODE
    os.close(again)


def test_a_file_that_is_no_socket_is_left_alone(short_dir: Path) -> None:
    """A path that was mistyped is not deleted."""
    path = short_dir / "precious"
    path.write_text("data")
    with pytest.raises(sockets.SocketError, match="not a socket"):
        sockets.claim(path)
    assert path.read_text() == "data"


def test_a_long_path_is_named(short_dir: Path) -> None:
    """Beyond 107 bytes the error says so."""
    with pytest.raises(sockets.SocketError, match="107 bytes"):
        sockets.claim(short_dir / ("x" * 120))
