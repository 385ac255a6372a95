# SPDX-License-Identifier: Apache-2.0
"""Misuse raises, and never ends the interpreter: wrong types, closed objects, two threads at once,
objects that go in the wrong order."""
import array
import copy
import ctypes
import gc
import inspect
import itertools
import os
import pathlib
import pickle
import random
import signal
import subprocess
import sys
import threading
from ipaddress import ip_address

import pytest

import libpolicy
from conftest import syn
from libpolicy import (Audit, Context, Counters, Grants, PacketBatch, Policy, Readiness, Tap,
                       VerdictBatch, Worker, seconds)
from messages import answer, datagram, query, tcp, udp

# -- closing

OWNERS = {
    "Context": Context, "Policy": lambda: Policy({}), "Grants": Grants, "Worker": Worker,
    "Audit": Audit, "Tap": Tap, "Readiness": Readiness, "Counters": Counters,
}


@pytest.mark.parametrize("name", OWNERS)
def test_an_object_closes_once_and_then_raises(name):
    owner = OWNERS[name]()
    with owner as same:
        assert same is owner and not owner.closed
    assert owner.closed
    owner.close()
    with pytest.raises(libpolicy.Closed, match=f"the {name} is closed"):
        with owner:
            pass


# What only reads Python's side of an object goes on after it is closed.
REMEMBERED = {"closed", "context", "warnings", "warnings_json", "groups", "rules", "group", "rule",
              "explain", "policy", "generation", "policy_of", "grants", "info", "keys", "load",
              "close", "generations"}
ARGUMENTS = {
    "decide": (syn(), 0), "decide_batch": (PacketBatch(1), 0), "tick": (0,), "flush": (0,),
    "drain_into": (libpolicy.EventBatch(1),), "dns_decide": ("10.0.0.1", b"", 0), "use": (None,),
    "list": (0,), "names": ("10.0.0.1", 0), "expire": (0,), "set": ("cluster", True),
    "advise": ("cluster",), "draining": (True,), "value": ("dp_packets_total",),
}


def members_of(owner):
    return [name for name in dir(type(owner)) if not name.startswith("_")]


@pytest.mark.parametrize("name", OWNERS)
def test_no_method_of_a_closed_object_reaches_the_library(name):
    owner = OWNERS[name]()
    owner.close()
    for member in members_of(owner):
        if member in REMEMBERED:
            continue
        with pytest.raises((libpolicy.Closed, TypeError)) as caught:
            value = getattr(owner, member)
            if callable(value):
                value = value(*ARGUMENTS.get(member, ()))
            if inspect.isgenerator(value):
                next(value)
            list(value) # views of a mapping
        if member in ARGUMENTS:
            assert caught.type is libpolicy.Closed, member


@pytest.mark.parametrize(
    "order", list(itertools.permutations(("policy", "grants", "worker", "context"))))
def test_objects_may_go_in_any_order(document, order):
    context = Context(log=lambda level, text: None)
    grants = Grants(context)
    policy = Policy(document, context)
    worker = Worker(policy, grants, context=context)
    things = {"policy": policy, "grants": grants, "worker": worker, "context": context}
    del context, grants, policy, worker
    for name in order:
        if name != "worker" and "worker" in things:
            things["worker"].decide(syn(), 0)
        things.pop(name).close()
        gc.collect()
    assert not things


def test_a_worker_goes_on_when_what_it_borrowed_is_closed(document):
    policy, grants = Policy(document), Grants()
    worker = Worker(policy, grants)
    policy.close()
    grants.close()
    assert worker.decide(syn(), 0).allowed
    asked = worker.dns_decide("10.0.0.5", query("api.example.com"), 0).query
    assert worker.dns_learn(asked, answer("api.example.com", "203.0.113.7"), 0).added == 1
    with pytest.raises(libpolicy.Closed):
        grants.list(0)
    with pytest.raises(libpolicy.Closed):
        worker.use(policy)
    with pytest.raises(libpolicy.Closed):
        Worker(grants=grants)
    worker.close()


def test_what_could_not_be_made_owns_nothing(document):
    with pytest.raises(libpolicy.Invalid):
        Worker(Policy(document), Grants(), flow_capacity=1 << 30)
    for kind in (Context, Policy, Grants, Worker, Audit, Tap, Readiness, Counters):
        empty = kind.__new__(kind)
        assert empty.closed
        with pytest.raises(libpolicy.Closed):
            with empty:
                pass
        del empty


