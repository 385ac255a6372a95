# SPDX-License-Identifier: Apache-2.0
"""The C interface, as the headers declare it. Written by bindings/python/generate; do not edit."""
from __future__ import annotations

import ctypes
import enum
from ctypes import (
    CFUNCTYPE, POINTER, Array, Structure, c_bool, c_char, c_char_p, c_int, c_size_t, c_uint,
    c_uint8, c_uint16, c_uint32, c_uint64, c_void_p)
from typing import Any, Callable

POL_ADDR_TEXT = 46
POL_CERTIFICATE_NAMES = 32768
POL_CERTIFICATE_SUBJECT = 1024
POL_DNS_GRANTEES = 16
POL_EVENT_ADDRESSES = 16
POL_FINDING_NAMES = 8
POL_NAME_MAX = 255
POL_NEVER = 18446744073709551615
POL_NONE = 4294967295
POL_PREFIX_TEXT = 50
POL_READY_CHECKS = ("dataplane_running", "dataplane_config", "policy_ready", "dns_allowlist",
    "service_plane", "draining", "cluster", "policy_replication")
POL_READY_DETAIL = 256
POL_REPLY_MAX = 1320
POL_SECONDS = 1000000000
POL_VERSION_MAJOR = 0
POL_VERSION_MINOR = 1
POL_VERSION_PATCH = 0
POL_VERSION_TEXT = "0.1.0"


class Status(enum.IntEnum):
    """enum pol_status"""
    OK = 0
    E_NOMEM = -1
    E_INVALID = -2
    E_ABI = -3
    E_POLICY = -4
    E_FORMAT = -5
    E_TRUNCATED = -6
    E_NOSPACE = -7
    E_FULL = -8
    E_LIMIT = -9
    E_NOTFOUND = -10


class LogLevel(enum.IntEnum):
    """enum pol_log_level"""
    ERROR = 0
    WARN = 1
    INFO = 2
    DEBUG = 3


class Severity(enum.IntEnum):
    """enum pol_severity"""
    ERROR = 0
    WARNING = 1


class DiagCode(enum.IntEnum):
    """enum pol_diag_code"""
    SYNTAX = 1
    TYPE = 2
    UNKNOWN_KEY = 3
    MISSING = 4
    VALUE = 5
    DUPLICATE = 6
    CONFLICT = 7
    REGEX = 8
    CERTIFICATE = 9
    LIMIT = 10
    UNAVAILABLE = 11
    SHADOWED = 101
    UNANCHORED = 102
    DENY_SERVICE = 103
    SLOW_PATTERN = 104
    ONE_FAMILY = 105
    INTERCEPT_LATE = 106
    NEVER_MATCHES = 107
    LOOSE_DOT = 108
    WILDCARD = 109
    QUERY_DECIDED = 110
    PACKET_DECIDED = 111
    NO_NAME_ALLOWED = 112
    CERTIFICATE_HIDDEN = 113
    MIXED_PRIORITY = 114
    HALF_OF_ALL = 115
    NO_EFFECT = 116
    ICMP_FAMILY = 117
    RESERVED_ID = 118
    PORT_ZERO = 119


class Mode(enum.IntEnum):
    """enum pol_mode"""
    ENFORCE = 0
    AUDIT = 1
    REQUIRED = 2


class Need(enum.IntFlag):
    """enum pol_need"""
    DNS = 1
    TLS = 2
    INTERCEPT = 4


class GrantKind(enum.IntEnum):
    """enum pol_grant_kind"""
    ALLOWED = 0
    OBSERVED = 1
    RECORDED = 2


class GrantState(enum.IntEnum):
    """enum pol_grant_state"""
    LIVE = 0
    HELD = 1
    GONE = 2


class Link(enum.IntEnum):
    """enum pol_link"""
    ETHERNET = 0
    RAW_IP = 1
    LINUX_SLL = 2
    LINUX_SLL2 = 3


class Side(enum.IntEnum):
    """enum pol_side"""
    UNKNOWN = 0
    INSIDE = 1
    OUTSIDE = 2


class PacketKind(enum.IntEnum):
    """enum pol_packet_kind"""
    IP = 0
    NOT_IP = 1
    BROKEN = 2


class PacketMark(enum.IntFlag):
    """enum pol_packet_mark"""
    MALFORMED = 1
    TRUNCATED = 2
    FRAGMENT = 4
    NO_L4 = 8
    OPTIONS = 16
    ICMP_ERROR = 32


class TcpFlag(enum.IntFlag):
    """enum pol_tcp_flag"""
    FIN = 1
    SYN = 2
    RST = 4
    PSH = 8
    ACK = 16
    URG = 32


class Action(enum.IntEnum):
    """enum pol_action"""
    DENY = 0
    ALLOW = 1
    REJECT = 2
    PENDING = 3
    INTERCEPT = 4
    ANSWER = 5


class Reason(enum.IntEnum):
    """enum pol_reason"""
    NO_POLICY = 0
    RULE = 1
    GROUP_DEFAULT = 2
    POLICY_DEFAULT = 3
    MALFORMED = 4
    FLOWS_FULL = 5
    LIMIT = 6
    NEED_TLS = 7
    NOT_TLS = 8
    TLS_INCOMPLETE = 9
    PENDING_FULL = 10
    SNI_MISMATCH = 11
    INTERCEPT_TOO_LATE = 12
    DNS_EXPIRED = 13
    DNS_UNTRUSTED_RESOLVER = 14
    DNS_UNSOLICITED = 15
    DNS_NO_RULE = 16
    DNS_NO_ROOM = 17
    DNS_QUERY = 18
    FRAGMENT = 19
    OUTSIDE = 20
    UNRELATED = 21
    WRONG_SIDE = 22
    DENIED_FLOW = 23
    LINK = 24
    NOT_IP = 25
    MIDSTREAM = 26
    CERTIFICATE_UNTRUSTED = 27
    CERTIFICATE_HIDDEN = 28
    CERTIFICATE_MISSING = 29


