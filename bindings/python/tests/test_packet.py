# SPDX-License-Identifier: Apache-2.0
import array
import copy
import gc
import ipaddress
import pickle

import pytest

import libpolicy
from libpolicy import Packet, PacketBatch, PacketMark, TcpFlag
from messages import datagram, ethernet, icmp, tcp, udp

V4, V6 = ("10.0.0.5", "192.0.2.10"), ("2001:db8::5", "2001:db8:1::10")


def fields(packet):
    return {name: getattr(packet, name) for name in (
        "tuple", "inner", "kind", "side", "hop_limit", "flags", "icmp_type", "icmp_code", "vlan",
        "frag_more", "frag_offset", "frag_len", "marks", "frag_id", "tcp_seq", "tcp_ack", "ip_len",
        "wire_len", "payload", "ether_type", "l4_offset")}


@pytest.mark.parametrize("src, dst", [V4, V6])
@pytest.mark.parametrize("said, rest", [
    ({"proto": "tcp", "sport": 1, "dport": 443}, tcp(1, 443)),
    ({"proto": 6, "sport": 1, "dport": 443, "flags": "PA", "seq": 7, "ack": 9, "payload": b"hello"},
     tcp(1, 443, 0x18, 7, 9, b"hello")),
    ({"proto": "udp", "sport": 5353, "dport": 53, "payload": b"\0" * 12}, udp(5353, 53, b"\0" * 12)),
    ({"proto": "esp", "payload": b"12345678"}, b"12345678"),
])
def test_a_packet_that_is_said_is_the_one_that_is_parsed(src, dst, said, rest):
    number = libpolicy._values.protocol(said["proto"])
    frame = ethernet(datagram(src, dst, number, rest), 7)
    assert fields(Packet(src=src, dst=dst, vlan=7, **said)) == \
        fields(Packet.parse(frame, side="inside"))


@pytest.mark.parametrize("src, dst, proto, kind", [(*V4, "icmp", 8), (*V6, "icmpv6", 128)])
def test_an_echo_request_is_an_icmp_packet_without_further_words(src, dst, proto, kind):
    frame = ethernet(datagram(src, dst, libpolicy._values.protocol(proto), icmp(kind, 0, 99)))
    assert fields(Packet(src=src, dst=dst, proto=proto, sport=99)) == \
        fields(Packet.parse(frame, side="inside"))


def test_an_icmp_error_quotes_a_packet():
    inner = datagram(*V4, 6, tcp(1, 443))
    frame = ethernet(datagram("192.0.2.1", "10.0.0.5", 1, icmp(3, 1, rest=inner)))
    parsed = Packet.parse(frame, side="outside")
    said = Packet(src="192.0.2.1", dst="10.0.0.5", proto="icmp", icmp_type=3, icmp_code=1,
                  inner=Packet(src=V4[0], dst=V4[1], sport=1, dport=443), side="outside",
                  payload=parsed.payload)
    assert fields(said) == fields(parsed)
    assert str(said.inner) == "tcp 10.0.0.5:1 > 192.0.2.10:443"
    assert Packet(src=V4[0], dst=V4[1]).inner is None


def test_fragments():
    first = Packet.parse(ethernet(datagram(*V4, 17, udp(1, 2, b"12345678"), ident=5,
                                           fragment=0x2000)), side="inside")
    assert fields(Packet(src=V4[0], dst=V4[1], proto="udp", sport=1, dport=2, payload=b"12345678",
                         frag_id=5, frag_more=True)) == fields(first)
    later = Packet.parse(ethernet(datagram(*V4, 17, b"rest", ident=5, fragment=2)), side="inside")
    assert fields(Packet(src=V4[0], dst=V4[1], proto="udp", payload=b"rest", frag_id=5,
                         frag_offset=16)) == fields(later)
    assert later.marks == PacketMark.FRAGMENT | PacketMark.NO_L4


def test_addresses_are_text_octets_or_objects():
    for src in ("10.0.0.5", b"\x0a\0\0\x05", ipaddress.ip_address("10.0.0.5"), "::ffff:10.0.0.5",
                ipaddress.ip_address("::ffff:10.0.0.5"), b"\0" * 10 + b"\xff\xff\x0a\0\0\x05"):
        assert Packet(src=src, dst="192.0.2.1").src == ipaddress.IPv4Address("10.0.0.5")
    for wrong in ("10.0.0", "010.0.0.1", "example.com", b"123", ""):
        with pytest.raises(libpolicy.Format):
            Packet(src=wrong, dst="192.0.2.1")
    for wrong in (None, 7, ["10.0.0.1"], 1.5):
        with pytest.raises(TypeError):
            Packet(src=wrong, dst="192.0.2.1")
    with pytest.raises(libpolicy.Invalid, match="different families"):
        Packet(src="10.0.0.1", dst="2001:db8::1")


