# SPDX-License-Identifier: Apache-2.0
"""What a worker decided, and what happened."""
from __future__ import annotations

import ctypes
from typing import List

from . import _abi
from ._abi import Action, End, EventKind, Reason, Side, VerdictFlag
from ._batch import Batch
from ._native import lib
from ._values import NEVER, IPAddress, Text, index, ip, known, number, static, word, written
from .packet import Tuple
from .policy import Policy

_ACTIONS = {int(action): action for action in Action}
_REASONS = {int(reason): reason for reason in Reason}


class Verdict:
    """What to do with one packet, query or request, and why. A value."""

    __slots__ = ("_c",)

    def __init__(self) -> None:
        """What a cleared pol_verdict says: deny."""
        self._c = _abi.pol_verdict()

    @classmethod
    def _of(cls, c: _abi.pol_verdict) -> Verdict:
        verdict = cls.__new__(cls)
        verdict._c = c
        return verdict

    @property
    def action(self) -> Action:
        """What to do."""
        value = self._c.action
        return _ACTIONS.get(value) or known(Action, value)

    @property
    def raw_action(self) -> Action:
        """What the rules said, before audit mode softened it."""
        return known(Action, self._c.raw_action)

    @property
    def allowed(self) -> bool:
        """Whether the packet may go on: ALLOW, or PENDING as long as the flow is not decided."""
        return self._c.action in (Action.ALLOW, Action.PENDING)

    @property
    def reason(self) -> Reason:
        value = self._c.reason
        return _REASONS.get(value) or known(Reason, value)

    @property
    def side(self) -> Side:
        """Where the packet came from, given or inferred."""
        return known(Side, self._c.side)

    @property
    def flags(self) -> VerdictFlag:
        return VerdictFlag(self._c.flags)

    @property
    def group(self) -> int | None:
        """Number of the group in the policy of `generation`; Policy.group() gives its id."""
        return index(self._c.group)

    @property
    def rule(self) -> int | None:
        """Number of the rule in the policy of `generation`; Policy.rule() gives its id."""
        return index(self._c.rule)

    @property
    def group_key(self) -> int:
        """Stable across reloads; 0 without a group."""
        return self._c.group_key

    @property
    def generation(self) -> int:
        """Of the policy that decided."""
        return self._c.generation

    @property
    def flow(self) -> int:
        """Id of the flow within its worker, never used again; 0 without one."""
        return self._c.flow

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Verdict):
            return NotImplemented
        return bytes(self._c) == bytes(other._c)

    def __hash__(self) -> int:
        return hash(bytes(self._c))

    def __str__(self) -> str:
        return f"{word(self.action)} ({reason_text(self.reason)})"

    def __repr__(self) -> str:
        return f"<Verdict {word(self.action)}, {word(self.reason)}, group {self.group}, " \
               f"rule {self.rule}>"


def reason_text(reason: Reason) -> str:
    """A reason in words: "no rule of the group matched"."""
    return static(lib.pol_reason_text(int(reason)))


class VerdictBatch(Batch[Verdict]):
    """Verdicts side by side in memory, as Worker.decide_batch() writes them. Made once and used
    again; `memory` and `dtype()` give numpy the fields without a copy.

    An item of it is a copy, and stays what it is when the batch is used again.
    """

    __slots__ = ()

    _kind = _abi.pol_verdict
    _word = "verdict"
    _hidden = ("reserved0", "reserved1", "reserved")

    def _at(self, place: int) -> Verdict:
        return Verdict._of(_abi.pol_verdict.from_buffer_copy(self._array[place]))

    def actions(self) -> bytes:
        """The action of each, one octet per verdict: batch.actions()[i] == Action.ALLOW."""
        return bytes(self.memory[::ctypes.sizeof(_abi.pol_verdict)])


