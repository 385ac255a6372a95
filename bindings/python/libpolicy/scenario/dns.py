# SPDX-License-Identifier: Apache-2.0
"""dns, wire-dns and answer: queries and what comes back."""
from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from struct import pack

from libpolicy import DnsQuery

from .dnsmsg import TYPES, Message
from .frames import ACK, PSH, TCP, UDP
from .packets import TRAVEL, Travel, send_payload, take_ends
from .script import octets_of
from .words import (
    U8,
    U16,
    U32,
    Args,
    Endpoint,
    Readers,
    StepError,
    address,
    choice,
    endpoint,
    name,
    yes_no,
)
from .world import World

_TYPE_A = TYPES["A"]
_NAMED = frozenset(TYPES[word] for word in ("CNAME", "DNAME", "NS"))
_SERVICE = frozenset(TYPES[word] for word in ("HTTPS", "SVCB"))


@dataclass
class Question:
    """A query that an answer can answer: on the wire between two ends, or put to a proxy."""

    message: Message
    label: str | None = None
    tcp: bool = False
    ends: tuple[Endpoint, Endpoint] | None = None
    judged: DnsQuery | None = None


def _type_of(text: str) -> int:
    if text in TYPES:
        return TYPES[text]
    if not text.startswith("TYPE"):
        raise ValueError(text)
    return U16(text[4:])


def _read_type(text: str) -> int:
    try:
        return _type_of(text)
    except ValueError:
        raise StepError(f'"{text}" is no type') from None


# --- queries -------------------------------------------------------------------------------------


@dataclass
class _Query:
    as_: str | None = None
    id: int | None = None
    questions: int = 1
    tcp: bool = False


_QUERY: Readers = {"as": str, "id": U32, "questions": U32, "tcp": yes_no}


def _take_question(args: Args) -> tuple[int, str]:
    """Takes TYPE and NAME."""
    text = args.bare("a type")
    asked = args.bare("a name")
    qtype = _read_type(text)
    try:
        return qtype, name(asked)
    except ValueError:
        raise StepError(f'"{asked}" is no name') from None


def _add_question(world: World, words: _Query, asked: tuple[int, str]) -> Question:
    ident = len(world.questions) + 1 if words.id is None else words.id
    message = Message.query(asked[1], asked[0], ident & 0xFFFF)
    for _ in range(words.questions - 1):
        message.repeat_question()
    question = Question(message, words.as_, words.tcp)
    world.questions.append(question)
    return question


def play_dns(world: World, args: Args) -> None:
    """dns CLIENT TYPE NAME [key=value]..."""
    text = args.bare("the client")
    asked = _take_question(args)
    words = _Query()
    args.take_rest((_QUERY, words))
    try:
        client = address(text)
    except ValueError:
        raise StepError(f'"{text}" is no address') from None
    question = _add_question(world, words, asked)
    question.judged = world.judge_query(client, bytes(question.message.octets))


def _carry(message: Message, tcp: bool) -> bytes:
    """The message, with its length in front over TCP (RFC 1035 4.2.2)."""
    octets = bytes(message.octets)
    return pack(">H", len(octets)) + octets if tcp else octets


def play_wire_dns(world: World, args: Args) -> None:
    """wire-dns CLIENT:PORT > RESOLVER TYPE NAME [key=value]..."""
    client, resolver, from_inside = take_ends(args)
    asked = _take_question(args)
    words, travel = _Query(), Travel(flags=PSH | ACK)
    args.take_rest((_QUERY, words), (TRAVEL, travel))
    if resolver.port is None:
        resolver = Endpoint(resolver.addr, 53)
    question = _add_question(world, words, asked)
    question.ends = (client, resolver)
    octets = _carry(question.message, words.tcp)
    send_payload(world, (client, resolver, from_inside), TCP if words.tcp else UDP, octets, travel)


# --- answers -------------------------------------------------------------------------------------


@dataclass
class _Answer:
    to: str | None = None
    question: str | None = None
    qtype: str = "A"
    resolver: str | None = None
    id: int | None = None
    port: int | None = None
    rcode: int = 0
    tc: bool = False
    query: bool = False


_ANSWER: Readers = {
    "to": str, "question": str, "qtype": str, "resolver": str, "id": U32, "port": U32, "rcode": U8,
    "tc": yes_no, "query": yes_no,
}  # fmt: skip