class VerdictFlag(enum.IntFlag):
    """enum pol_verdict_flag"""
    OPENED = 1
    KNOWN = 2
    REJUDGED = 4
    WATCHED = 8
    AUDIT = 16
    SIDE_INFERRED = 32
    REPLY = 64
    RELATED = 128
    NAMED = 256
    SNI_SEEN = 512
    SNI_MISMATCH = 1024
    CUT = 2048


class EventKind(enum.IntEnum):
    """enum pol_event_kind"""
    FLOW_OPEN = 0
    FLOW_UPDATE = 1
    FLOW_ACTIVE = 2
    FLOW_END = 3
    DENY = 4
    DNS = 5


class End(enum.IntEnum):
    """enum pol_end"""
    NONE = 0
    FIN = 1
    RST = 2
    IDLE = 3
    POLICY = 4
    EVICTED = 5
    REUSED = 6
    FLUSHED = 7


class SniCheck(enum.IntEnum):
    """enum pol_sni_check"""
    OFF = 0
    LOG = 1
    ENFORCE = 2


class Midstream(enum.IntEnum):
    """enum pol_midstream"""
    JUDGE = 0
    DENY = 1


class Control(enum.IntEnum):
    """enum pol_control"""
    ARP = 0
    NDP = 1
    GROUPS = 2
    DHCP = 3
    DHCPV6 = 4
    EAPOL = 5
    LLDP = 6
    STP = 7
    MULTICAST = 8
    OTHER = 9


class ControlPolicy(enum.IntEnum):
    """enum pol_control_policy"""
    PASS = 0
    JUDGE = 1
    DROP = 2


class FindingType(enum.IntEnum):
    """enum pol_finding_type"""
    DNS_DENY = 0
    L4_DENY = 1
    TLS_DENY = 2
    ICMP_DENY = 3
    AUTH_SSO = 4


class DnsRefusal(enum.IntEnum):
    """enum pol_dns_refusal"""
    NXDOMAIN = 0
    REFUSED = 1
    SERVFAIL = 2
    FORMERR = 3


POL_WHY_COUNT = 30
POL_CONTROL_COUNT = 10
POL_FIND_COUNT = 5


class pol_ctx(Structure):
    """Opaque."""


class pol_policy(Structure):
    """Opaque."""


class pol_diags(Structure):
    """Opaque."""


class pol_grants(Structure):
    """Opaque."""


class pol_worker(Structure):
    """Opaque."""


class pol_audit(Structure):
    """Opaque."""


class pol_ready(Structure):
    """Opaque."""


class pol_counters(Structure):
    """Opaque."""


class pol_tap(Structure):
    """Opaque."""


class pol_str(Structure):
    ptr: int | None
    len: int
    _fields_ = [
        ("ptr", c_void_p),
        ("len", c_size_t),
    ]


class pol_bytes(Structure):
    ptr: int | None
    len: int
    _fields_ = [
        ("ptr", c_void_p),
        ("len", c_size_t),
    ]


class pol_addr(Structure):
    family: int
    bytes: Array[c_uint8]
    _fields_ = [
        ("family", c_uint8),
        ("bytes", c_uint8 * 16),
    ]


class pol_prefix(Structure):
    addr: pol_addr
    len: int
    _fields_ = [
        ("addr", pol_addr),
        ("len", c_uint8),
    ]


class pol_mem(Structure):
    user: int | None
    alloc: Any
    resize: Any
    release: Any
    _fields_ = [
        ("user", c_void_p),
        ("alloc", CFUNCTYPE(c_void_p, c_void_p, c_size_t)),
        ("resize", CFUNCTYPE(c_void_p, c_void_p, c_void_p, c_size_t, c_size_t)),
        ("release", CFUNCTYPE(None, c_void_p, c_void_p, c_size_t)),
    ]


class pol_limits(Structure):
    document_bytes: int
    groups: int
    rules: int
    id_bytes: int
    pattern_bytes: int
    regexes: int
    diagnostics: int
    regex_match: int
    _fields_ = [
        ("document_bytes", c_size_t),
        ("groups", c_uint32),
        ("rules", c_uint32),
        ("id_bytes", c_uint32),
        ("pattern_bytes", c_uint32),
        ("regexes", c_uint32),
        ("diagnostics", c_uint32),
        ("regex_match", c_uint32),
    ]


class pol_ctx_options(Structure):
    size: int
    mem: Any
    log: Any
    log_user: int | None
    hash_seed: Array[c_uint64]
    limits: pol_limits
    _fields_ = [
        ("size", c_size_t),
        ("mem", POINTER(pol_mem)),
        ("log", CFUNCTYPE(None, c_void_p, c_uint, pol_str)),
        ("log_user", c_void_p),
        ("hash_seed", c_uint64 * 2),
        ("limits", pol_limits),
    ]


class pol_diag(Structure):
    severity: int
    code: int
    line: int
    column: int
    path: pol_str
    text: pol_str
    _fields_ = [
        ("severity", c_uint),
        ("code", c_uint32),
        ("line", c_uint32),
        ("column", c_uint32),
        ("path", pol_str),
        ("text", pol_str),
    ]


class pol_compile_options(Structure):
    size: int
    default_allow: bool
    absent_mode: int
    _fields_ = [
        ("size", c_size_t),
        ("default_allow", c_bool),
        ("absent_mode", c_uint8),
    ]