@pytest.mark.parametrize("wrong", [
    {"dport": 65536}, {"dport": -1}, {"sport": 1 << 70}, {"hop_limit": 256}, {"seq": 1 << 32},
    {"proto": 256}, {"proto": "quic"}, {"flags": "X"}, {"flags": 256}, {"vlan": 4096},
    {"vlan": [1, 2, 3]}, {"side": "above"}, {"side": 3}, {"icmp_type": 8},
    {"proto": "udp", "flags": "S"}, {"proto": "icmp", "icmp_type": 256}, {"frag_offset": 65536},
    {"ip_len": -1}, {"segment_len": 65536}, {"frag_more": True, "payload": bytes(70000)}])
def test_what_is_out_of_range_is_refused(wrong):
    with pytest.raises(libpolicy.Invalid):
        Packet(**{"src": V4[0], "dst": V4[1], **wrong})


@pytest.mark.parametrize("wrong", [{"dport": "https"}, {"dport": 1.0}, {"payload": "text"},
                                   {"payload": 5}, {"vlan": "7"}, {"proto": None}, {"flags": 1.5}])
def test_what_is_of_the_wrong_type_is_refused(wrong):
    with pytest.raises((TypeError, libpolicy.Invalid)):
        Packet(**{"src": V4[0], "dst": V4[1], **wrong})


def test_fields_can_be_set_within_their_range():
    packet = Packet(src=V4[0], dst=V4[1])
    packet.dport, packet.flags, packet.side, packet.tcp_seq = 80, "SA", "outside", 5
    packet.src, packet.proto, packet.icmp_type = "10.0.0.6", "udp", 3
    assert (packet.dport, packet.flags, packet.side.name, packet.tcp_seq) == (
        80, TcpFlag.SYN | TcpFlag.ACK, "OUTSIDE", 5)
    for name, wrong in (("dport", 65536), ("tcp_seq", 1 << 32), ("hop_limit", -1), ("proto", 300),
                        ("marks", -1), ("frag_more", 2)):
        with pytest.raises(libpolicy.Invalid):
            setattr(packet, name, wrong)
    with pytest.raises(AttributeError):
        packet.surprise = 1


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview, lambda b: memoryview(bytearray(b)),
                                  lambda b: array.array("B", b)])
def test_a_frame_is_any_buffer_and_stays_alive(make):
    frame = ethernet(datagram(*V4, 6, tcp(1, 443, payload=b"x" * 500)))
    packet = Packet.parse(make(frame))
    gc.collect()
    assert packet.payload == b"x" * 500


def test_a_buffer_cannot_shrink_while_a_packet_borrows_it():
    frame = bytearray(ethernet(datagram(*V4, 6, tcp(1, 443, payload=b"x" * 500))))
    packet = Packet.parse(frame)
    with pytest.raises(BufferError):
        frame.clear()
    del packet
    frame.clear()


def test_a_malformed_frame_is_a_packet_too():
    frame = ethernet(datagram(*V4, 6, tcp(1, 443)))
    assert Packet.parse(frame[:40]).malformed
    assert Packet.parse(frame[:40], wire_len=54).marks & PacketMark.TRUNCATED
    assert Packet.parse(b"").kind is libpolicy.PacketKind.BROKEN
    assert repr(Packet.parse(b"")) == "<Packet broken, 0 octets>"
    with pytest.raises(libpolicy.Invalid, match="link 'token-ring' is none of"):
        Packet.parse(frame, "token-ring")


def test_a_copy_has_a_payload_of_its_own():
    payload = bytearray(b"abc")
    packet = Packet(src=V4[0], dst=V4[1], payload=payload)
    for same in (packet.copy(), copy.copy(packet), copy.deepcopy(packet)):
        payload[:] = b"xyz"
        assert same.payload == b"abc" and packet.payload == b"xyz"
        payload[:] = b"abc"
        assert fields(same) == fields(packet)
    with pytest.raises((TypeError, ValueError)):
        pickle.dumps(packet)


# -- batches

def frames(count):
    return [ethernet(datagram(*V4, 6, tcp(1000 + i, 443, payload=bytes([65 + i]) * i)))
            for i in range(count)]