def test_owners_are_not_copied():
    for make in OWNERS.values():
        for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
            with make() as owner, pytest.raises(TypeError, match="cannot be copied"):
                duplicate(owner)


def test_a_copy_of_a_batch_has_memory_of_its_own(worker):
    batch = PacketBatch([syn(dport=25, payload=bytes(range(256)))] * 2)
    verdicts = worker.decide_batch(batch, 0)
    events = libpolicy.EventBatch(4)
    worker.drain_into(events)
    for original in (batch, verdicts, events):
        for duplicate in (copy.copy, copy.deepcopy):
            other = duplicate(original)
            assert type(other) is type(original) and other.capacity == original.capacity
            assert len(other) == len(original) > 0 and str(other[0]) == str(original[0])
            assert other._array is not original._array
        with pytest.raises(TypeError, match=f"a {type(original).__name__} cannot be pickled"):
            pickle.dumps(original)
    other = copy.copy(batch)
    frames = [datagram("10.0.0.1", "10.0.0.2", 6, tcp(1, 2, payload=b"x" * 60000))] * 2
    assert other.parse(frames, "raw_ip") == 2
    del other
    assert batch[0].payload == bytes(range(256)) and batch[1].dport == 25


# -- threads

def test_two_threads_in_one_worker_are_told_apart(policy):
    packets = PacketBatch([syn(sport=i) for i in range(4096)])
    stop = threading.Event()
    with Worker(policy) as worker:
        def work():
            verdicts = VerdictBatch(4096)
            while not stop.is_set():
                try:
                    worker.decide_batch(packets, 0, verdicts)
                except libpolicy.InUse:
                    pass
        thread = threading.Thread(target=work)
        thread.start()
        refused = 0
        try:
            for _ in range(200000):
                try:
                    worker.decide(packets[0], 0)
                except libpolicy.InUse as error:
                    assert "in use by another thread" in str(error)
                    refused += 1
                    if refused > 20:
                        break
                try:
                    worker.flow_count
                except libpolicy.InUse:
                    refused += 1
        finally:
            stop.set()
            thread.join()
        assert refused and worker.decide(packets[0], 0).allowed


def test_threads_that_drain_one_worker_get_each_event_once(policy):
    packets = PacketBatch([syn(dst="203.0.113.1", sport=i) for i in range(20000)])
    found, together = [], threading.Barrier(3)
    with Worker(policy, event_capacity=1 << 15) as worker:
        worker.decide_batch(packets, 0)

        def work():
            together.wait()
            while True:
                try:
                    events = worker.drain()
                except libpolicy.InUse:
                    continue
                found.extend(event.sport for event in events)
                return
        threads = [threading.Thread(target=work) for _ in range(3)]
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(interval)
        assert sorted(found) == list(range(20000))


def test_packets_are_not_exchanged_while_they_are_judged(policy):
    frames = [datagram("10.0.0.5", "192.0.2.10", 6, tcp(i, 443)) for i in range(20000)]
    packets, ends = PacketBatch(len(frames)), []
    packets.parse(frames, "raw_ip")
    changes = (lambda: packets.parse(frames, "raw_ip"), lambda: packets.resize(20000),
               lambda: packets.__setitem__(0, syn()), lambda: setattr(packets[0], "payload", b"x"))
    with Worker(policy) as worker:
        done = threading.Event()

        def work():
            while not done.is_set():
                try:
                    worker.decide_batch(packets, 0)
                except libpolicy.InUse:
                    pass
        thread = threading.Thread(target=work)
        thread.start()
        try:
            for change in changes:
                for _ in range(2000):
                    try:
                        change()
                    except libpolicy.InUse as error:
                        ends.append(str(error))
                        break
        finally:
            done.set()
            thread.join()
    assert ends == ["the PacketBatch is in use by another thread"] * len(changes)