class pol_grants_options(Structure):
    size: int
    capacity: int
    addresses_per_name: int
    names_per_address: int
    ttl_min: int
    ttl_max: int
    idle: int
    idle_two_way: int
    _fields_ = [
        ("size", c_size_t),
        ("capacity", c_uint32),
        ("addresses_per_name", c_uint32),
        ("names_per_address", c_uint32),
        ("ttl_min", c_uint64),
        ("ttl_max", c_uint64),
        ("idle", c_uint64),
        ("idle_two_way", c_uint64),
    ]


class pol_grant(Structure):
    group_key: int
    addr: pol_addr
    kind: int
    state: int
    two_way: int
    name_len: int
    flows: int
    ttl: int
    learned: int
    answered: int
    used: int
    expires: int
    reserved: Array[c_uint64]
    name: bytes
    _fields_ = [
        ("group_key", c_uint64),
        ("addr", pol_addr),
        ("kind", c_uint8),
        ("state", c_uint8),
        ("two_way", c_uint8),
        ("name_len", c_uint8),
        ("flows", c_uint32),
        ("ttl", c_uint32),
        ("learned", c_uint64),
        ("answered", c_uint64),
        ("used", c_uint64),
        ("expires", c_uint64),
        ("reserved", c_uint64 * 2),
        ("name", c_char * 256),
    ]


class pol_grants_stats(Structure):
    capacity: int
    live: int
    learned: int
    refreshed: int
    expired: int
    evicted_name: int
    evicted_address: int
    evicted_total: int
    refused_full: int
    reserved: Array[c_uint64]
    _fields_ = [
        ("capacity", c_uint32),
        ("live", c_uint32),
        ("learned", c_uint64),
        ("refreshed", c_uint64),
        ("expired", c_uint64),
        ("evicted_name", c_uint64),
        ("evicted_address", c_uint64),
        ("evicted_total", c_uint64),
        ("refused_full", c_uint64),
        ("reserved", c_uint64 * 4),
    ]


class pol_tuple(Structure):
    src: pol_addr
    dst: pol_addr
    src_port: int
    dst_port: int
    proto: int
    _fields_ = [
        ("src", pol_addr),
        ("dst", pol_addr),
        ("src_port", c_uint16),
        ("dst_port", c_uint16),
        ("proto", c_uint8),
    ]


class pol_packet(Structure):
    tuple: pol_tuple
    kind: int
    side: int
    hop_limit: int
    tcp_flags: int
    icmp_type: int
    icmp_code: int
    vlan_count: int
    frag_more: int
    vlan: Array[c_uint16]
    ether_type: int
    frag_offset: int
    frag_len: int
    l4_offset: int
    segment_len: int
    marks: int
    frag_id: int
    tcp_seq: int
    tcp_ack: int
    wire_len: int
    ip_len: int
    payload: pol_bytes
    inner: pol_tuple
    reserved: Array[c_uint64]
    _fields_ = [
        ("tuple", pol_tuple),
        ("kind", c_uint8),
        ("side", c_uint8),
        ("hop_limit", c_uint8),
        ("tcp_flags", c_uint8),
        ("icmp_type", c_uint8),
        ("icmp_code", c_uint8),
        ("vlan_count", c_uint8),
        ("frag_more", c_uint8),
        ("vlan", c_uint16 * 2),
        ("ether_type", c_uint16),
        ("frag_offset", c_uint16),
        ("frag_len", c_uint16),
        ("l4_offset", c_uint16),
        ("segment_len", c_uint16),
        ("marks", c_uint32),
        ("frag_id", c_uint32),
        ("tcp_seq", c_uint32),
        ("tcp_ack", c_uint32),
        ("wire_len", c_uint32),
        ("ip_len", c_uint32),
        ("payload", pol_bytes),
        ("inner", pol_tuple),
        ("reserved", c_uint64 * 2),
    ]


class pol_verdict(Structure):
    action: int
    raw_action: int
    side: int
    reserved0: int
    reason: int
    reserved1: int
    flags: int
    group: int
    rule: int
    group_key: int
    generation: int
    flow: int
    reserved: Array[c_uint64]
    _fields_ = [
        ("action", c_uint8),
        ("raw_action", c_uint8),
        ("side", c_uint8),
        ("reserved0", c_uint8),
        ("reason", c_uint16),
        ("reserved1", c_uint16),
        ("flags", c_uint32),
        ("group", c_uint32),
        ("rule", c_uint32),
        ("group_key", c_uint64),
        ("generation", c_uint64),
        ("flow", c_uint64),
        ("reserved", c_uint64 * 2),
    ]


class pol_event(Structure):
    kind: int
    end: int
    icmp_type: int
    icmp_code: int
    name_len: int
    fqdn_len: int
    vlan: int
    tuple: pol_tuple
    verdict: pol_verdict
    names_key: int
    at: int
    first: int
    last: int
    packets_out: int
    packets_in: int
    bytes_out: int
    bytes_in: int
    qtype: int
    qclass: int
    rcode: int
    answer_count: int
    learned: int
    reserved: Array[c_uint64]
    answers: Array[pol_addr]
    name: bytes
    fqdn: bytes
    _fields_ = [
        ("kind", c_uint8),
        ("end", c_uint8),
        ("icmp_type", c_uint8),
        ("icmp_code", c_uint8),
        ("name_len", c_uint8),
        ("fqdn_len", c_uint8),
        ("vlan", c_uint16),
        ("tuple", pol_tuple),
        ("verdict", pol_verdict),
        ("names_key", c_uint64),
        ("at", c_uint64),
        ("first", c_uint64),
        ("last", c_uint64),
        ("packets_out", c_uint64),
        ("packets_in", c_uint64),
        ("bytes_out", c_uint64),
        ("bytes_in", c_uint64),
        ("qtype", c_uint16),
        ("qclass", c_uint16),
        ("rcode", c_uint8),
        ("answer_count", c_uint8),
        ("learned", c_uint16),
        ("reserved", c_uint64 * 4),
        ("answers", pol_addr * 16),
        ("name", c_char * 256),
        ("fqdn", c_char * 256),
    ]