def test_a_batch_is_parsed_as_its_frames_are():
    batch = PacketBatch(8)
    octets = frames(5) + [b"\1\2\3"]
    assert batch.parse(octets, side="outside") == 5
    gc.collect()
    assert len(batch) == 6 and batch.capacity == 8
    assert [fields(packet) for packet in batch] == [
        fields(Packet.parse(frame, side="outside")) for frame in octets]
    assert batch.parse([]) == 0 and len(batch) == 0 and list(batch) == []
    assert batch.parse(frames(1), wire_lens=[100]) == 1
    assert batch[0].marks == PacketMark.TRUNCATED and batch[-1].wire_len == 100


def test_what_does_not_fit_a_batch_is_refused():
    batch = PacketBatch(2)
    with pytest.raises(libpolicy.Invalid, match="3 frames do not fit a batch of 2"):
        batch.parse(frames(3))
    with pytest.raises(libpolicy.Invalid):
        batch.parse(frames(2), wire_lens=[1])
    for wrong in (b"frame", "frame", [1], [None], ["x"]):
        with pytest.raises(TypeError):
            batch.parse(wrong)
    for index in (2, -3):
        with pytest.raises(IndexError):
            batch[index]
    with pytest.raises(TypeError):
        batch[0] = "packet"
    with pytest.raises(TypeError):
        batch["0"]
    with pytest.raises(libpolicy.Invalid):
        PacketBatch(-1)
    with pytest.raises(libpolicy.Invalid):
        batch.resize(3)


def test_a_view_changes_the_batch_and_outlives_it():
    batch = PacketBatch(4)
    batch.parse(frames(4))
    view = batch[3]
    view.dport = 80
    assert batch[3].dport == 80
    batch.parse(frames(4)[::-1])
    gc.collect()
    assert view.payload == b"" and batch[0].payload == b"DDD"
    last = batch[3]
    last.payload = b"of its own"
    batch.parse(frames(1))
    assert last.payload == b"" and last.dport == 0
    batch.resize(4)
    assert batch[3].payload == b""
    batch.parse(frames(4)[::-1])
    kept = batch[0]
    del batch
    gc.collect()
    assert kept.payload == b"DDD"


def test_what_is_put_into_a_batch_is_copied():
    other = PacketBatch(1)
    other.parse([frames(9)[8]])
    batch = PacketBatch([other[0], Packet(src=V4[0], dst=V4[1], payload=b"said")])
    other.parse([frames(1)[0]])
    del other
    gc.collect()
    assert [packet.payload for packet in batch] == [b"I" * 8, b"said"]
    batch[0].payload = b"new"
    assert batch[0].payload == b"new"
    batch.resize(1)
    assert len(batch) == 1


def test_a_payload_set_in_a_view_belongs_to_the_batch():
    batch = PacketBatch(2)
    view = batch[1]
    payload = bytearray(b"q" * 300)
    view.payload = payload
    del view
    gc.collect()
    assert batch[1].payload == b"q" * 300
    with pytest.raises(BufferError): # the batch still has it
        payload.clear()


def test_a_batch_is_memory_without_copies():
    batch = PacketBatch(4)
    batch.parse(frames(3))
    size = PacketBatch.dtype()["itemsize"]
    assert batch.memory.nbytes == 3 * size and not batch.memory.readonly
    at = PacketBatch.dtype()["offsets"][PacketBatch.dtype()["names"].index("hop_limit")]
    batch.memory[size + at] = 9
    assert [packet.hop_limit for packet in batch] == [64, 9, 64]
    assert "payload" not in PacketBatch.dtype()["names"]
    for kind in (PacketBatch, libpolicy.VerdictBatch, libpolicy.EventBatch):
        assert not any(name.startswith("reserved") for name in kind.dtype()["names"])


def test_numpy_reads_and_writes_batches(worker):
    numpy = pytest.importorskip("numpy", reason="numpy is not installed")
    batch = PacketBatch(4)
    batch.parse(frames(3), side="inside")
    packets = numpy.frombuffer(batch.memory, PacketBatch.dtype())
    assert packets["tuple"]["src_port"].tolist() == [1000, 1001, 1002]
    packets["tuple"]["dst_port"][1] = 444
    verdicts = worker.decide_batch(batch, 0)
    found = numpy.frombuffer(verdicts.memory, libpolicy.VerdictBatch.dtype())
    assert found["action"].tolist() == [1, 0, 1]
    with pytest.raises(ValueError):
        found["action"][0] = 1
    events = libpolicy.EventBatch()
    worker.drain_into(events)
    seen = numpy.frombuffer(events.memory, libpolicy.EventBatch.dtype())
    assert seen["kind"].tolist() == [0, 4, 0]