def test_a_callback_cannot_come_back_into_its_object(worker):
    with Audit() as audit:
        worker.decide(syn(dport=1), 0)
        audit.add(worker.drain()[0], 0, worker.policy)
        for inside in (audit.changes, audit.find, audit.close, lambda: audit.merge(audit)):
            with pytest.raises(libpolicy.InUse):
                audit.changes(lambda finding, call=inside: call())
        assert len(audit.changes()) == 1


def test_an_audit_cannot_be_merged_into_itself():
    with Audit() as audit, pytest.raises(libpolicy.InUse):
        audit.merge(audit)


def test_grants_are_closed_while_threads_use_them(document):
    policy = Policy(document)
    for _ in range(20):
        grants = Grants(capacity=512)
        with Worker(policy, grants) as worker:
            asked = worker.dns_decide("10.0.0.5", query("api.example.com"), 0).query
            worker.dns_learn(asked, answer("api.example.com", "203.0.113.7"), 0)
        ends = []

        def read(table=grants, told=ends):
            try:
                while True:
                    table.list(0)
                    table.stats
            except libpolicy.Closed as error:
                told.append(error)
        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        grants.close()
        for thread in threads:
            thread.join()
        assert len(ends) == 3


def test_counters_are_read_beside_a_worker(policy):
    packets = PacketBatch([syn(sport=i) for i in range(256)])
    with Worker(policy) as worker:
        done = threading.Event()

        def work():
            for _ in range(300):
                worker.decide_batch(packets, 0)
            done.set()
        thread = threading.Thread(target=work)
        thread.start()
        while not done.is_set():
            worker.counters["dp_packets_total"]
        thread.join()
        assert worker.counters["dp_packets_total"] == 300 * 256


