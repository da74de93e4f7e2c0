# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's network: addresses, what each host tried to reach, and faults on its link.

All of it is in the lab's own control namespace: a bridge, and for every host a device of the host's name, the other end
of which is ``eth0`` on the host. So the addresses are the same in every lab and meet nowhere.
Sources: nft(8), tc-tbf(8), ip-link(8).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable

from .errors import LabError

CONTROL_ADDRESS = "10.77.0.1"
PREFIX_LENGTH = 24
FIRST_HOST = 11
LAST_HOST = 254
BRIDGE = "lab"
HOST_DEVICE = "eth0"
TABLE = "bridge lab"
ALL = 100
EGRESS_SETS = ("conversations", "echoes")

# Counted is what opens a conversation: a TCP SYN, any UDP packet, a ping; not what answers one, and not ARP. The
# conversations that the control node opens (ssh) are answers on this side, so an idle host that is only looked at
# over ssh counts 0. The sets come before the faults: a try counts, whether or not it gets through.
RULES = f"""\
table {TABLE} {{
  set conversations {{
    type ifname . ipv4_addr . inet_proto . inet_service
    flags dynamic
    size 65535
    counter
  }}
  set echoes {{
    type ifname . ipv4_addr . inet_proto
    flags dynamic
    size 65535
    counter
  }}
  chain egress {{
    type filter hook prerouting priority -10
    tcp flags & (syn | ack) == syn update @conversations {{ iifname . ip daddr . ip protocol . tcp dport counter }}
    ip protocol udp update @conversations {{ iifname . ip daddr . ip protocol . udp dport counter }}
    icmp type echo-request update @echoes {{ iifname . ip daddr . ip protocol counter }}
  }}
  chain from_hosts {{
    type filter hook prerouting priority 0
  }}
  chain to_hosts {{
    type filter hook postrouting priority 0
  }}
}}
"""


@dataclasses.dataclass(frozen=True, order=True)
class Attempt:
    """What a host tried to reach: ``protocol`` (tcp, udp, icmp), ``address``, ``port`` (None for icmp); how often."""

    protocol: str
    address: str
    port: int | None
    packets: int

    def __str__(self) -> str:
        place = self.address if self.port is None else f"{self.address}:{self.port}"
        return f"{self.packets} x {self.protocol} {place}"


def address_of(index: int) -> str:
    """The address of the host with this number, which starts at 1."""
    return f"{CONTROL_ADDRESS.rpartition('.')[0]}.{FIRST_HOST - 1 + index}"


def plug(host: str) -> str:
    """Lines for ``ip -batch``: give the host a network namespace, and a device that is plugged into the bridge."""
    return "\n".join(
        (
            f"netns add {host}",
            f"link add {host} type veth peer name {HOST_DEVICE} netns {host}",
            f"link set {host} master {BRIDGE}",
        )
    )


def configure(address: str) -> str:
    """Lines for ``ip -batch`` in the host's namespace: its address, and the control node as the way to all others."""
    return "\n".join(
        (
            "link set lo up",
            f"address add {address}/{PREFIX_LENGTH} dev {HOST_DEVICE}",
            f"link set {HOST_DEVICE} up",
            f"route add default via {CONTROL_ADDRESS}",
        )
    )


def chains(host: str) -> str:
    """nft commands: a place for the faults of a new host's link, each way."""
    return (
        f"add chain {TABLE} from_{host}\n"
        f"add chain {TABLE} to_{host}\n"
        f'add rule {TABLE} from_hosts iifname "{host}" jump from_{host}\n'
        f'add rule {TABLE} to_hosts oifname "{host}" jump to_{host}\n'
    )


def loss(host: str, percent: int) -> str:
    """nft commands after which the host loses ``percent`` of its packets, each way; LabError outside 0 to 100."""
    if percent not in range(ALL + 1):
        raise LabError(f"{percent} is no percentage of packets to lose: give 0 to 100")
    # numgen gives 0 to 99, and nft refuses a comparison that is always true.
    match = "" if percent == ALL else f"numgen random mod {ALL} < {percent}"
    commands = []
    for way in ("from", "to"):
        commands.append(f"flush chain {TABLE} {way}_{host}")
        if percent:
            commands.append(f"add rule {TABLE} {way}_{host} {match} drop")
    return "\n".join(commands) + "\n"


def rate(bytes_per_second: int) -> tuple[str, ...]:
    """The arguments of ``tc qdisc replace dev X root`` for a rate; bursts are short so that small files feel it too."""
    burst = max(2000, bytes_per_second // 50)
    return ("tbf", "rate", f"{bytes_per_second}bps", "burst", f"{burst}b", "latency", "200ms")


def attempts(listings: Iterable[str], hosts: Iterable[str]) -> dict[str, list[Attempt]]:
    """What ``nft --json list set`` of the egress sets says, host by host; a host that tried nothing has no attempts."""
    found: dict[str, list[Attempt]] = {host: [] for host in hosts}
    for listing in listings:
        for item in json.loads(listing)["nftables"]:
            for element in item.get("set", {}).get("elem", []):
                host, address, protocol, *port = element["elem"]["val"]["concat"]
                packets = element["elem"]["counter"]["packets"]
                found[host].append(Attempt(protocol, address, port[0] if port else None, packets))
    return {host: sorted(tries) for host, tries in found.items()}
