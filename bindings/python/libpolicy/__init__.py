# SPDX-License-Identifier: Apache-2.0
"""libpolicy from Python: a DNS-aware egress policy engine.

    from libpolicy import Packet, Policy, Worker

    worker = Worker(Policy.load("policy.json"))
    verdict = worker.decide(Packet(src="10.0.0.5", dst="192.0.2.10", dport=443), now=0)
    print(verdict.action, verdict.reason)

README.md has the tour: objects, threads, memory, errors.
"""
from . import dns, reply, tls
from ._abi import (Action, Control, ControlPolicy, DiagCode, DnsRefusal, End, EventKind, FindingType,
                   GrantKind, GrantState, Link, LogLevel, Midstream, Mode, Need, PacketKind,
                   PacketMark, Reason, Severity, Side, SniCheck, Status, TcpFlag, VerdictFlag)
from ._abi import POL_NEVER as NEVER
from ._native import lib as _lib
from ._values import seconds, word
from .audit import Audit, AuditStats, Finding
from .context import Context
from .dns import DnsDecision, DnsLearned, DnsQuery
from .errors import (AbiMismatch, Closed, Format, Full, InUse, Invalid, Limit, NoMemory, NoSpace,
                     NotFound, PolError, PolicyRejected, Truncated)
from .grants import Grant, Grants, GrantsStats
from .packet import Packet, PacketBatch, Tuple
from .policy import Diagnostic, Group, Policy, PolicyError, Rule
from .ready import Check, Readiness
from .stats import CounterInfo, Counters
from .tap import Tap
from .verdict import Event, EventBatch, Verdict, VerdictBatch, reason_text
from .worker import Worker

__version__: str = (_lib.pol_version() or b"").decode()

__all__ = [
    "__version__", "AbiMismatch", "Action", "Audit", "AuditStats", "Check", "Closed", "Context",
    "Control", "ControlPolicy", "CounterInfo", "Counters", "DiagCode", "Diagnostic", "dns",
    "DnsDecision", "DnsLearned", "DnsQuery", "DnsRefusal", "End", "Event", "EventBatch",
    "EventKind", "Finding", "FindingType", "Format", "Full", "Grant", "GrantKind", "Grants",
    "GrantsStats", "GrantState", "Group", "InUse", "Invalid", "Limit", "Link", "LogLevel",
    "Midstream", "Mode", "Need", "NEVER", "NoMemory", "NoSpace", "NotFound", "Packet",
    "PacketBatch", "PacketKind", "PacketMark", "PolError", "Policy", "PolicyError",
    "PolicyRejected", "Readiness", "Reason", "reason_text", "reply", "Rule", "seconds", "Severity",
    "Side", "SniCheck", "Status", "Tap", "TcpFlag", "tls", "Truncated", "Tuple", "Verdict",
    "VerdictBatch", "VerdictFlag", "word", "Worker",
]
