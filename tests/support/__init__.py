"""What the tests stand on: heads, peers, certificates, programs in fresh processes, polling."""

from tests.support.certs import Authority
from tests.support.peers import (
    AcceptAndClose,
    GrpcPeer,
    Reply,
    SilentListener,
    TcpRelay,
    WebServer,
    closed_port,
)
from tests.support.polling import SOON_S, wait_until
from tests.support.programs import Program, ProgramResult, clean_env, run_program

__all__ = [
    "SOON_S",
    "AcceptAndClose",
    "Authority",
    "GrpcPeer",
    "Program",
    "ProgramResult",
    "Reply",
    "SilentListener",
    "TcpRelay",
    "WebServer",
    "clean_env",
    "closed_port",
    "run_program",
    "wait_until",
]
