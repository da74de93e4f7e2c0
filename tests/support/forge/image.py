# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A large ComfyUI environment: stand-ins, under their real names, for all that a well-known image holds.

Names, versions, modules and the more telling requirements are those of the projects; what is in the modules is not.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import typing as t

from tests.support.forge.demo_packages import pip_wheel
from tests.support.forge.installed import publish_installed

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.forge import Forge
    from tests.support.forge.packages import Index, Release

CUDA_INDEX = "pytorch-cu130"
CUDA = "cu130"
TORCH = "2.10.0"
# Wheels that have machine code for one Python.
COMPILED = f"cp{sys.version_info[0]}{sys.version_info[1]}-cp{sys.version_info[0]}{sys.version_info[1]}"
PLATFORM = "manylinux_2_28_x86_64"

# name, version, module (of the name where it is "-"), requirements.
_DEFAULT_INDEX: t.Final = """
absl-py 2.1.0 absl
accelerate 1.2.1 - huggingface-hub>=0.21 numpy>=1.17,<3 packaging>=20 psutil pyyaml safetensors>=0.4.3 torch>=1.10
addict 2.4.0 -
aiofiles 24.1.0 -
aiohappyeyeballs 2.4.4 -
aiohttp 3.11.11 - aiohappyeyeballs>=2.3 aiosignal>=1.1.2 attrs>=17.3 frozenlist>=1.1 multidict>=4.5,<7 propcache yarl<2
aiosignal 1.3.2 - frozenlist>=1.1
alembic 1.14.0 - mako sqlalchemy>=1.3 typing-extensions>=4
annotated-types 0.7.0 -
antlr4-python3-runtime 4.9.3 antlr4
attrs 24.3.0 attr
av 14.0.1 -
cachetools 5.5.0 -
certifi 2024.12.14 -
chardet 5.2.0 -
charset-normalizer 3.4.1 -
click 8.1.8 -
colour-science 0.4.6 colour numpy>=1.24,<3 scipy>=1.10,<2
compel 2.0.3 - diffusers>=0.11 pyparsing~=3.0 torch transformers~=4.25
contourpy 1.3.1 - numpy>=1.23
cycler 0.12.1 -
deepdiff 8.1.1 - orderly-set>=5.2
diffusers 0.31.0 - filelock huggingface-hub>=0.23.2 numpy pillow regex!=2019.12.17 requests safetensors>=0.3.1
easydict 1.13 -
einops 0.8.0 -
facexlib 0.3.0 - filterpy numba numpy opencv-python pillow scipy torch torchvision tqdm
filelock 3.16.1 -
filterpy 1.4.5 - matplotlib numpy scipy
flatbuffers 24.12.23 -
fonttools 4.55.3 fontTools
frozenlist 1.5.0 -
fsspec 2024.12.0 -
ftfy 6.3.1 - wcwidth
gguf 0.13.0 - numpy>=1.17 pyyaml>=5.1 tqdm>=4.27
gitdb 4.0.12 - smmap>=3.0.1,<6
gitpython 3.1.44 git gitdb>=4.0.1,<5
greenlet 3.1.1 -
huggingface-hub 0.27.1 - filelock fsspec>=2023.5 packaging>=20.9 pyyaml>=5.1 requests tqdm>=4.42.1 typing-extensions
humanfriendly 10.0 -
idna 3.10 -
imageio 2.36.1 - numpy pillow>=8.3.2
imageio-ffmpeg 0.5.1 -
importlib-metadata 8.5.0 - zipp>=3.20
insightface 0.7.3 - easydict matplotlib numpy onnx prettytable requests scikit-image scikit-learn scipy tqdm
jinja2 3.1.5 - markupsafe>=2
joblib 1.4.2 -
kiwisolver 1.4.8 -
kornia 0.7.4 - kornia-rs>=0.1 packaging torch>=1.9.1
kornia-rs 0.1.8 -
lark 1.2.2 -
lazy-loader 0.4 - packaging
llvmlite 0.43.0 -
loguru 0.7.3 -
mako 1.3.8 - markupsafe>=0.9.2
markdown-it-py 3.0.0 markdown_it mdurl~=0.1
markupsafe 3.0.2 -
matplotlib 3.10.0 - contourpy>=1.0.1 cycler>=0.10 fonttools>=4.22 kiwisolver>=1.3.1 numpy>=1.23 packaging pillow>=8
mdurl 0.1.2 -
mpmath 1.3.0 -
multidict 6.1.0 -
networkx 3.4.2 -
numba 0.60.0 - llvmlite<0.44,>=0.43.0dev0 numpy>=1.22,<2.1
numexpr 2.10.2 - numpy>=1.23
numpy 2.0.2 -
numpy 2.2.1 -
nvidia-ml-py 12.560.30 pynvml
omegaconf 2.3.0 - antlr4-python3-runtime==4.9.* pyyaml>=5.1
onnx 1.17.0 - numpy>=1.20 protobuf>=3.20.2
onnxruntime 1.20.1 - flatbuffers numpy>=1.21.6 packaging protobuf sympy
opencv-contrib-python 4.10.0.84 cv2 numpy>=1.26
opencv-contrib-python-headless 4.10.0.84 cv2 numpy>=1.26
opencv-python 4.10.0.84 cv2 numpy>=1.26
orderly-set 5.2.3 -
packaging 24.2 -
pandas 2.2.3 - numpy>=1.26 python-dateutil>=2.8.2 pytz>=2020.1 tzdata>=2022.7
peft 0.14.0 - accelerate>=0.21 huggingface-hub>=0.25 numpy>=1.17 packaging psutil pyyaml safetensors torch transformers
piexif 1.1.3 -
pillow 11.1.0 PIL
platformdirs 4.3.6 -
pooch 1.8.2 - packaging>=20 platformdirs>=2.5 requests>=2.19
prettytable 3.12.0 - wcwidth
propcache 0.2.1 -
protobuf 5.29.2 google/protobuf
psutil 6.1.1 -
pydantic 2.10.4 - annotated-types>=0.6 pydantic-core==2.27.2 typing-extensions>=4.12.2
pydantic-core 2.27.2 -
pydub 0.25.1 -
pygments 2.19.1 -
pyparsing 3.2.1 -
python-dateutil 2.9.0.post0 dateutil six>=1.5
pytz 2024.2 -
pyyaml 6.0.2 yaml
regex 2024.11.6 -
requests 2.32.3 - certifi>=2017.4.17 charset-normalizer>=2,<4 idna>=2.5,<4 urllib3>=1.21.1,<3
rich 13.9.4 - markdown-it-py>=2.2 pygments>=2.13,<3
safetensors 0.5.2 -
scikit-image 0.25.0 skimage imageio>=2.33 lazy-loader>=0.4 networkx>=3 numpy>=1.24 pillow>=10.1 scipy>=1.11.2 tifffile
scikit-learn 1.6.0 sklearn joblib>=1.2 numpy>=1.19.5 scipy>=1.6 threadpoolctl>=3.1
scipy 1.15.0 - numpy>=1.23.5,<2.5
sentencepiece 0.2.0 -
six 1.17.0 -
smmap 5.0.2 -
spandrel 0.4.0 - einops numpy safetensors torch torchvision typing-extensions
sqlalchemy 2.0.36 - greenlet typing-extensions>=4.6
sympy 1.13.3 - mpmath>=1.1,<1.4
threadpoolctl 3.5.0 -
tifffile 2024.12.12 - numpy
timm 1.0.17 - huggingface-hub pyyaml safetensors torch torchvision
tokenizers 0.21.0 - huggingface-hub>=0.16.4,<1
toml 0.10.2 -
torchmetrics 1.6.0 - numpy>1.20 packaging>17.1 torch>=2
torchsde 0.2.6 - numpy>=1.19 scipy>=1.5 torch>=1.6 trampoline>=0.1.2
tqdm 4.67.1 -
trampoline 0.1.2 -
transformers 4.47.1 - filelock huggingface-hub>=0.24,<1 numpy>=1.17 packaging>=20 pyyaml regex requests tokenizers<0.22
typing-extensions 4.12.2 -
tzdata 2024.2 -
urllib3 2.3.0 -
wcwidth 0.2.13 -
yarl 1.18.3 - idna>=2 multidict>=4 propcache>=0.2
zipp 3.21.0 -
"""
# What machine code is in.
_COMPILED: t.Final = """
aiohttp av contourpy frozenlist greenlet insightface kiwisolver kornia-rs llvmlite markupsafe matplotlib multidict
numba numexpr numpy onnx onnxruntime pandas pillow propcache pydantic-core pyyaml regex scikit-image scikit-learn
scipy sentencepiece sqlalchemy yarl
"""
_TORCH_INDEX: t.Final = """
torch 2.10.0+cu130 - filelock fsspec jinja2 networkx>=2.5.1 sympy>=1.13.3 typing-extensions>=4.10
torchaudio 2.10.0+cu130 -
torchvision 0.25.0+cu130 - numpy pillow>=5.3 torch==2.10.0
"""
_KERNELS: t.Final = """
flash-attn 2.8.2+cu130torch2.10.0 flash_attn einops torch
nunchaku 1.0.2+torch2.10 - accelerate diffusers huggingface-hub peft sentencepiece torchvision transformers
sageattention 2.2.0+cu130torch2.10.0 - torch
"""
# Repositories that have to be built, with the module that they bring: name, module, version.
_REPOSITORIES: t.Final = (
    ("clip", "openai/CLIP", "clip", "1.0"),
    ("cozy-comfyui", "cozy-comfyui/cozy_comfyui", "cozy_comfyui", "0.1.0"),
    ("cozy-comfy", "cozy-comfyui/cozy_comfy", "cozy_comfy", "0.1.0"),
    ("cstr", "ltdrdata/cstr", "cstr", "0.1.0"),
    ("ffmpy", "ltdrdata/ffmpy", "ffmpy", "0.3.2"),
    ("img2texture", "ltdrdata/img2texture", "img2texture", "1.0.6"),
)
_CORE_LINES: t.Final = """
torch
torchsde
torchvision
torchaudio
numpy>=1.25.0
einops
transformers>=4.37.2
tokenizers>=0.13.3
sentencepiece
safetensors>=0.4.2
aiohttp>=3.11.8
yarl>=1.18.0
pyyaml
Pillow
scipy
tqdm
psutil
alembic
SQLAlchemy
av>=14.0.1

#non essential dependencies:
kornia>=0.7.1
spandrel
pydantic~=2.0
"""
_FOLDERS: t.Final = """import os

models_dir = os.path.join(os.path.dirname(os.path.realpath(__file__)), "models")
folder_names_and_paths = {}
folder_names_and_paths["checkpoints"] = ([os.path.join(models_dir, "checkpoints")], {".safetensors"})
"""
_NODE_LINES: t.Final[dict[str, str]] = {
    "face-tools": "insightface==0.7.3\nfacexlib\nonnxruntime\nopencv-contrib-python\n",
    "video-tools": "opencv-python\nimageio-ffmpeg\npydub\n",
    "essentials": "numba\ncolour-science\nloguru\nrich\ntoml\n",
    "monitor": "nvidia-ml-py\ndeepdiff\nGitPython\n",
    "llm-nodes": "compel\nftfy\nlark\ngguf\nomegaconf\nchardet\ncachetools\nhumanfriendly\n",
}
_OWN_LINES: t.Final = """
addict absl-py aiofiles click diffusers==0.31.0 importlib-metadata kornia==0.7.4 numexpr
opencv-contrib-python-headless pandas peft piexif pooch timm==1.0.17 torchmetrics==1.6.0
"""