class pol_idle(Structure):
    tcp_opening: int
    tcp_established: int
    tcp_closing: int
    udp_one_way: int
    udp_two_way: int
    icmp: int
    other: int
    denied: int
    _fields_ = [
        ("tcp_opening", c_uint64),
        ("tcp_established", c_uint64),
        ("tcp_closing", c_uint64),
        ("udp_one_way", c_uint64),
        ("udp_two_way", c_uint64),
        ("icmp", c_uint64),
        ("other", c_uint64),
        ("denied", c_uint64),
    ]


class pol_worker_options(Structure):
    size: int
    flow_capacity: int
    event_capacity: int
    memo_capacity: int
    pending_capacity: int
    query_capacity: int
    stream_capacity: int
    fragment_capacity: int
    idle: pol_idle
    report_interval: int
    midstream_window: int
    query_timeout: int
    tls_timeout: int
    midstream: int
    sni_check: int
    reject_inside: bool
    admit_outside: bool
    trust_all_resolvers: bool
    inside: Any
    inside_count: int
    trusted_resolvers: Any
    trusted_resolver_count: int
    inside_resolvers: Any
    inside_resolver_count: int
    grants: Any
    own: Any
    own_count: int
    control: Array[c_uint8]
    member_capacity: int
    certificate_capacity: int
    trust_anchors_pem: pol_str
    _fields_ = [
        ("size", c_size_t),
        ("flow_capacity", c_uint32),
        ("event_capacity", c_uint32),
        ("memo_capacity", c_uint32),
        ("pending_capacity", c_uint32),
        ("query_capacity", c_uint32),
        ("stream_capacity", c_uint32),
        ("fragment_capacity", c_uint32),
        ("idle", pol_idle),
        ("report_interval", c_uint64),
        ("midstream_window", c_uint64),
        ("query_timeout", c_uint64),
        ("tls_timeout", c_uint64),
        ("midstream", c_uint8),
        ("sni_check", c_uint8),
        ("reject_inside", c_bool),
        ("admit_outside", c_bool),
        ("trust_all_resolvers", c_bool),
        ("inside", POINTER(pol_prefix)),
        ("inside_count", c_size_t),
        ("trusted_resolvers", POINTER(pol_addr)),
        ("trusted_resolver_count", c_size_t),
        ("inside_resolvers", POINTER(pol_addr)),
        ("inside_resolver_count", c_size_t),
        ("grants", POINTER(pol_grants)),
        ("own", POINTER(pol_addr)),
        ("own_count", c_size_t),
        ("control", c_uint8 * 16),
        ("member_capacity", c_uint32),
        ("certificate_capacity", c_uint32),
        ("trust_anchors_pem", pol_str),
    ]


class pol_finding(Structure):
    type: int
    proto: int
    icmp_type: int
    icmp_code: int
    audit: int
    name_count: int
    dst_port: int
    query_type: int
    reason: int
    dst: pol_addr
    src: pol_addr
    generation: int
    count: int
    first_seen: int
    last_seen: int
    reserved: Array[c_uint64]
    group: bytes
    rule: bytes
    name: bytes
    fqdn: bytes
    names: Array[Array[c_char]]
    _fields_ = [
        ("type", c_uint8),
        ("proto", c_uint8),
        ("icmp_type", c_uint8),
        ("icmp_code", c_uint8),
        ("audit", c_uint8),
        ("name_count", c_uint8),
        ("dst_port", c_uint16),
        ("query_type", c_uint16),
        ("reason", c_uint16),
        ("dst", pol_addr),
        ("src", pol_addr),
        ("generation", c_uint64),
        ("count", c_uint64),
        ("first_seen", c_uint64),
        ("last_seen", c_uint64),
        ("reserved", c_uint64 * 4),
        ("group", c_char * 257),
        ("rule", c_char * 257),
        ("name", c_char * 256),
        ("fqdn", c_char * 256),
        ("names", c_char * 256 * 8),
    ]


class pol_audit_query(Structure):
    size: int
    types: int
    groups: Any
    group_count: int
    since: int
    until: int
    limit: int
    _fields_ = [
        ("size", c_size_t),
        ("types", c_uint32),
        ("groups", POINTER(pol_str)),
        ("group_count", c_size_t),
        ("since", c_uint64),
        ("until", c_uint64),
        ("limit", c_size_t),
    ]


class pol_audit_stats(Structure):
    findings: int
    capacity: int
    events: int
    evicted: int
    reserved: Array[c_uint64]
    _fields_ = [
        ("findings", c_uint32),
        ("capacity", c_uint32),
        ("events", c_uint64),
        ("evicted", c_uint64),
        ("reserved", c_uint64 * 4),
    ]


class pol_dns_query(Structure):
    client: pol_addr
    id: int
    qtype: int
    qclass: int
    kind: int
    name_len: int
    grantee_count: int
    grantees: Array[c_uint64]
    reserved: Array[c_uint64]
    name: bytes
    _fields_ = [
        ("client", pol_addr),
        ("id", c_uint16),
        ("qtype", c_uint16),
        ("qclass", c_uint16),
        ("kind", c_uint8),
        ("name_len", c_uint8),
        ("grantee_count", c_uint8),
        ("grantees", c_uint64 * 16),
        ("reserved", c_uint64 * 2),
        ("name", c_char * 256),
    ]


class pol_dns_learned(Structure):
    addresses: int
    added: int
    refreshed: int
    rcode: int
    reserved: Array[c_uint64]
    _fields_ = [
        ("addresses", c_uint32),
        ("added", c_uint32),
        ("refreshed", c_uint32),
        ("rcode", c_uint8),
        ("reserved", c_uint64 * 2),
    ]