class Event:
    """Something that happened in a worker. A value; moments are nanoseconds on its clock."""

    __slots__ = ("_c",)

    def __init__(self, c: _abi.pol_event) -> None:
        if not isinstance(c, _abi.pol_event): # the library would take None for no address
            raise TypeError(f"expected a pol_event, not {type(c).__name__}")
        self._c = c

    @property
    def kind(self) -> EventKind:
        return known(EventKind, self._c.kind)

    @property
    def end(self) -> End:
        """Why the flow ended; End.NONE for other kinds."""
        return known(End, self._c.end)

    @property
    def verdict(self) -> Verdict:
        return Verdict._of(self._c.verdict)

    @property
    def tuple(self) -> Tuple:
        """Oriented as the flow was opened; DNS: from client to resolver."""
        return Tuple(self._c.tuple)

    @property
    def src(self) -> IPAddress | None:
        return ip(self._c.tuple.src)

    @property
    def dst(self) -> IPAddress | None:
        return ip(self._c.tuple.dst)

    @property
    def proto(self) -> int:
        return self._c.tuple.proto

    @property
    def sport(self) -> int:
        return self._c.tuple.src_port

    @property
    def dport(self) -> int:
        return self._c.tuple.dst_port

    @property
    def icmp_type(self) -> int:
        return self._c.icmp_type

    @property
    def icmp_code(self) -> int:
        return self._c.icmp_code

    @property
    def vlan(self) -> int:
        """Outermost VLAN identifier, 0 without a tag."""
        return self._c.vlan

    @property
    def name(self) -> str:
        """DNS: the queried name. Otherwise the TLS server name; empty without one."""
        return self._c.name.decode("utf-8", "replace")

    @property
    def fqdn(self) -> str:
        """Newest name known for the destination; may be empty."""
        return self._c.fqdn.decode("utf-8", "replace")

    @property
    def names_key(self) -> int:
        """Group key under which Grants.names() knows the destination."""
        return self._c.names_key

    @property
    def at(self) -> int:
        return self._c.at

    @property
    def first(self) -> int:
        """Of a flow's first packet, or of the query."""
        return self._c.first

    @property
    def last(self) -> int:
        """Of a flow's newest packet."""
        return self._c.last

    @property
    def packets_out(self) -> int:
        """From the opener."""
        return self._c.packets_out

    @property
    def packets_in(self) -> int:
        return self._c.packets_in

    @property
    def bytes_out(self) -> int:
        """Of IP datagrams from the opener."""
        return self._c.bytes_out

    @property
    def bytes_in(self) -> int:
        return self._c.bytes_in

    @property
    def qtype(self) -> int:
        """DNS: type asked for."""
        return self._c.qtype

    @property
    def qclass(self) -> int:
        return self._c.qclass

    @property
    def rcode(self) -> int | None:
        """DNS: of the answer; None when there was none."""
        return None if self._c.rcode == 255 else self._c.rcode

    @property
    def learned(self) -> int:
        """DNS: grants added or refreshed, over all groups."""
        return self._c.learned

    @property
    def answer_count(self) -> int:
        """DNS: addresses reached from the question, at most 255."""
        return self._c.answer_count

    @property
    def answers(self) -> List[IPAddress]:
        """DNS: the first of these addresses."""
        count = min(self._c.answer_count, _abi.POL_EVENT_ADDRESSES)
        found = [ip(each) for each in self._c.answers[:count]]
        return [each for each in found if each is not None]

    def json(self, policy: Policy | None = None, *, node_id: str = "", wall: int = 0) -> str:
        """As the wiretap of the HTTP API shows it.

        policy  that of the event's generation (Worker.policy_of()), for the ids
        wall    time of day of `last`, milliseconds since 1970
        """
        arguments = (Text(node_id), number(wall, NEVER, "wall"))
        if policy is None:
            return written(lib.pol_json_event, self._c, None, *arguments).decode()
        if not isinstance(policy, Policy):
            raise TypeError(f"expected a Policy, not {type(policy).__name__}")
        with policy._handle as pointer:
            return written(lib.pol_json_event, self._c, pointer, *arguments).decode()

    def copy(self) -> Event:
        return Event(_abi.pol_event.from_buffer_copy(self._c))

    __copy__ = copy

    def __deepcopy__(self, _memo: object) -> Event:
        return self.copy()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        return bytes(self._c) == bytes(other._c)

    def __hash__(self) -> int:
        return hash(bytes(self._c))

    def __repr__(self) -> str:
        name = self.name or self.fqdn
        return f"<Event {word(self.kind)}, {self.tuple}{', ' + name if name else ''}, " \
               f"{self.verdict}>"


class EventBatch(Batch[Event]):
    """Room for events, for Worker.drain_into(): made once and used again.

    An item of it is a view, valid until the batch is used again; Event.copy() keeps it.
    """

    __slots__ = ()

    _kind = _abi.pol_event
    _word = "event"
    _hidden = ("reserved",)

    def _at(self, place: int) -> Event:
        return Event(self._array[place])