@dataclasses.dataclass(frozen=True)
class Package:
    """A stand-in. module: the path of the package that it installs."""

    name: str
    version: str
    module: str
    requires: tuple[str, ...]

    @property
    def imported(self) -> str:
        """The name by which it is imported."""
        return self.module.replace("/", ".")

    def publish(self, index: Index, tag: str) -> Release:
        """Put its wheel into an index."""
        files = {f"{self.module}/__init__.py": f'__version__ = "{self.version}"\n'}
        if self.name == "torch":
            files["torch/version.py"] = f'__version__ = "{self.version}"\ncuda = "13.0"\n'
        return index.wheel(self.name, self.version, requires=self.requires, modules=files, tag=tag)


@dataclasses.dataclass(frozen=True)
class Image:
    """What ``publish`` has made. imports: modules that the environment has to have."""

    spec: dict[str, t.Any]
    imports: tuple[str, ...]
    built: tuple[str, ...]


def publish(forge: Forge, version_id: str) -> Image:
    """Fill a forge with the packages, the core and the nodes that ask for them, and give the spec of it all."""
    default, cuda, kernels = forge.index(), forge.index(CUDA_INDEX), forge.index("kernels")
    default.wheel_file(pip_wheel())
    publish_installed(default, "setuptools")
    packages = list(_read(_DEFAULT_INDEX))
    for package in packages:
        package.publish(default, f"{COMPILED}-{PLATFORM}" if package.name in _COMPILED.split() else "py3-none-any")
    torches = list(_read(_TORCH_INDEX))
    for package in torches:
        package.publish(cuda, f"{COMPILED}-{PLATFORM}")
    compiled = {package: package.publish(kernels, f"{COMPILED}-{PLATFORM}") for package in _read(_KERNELS)}
    wheels = [{"name": each.name, "url": wheel.url, "sha256": wheel.sha256} for each, wheel in compiled.items()]
    imports = {each.imported for each in (*packages, *torches, *compiled)} | {each[2] for each in _REPOSITORIES}
    spec: dict[str, t.Any] = {
        "schema_version": 3,
        "version_id": version_id,
        "comfy": _core(forge),
        "custom_nodes": [_node(forge, name, lines) for name, lines in _NODE_LINES.items()],
        "python_packages": [*_OWN_LINES.split(), *wheels, *_built(forge)],
        "python": {
            "version": f"{sys.version_info[0]}.{sys.version_info[1]}",
            "targets": {"gpu": {"platform": "x86_64-manylinux_2_28", "accelerator": CUDA}},
            "indexes": [{"name": CUDA_INDEX, "url": cuda.url, "packages": [each.name for each in torches]}],
        },
        "verify": {"imports": sorted(imports)},
        "policy": {"allow_http": True},
    }
    return Image(spec, tuple(sorted(imports)), tuple(each[0] for each in _REPOSITORIES))