class pol_ready_line(Structure):
    name: pol_str
    detail: pol_str
    ok: bool
    advisory: bool
    reserved: Array[c_uint64]
    _fields_ = [
        ("name", pol_str),
        ("detail", pol_str),
        ("ok", c_bool),
        ("advisory", c_bool),
        ("reserved", c_uint64 * 2),
    ]


class pol_counter_info(Structure):
    name: bytes | None
    labels: bytes | None
    unit: bytes | None
    help: bytes | None
    is_gauge: bool
    by_group: bool
    _fields_ = [
        ("name", c_char_p),
        ("labels", c_char_p),
        ("unit", c_char_p),
        ("help", c_char_p),
        ("is_gauge", c_bool),
        ("by_group", c_bool),
    ]


class pol_port_range(Structure):
    first: int
    last: int
    _fields_ = [
        ("first", c_uint16),
        ("last", c_uint16),
    ]


class pol_tap_filter(Structure):
    size: int
    src: Any
    dst: Any
    src_count: int
    dst_count: int
    hostnames: Any
    hostname_count: int
    protos: int | None
    proto_count: int
    src_ports: Any
    dst_ports: Any
    src_port_count: int
    dst_port_count: int
    _fields_ = [
        ("size", c_size_t),
        ("src", POINTER(pol_prefix)),
        ("dst", POINTER(pol_prefix)),
        ("src_count", c_size_t),
        ("dst_count", c_size_t),
        ("hostnames", POINTER(pol_str)),
        ("hostname_count", c_size_t),
        ("protos", c_void_p),
        ("proto_count", c_size_t),
        ("src_ports", POINTER(pol_port_range)),
        ("dst_ports", POINTER(pol_port_range)),
        ("src_port_count", c_size_t),
        ("dst_port_count", c_size_t),
    ]


class pol_certificate(Structure):
    not_before: int
    not_after: int
    sha256: Array[c_uint8]
    san_count: int
    cn_count: int
    names_len: int
    subject_len: int
    version: int
    reserved: Array[c_uint64]
    subject: bytes
    names: bytes
    _fields_ = [
        ("not_before", c_uint64),
        ("not_after", c_uint64),
        ("sha256", c_uint8 * 32),
        ("san_count", c_uint32),
        ("cn_count", c_uint32),
        ("names_len", c_uint32),
        ("subject_len", c_uint16),
        ("version", c_uint16),
        ("reserved", c_uint64 * 4),
        ("subject", c_char * 1024),
        ("names", c_char * 32768),
    ]


pol_log_fn = CFUNCTYPE(None, c_void_p, c_uint, pol_str)
pol_audit_find_fn = CFUNCTYPE(c_bool, c_void_p, POINTER(pol_finding))
pol_audit_changes_fn = CFUNCTYPE(c_bool, c_void_p, POINTER(pol_finding))

# Of every struct, as the compiler laid it out: its size, and where its fields begin.
LAYOUT: dict[type[Structure], tuple[int, tuple[int, ...]]] = {
    pol_str: (16, (0, 8)),
    pol_bytes: (16, (0, 8)),
    pol_addr: (17, (0, 1)),
    pol_prefix: (18, (0, 17)),
    pol_mem: (32, (0, 8, 16, 24)),
    pol_limits: (40, (0, 8, 12, 16, 20, 24, 28, 32)),
    pol_ctx_options: (88, (0, 8, 16, 24, 32, 48)),
    pol_diag: (48, (0, 4, 8, 12, 16, 32)),
    pol_compile_options: (16, (0, 8, 9)),
    pol_grants_options: (56, (0, 8, 12, 16, 24, 32, 40, 48)),
    pol_grant: (344, (0, 8, 25, 26, 27, 28, 32, 36, 40, 48, 56, 64, 72, 88)),
    pol_grants_stats: (96, (0, 4, 8, 16, 24, 32, 40, 48, 56, 64)),
    pol_tuple: (40, (0, 17, 34, 36, 38)),
    pol_packet: (160, (0, 40, 41, 42, 43, 44, 45, 46, 47, 48, 52, 54, 56, 58, 60, 64, 68, 72, 76,
        80, 84, 88, 104, 144)),
    pol_verdict: (64, (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 40, 48)),
    pol_event: (1000, (0, 1, 2, 3, 4, 5, 6, 8, 48, 112, 120, 128, 136, 144, 152, 160, 168, 176,
        178, 180, 181, 182, 184, 216, 488, 744)),
    pol_idle: (64, (0, 8, 16, 24, 32, 40, 48, 56)),
    pol_worker_options: (256, (0, 8, 12, 16, 20, 24, 28, 32, 40, 104, 112, 120, 128, 136, 137,
        138, 139, 140, 144, 152, 160, 168, 176, 184, 192, 200, 208, 216, 232, 236, 240)),
    pol_finding: (3192, (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 29, 48, 56, 64, 72, 80, 112, 369, 626,
        882, 1138)),
    pol_audit_query: (56, (0, 8, 16, 24, 32, 40, 48)),
    pol_audit_stats: (56, (0, 4, 8, 16, 24)),
    pol_dns_query: (432, (0, 18, 20, 22, 24, 25, 26, 32, 160, 176)),
    pol_dns_learned: (32, (0, 4, 8, 12, 16)),
    pol_ready_line: (56, (0, 16, 32, 33, 40)),
    pol_counter_info: (40, (0, 8, 16, 24, 32, 33)),
    pol_port_range: (4, (0, 2)),
    pol_tap_filter: (104, (0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96)),
    pol_certificate: (33888, (0, 8, 16, 48, 52, 56, 60, 62, 64, 96, 1120)),
}