def interrupted(call, times=300):
    """Calls it until a signal handler's exception ends that, so many times."""
    def stop(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    try:
        for i in range(times):
            with pytest.raises(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, (200 + i % 50) * 1e-6)
                while True:
                    call()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_an_object_is_free_again_after_an_interrupt(worker):
    packet = syn()
    for call in (lambda: worker.decide(packet, 0), lambda: worker.flow_count):
        interrupted(call)
        assert worker.decide(packet, 0).allowed
    worker.close()
    assert worker.closed


# -- memory that is not what it seems

class Liar(bytes):
    """Octets that claim to be more than they are."""

    def __len__(self):
        return 1 << 20


class LyingText(str):
    def encode(self, *_):
        return Liar(b"x")


def test_a_length_is_that_of_the_memory(worker):
    frame = datagram("10.0.0.5", "192.0.2.10", 6, tcp(1, 443))
    assert libpolicy.Packet.parse(Liar(frame), "raw_ip").ip_len == len(frame)
    assert syn(payload=Liar(b"abc")).payload == b"abc"
    assert libpolicy.Packet(src=Liar(b"\n\0\0\1"), dst="10.0.0.2").src == ip_address("10.0.0.1")
    with pytest.raises(libpolicy.NotFound):
        libpolicy.tls.server_name(Liar(b"\x16\3\1\0\1\2"))
    libpolicy.Tap(hostnames=[LyingText("a")]).close()
    batch = PacketBatch(3)
    words = array.array("I", frame) # 4 octets to an item
    assert batch.parse([Liar(frame), memoryview(words), bytearray(frame)], "raw_ip") == 3
    assert [packet.ip_len for packet in batch] == [len(frame)] * 3
    assert batch.parse([((ctypes.c_char * 0) * 1000)()], "raw_ip") == 0
    assert batch[0].malformed and batch[0].wire_len == 0


def test_nothing_is_cut_off_in_silence():
    grant = libpolicy.Grant(0, ip_address("192.0.2.1"), "a\0b", libpolicy.GrantKind.ALLOWED,
                            seconds(60), 0, 0, 0, 60)
    with Grants() as grants, pytest.raises(libpolicy.Invalid, match=r"name 'a\\x00b' holds a NUL"):
        grants.restore(grant, 0)
    with Counters() as counters:
        for question in (("dp_packets_total\0",), ("dp_packets_total", 'decision="deny"\0')):
            with pytest.raises(libpolicy.Invalid, match="holds a NUL"):
                counters.value(*question)
    with pytest.raises(libpolicy.Invalid, match='address "fe80::1%eth0" has a scope'):
        libpolicy.Packet(src=ip_address("fe80::1%eth0"), dst="fe80::2")


@pytest.mark.parametrize("call, kind, wanted", [
    (lambda: Context(log=5), TypeError, "log: expected a function, not int"),
    (lambda: Tap(dst_ports=[(1,)]), libpolicy.Invalid, r"port range \(1,\) is not \(first, last\)"),
    (lambda: Policy({}).group(5), libpolicy.Invalid, "there is no group 5; the policy has 0"),
    (lambda: Worker(Policy({}), generation=7).use(None, 7), libpolicy.Invalid,
     "generation 7 is not above 7, the one in use"),
    (lambda: libpolicy.dns.refuse(b""), libpolicy.Format, "query: "),
    (lambda: libpolicy.reply.reject(syn(), b""), libpolicy.Invalid, "no answer to this packet"),
    (lambda: syn(inner=5, proto="icmp"), TypeError, "inner: expected a Packet, not int"),
])
def test_what_is_wrong_is_said(call, kind, wanted):
    with pytest.raises(kind, match=wanted):
        call()


@pytest.mark.parametrize("kind", (libpolicy.Event, libpolicy.DnsQuery))
def test_what_the_library_makes_is_not_made_of_nothing(kind):
    for value in (None, 0, b"", object()):
        with pytest.raises(TypeError, match="expected a pol_"):
            kind(value)


# -- wrong values: every method of everything, again and again

STRANGE = [None, True, -1, 0, 1, 7, 1 << 31, 1 << 64, 1.5, float("nan"), "", "tcp", "10.0.0.1", "\0",
           "é" * 300, b"", b"\0" * 16, bytearray(b"abc"), memoryview(b"abcdef")[::2], [], [1], ["a"],
           [None], (1, 2), (5, 1), {}, {"a": 1}, {"rules": 1}, object(), print, int, iter([]),
           libpolicy.Action.DENY, libpolicy.Side, libpolicy.Reason.RULE]


def strangers():
    """Objects of ours, where others are expected."""
    packet = syn(payload=b"payload")
    verdicts, events = VerdictBatch(2), libpolicy.EventBatch(2)
    worker = Worker(Policy({}), Grants())
    closed = Worker()
    worker.decide(packet, 0)
    event = worker.drain()[0]
    asked = worker.dns_decide("10.0.0.5", query("a.example"), 0).query
    closed.close()
    return [packet, PacketBatch([packet]), PacketBatch(0), verdicts, events, event, event.verdict,
            worker, closed, worker.policy, worker.grants, Context(), Audit(4), Tap(), Counters(),
            Readiness(), asked, libpolicy.Packet.parse(datagram("10.0.0.1", "10.0.0.2", 6, tcp(1, 2)),
                                                       "raw_ip")]


def callables(ours):
    for thing in ours:
        for name in dir(type(thing)):
            if name.startswith("_") and name not in ("__getitem__", "__setitem__", "__eq__",
                                                     "__contains__", "__len__", "__iter__",
                                                     "__repr__", "__hash__", "__copy__"):
                continue
            if name not in ("close", "memory"):
                yield thing, name
    for kind in (Context, Policy, Grants, Worker, Audit, Tap, Counters, Readiness, PacketBatch,
                 VerdictBatch, libpolicy.EventBatch, libpolicy.Packet, libpolicy.Grant,
                 libpolicy.Finding):
        yield kind, "__call__"
    for function in (libpolicy.dns.refuse, libpolicy.reply.reject, libpolicy.reply.dns,
                     libpolicy.reply.too_big, libpolicy.tls.server_name, seconds,
                     libpolicy.Packet.parse, libpolicy.Policy.load):
        yield function, "__call__"


def parameters_of(function):
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []


def draw(random_, ours, parameter):
    values = STRANGE if random_.random() < 0.6 else ours
    value = random_.choice(values)
    # Not what would only take all memory: capacities are in range or refused.
    if isinstance(value, int) and ("capacity" in parameter or parameter in ("packets",)):
        return min(value, 64)
    return value


def torment(seed, rounds):
    """Calls with random arguments. Whatever it raises is an ordinary exception."""
    random_ = random.Random(seed)
    ours = strangers()
    targets = list(callables(ours))
    calls = 0
    for _ in range(rounds):
        thing, name = random_.choice(targets)
        try:
            function = thing if name == "__call__" else getattr(thing, name)
            if not callable(function):
                if random_.random() < 0.3:
                    setattr(thing, name, draw(random_, ours, name))
                continue
            arguments, named = [], {}
            for parameter in parameters_of(function):
                if parameter.name == "path":
                    arguments.append(os.devnull)
                elif parameter.kind is parameter.KEYWORD_ONLY:
                    if random_.random() < 0.3 or parameter.default is parameter.empty:
                        named[parameter.name] = draw(random_, ours, parameter.name)
                elif parameter.kind is not parameter.VAR_POSITIONAL and (
                        parameter.default is parameter.empty or random_.random() < 0.5):
                    arguments.append(draw(random_, ours, parameter.name))
            result = function(*arguments, **named)
            calls += 1
            if inspect.isgenerator(result):
                next(result, None)
            repr(result)
        except (libpolicy.PolError, libpolicy.InUse, TypeError, ValueError, KeyError, IndexError,
                AttributeError, OverflowError, StopIteration, BufferError, OSError):
            pass
    return calls


def in_a_process(name, rounds, seeds):
    """The sum of what a function of this file returns, in a process of its own: a crash is a failure
    of the test, not of the run."""
    here = pathlib.Path(__file__).parent
    program = f"import sys; sys.path.insert(0, {str(here)!r})\n" \
              "import test_misuse\n" \
              f"print(sum(test_misuse.{name}(seed, {rounds}) for seed in range({seeds})))\n"
    done = subprocess.run([sys.executable, "-X", "faulthandler", "-c", program], text=True,
                          capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return int(done.stdout)


def test_no_arguments_end_the_interpreter():
    assert in_a_process("torment", 3000, 8) > 1000


def scribble(seed, rounds):
    """Judges packets whose octets, but for the payload's address, are anything."""
    random_ = random.Random(seed)
    field = libpolicy._abi.pol_packet.payload
    address = range(field.offset, field.offset + field.size)
    worker = Worker(Policy({"default_policy": "allow"}), Grants(), flow_capacity=16,
                    fragment_capacity=4, pending_capacity=2, trust_all_resolvers=True)
    frame = datagram("10.0.0.5", "192.0.2.53", 17, udp(5000, 53, query("a.example")))
    batch, verdicts = PacketBatch(1), VerdictBatch(1)
    for now in range(rounds):
        batch.parse([frame], "raw_ip")
        for _ in range(4):
            place = random_.randrange(len(batch.memory))
            if place not in address:
                batch.memory[place] = random_.choice((0, 1, 2, 4, 17, random_.randrange(256)))
        worker.decide_batch(batch, seconds(now), verdicts)
        repr(batch[0]), repr(verdicts[0]), worker.tick(seconds(now))
        try:
            libpolicy.reply.reject(batch[0], frame, "raw_ip")
        except libpolicy.PolError:
            pass
    return rounds


def test_no_octets_in_a_batch_end_the_interpreter():
    """What numpy may write there."""
    assert in_a_process("scribble", 5000, 2) == 10000


# -- memory

def resident():
    """Octets of this process in memory."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def live_once(document):
    """Everything made, used, failed, and left to the garbage collector."""
    policy, grants = Policy(document), Grants(capacity=1024)
    worker = Worker(policy, grants, flow_capacity=1024, pending_capacity=16, stream_capacity=4)
    batch = PacketBatch([syn(sport=i, payload=bytes(1000)) for i in range(64)])
    worker.decide_batch(batch, 0)
    audit = Audit(64)
    for event in worker.drain():
        audit.add(event, 0, policy, grants)
    with pytest.raises(libpolicy.PolicyError):
        Policy({"default_policy": 7})
    with pytest.raises(libpolicy.Invalid):
        Worker(policy, grants, flow_capacity=1 << 30)
    return worker.counters.metrics(), Readiness().json(), Tap(hostnames=["a"]).filter([])


def test_memory_comes_back(document):
    if os.environ.get("LD_PRELOAD"):
        pytest.skip("a sanitizer keeps freed memory for a while")
    for _ in range(10):
        live_once(document)
    gc.collect()
    before = resident()
    for _ in range(60):
        live_once(document)
    gc.collect()
    assert resident() - before < 4 << 20
