# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a wheel with compiled code was built for, as its version says, held against the torch that it would meet. Pure.

There is no standard for that: projects write it into the local version (PEP 440), each in its own way, as in
``flash_attn-2.8.3+cu12torch2.8cxx11abiTRUE`` and ``torch_scatter-2.1.2+pt28cu128``.
"""

from __future__ import annotations

import collections.abc as c
import re
import typing as t

TORCH: t.Final = "torch"
# The packages of the CUDA runtime: a torch of the default index asks for the one that it was built with.
CUDA_RUNTIMES: t.Final = (
    "nvidia-cuda-runtime",
    "nvidia-cuda-runtime-cu12",
    "nvidia-cuda-runtime-cu11",
    "cuda-toolkit",
)

Release = tuple[int, ...]

# A commit's hash may come right before: 18f6958pt2.8.0cu128.
_START = r"(?<![g-z])"
_TORCH = re.compile(rf"(?P<word>torch|{_START}pt)(?P<digits>\d+)(?P<rest>(?:\.\d+){{0,2}})(?P<newer>andhigher)?")
_CUDA = re.compile(rf"{_START}cu(?:da)?_?(?P<digits>\d{{2,4}})(?P<rest>\.\d{{1,2}}(?!\d))?")
_ROCM = re.compile(r"rocm_?(?P<digits>\d+)(?P<rest>(?:\.\d+)?)")
_CPU = re.compile(rf"{_START}cpu(?![a-z])")
_XPU = re.compile(rf"{_START}xpu(?![a-z])")
_CXX11 = re.compile(r"cxx11(?:abi)?_?(true|false|[01])")
_NUMBERS = re.compile(r"\d+(?:\.\d+)*")

CUDA, ROCM, CPU, XPU = "cuda", "rocm", "cpu", "xpu"
# Releases whose second number has two digits are written without a dot, too: torch2100, torch210.
_DIGITS_OF_A_MAJOR: t.Final = 2
_DIGITS_OF_A_RELEASE: t.Final = 3
# The first torch whose wheels have the C++11 ABI throughout; of 2.6 those for CUDA 12.6 have it (pytorch#142064).
_CXX11_SINCE: t.Final = (2, 7)
_CXX11_OF_CUDA: t.Final = ((2, 6), (12, 6))


class Built(t.NamedTuple):
    """What a wheel says that it was built for; empty or None where it says nothing.

    torch: the releases that it may mean (``torch210`` is 2.1.0 or 2.10). newer: later ones do as well. cuda and rocm:
    ``(12,)`` or ``(12, 8)``. kind: CUDA, ROCM, CPU or XPU. cxx11: whether for the C++11 ABI.
    """

    torch: tuple[Release, ...] = ()
    newer: bool = False
    cuda: Release | None = None
    rocm: Release | None = None
    kind: str | None = None
    cxx11: bool | None = None

    def __str__(self) -> str:
        words = [f"torch {' or '.join(dotted(release) for release in self.torch)}"] if self.torch else []
        words += ["or newer"] if self.newer else []
        text = " ".join(words)
        return ", ".join([*([text] if text else []), *self._kinds()])

    def _kinds(self) -> list[str]:
        if self.cuda:
            return [f"CUDA {dotted(self.cuda)}"]
        if self.rocm:
            return [f"ROCm {dotted(self.rocm)}"]
        return [str(self.kind).upper()] if self.kind else []


class Torch(t.NamedTuple):
    """The torch that there is. release: ``(2, 9, 0)``. built: what it was built for itself."""

    version: str
    release: Release
    built: Built

    def __str__(self) -> str:
        kinds = self.built._kinds()
        return f"torch {self.version}{f' ({kinds[0]})' if kinds else ''}"


def dotted(release: c.Iterable[int]) -> str:
    """``12.8`` of ``(12, 8)``."""
    return ".".join(map(str, release))


def release_of(version: str) -> Release:
    """The numbers that a version begins with: ``(2, 9, 0)`` of ``2.9.0a0+cu130``."""
    match = _NUMBERS.match(version.rpartition("!")[2])
    return tuple(int(number) for number in match[0].split(".")) if match else ()


def built_for(version: str) -> Built:
    """What the local version of ``version`` (as in a wheel's name) says of what it was built for."""
    local = version.partition("+")[2].lower()
    torch = _TORCH.search(local)
    cuda, rocm = _CUDA.search(local), _ROCM.search(local)
    cxx11 = _CXX11.search(local)
    kinds = {CUDA: cuda, ROCM: rocm, CPU: _CPU.search(local), XPU: _XPU.search(local)}
    return Built(
        torch=_torch_releases(torch["word"], torch["digits"], torch["rest"]) if torch else (),
        newer=bool(torch and torch["newer"]),
        cuda=_cuda_release(cuda["digits"], cuda["rest"] or "") if cuda else None,
        rocm=_rocm_release(rocm["digits"], rocm["rest"]) if rocm else None,
        kind=next((kind for kind, found in kinds.items() if found), None),
        cxx11=cxx11[1] in ("true", "1") if cxx11 else None,
    )


def _torch_releases(word: str, digits: str, rest: str) -> tuple[Release, ...]:
    if rest:
        return ((int(digits), *_numbers(rest)),)
    if len(digits) == 1:
        return ((int(digits),),)
    # pt28, pt210 (PyTorch Geometric and others): one digit and the second number.
    short = (int(digits[0]), int(digits[1:]))
    if word == "pt" or len(digits) == _DIGITS_OF_A_MAJOR:
        return (short,)
    whole = (int(digits[0]), int(digits[1:-1]), int(digits[-1]))
    ambiguous = len(digits) == _DIGITS_OF_A_RELEASE and digits[1] == "1"
    return (whole, short) if ambiguous else (whole,)


def _cuda_release(digits: str, rest: str) -> Release:
    if len(digits) > _DIGITS_OF_A_MAJOR:
        return (int(digits[:-1]), int(digits[-1]))
    return (int(digits), *_numbers(rest))


def _rocm_release(digits: str, rest: str) -> Release:
    return (int(digits), *_numbers(rest)) if rest or len(digits) == 1 else (int(digits[0]), int(digits[1]))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(".") if number]


