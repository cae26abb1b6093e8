"""Owns the way out of a sandbox that has no network: from its loopback to one Unix socket.

Run as a program: `python -I -S net_gate.py SOCKET_PATH PORT -- command argument…`, inside a network
namespace of its own. It listens at 127.0.0.1:PORT, leaves a forwarder behind that joins each
connection to the Unix socket at SOCKET_PATH (where the filtering proxy listens), and becomes the
command: pid, signals, streams and exit status are the command's from then on. The port answers
before the command runs. The forwarder is no child of the command, ends when the command does, and
without it nothing goes out.

Exit status before the command runs: 125 the gate could not be opened, 126 the command can't be run,
127 it is not there. Linux 5.3 or newer. Standard library only, and little of it, so that it starts
within about 20 ms; it must not import anything of this package, nor know what it forwards.
"""

import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import sys
import time

CONNECTIONS_MAX = 64
"""Further ones wait in the backlog; each needs two descriptors and up to twice READ_BYTES."""
READ_BYTES = 65_536
PAUSE_S = 0.05
GATE_NOT_OPENED = 125
COMMAND_NOT_RUN = 126
COMMAND_NOT_FOUND = 127

SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1
IFREQ = "16sH22x"


def main(argv: list[str]) -> int:
    """Open the gate and become the command in `argv`; return only if that failed."""
    path, port, command = argv[1], int(argv[2]), argv[4:]
    try:
        bring_loopback_up()
        listener = socket.create_server(("127.0.0.1", port), backlog=CONNECTIONS_MAX)
        leave_forwarder(listener, path, os.pidfd_open(os.getpid()))
    except OSError as error:
        complain(f"the gate at 127.0.0.1:{port} could not be opened: {error.strerror}")
        return GATE_NOT_OPENED
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them; a command may not
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        complain(f"{command[0]} could not be started: {error.strerror}")
        missing = isinstance(error, FileNotFoundError)
        return COMMAND_NOT_FOUND if missing else COMMAND_NOT_RUN


def complain(words: str) -> None:
    """Say one sentence on stderr."""
    os.write(2, f"{words}\n".encode())


def bring_loopback_up() -> None:
    """Raise the loopback interface, which is down in a new network namespace; else do nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        asked = struct.pack(IFREQ, b"lo", 0)
        flags = struct.unpack(IFREQ, fcntl.ioctl(any_socket, SIOCGIFFLAGS, asked))[1]
        if not flags & IFF_UP:
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack(IFREQ, b"lo", flags | IFF_UP))


def leave_forwarder(listener: socket.socket, path: str, command: int) -> None:
    """Start the forwarder as an orphan, so that the command has no child that it didn't make.

    `command` is a descriptor of this process. All of its threads must have ended before it says so,
    which a death signal from the kernel would not wait for.
    """
    middle = os.fork()
    if middle:
        os.waitpid(middle, 0)
        return
    try:
        if os.fork() == 0:
            os.setsid()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)  # the command may need us while it ends
            leave_streams()
            Forwarder(listener, path, command).run()
    finally:
        os._exit(0)


def leave_streams() -> None:
    """Close our copies of the command's streams, so that their ends mean something."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.close(nothing)


class Side:
    """One end of a joined connection: what was read here is `unwritten` on the other side."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self.socket = end
        self.peer = self
        self.unwritten = b""
        self.is_read = False
        self.is_shut = False
        self.events = 0

    def move(self, events: int) -> None:
        """Read and write what goes without waiting. Raises OSError if the connection broke."""
        if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) and self.wants_to_read():
            with contextlib.suppress(BlockingIOError):
                self.peer.unwritten = self.socket.recv(READ_BYTES)
                self.is_read = not self.peer.unwritten
        for side in (self, self.peer):
            side.write()

    def write(self) -> None:
        """Write what the socket takes, and end our half once the other side has ended its own."""
        if self.unwritten:
            with contextlib.suppress(BlockingIOError):
                self.unwritten = self.unwritten[self.socket.send(self.unwritten) :]
        if self.peer.is_read and not self.unwritten and not self.is_shut:
            self.socket.shutdown(socket.SHUT_WR)
            self.is_shut = True

    def wants_to_read(self) -> bool:
        """Tell whether there is room for what may come in here."""
        return not self.is_read and not self.peer.unwritten

    def wanted(self) -> int:
        """Return the events to wait for; a side that waits for none isn't polled at all."""
        reading = select.EPOLLIN if self.wants_to_read() else 0
        return reading | (select.EPOLLOUT if self.unwritten else 0)


class Forwarder:
    """Joins each connection of a listener to a new one to the Unix socket."""

    def __init__(self, listener: socket.socket, path: str, command: int) -> None:
        self.listener = listener
        self.path = path
        self.command = command
        self.sides: dict[int, Side] = {}
        self.poll = select.epoll()
        self.is_listening = False
        listener.setblocking(False)

    def run(self) -> None:
        """Forward until the command has ended."""
        self.poll.register(self.command, select.EPOLLIN)
        while True:
            self.listen_if_there_is_room()
            for descriptor, events in self.poll.poll():
                if descriptor == self.command:
                    return
                if descriptor == self.listener.fileno():
                    self.accept()
                elif side := self.sides.get(descriptor):  # else its other side has just ended it
                    self.move(side, events)

    def listen_if_there_is_room(self) -> None:
        """Take new connections only while fewer than the bound are open."""
        has_room = len(self.sides) < 2 * CONNECTIONS_MAX
        if has_room and not self.is_listening:
            self.poll.register(self.listener, select.EPOLLIN)
        elif self.is_listening and not has_room:
            self.poll.unregister(self.listener)
        self.is_listening = has_room

    def accept(self) -> None:
        """Join one new connection; if there is no way on, it is closed at once."""
        try:
            inner, _ = self.listener.accept()
            outer = socket.socket(socket.AF_UNIX)
        except OSError:  # it left again, or there are no descriptors: let some time pass
            time.sleep(PAUSE_S)
            return
        ours, theirs = Side(inner), Side(outer)
        try:
            outer.connect(self.path)
        except OSError:
            inner.close()
            outer.close()
            return
        ours.peer, theirs.peer = theirs, ours
        for side in (ours, theirs):
            self.sides[side.socket.fileno()] = side
            self.wait_for(side)

    def move(self, side: Side, events: int) -> None:
        """Move what can be moved, and close both sides when they are done or broken."""
        try:
            side.move(events)
        except OSError:
            is_over = True
        else:
            is_over = side.is_shut and side.peer.is_shut
        for each in (side, side.peer):
            if is_over:
                del self.sides[each.socket.fileno()]
                each.socket.close()
            else:
                self.wait_for(each)

    def wait_for(self, side: Side) -> None:
        """Poll a side for what it wants now."""
        wanted = side.wanted()
        if wanted and side.events:
            self.poll.modify(side.socket, wanted)
        elif wanted:
            self.poll.register(side.socket, wanted)
        elif side.events:
            self.poll.unregister(side.socket)
        side.events = wanted


if __name__ == "__main__":
    sys.exit(main(sys.argv))