@dataclass
class _Record:
    owner: str
    type: int
    data: str
    section: int
    ttl: int = 300
    class_: int = 1
    ipv4: str | None = None
    ipv6: str | None = None


_RECORD: Readers = {
    "ttl": U32, "class": U16, "section": choice("question", "answer", "authority", "additional"),
    "ipv4": str, "ipv6": str,
}  # fmt: skip


def _take_record(args: Args, section: int) -> _Record:
    """Takes OWNER TYPE DATA and the words behind it."""
    owner = args.bare("a record's owner")
    text = args.bare("a record's type")
    data = args.bare("a record's data")
    record = _Record(owner, _read_type(text), data, section)
    args.take_keys((_RECORD, record))
    return record


def _octets_of(text: str | None, family: int) -> bytes:
    """Of an address; none where there is none."""
    if text is None:
        return b""
    found = address(text)
    if found.version != family:
        raise ValueError(text)
    return found.packed


def _address_data(record: _Record) -> bytes:
    """As it stands: a mapped address stays an IPv6 address here."""
    if record.type == _TYPE_A:
        return IPv4Address(record.data).packed
    return IPv6Address(record.data).packed


def _write_record(message: Message, record: _Record) -> None:
    message.section, message.record_class = record.section, record.class_
    owner = name(record.owner)
    if record.type in (_TYPE_A, TYPES["AAAA"]):
        message.record(owner, record.type, _address_data(record), record.ttl)
    elif record.type in _NAMED:
        message.name_record(owner, record.type, name(record.data), record.ttl)
    elif record.type in _SERVICE:
        hints = (_octets_of(record.ipv4, 4), _octets_of(record.ipv6, 6))
        message.service(owner, record.type, name(record.data), record.ttl, *hints)
    else:
        message.record(owner, record.type, octets_of(record.data), record.ttl)


def _write_records(args: Args, message: Message) -> None:
    section = 1
    while args.peek() is not None:
        record = _take_record(args, section)
        section = record.section
        if section == 0:
            raise StepError("a record cannot be in the question section")
        try:
            _write_record(message, record)
        except ValueError:
            raise StepError(f"{record.owner} ... {record.data} is no such record") from None


def _restate(asked: Question, words: _Answer) -> Message:
    """The question the answer repeats, which may be another one."""
    message = asked.message
    try:
        qtype = _type_of(words.qtype)
        if words.question is not None:
            message = Message.query(name(words.question), qtype, message.ident)
    except ValueError:
        raise StepError("this is no question") from None
    return message


def _write_answer(args: Args, asked: Question, words: _Answer) -> Message:
    answer = _restate(asked, words).response(words.rcode)
    if words.id is not None:
        answer.ident = words.id
    if words.tc:
        answer.set_flags(0x0200)
    if words.query:
        answer.clear_response()
    _write_records(args, answer)
    return answer


def _find(world: World, label: str | None) -> Question:
    for question in reversed(world.questions):
        if label is None or question.label == label:
            if question.ends is None and question.judged is None:
                break
            return question
    raise StepError("there is no query that was let through to answer")


def _answer_wire(
    world: World, ends: tuple[Endpoint, Endpoint], tcp: bool, words: _Answer, travel: Travel,
    answer: Message,
) -> None:  # fmt: skip
    to, sender = ends
    if words.resolver is not None:
        try:
            sender = endpoint(words.resolver)
        except ValueError:
            raise StepError(f'"{words.resolver}" is no address') from None
        if sender.port is None:
            sender = Endpoint(sender.addr, ends[1].port)
    if words.port is not None:
        to = Endpoint(to.addr, words.port & 0xFFFF)
    send_payload(world, (sender, to, False), TCP if tcp else UDP, _carry(answer, tcp), travel)


def play_answer(world: World, args: Args) -> None:
    """answer [key=value]... [OWNER TYPE DATA [key=value]...]..."""
    words, travel = _Answer(), Travel(flags=PSH | ACK)
    args.take_keys((_ANSWER, words), (TRAVEL, travel))
    asked = _find(world, words.to)
    answer = _write_answer(args, asked, words)
    if asked.ends is not None:
        _answer_wire(world, asked.ends, asked.tcp, words, travel, answer)
    elif asked.judged is not None:
        world.learn(asked.judged, bytes(answer.octets))
