# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What CUDA, torch and packages with GPU kernels of their own need of a host's driver and GPUs. Pure.

Where a table does not know something newer, nothing is claimed of it.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.packages.abi import Release, Torch, dotted, release_of

# The oldest Linux driver of each major version of CUDA; its later releases run on it, too.
# Source: NVIDIA, "CUDA Compatibility", chapter "Minor Version Compatibility", table 1, and the CUDA Toolkit release
# notes, "CUDA Toolkit and Minimum Required Driver Version for CUDA Minor Version Compatibility".
_DRIVERS: t.Final = {11: "450.80.02", 12: "525.60.13", 13: "580.65.06"}


@dataclasses.dataclass(frozen=True)
class Capabilities:
    """The compute capabilities of NVIDIA's that kernels were compiled for: from lowest on, below beyond, less absent.

    beyond: None where newer GPUs can run them as well, or that is not known. absent: major versions in between.
    """

    lowest: Release
    beyond: Release | None = None
    absent: tuple[int, ...] = ()

    def has(self, capability: Release) -> bool:
        """Whether a GPU of this capability runs them."""
        beyond = self.beyond is None or capability < self.beyond
        return capability >= self.lowest and beyond and capability[0] not in self.absent

    def __str__(self) -> str:
        text = f"{dotted(self.lowest)} or newer"
        text += f", below {dotted(self.beyond)}" if self.beyond else ""
        return text + "".join(f", not {major}.x" for major in self.absent)


# By canonical name: the first version that the entry is about, and what its kernels run on.
_KERNELS: t.Final = {
    # Dao-AILab/flash-attention, README: "Ampere, Ada, or Hopper GPUs"; for Turing there is 1.x.
    "flash-attn": ((2,), Capabilities((8, 0))),
    # The same repository, folder hopper, and its issue 1049: Ampere, Ada and Hopper.
    "flash-attn-3": ((0,), Capabilities((8, 0), beyond=(10, 0))),
    # thu-ml/SageAttention, README: kernels for sm80, sm86, sm89, sm90 and sm120; 1.x has none.
    "sageattention": ((2,), Capabilities((8, 0))),
    "sageattn3": ((0,), Capabilities((10, 0))),
    "spas-sage-attn": ((0,), Capabilities((8, 0))),
    # nunchaku-ai/nunchaku, issues 1, 381, 519 and 795: 4-bit tensor cores, which Hopper and B200 do not have.
    # The default index has another project of that name, below 1.
    "nunchaku": ((1,), Capabilities((7, 5), absent=(9, 10))),
}


def driver_for(cuda: Release) -> str | None:
    """The oldest driver that runs programs of a CUDA release; None for a CUDA that the table does not know."""
    return _DRIVERS.get(cuda[0])


def is_older(driver: str, needed: str) -> bool:
    """Whether a driver is older than the one that is needed."""
    return release_of(driver) < release_of(needed)


def kernels_of(name: str, version: str) -> Capabilities | None:
    """What the kernels of a package run on; None where that is not known, or it has none."""
    since, capabilities = _KERNELS.get(name, ((), None))
    return capabilities if capabilities and release_of(version) >= since else None


def torch_capabilities(torch: Torch, machine: str) -> Capabilities | None:
    """What torch's own kernels run on; None for a torch that is not for CUDA.

    Source: TORCH_CUDA_ARCH_LIST in pytorch's ``.ci/manywheel/build_cuda.sh`` over the releases, and pytorch#157517.
    """
    cuda = torch.built.cuda
    if cuda is None:
        return None
    if cuda >= (13,):
        return Capabilities((7, 5) if machine == "x86_64" else (8, 0))
    if cuda >= (12, 8):
        # 2.7 and, again, 2.11 left Volta out.
        volta = (2, 8) <= torch.release[:2] < (2, 11)
        return Capabilities((7, 0) if volta else (7, 5))
    # Of these none has code for Blackwell, and releases have none that a newer GPU could compile.
    return Capabilities((5, 0) if cuda >= (12,) else (3, 7), beyond=(10, 0))