# Of every function: what it returns and takes.
SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "pol_status_name": (c_char_p, (c_int,)),
    "pol_status_text": (c_char_p, (c_int,)),
    "pol_addr_parse": (c_int, (pol_str, POINTER(pol_addr))),
    "pol_addr_format": (c_size_t, (POINTER(pol_addr), c_void_p)),
    "pol_prefix_parse": (c_int, (pol_str, POINTER(pol_prefix))),
    "pol_ctx_options_init": (None, (POINTER(pol_ctx_options), c_size_t)),
    "pol_ctx_new": (c_int, (POINTER(pol_ctx_options), POINTER(POINTER(pol_ctx)))),
    "pol_ctx_ref": (POINTER(pol_ctx), (POINTER(pol_ctx),)),
    "pol_ctx_unref": (None, (POINTER(pol_ctx),)),
    "pol_compile_options_init": (None, (POINTER(pol_compile_options), c_size_t)),
    "pol_compile": (c_int, (POINTER(pol_ctx), pol_str, POINTER(pol_compile_options),
        POINTER(POINTER(pol_policy)), POINTER(POINTER(pol_diags)))),
    "pol_policy_ref": (POINTER(pol_policy), (POINTER(pol_policy),)),
    "pol_policy_unref": (None, (POINTER(pol_policy),)),
    "pol_policy_group_count": (c_uint32, (POINTER(pol_policy),)),
    "pol_policy_rule_count": (c_uint32, (POINTER(pol_policy),)),
    "pol_policy_group_id": (pol_str, (POINTER(pol_policy), c_uint32)),
    "pol_policy_rule_id": (pol_str, (POINTER(pol_policy), c_uint32)),
    "pol_policy_rule_group": (c_uint32, (POINTER(pol_policy), c_uint32)),
    "pol_policy_group_key": (c_uint64, (POINTER(pol_policy), c_uint32)),
    "pol_policy_digest": (None, (POINTER(pol_policy), c_void_p)),
    "pol_policy_default_allow": (c_bool, (POINTER(pol_policy),)),
    "pol_policy_needs": (c_uint32, (POINTER(pol_policy),)),
    "pol_policy_memory": (c_size_t, (POINTER(pol_policy),)),
    "pol_policy_json": (c_int, (POINTER(pol_policy), c_void_p, c_size_t, POINTER(c_size_t))),
    "pol_diags_count": (c_size_t, (POINTER(pol_diags),)),
    "pol_diags_errors": (c_size_t, (POINTER(pol_diags),)),
    "pol_diags_at": (POINTER(pol_diag), (POINTER(pol_diags), c_size_t)),
    "pol_diags_free": (None, (POINTER(pol_diags),)),
    "pol_grants_options_init": (None, (POINTER(pol_grants_options), c_size_t)),
    "pol_grants_new": (c_int, (POINTER(pol_ctx), POINTER(pol_grants_options),
        POINTER(POINTER(pol_grants)))),
    "pol_grants_free": (None, (POINTER(pol_grants),)),
    "pol_grants_memory": (c_size_t, (POINTER(pol_grants),)),
    "pol_grants_list": (c_size_t, (POINTER(pol_grants), POINTER(c_uint32), c_uint64,
        POINTER(pol_grant), c_size_t)),
    "pol_grants_names": (c_size_t, (POINTER(pol_grants), c_uint64, POINTER(pol_addr), c_uint64,
        POINTER(pol_grant), c_size_t)),
    "pol_grants_restore": (c_int, (POINTER(pol_grants), POINTER(pol_grant), c_uint64)),
    "pol_grants_expire": (c_size_t, (POINTER(pol_grants), c_uint64, c_size_t)),
    "pol_grants_stats_get": (None, (POINTER(pol_grants), POINTER(pol_grants_stats))),
    "pol_packet_parse": (c_int, (pol_bytes, c_uint, c_uint32, POINTER(pol_packet))),
    "pol_packet_parse_batch": (c_size_t, (POINTER(pol_bytes), POINTER(c_uint32), c_size_t, c_uint,
        c_uint, POINTER(pol_packet))),
    "pol_reason_word": (c_char_p, (c_uint,)),
    "pol_reason_text": (c_char_p, (c_uint,)),
    "pol_action_word": (c_char_p, (c_uint,)),
    "pol_event_word": (c_char_p, (c_uint,)),
    "pol_end_word": (c_char_p, (c_uint,)),
    "pol_control_word": (c_char_p, (c_uint,)),
    "pol_worker_options_init": (None, (POINTER(pol_worker_options), c_size_t)),
    "pol_worker_new": (c_int, (POINTER(pol_ctx), POINTER(pol_worker_options),
        POINTER(POINTER(pol_worker)))),
    "pol_worker_free": (None, (POINTER(pol_worker),)),
    "pol_worker_use": (c_int, (POINTER(pol_worker), POINTER(pol_policy), c_uint64)),
    "pol_worker_policy": (POINTER(pol_policy), (POINTER(pol_worker), POINTER(c_uint64))),
    "pol_worker_decide": (c_uint, (POINTER(pol_worker), POINTER(pol_packet), c_uint64,
        POINTER(pol_verdict))),
    "pol_worker_decide_batch": (None, (POINTER(pol_worker), POINTER(pol_packet), c_size_t,
        c_uint64, POINTER(pol_verdict))),
    "pol_worker_wall": (None, (POINTER(pol_worker), c_uint64, c_uint64)),
    "pol_worker_deadline": (c_uint64, (POINTER(pol_worker),)),
    "pol_worker_tick": (c_size_t, (POINTER(pol_worker), c_uint64, c_size_t)),
    "pol_worker_flush": (c_size_t, (POINTER(pol_worker), c_uint64)),
    "pol_worker_drain": (c_size_t, (POINTER(pol_worker), POINTER(pol_event), c_size_t)),
    "pol_worker_report": (None, (POINTER(pol_worker), c_uint32)),
    "pol_worker_flow_count": (c_uint32, (POINTER(pol_worker),)),
    "pol_worker_memory": (c_size_t, (POINTER(pol_worker),)),
    "pol_finding_word": (c_char_p, (c_uint,)),
    "pol_audit_new": (c_int, (POINTER(pol_ctx), c_uint32, POINTER(POINTER(pol_audit)))),
    "pol_audit_free": (None, (POINTER(pol_audit),)),
    "pol_audit_memory": (c_size_t, (POINTER(pol_audit),)),
    "pol_audit_add": (c_int, (POINTER(pol_audit), POINTER(pol_policy), POINTER(pol_grants),
        POINTER(pol_event), c_uint64)),
    "pol_audit_restore": (c_int, (POINTER(pol_audit), POINTER(pol_finding))),
    "pol_audit_merge": (None, (POINTER(pol_audit), POINTER(pol_audit))),
    "pol_audit_query_init": (None, (POINTER(pol_audit_query), c_size_t)),
    "pol_audit_find": (c_int, (POINTER(pol_audit), POINTER(pol_audit_query), pol_audit_find_fn,
        c_void_p)),
    "pol_audit_changes": (c_size_t, (POINTER(pol_audit), pol_audit_changes_fn, c_void_p)),
    "pol_audit_stats_get": (None, (POINTER(pol_audit), POINTER(pol_audit_stats))),
    "pol_dns_decide": (c_uint, (POINTER(pol_worker), POINTER(pol_addr), pol_bytes, c_uint64,
        POINTER(pol_dns_query), POINTER(pol_verdict))),
    "pol_dns_learn": (c_int, (POINTER(pol_worker), POINTER(pol_dns_query), pol_bytes, c_uint64,
        POINTER(pol_dns_learned))),
    "pol_dns_refuse": (c_int, (pol_bytes, c_uint, c_void_p, c_size_t, POINTER(c_size_t))),
    "pol_ready_new": (c_int, (POINTER(pol_ctx), POINTER(c_char_p), c_size_t,
        POINTER(POINTER(pol_ready)))),
    "pol_ready_free": (None, (POINTER(pol_ready),)),
    "pol_ready_set": (c_int, (POINTER(pol_ready), c_char_p, c_bool, c_char_p)),
    "pol_ready_advise": (c_int, (POINTER(pol_ready), c_char_p, c_bool)),
    "pol_ready_ok": (c_bool, (POINTER(pol_ready),)),
    "pol_ready_count": (c_size_t, (POINTER(pol_ready),)),
    "pol_ready_at": (c_bool, (POINTER(pol_ready), c_size_t, POINTER(pol_ready_line))),
    "pol_counter_count": (c_size_t, ()),
    "pol_counter_describe": (POINTER(pol_counter_info), (c_size_t,)),
    "pol_counters_new": (c_int, (POINTER(pol_ctx), POINTER(POINTER(pol_counters)))),
    "pol_counters_free": (None, (POINTER(pol_counters),)),
    "pol_counters_clear": (None, (POINTER(pol_counters),)),
    "pol_counters_add": (None, (POINTER(pol_counters), POINTER(pol_worker))),
    "pol_counters_add_grants": (None, (POINTER(pol_counters), POINTER(pol_grants))),
    "pol_counters_value": (c_uint64, (POINTER(pol_counters), c_char_p, c_char_p)),
    "pol_json_finding": (c_int, (POINTER(pol_finding), pol_str, c_void_p, c_size_t,
        POINTER(c_size_t))),
    "pol_json_event": (c_int, (POINTER(pol_event), POINTER(pol_policy), pol_str, c_uint64,
        c_void_p, c_size_t, POINTER(c_size_t))),
    "pol_json_ready": (c_int, (POINTER(pol_ready), c_void_p, c_size_t, POINTER(c_size_t))),
    "pol_json_stats": (c_int, (POINTER(pol_counters), c_void_p, c_size_t, POINTER(c_size_t))),
    "pol_json_errors": (c_int, (POINTER(pol_diags), c_void_p, c_size_t, POINTER(c_size_t))),
    "pol_json_diags": (c_int, (POINTER(pol_diags), c_void_p, c_size_t, POINTER(c_size_t))),
    "pol_metrics_text": (c_int, (POINTER(pol_counters), c_void_p, c_size_t, POINTER(c_size_t))),
    "pol_reply_reject": (c_int, (POINTER(pol_packet), pol_bytes, c_uint, c_void_p, c_size_t,
        POINTER(c_size_t))),
    "pol_reply_reset": (c_int, (POINTER(pol_packet), pol_bytes, c_uint, c_void_p, c_size_t,
        POINTER(c_size_t))),
    "pol_reply_too_big": (c_int, (POINTER(pol_packet), pol_bytes, c_uint, c_uint32, c_void_p,
        c_size_t, POINTER(c_size_t))),
    "pol_reply_dns": (c_int, (POINTER(pol_packet), pol_bytes, c_uint, pol_bytes, c_void_p,
        c_size_t, POINTER(c_size_t))),
    "pol_tap_filter_init": (None, (POINTER(pol_tap_filter), c_size_t)),
    "pol_tap_new": (c_int, (POINTER(pol_ctx), POINTER(pol_tap_filter), POINTER(POINTER(pol_tap)),
        POINTER(c_size_t))),
    "pol_tap_free": (None, (POINTER(pol_tap),)),
    "pol_tap_match": (c_bool, (POINTER(pol_tap), POINTER(pol_event))),
    "pol_tls_server_name": (c_int, (pol_bytes, c_void_p, POINTER(c_size_t))),
    "pol_tls_certificate": (c_int, (pol_bytes, POINTER(pol_certificate))),
    "pol_version": (c_char_p, ()),
    "pol_abi_size": (c_size_t, (c_char_p,)),
}