def newer_releases(forge: Forge) -> None:
    """What an index has on another day: a newer release of everything."""
    for package in _read(_DEFAULT_INDEX):
        major = int(package.version.split(".")[0])
        newer = dataclasses.replace(package, version=f"{major + 1}.0.0", requires=())
        newer.publish(forge.index(), "py3-none-any")


def _read(table: str) -> Iterator[Package]:
    for row in table.split("\n"):
        if row:
            name, version, module, *requires = row.split()
            yield Package(name, version, name.replace("-", "_") if module == "-" else module, tuple(requires))


def _core(forge: Forge) -> dict[str, str]:
    repository = forge.repository("comfy/core")
    files = {
        "main.py": "",
        "folder_paths.py": _FOLDERS,
        "requirements.txt": _CORE_LINES,
        ".gitignore": "/custom_nodes/\n/models/\n__pycache__/\n",
    }
    return {"repo": repository.url, "commit": repository.commit(files)}


def _node(forge: Forge, name: str, lines: str) -> dict[str, str]:
    repository = forge.repository(f"people/{name}")
    return {
        "repo": repository.url,
        "commit": repository.commit({"__init__.py": "NODE_CLASS_MAPPINGS = {}\n", "requirements.txt": lines}),
    }


def _built(forge: Forge) -> Iterator[dict[str, str]]:
    """Repositories with setuptools in each of the ways in which people use it."""
    for number, (name, place, module, version) in enumerate(_REPOSITORIES):
        repository = forge.repository(place)
        files = {f"{module}/__init__.py": f'__version__ = "{version}"\n'}
        if number % 2:
            setup = f"from setuptools import setup\nsetup(name={name!r}, version={version!r}, packages=[{module!r}])\n"
            files["setup.py"] = setup
        else:
            files["pyproject.toml"] = "\n".join(
                (
                    "[build-system]",
                    'requires = ["setuptools"]',
                    'build-backend = "setuptools.build_meta"',
                    "[project]",
                    f"name = {json.dumps(name)}",
                    f"version = {json.dumps(version)}",
                    "[tool.setuptools]",
                    f"packages = [{json.dumps(module)}]\n",
                )
            )
        yield {"name": name, "git": repository.url, "commit": repository.commit(files)}