def torch_of(versions: c.Mapping[str, str]) -> Torch | None:
    """The torch among ``versions`` (by canonical name), with the CUDA that its packages of the runtime tell."""
    version = versions.get(TORCH)
    if version is None:
        return None
    built = built_for(version)._replace(torch=())
    runtime = next((versions[name] for name in CUDA_RUNTIMES if name in versions), None)
    if built.kind is None and runtime is not None:
        built = built._replace(kind=CUDA, cuda=release_of(runtime)[:2])
    return Torch(version, release_of(version), built)


def misfits(built: Built, torch: Torch | None) -> list[str]:
    """Each thing that ``built`` was made for and that ``torch`` is not, as ``torch 2.8``; empty where it fits.

    Without a torch there is nothing to fit: who uses one says so in its metadata, and ComfyUI does in any case. Patch
    releases of torch, and the CUDA releases of one major version, fit each other.
    """
    if torch is None:
        return []
    wrong = [] if _fits_torch(built, torch) else [str(built._replace(cuda=None, rocm=None, kind=None))]
    if built.kind and torch.built.kind and not _fits_kind(built, torch.built):
        wrong += built._kinds()
    has = _has_cxx11(torch)
    if built.cxx11 is not None and has is not None and built.cxx11 != has:
        wrong.append(f"the {'C++11' if built.cxx11 else 'old C++'} ABI (cxx11abi{str(built.cxx11).upper()})")
    return wrong


def _fits_torch(built: Built, torch: Torch) -> bool:
    return not built.torch or any(
        torch.release[:2] >= wanted[:2] if built.newer else torch.release[: len(wanted[:2])] == wanted[:2]
        for wanted in built.torch
    )


def _fits_kind(built: Built, torch: Built) -> bool:
    if built.kind != torch.kind:
        return False
    pairs = ((built.cuda, torch.cuda), (built.rocm, torch.rocm))
    return all(mine is None or other is None or mine[0] == other[0] for mine, other in pairs)


def _has_cxx11(torch: Torch) -> bool | None:
    """Whether the torch has the C++11 ABI; None for one of whose origin nothing is known."""
    if torch.built.kind is None:
        return None
    return torch.release[:2] >= _CXX11_SINCE or (torch.release[:2], torch.built.cuda) == _CXX11_OF_CUDA