class Library:
    """The functions of a loaded library."""
    pol_status_name: Callable[..., bytes | None]
    pol_status_text: Callable[..., bytes | None]
    pol_addr_parse: Callable[..., int]
    pol_addr_format: Callable[..., int]
    pol_prefix_parse: Callable[..., int]
    pol_ctx_options_init: Callable[..., None]
    pol_ctx_new: Callable[..., int]
    pol_ctx_ref: Callable[..., Any]
    pol_ctx_unref: Callable[..., None]
    pol_compile_options_init: Callable[..., None]
    pol_compile: Callable[..., int]
    pol_policy_ref: Callable[..., Any]
    pol_policy_unref: Callable[..., None]
    pol_policy_group_count: Callable[..., int]
    pol_policy_rule_count: Callable[..., int]
    pol_policy_group_id: Callable[..., pol_str]
    pol_policy_rule_id: Callable[..., pol_str]
    pol_policy_rule_group: Callable[..., int]
    pol_policy_group_key: Callable[..., int]
    pol_policy_digest: Callable[..., None]
    pol_policy_default_allow: Callable[..., bool]
    pol_policy_needs: Callable[..., int]
    pol_policy_memory: Callable[..., int]
    pol_policy_json: Callable[..., int]
    pol_diags_count: Callable[..., int]
    pol_diags_errors: Callable[..., int]
    pol_diags_at: Callable[..., Any]
    pol_diags_free: Callable[..., None]
    pol_grants_options_init: Callable[..., None]
    pol_grants_new: Callable[..., int]
    pol_grants_free: Callable[..., None]
    pol_grants_memory: Callable[..., int]
    pol_grants_list: Callable[..., int]
    pol_grants_names: Callable[..., int]
    pol_grants_restore: Callable[..., int]
    pol_grants_expire: Callable[..., int]
    pol_grants_stats_get: Callable[..., None]
    pol_packet_parse: Callable[..., int]
    pol_packet_parse_batch: Callable[..., int]
    pol_reason_word: Callable[..., bytes | None]
    pol_reason_text: Callable[..., bytes | None]
    pol_action_word: Callable[..., bytes | None]
    pol_event_word: Callable[..., bytes | None]
    pol_end_word: Callable[..., bytes | None]
    pol_control_word: Callable[..., bytes | None]
    pol_worker_options_init: Callable[..., None]
    pol_worker_new: Callable[..., int]
    pol_worker_free: Callable[..., None]
    pol_worker_use: Callable[..., int]
    pol_worker_policy: Callable[..., Any]
    pol_worker_decide: Callable[..., int]
    pol_worker_decide_batch: Callable[..., None]
    pol_worker_wall: Callable[..., None]
    pol_worker_deadline: Callable[..., int]
    pol_worker_tick: Callable[..., int]
    pol_worker_flush: Callable[..., int]
    pol_worker_drain: Callable[..., int]
    pol_worker_report: Callable[..., None]
    pol_worker_flow_count: Callable[..., int]
    pol_worker_memory: Callable[..., int]
    pol_finding_word: Callable[..., bytes | None]
    pol_audit_new: Callable[..., int]
    pol_audit_free: Callable[..., None]
    pol_audit_memory: Callable[..., int]
    pol_audit_add: Callable[..., int]
    pol_audit_restore: Callable[..., int]
    pol_audit_merge: Callable[..., None]
    pol_audit_query_init: Callable[..., None]
    pol_audit_find: Callable[..., int]
    pol_audit_changes: Callable[..., int]
    pol_audit_stats_get: Callable[..., None]
    pol_dns_decide: Callable[..., int]
    pol_dns_learn: Callable[..., int]
    pol_dns_refuse: Callable[..., int]
    pol_ready_new: Callable[..., int]
    pol_ready_free: Callable[..., None]
    pol_ready_set: Callable[..., int]
    pol_ready_advise: Callable[..., int]
    pol_ready_ok: Callable[..., bool]
    pol_ready_count: Callable[..., int]
    pol_ready_at: Callable[..., bool]
    pol_counter_count: Callable[..., int]
    pol_counter_describe: Callable[..., Any]
    pol_counters_new: Callable[..., int]
    pol_counters_free: Callable[..., None]
    pol_counters_clear: Callable[..., None]
    pol_counters_add: Callable[..., None]
    pol_counters_add_grants: Callable[..., None]
    pol_counters_value: Callable[..., int]
    pol_json_finding: Callable[..., int]
    pol_json_event: Callable[..., int]
    pol_json_ready: Callable[..., int]
    pol_json_stats: Callable[..., int]
    pol_json_errors: Callable[..., int]
    pol_json_diags: Callable[..., int]
    pol_metrics_text: Callable[..., int]
    pol_reply_reject: Callable[..., int]
    pol_reply_reset: Callable[..., int]
    pol_reply_too_big: Callable[..., int]
    pol_reply_dns: Callable[..., int]
    pol_tap_filter_init: Callable[..., None]
    pol_tap_new: Callable[..., int]
    pol_tap_free: Callable[..., None]
    pol_tap_match: Callable[..., bool]
    pol_tls_server_name: Callable[..., int]
    pol_tls_certificate: Callable[..., int]
    pol_version: Callable[..., bytes | None]
    pol_abi_size: Callable[..., int]

    def __init__(self, loaded: ctypes.CDLL) -> None:
        for name, (result, parameters) in SIGNATURES.items():
            function = getattr(loaded, name)
            function.restype = result
            function.argtypes = parameters
            setattr(self, name, function)
