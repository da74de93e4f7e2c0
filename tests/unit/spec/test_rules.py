# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each rule about specs: a minimal spec that breaks it, the exact pointer, and what the message says."""

from __future__ import annotations

import typing as t

import pytest

if t.TYPE_CHECKING:
    from tests.unit.spec.conftest import Document, Specs

HEX40 = "637221995f7424a561bd825de3e61ea117dfe1e3"
HEX64 = "37f9a931c215f040aa6d50f711f2cb115f713c46df1d0d6469a8bd7bfe9a60bb"
REPO = "https://github.com/kijai/ComfyUI-KJNodes"
MODEL = "hf://org/repo/file.safetensors"
WHEEL = "https://wheels.example.com/sageattention-2.2.0-cp312-cp312-linux_x86_64.whl"

OWNED_VARIABLES = [
    *("COMFY_HOME", "MODELS_DIR", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "LD_PRELOAD", "PATH"),
    *("UV_INDEX", "PIP_INDEX_URL", "GIT_SSH_COMMAND", "ANSIBLE_CONFIG"),
]


def core(**keys: object) -> Document:
    return {"comfy": {"repo": "https://github.com/comfyanonymous/ComfyUI", **keys}}


def node(*entries: Document, schema: int = 2) -> Document:
    return {"schema_version": schema, "custom_nodes": [{"repo": REPO, **entry} for entry in entries]}


def model(*entries: Document, schema: int = 2) -> Document:
    defaults = {"source": MODEL, "target_subdir": "loras"}
    return {"schema_version": schema, "models": [{**defaults, **entry} for entry in entries]}


def placed(target: str, **keys: object) -> Document:
    return model({"target_subdir": None, "target_path": target, **keys})


def packages(*entries: object, schema: int = 2) -> Document:
    return {"schema_version": schema, "python_packages": list(entries)}


def python(**keys: object) -> Document:
    return {"schema_version": 3, "python": keys}


def index(name: str, *names: str, url: str = "https://idx.example.com/simple") -> Document:
    return {"name": name, "url": url, "packages": list(names)}


def launch(**keys: object) -> Document:
    return {"schema_version": 3, "launch": keys}


# Each: the spec, the pointer, a part of the reason, a part of the remedy.
ERRORS: dict[str, tuple[Document, str, str, str]] = {
    # Identity
    "id differs from file": ({"version_id": "y"}, "/version_id", "is not the file's name, 'x'", "y.json"),
    "id and version_id differ": ({"id": "z"}, "/id", "is not the version_id 'x'", "Take 'id' out"),
    "id that is none": ({"version_id": "../x"}, "/version_id", "is not the file's name", "Write 'x'"),
    # Git
    "short commit": (core(commit="abcdef12"), "/comfy/commit", "has 8 hexadecimal characters, not 40", "all 40"),
    "commit of 4": (core(commit="abcd"), "/comfy/commit", "has 4 hexadecimal characters", "git ls-remote"),
    "commit of 39": (core(commit=HEX40[1:]), "/comfy/commit", "has 39 hexadecimal characters", "all 40"),
    "commit of 64": (core(commit=HEX64), "/comfy/commit", "has 64 hexadecimal characters", "all 40"),
    "branch in commit beside ref": (core(ref="a", commit="main"), "/comfy/commit", "ref names 'a'", "Keep one"),
    "two commits": (core(ref=HEX40, commit="0" * 40), "/comfy/ref", "another commit", "Keep one"),
    "ref with dots": (core(ref="a..b"), "/comfy/ref", "has '..' in it", "real name"),
    "ref with space": (core(ref="a b"), "/comfy/ref", "has ' ' in it", "real name"),
    "ref that is an option": (core(ref="--upload-pack=x"), "/comfy/ref", "begins with '-'", "real name"),
    "ref of lock": (core(ref="x.lock"), "/comfy/ref", "'x.lock'", "real name"),
    "ref beside short commit": (core(ref="a~1", commit=HEX40), "/comfy/ref", "has '~' in it", "real name"),
    "option in commit": (core(ref=None, commit="-x"), "/comfy/commit", "begins with '-'", "real name"),
    "repo with password": (core(repo="https://u:secret@h.org/r"), "/comfy/repo", "credentials", "comfy_credentials"),
    "repo with token": (core(repo="https://tok@h.org/r"), "/comfy/repo", "has credentials", "comfy_credentials"),
    "ssh with password": (core(repo="ssh://git:pw@h.org/r"), "/comfy/repo", "has credentials", "comfy_credentials"),
    "repo over http": (core(repo="http://h.org/r"), "/comfy/repo", "plain http", "policy.allow_http"),
    "repo over ftp": (core(repo="ftp://h.org/r"), "/comfy/repo", "scheme 'ftp'", "git@host:path"),
    "repo of git helper": (core(repo="ext::sh -c x"), "/comfy/repo", "has the character ' '", "%20"),
    "repo git protocol": (core(repo="git://h.org/r"), "/comfy/repo", "scheme 'git'", "https://host/path"),
    "repo as path": (core(repo="/srv/repo"), "/comfy/repo", "is no URL", "file:///absolute/path"),
    "repo file relative": (core(repo="file://srv/repo"), "/comfy/repo", "absolute path", "file:///"),
    "repo without path": (core(repo="https://h.org"), "/comfy/repo", "nothing on it", "Add the path"),
    "repo without host": (core(repo="https:///r"), "/comfy/repo", "names no host", "https://host/path"),
    "repo with query": (core(repo="https://h.org/r?a=b"), "/comfy/repo", "has a query", "Leave it out"),
    "repo with fragment": (core(repo="https://h.org/r#a"), "/comfy/repo", "has a fragment", "Leave it out"),
    "repo that climbs": (core(repo="https://h.org/a/../r"), "/comfy/repo", "'.' or '..'", "path that is meant"),
    "repo that climbs encoded": (core(repo="https://h.org/%2e%2e/r"), "/comfy/repo", "'.' or '..'", "that is meant"),
    "repo with bad port": (core(repo="https://h.org:99999/r"), "/comfy/repo", "is no URL", "https://"),
    "repo with odd host": (core(repo="https://h\u00f6st.org/r"), "/comfy/repo", "no host name", "punycode"),
    "ssh host as option": (core(repo="ssh://-oProxyCommand=x/r"), "/comfy/repo", "no host name", "punycode"),
    "ssh user as option": (core(repo="ssh://-oProxyCommand@h/r"), "/comfy/repo", "names no host", "ssh://"),
    "scp host as option": (core(repo="git@-oProxyCommand=x:r"), "/comfy/repo", "no host name", "punycode"),
    # Custom nodes
    "same directory": (node({}, {}), "/custom_nodes/1", "has the directory 'ComfyUI-KJNodes', as custom node 0", "out"),
    "same directory, other case": (
        node({"name": "kj"}, {"target_dir": "$COMFY_HOME/custom_nodes/KJ"}),
        "/custom_nodes/1",
        "has the directory 'KJ', as custom node 0 has",
        "different values",
    ),
    "same name": (
        node(
            {"name": "a", "target_dir": "$COMFY_HOME/custom_nodes/b"},
            {"name": "A", "target_dir": "$COMFY_HOME/custom_nodes/c"},
        ),
        "/custom_nodes/1",
        "has the name 'A', as custom node 0 has",
        "different values",
    ),
    "absolute directory": (
        node({"target_dir": "/opt/nodes/x"}),
        "/custom_nodes/0/target_dir",
        "no directory of custom_nodes",
        "$COMFY_HOME/custom_nodes/<",
    ),
    "directory elsewhere": (
        node({"target_dir": "$COMFY_HOME/x"}),
        "/custom_nodes/0/target_dir",
        "no directory of custom_nodes",
        "custom_nodes/<",
    ),
    "directory too deep": (
        node({"target_dir": "custom_nodes/a/b"}),
        "/custom_nodes/0/target_dir",
        "no directory of custom_nodes",
        "custom_nodes/<",
    ),
    "directory that climbs": (
        node({"target_dir": "$COMFY_HOME/custom_nodes/.."}),
        "/custom_nodes/0/target_dir",
        "'..'",
        "Set target_dir",
    ),
    "directory of models": (
        node({"target_dir": "$MODELS_DIR/custom_nodes/x"}),
        "/custom_nodes/0/target_dir",
        "no directory of custom_nodes",
        "custom_nodes/<",
    ),
    "hidden directory": (node({"name": ".git"}), "/custom_nodes/0/name", "begins with '.'", "Set target_dir"),
    "disabled directory": (node({"name": "a.disabled"}), "/custom_nodes/0/name", "'.disabled'", "Set target_dir"),
    "core's file": (node({"name": "__PyCache__"}), "/custom_nodes/0/name", "belongs to ComfyUI", "Set target_dir"),
    "name with slash": (node({"name": "a/b"}), "/custom_nodes/0/name", "character '/'", "Set target_dir"),
    "dos name": (node({"name": "aux.py"}), "/custom_nodes/0/name", "device name", "Set target_dir"),
    "dos name with superscript": (node({"name": "com\u00b9"}), "/custom_nodes/0/name", "device name", "target_dir"),
    "dos name from repo": (node({"repo": "https://h.org/nul.git"}), "/custom_nodes/0/repo", "device", "target_dir"),
    "name that turns": (node({"name": "a\u202eb"}), "/custom_nodes/0/name", "character '\\u202e'", "target_dir"),
    "name with colon": (node({"name": "a:b"}), "/custom_nodes/0/name", "character ':'", "target_dir"),
    "name with dot at end": (node({"name": "a."}), "/custom_nodes/0/name", "ends with ' ' or '.'", "target_dir"),
    "name as option": (node({"name": "-rf"}), "/custom_nodes/0/name", "begins with ' ', '-'", "target_dir"),
    "requirements although none": (
        node({"install_requirements": False, "requirements": "r.txt"}, schema=3),
        "/custom_nodes/0/requirements",
        "install_requirements is false",
        "Keep one",
    ),
    "requirements elsewhere": (
        node({"requirements": "../r.txt"}, schema=3),
        "/custom_nodes/0/requirements",
        "leads elsewhere",
        "Rename it",
    ),
    "requirement line": (
        node({"requirements": ["numpy", "-e ."]}, schema=3),
        "/custom_nodes/0/requirements/1",
        "option --editable",
        "git",
    ),
    "install script elsewhere": (
        node({"install_script": "/tmp/x.py"}, schema=3),
        "/custom_nodes/0/install_script",
        "absolute path",
        "relative",
    ),
    "writable .git": (node({"writable": [".git/x"]}, schema=3), "/custom_nodes/0/writable/0", "git's own", "a file"),
    "writable twice": (node({"writable": ["a", "a/b"]}, schema=3), "/custom_nodes/0/writable/1", "overlap", "outer"),
    # Models
    "md5": (model({"checksum": "md5:" + "0" * 32}), "/models/0/checksum", "'md5' is not accepted", "sha256:<64"),
    "checksum bare": (model({"checksum": HEX64}), "/models/0/checksum", "no algorithm", f"sha256:{HEX64}"),
    "checksum short": (model({"checksum": "sha256:abc"}), "/models/0/checksum", "has 3 characters", "sha256sum"),
    "checksum not hex": (model({"checksum": "sha256:" + "g" * 64}), "/models/0/checksum", "no sha256", "sha256sum"),
    "checksum zeros": (model({"checksum": "sha256:" + "0" * 64}), "/models/0/checksum", "placeholder", "real one"),
    "checksum of nothing": (
        model({"checksum": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}),
        "/models/0/checksum",
        "an empty file",
        "of the model",
    ),
    "target that climbs": (placed("$MODELS_DIR/../x"), "/models/0/target_path", "leads elsewhere", "$MODELS_DIR/<"),
    "target absolute": (placed("/models/x.pt"), "/models/0/target_path", "absolute path", "$MODELS_DIR/<"),
    "target home": (placed("~/x.pt"), "/models/0/target_path", "absolute path", "$MODELS_DIR/<"),
    "target of windows": (placed("C:/x.pt"), "/models/0/target_path", "absolute path", "$MODELS_DIR/<"),
    "target with backslash": (placed("a\\b.pt"), "/models/0/target_path", "character '\\'", "$MODELS_DIR/<"),
    "target of other variable": (placed("$HOME/x.pt"), "/models/0/target_path", "variable that is not known", "$MOD"),
    "target of similar variable": (placed("$MODELS_DIRX/a"), "/models/0/target_path", "variable", "$MODELS_DIR/<"),
    "target with variable inside": (placed("$MODELS_DIR/$X/a"), "/models/0/target_path", "character '$'", "$MOD"),
    "target is root": (placed("$MODELS_DIR"), "/models/0/target_path", "no file", "$MODELS_DIR/<"),
    "target in core": (placed("$COMFY_HOME/main.py"), "/models/0/target_path", "no place for a model", "$MODELS_DIR"),
    "target is a node": (
        {**placed("$COMFY_HOME/custom_nodes/x.pt"), **node({"name": "x.pt"})},
        "/models/0/target_path",
        "no place for a model",
        "custom_nodes/<node>",
    ),
    "target of unknown node": (
        placed("$COMFY_HOME/custom_nodes/n/x.pt"),
        "/models/0",
        "no custom node that is installed has the directory 'n'",
        "Add the node",
    ),
    "target of disabled node": (
        {**placed("$COMFY_HOME/custom_nodes/n/x.pt"), **node({"name": "n", "enabled": False}, schema=3)},
        "/models/0",
        "no custom node that is installed",
        "Add the node",
    ),
    "target with models": (placed("models/loras/x.pt"), "/models/0/target_path", "$MODELS_DIR/models", "Leave the"),
    "subdir with models": (model({"target_subdir": "models/loras"}), "/models/0/target_subdir", "/models/", "Leave"),
    "subdir that climbs": (model({"target_subdir": "../loras"}), "/models/0/target_subdir", "leads elsewhere", "$MOD"),
    "two targets": (placed("loras/x.pt", path="loras/y.pt"), "/models/0/path", "another path", "Keep one"),
    "target and subdir": (
        model({"target_path": "vae/x.pt"}),
        "/models/0/target_subdir",
        "another folder",
        "Keep one",
    ),
    "same target": (model({}, {}), "/models/1", "goes to $MODELS_DIR/loras/file.safetensors, as model 0", "different"),
    "same target, other case": (model({}, {"name": "FILE.safetensors"}), "/models/1", "as model 0 does", "different"),
    "target inside target": (
        model({"name": "a"}, {"target_subdir": "loras/a"}),
        "/models/1",
        "inside of model 0",
        "another target",
    ),
    "name with folder": (model({"name": "a/b.pt"}), "/models/0/name", "character '/'", "target_subdir"),
    "name of civitai missing": (model({"source": "civitai://5"}), "/models/0/target_subdir", "no name", "Set name"),
    "name of url missing": (
        model({"source": "https://h.org/download/55"}),
        "/models/0/target_subdir",
        "has no name",
        "extension",
    ),
    "source of no scheme": (model({"source": "file.pt"}), "/models/0/source", "is no URL", "hf://"),
    "source over ftp": (model({"source": "ftp://h/a.pt"}), "/models/0/source", "scheme 'ftp'", "civitai://"),
    "source over http": (model({"source": "http://h.org/a.pt"}), "/models/0/source", "plain http", "https://"),
    "source with token": (
        model({"source": "https://civitai.com/api/download/models/5?token=abc"}),
        "/models/0/source",
        "query parameter 'token'",
        "comfy_credentials",
    ),
    "source signed": (
        model({"source": "https://b.s3.amazonaws.com/a.pt?X-Amz-Signature=abc"}),
        "/models/0/source",
        "query parameter 'X-Amz-Signature'",
        "comfy_credentials",
    ),
    "civitai with token": (model({"source": "civitai://5?token=x"}), "/models/0/source", "credentials", "comfy_cred"),
    "civitai of other query": (model({"source": "civitai://5?a=b"}), "/models/0/source", "parameter 'a'", "Keep only"),
    "civitai of no number": (model({"source": "civitai://x"}), "/models/0/source", "no model version", "civitai://<"),
    "hub without path": (model({"source": "hf://org/repo"}), "/models/0/source", "no file on the Hub", "hf://org"),
    "hub of two revisions": (
        model({"source": "hf://o/r@a/f.pt?rev=b"}),
        "/models/0/source",
        "two revisions",
        "Keep one",
    ),
    "hub of odd revision": (model({"source": "hf://o/r@a b/f.pt"}), "/models/0/source", "revision 'a b'", "a tag"),
    "hub that climbs": (model({"source": "hf://o/r/../f.pt"}), "/models/0/source", "leads elsewhere", "hf://org"),
    "hub of datasets folder": (model({"source": "hf://datasets/r/f.pt"}), "/models/0/source", "no file on", "hf://"),
    "hub folder in schema 2": (model({"source": "hf://o/r/dir/"}), "/models/0/source", "schema_version 3", "a file"),
    "hub glob in schema 2": (model({"source": "hf://o/r/*.pt"}), "/models/0/source", "needs schema_version 3", "file"),
    "hub folder without place": (
        model({"source": "hf://o/r/dir/", "target_subdir": None}, schema=3),
        "/models/0",
        "without a place",
        "target_subdir",
    ),
    "hub folder with checksum": (
        model({"source": "hf://o/r/dir/", "checksum": f"sha256:{HEX64}"}, schema=3),
        "/models/0/checksum",
        "a whole folder",
        "Leave it out",
    ),
    "air without version": (model({"source": "urn:air:sdxl:lora:civitai:5"}), "/models/0/source", "no version", "@"),
    "air of elsewhere": (model({"source": "urn:air:gpt:model:openai:gpt@4"}), "/models/0/source", "no AIR", "hf://"),
    "air of odd version": (model({"source": "urn:air:a:b:civitai:5@x"}), "/models/0/source", "no AIR of", "<version>"),
    "air of a repository": (
        model({"source": "urn:air:f:c:huggingface:o/r@main"}),
        "/models/0/source",
        "no file of it",
        "Add :<path",
    ),
    "repository of the Hub": (
        model({"source": "https://huggingface.co/o/r"}),
        "/models/0/source",
        "a web page of the Hub",
        "hf://org/repo",
    ),
    "space of the Hub": (
        model({"source": "https://huggingface.co/spaces/o/r/resolve/main/f.pt"}),
        "/models/0/source",
        "a web page of the Hub",
        "hf://org/repo",
    ),
    "page of the Hub without file": (
        model({"source": "https://huggingface.co/o/r/resolve/main/"}),
        "/models/0/source",
        "names no file",
        "hf://org/repo",
    ),
    "address of the Hub with a star": (
        model({"source": "https://huggingface.co/o/r/resolve/main/a*.pt"}),
        "/models/0/source",
        "many files",
        "hf://org/repo",
    ),
    "page of civitai without version": (
        model({"source": "https://civitai.com/models/1/x"}),
        "/models/0/source",
        "no version of it",
        "modelVersionId",
    ),
    "page of civitai": (
        model({"source": "https://civitai.com/user/x"}),
        "/models/0/source",
        "a web page",
        "civitai://",
    ),
    "hub folder with size": (
        model({"source": "hf://o/r/dir/", "size": 5}, schema=3),
        "/models/0/size",
        "a whole folder",
        "Leave it out",
    ),
    "cache of the Hub for others": (
        model({"source": "civitai://5", "name": "a.pt", "hf_cache": True}, schema=3),
        "/models/0/hf_cache",
        "this is none",
        "Take it out",
    ),
    "civitai of odd file": (model({"source": "civitai://5?fileId=x"}), "/models/0/source", "is no number", "number"),
    "bucket without object": (
        model({"source": "s3://bucket/a/"}),
        "/models/0/source",
        "names no object",
        "s3://bucket",
    ),
    "bucket of odd name": (model({"source": "gs://bu%20cket/a.pt"}), "/models/0/source", "no host name", "punycode"),
    "bucket of odd query": (model({"source": "s3://b12/a.pt?a=b"}), "/models/0/source", "has 'a'", "?versionId="),
    "bucket of odd region": (model({"source": "s3://b12/a.pt?region=A"}), "/models/0/source", "region 'A'", "eu-"),
    "bucket of odd endpoint": (
        model({"source": "s3://b12/a.pt?endpoint=http://h.org"}),
        "/models/0/source",
        "endpoint 'http://h.org', which is plain http",
        "https://",
    ),
    "signature of a bucket": (
        model({"source": "s3://b12/a.pt?X-Amz-Signature=1"}),
        "/models/0/source",
        "X-Amz-Signature",
        "comfy_credentials",
    ),
    "generation of S3": (model({"source": "s3://b12/a.pt#12"}), "/models/0/source", "fragment", "Leave it out"),
    "odd generation": (model({"source": "gs://b12/a.pt#x"}), "/models/0/source", "has '#'", "gs://bucket"),
    "web page of github": (
        model({"source": "https://github.com/o/r/blob/main/f.pt"}),
        "/models/0/source",
        "a web page",
        "https://github.com/o/r/raw/main/f.pt",
    ),
    # Python packages
    "no requirement": (packages("onnx>=1.14 foo"), "/python_packages/0", "(PEP 508) at character 12:", "Write it as"),
    "empty requirement": (packages(""), "/python_packages/0", "at character 1:", "Write it as"),
    "bad version": (packages("onnx==x"), "/python_packages/0", "at character 5", "Write it as"),
    "comment": (packages("onnx # why"), "/python_packages/0", "at character 6", "comment out"),
    "bare git": (packages("git+https://h.org/r"), "/python_packages/0", "no requirement", "name @ git+https"),
    "bare wheel": (packages(WHEEL), "/python_packages/0", "no requirement", "name @ https"),
    **{
        f"option {line}": (packages(line), "/python_packages/0", f"has pip's option {name}", remedy)
        for line, name, remedy in [
            ("-i https://h.org/simple", "--index-url", "python.indexes"),
            ("-ihttps://h.org/simple", "--index-url", "comfy_python_indexes"),
            ("--index-url https://h.org/simple", "--index-url", "python.indexes"),
            ("--index-url=https://h.org/simple", "--index-url", "python.indexes"),
            ("--index_url=https://h.org/simple", "--index-url", "python.indexes"),
            ("--extra-index-url https://h.org/simple", "--extra-index-url", "python.indexes"),
            ("--extra-index https://h.org/simple", "--extra-index-url", "python.indexes"),
            ("torch --extra-index-url https://h.org/simple", "--extra-index-url", "python.indexes"),
            ("-f https://h.org/wheels", "--find-links", "sha256"),
            ("--find-links=https://h.org/wheels", "--find-links", "sha256"),
            ("-r requirements.txt", "--requirement", "entries of python_packages"),
            ("-rrequirements.txt", "--requirement", "entries of python_packages"),
            ("-Ur requirements.txt", "--requirement", "entries of python_packages"),
            ("--requirement=requirements.txt", "--requirement", "entries of python_packages"),
            ("-c constraints.txt", "--constraint", "python.overrides"),
            ("--constraint constraints.txt", "--constraint", "python.overrides"),
            ("-e .", "--editable", "git"),
            ("-e.", "--editable", "git"),
            ("--editable=git+https://h.org/r", "--editable", "git"),
            ("--pre", "--pre", "pre-release itself"),
            ("torch --no-deps", "--no-deps", "python.exclude"),
            ("torch --hash=sha256:0", "--hash", "sha256"),
            ("--user", "--user", "Take it out"),
        ]
    },
    "contradiction of pins": (packages("torch==2.1", "Torch==2.2"), "/python_packages/1", "contradicts", "Keep one"),
    "contradiction of bounds": (packages("a>=2", "a<2"), "/python_packages/1", "contradicts 'a>=2'", "Keep one"),
    "contradiction of pin and bound": (packages("a==1", "a>=2"), "/python_packages/1", "contradicts", "Keep one"),
    "impossible": (packages("a>3,<2"), "/python_packages/0", "is met by no version", "bounds"),
    "excluded": (
        {"schema_version": 3, "python": {"exclude": ["Torch_X"]}, "python_packages": ["torch-x"]},
        "/python_packages/0",
        "python.exclude takes 'torch-x' out",
        "one of the two",
    ),
    "git without commit": (
        packages("clip @ git+https://github.com/openai/CLIP.git"),
        "/python_packages/0",
        "names no commit",
        "full commit",
    ),
    "git of branch": (
        packages("clip @ git+https://github.com/openai/CLIP.git@main"),
        "/python_packages/0",
        "commit 'main' is not a full one",
        "full commit",
    ),
    "git object over http": (
        packages({"name": "clip", "git": "http://h.org/r", "commit": HEX40}, schema=3),
        "/python_packages/0/git",
        "plain http",
        "https://",
    ),
    "git object of branch": (
        packages({"name": "clip", "git": REPO, "commit": "main"}, schema=3),
        "/python_packages/0/commit",
        "'main' is not a full one",
        "40 characters",
    ),
    "git object elsewhere": (
        packages({"name": "clip", "git": REPO, "commit": HEX40, "subdirectory": "../a"}, schema=3),
        "/python_packages/0/subdirectory",
        "leads elsewhere",
        "Rename it",
    ),
    "wheel without hash": (
        packages(f"sageattention @ {WHEEL}"),
        "/python_packages/0",
        "has no sha256",
        "#sha256=",
    ),
    "wheel with a path in its name": (
        packages(
            {"name": "sage", "url": "https://h.org/sage-1-1%2F..%2Fx-py3-none-any.whl", "sha256": HEX64}, schema=3
        ),
        "/python_packages/0/url",
        "it has a slash",
        "URL of the file itself",
    ),
    "wheel of other name": (
        packages({"name": "torch", "url": WHEEL, "sha256": HEX64}, schema=3),
        "/python_packages/0/url",
        "is a wheel of 'sageattention'",
        "Write the name",
    ),
    "wheel that is none": (
        packages({"name": "torch", "url": "https://h.org/torch-2.egg", "sha256": HEX64}, schema=3),
        "/python_packages/0/url",
        "no file name of a wheel",
        "repository",
    ),
    "build twice": (
        {"schema_version": 3, "python": {"build": ["a_b", {"name": "A-B"}]}},
        "/python/build/1",
        "there already",
        "Keep one",
    ),
    "build that is none": (
        {"schema_version": 3, "python": {"build": ["a>=1"]}},
        "/python/build/0",
        "no name of a Python distribution",
        "",
    ),
    "provided without version": (
        {"schema_version": 3, "python": {"provided": ["torch>=2"]}},
        "/python/provided/0",
        "no exact version",
        "torch==2.9.0",
    ),
    "import of no module": (
        {"schema_version": 3, "verify": {"imports": ["torch; rm"]}},
        "/verify/imports/0",
        "no name of a module",
        "",
    ),
    "wheel with bad hash": (
        packages({"name": "sageattention", "url": WHEEL, "sha256": "abc"}, schema=3),
        "/python_packages/0/sha256",
        "sha256 'abc' is none",
        "sha256sum",
    ),
    "wheel and pin": (
        packages({"name": "sageattention", "url": WHEEL, "sha256": HEX64}, "sageattention<2", schema=3),
        "/python_packages/1",
        "contradicts",
        "Keep one",
    ),
    "unknown index": (
        packages({"requirement": "torch", "index": "pytroch"}, schema=3),
        "/python_packages/0/index",
        "'pytroch' is none of python.indexes",
        "Name one of pypi",
    ),
    # Python
    "index twice": (
        python(indexes=[index("a", "torch"), index("A", "numpy")]),
        "/python/indexes/1/name",
        "index 'A' already",
        "own name",
    ),
    "index of default's name": (
        python(indexes=[index("PyPI", "torch")]),
        "/python/indexes/0/name",
        "name of the default index",
        "comfy_python_indexes",
    ),
    "bindings overlap": (
        python(indexes=[index("a", "torch"), index("b", "numpy", "Torch")]),
        "/python/indexes/1/packages/1",
        "bound to the index 'a' already",
        "one index",
    ),
    "index over http": (
        python(indexes=[index("a", "torch", url="http://h.org/simple")]),
        "/python/indexes/0/url",
        "plain http",
        "https://",
    ),
    "index with password": (
        python(indexes=[index("a", "torch", url="https://u:p@h.org/simple")]),
        "/python/indexes/0/url",
        "has credentials",
        "comfy_credentials",
    ),
    "old python": (python(version="3.8"), "/python/version", "too old", "3.9"),
    "old python of target": (python(targets={"a": {"version": "3.6"}}), "/python/targets/a/version", "too old", "3.9"),
    "no python": (python(version="python3.12"), "/python/version", "no Python version", '"3.12"'),
    "no platform": (python(targets={"a": {"platform": "linux64"}}), "/python/targets/a/platform", "no platform", "x86"),
    "no accelerator": (
        python(targets={"a": {"accelerator": "cuda"}}),
        "/python/targets/a/accelerator",
        "no accelerator",
        "cpu",
    ),
    "no time": (python(exclude_newer="2025-13-01"), "/python/exclude_newer", "is no time", "RFC 3339"),
    "time that moves": (python(exclude_newer="1 week"), "/python/exclude_newer", "is no time", "2025-10-15"),
    "bad override": (python(overrides=["-c x"]), "/python/overrides/0", "option --constraint", "python.overrides"),
    # Environment
    "env of the hub": (
        {
            "schema_version": 3,
            "models": [{"source": "hf://o/r/f.pt", "hf_cache": True}],
            "env": {"HF_HOME": "/x"},
        },
        "/env/HF_HOME",
        "leads elsewhere than where models of hf_cache are",
        "Take it out",
    ),
    "env of the cache": (
        {**placed("$XDG_CACHE_HOME/torch/x.pt"), "env": {"XDG_CACHE_HOME": "/x"}},
        "/env/XDG_CACHE_HOME",
        "leads elsewhere than where models at $XDG_CACHE_HOME are",
        "Take it out",
    ),
    "env name": ({"env": {"a-b": "1"}}, "/env/a-b", "no name of an environment variable", "letters, digits"),
    **{
        f"env {name}": ({"env": {name: "x"}}, f"/env/{name}", "is not for a spec to set", "Take it out")
        for name in OWNED_VARIABLES
    },
    "env token": ({"env": {"HF_TOKEN": "hunter2"}}, "/env/HF_TOKEN", "holds a secret", "comfy_credentials"),
    "env api key": ({"env": {"MY_API_KEY": "hunter2"}}, "/env/MY_API_KEY", "holds a secret", "vault"),
    "env password in url": ({"env": {"X": "https://u:p@h"}}, "/env/X", "holds a secret", "comfy_credentials"),
    "env value of a token": ({"env": {"X": "ghp_" + "a1" * 18}}, "/env/X", "holds a secret", "comfy_credentials"),
    "env template of a secret": ({"env": {"HF_TOKEN": "{{ x }}"}}, "/env/HF_TOKEN", "holds a secret", "vault"),
    # Launch, smoke
    "secret argument": (launch(args=["--key", "hf_" + "a1" * 17]), "/launch/args/1", "holds a secret", "comfy_cred"),
    "same instance": (
        launch(instances=[{"name": "a"}, {"name": "a"}]),
        "/launch/instances/1/name",
        "with the name 'a' already",
        "its own name",
    ),
    "same port": (
        launch(instances=[{"name": "a", "port": 8188}, {"name": "b", "port": 8188}]),
        "/launch/instances/1/port",
        "with the port '8188' already",
        "its own port",
    ),
    "workflow elsewhere": (
        {"schema_version": 3, "smoke": {"workflow": "../w.json"}},
        "/smoke/workflow",
        "leads elsewhere",
        "Rename",
    ),
}

# Each: the spec, the pointer, a part of the reason, a part of the remedy. The spec may be used.
QUIRKS: dict[str, tuple[Document, str, str, str]] = {
    "old id": ({"id": "x"}, "/id", "old spelling of version_id", "version_id: 'x'"),
    "branch in commit": (core(commit="main"), "/comfy/commit", "is a branch or tag", "ref: 'main'"),
    "commit in ref": (core(ref=HEX40), "/comfy/ref", "is a commit", "Write it as commit"),
    "branch in node's commit": (node({"commit": "v1.2"}), "/custom_nodes/0/commit", "a branch or tag", "ref: 'v1.2'"),
    "civitai models": (
        model({"source": "civitai://models/55", "name": "a.pt"}),
        "/models/0/source",
        "model *version* 55",
        "Write civitai://55",
    ),
    "web page of the Hub": (
        model({"source": "https://huggingface.co/o/r/blob/main/a/f.pt"}),
        "/models/0/source",
        "a web page, taken for the file",
        "Write hf://o/r@main/a/f.pt",
    ),
    "no target": (model({"target_subdir": None}), "/models/0", "ComfyUI does not look", "Set target_subdir"),
    "python unnamed": ({"env": {"COMFY_PYTHON": "python3"}}, "/env/COMFY_PYTHON", "tells no version", "python3.12"),
    "two pythons": (
        {**python(version="3.12"), "env": {"COMFY_PYTHON": "python3.11"}},
        "/env/COMFY_PYTHON",
        "python.version is 3.12, which counts",
        "Take one",
    ),
    "same package twice": (packages("onnx", "onnx"), "/python_packages/1", "'onnx' is there twice", "Take one"),
    **{
        f"option {line}": (packages(line), "/python_packages/0", f"pip's option {name} means nothing here", "Take it")
        for line, name in [
            ("--force-reinstall", "--force-reinstall"),
            ("-U", "--upgrade"),
            ("--upgrade", "--upgrade"),
            ("--no-cache-dir", "--no-cache-dir"),
            ("--no-cache", "--no-cache-dir"),
            ("--no-build-isolation", "--no-build-isolation"),
            ("sageattention --no-build-isolation", "--no-build-isolation"),
            ("-U torch", "--upgrade"),
            ("torch -U -U --upgrade", "--upgrade"),
        ]
    },
}

OTHER_FAULT = {"options": {"offlin": True}}


@pytest.mark.parametrize(("content", "pointer", "reason", "remedy"), ERRORS.values(), ids=ERRORS)
def test_an_error_names_place_reason_and_remedy_beside_all_others(
    specs: Specs, content: Document, pointer: str, reason: str, remedy: str
) -> None:
    specs.write("x", {**content, **OTHER_FAULT})
    findings = specs.findings()
    assert [(finding.pointer, finding.severity) for finding in findings] == [
        (place, "error") for place in sorted([pointer, "/options/offlin"])
    ]
    found = next(finding for finding in findings if finding.pointer == pointer)
    assert reason in found.reason
    assert remedy in found.remedy
    assert found.text.startswith(f"versions/x.json: {pointer}: {found.reason}")
    assert "\n" not in found.text
    assert found.text[-1] in ".?!"


@pytest.mark.parametrize(("content", "pointer", "reason", "remedy"), QUIRKS.values(), ids=QUIRKS)
def test_a_quirk_is_accepted_with_one_warning(
    specs: Specs, content: Document, pointer: str, reason: str, remedy: str
) -> None:
    specs.write("x", content)
    (found,) = specs.load().warnings
    assert (found.pointer, found.severity) == (pointer, "warning")
    assert reason in found.reason
    assert remedy in found.remedy


def test_all_faults_of_a_file_arrive_at_once(specs: Specs) -> None:
    entries = {**ERRORS, **QUIRKS}
    content: Document = {}
    for part in ["short commit", "no requirement", "env token", "no target"]:
        content.update(entries[part][0])
    content["custom_nodes"] = [{"repo": "http://h.org/a"}, {"repo": "https://h.org/A"}, {"reop": 1}]
    content["nothing"] = 1
    specs.write("x", content)
    places = [(finding.pointer, finding.severity) for finding in specs.findings()]
    assert places == [
        ("/comfy/commit", "error"),
        ("/custom_nodes/0/repo", "error"),
        ("/custom_nodes/1", "error"),
        ("/custom_nodes/2", "error"),
        ("/custom_nodes/2/reop", "error"),
        ("/env/HF_TOKEN", "error"),
        ("/models/0", "warning"),
        ("/nothing", "error"),
        ("/python_packages/0", "error"),
    ]


def test_no_message_repeats_a_secret(specs: Specs) -> None:
    secret = "hf_" + "Qz7" * 12
    specs.write(
        "x",
        {
            "version_id": secret,
            "comfy": {"repo": f"https://user:{secret}@h.org/r", "ref": secret, "commit": secret},
            "models": [
                {"source": f"https://h.org/{secret}.pt?token={secret}", "checksum": secret, "name": f"/{secret}"}
            ],
            "python_packages": [
                f"{secret} !",
                f"--index-url=https://u:{secret}@h.org",
                f"a @ https://u:{secret}@h/a.whl",
            ],
            "env": {"TOKEN": secret},
        },
    )
    findings = specs.findings()
    assert len(findings) >= 8
    assert not [finding.text for finding in findings if secret in finding.text]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.3.2.1", "[::1]", "forge.localhost"])
def test_plain_http_is_for_this_machine(specs: Specs, host: str) -> None:
    specs.write(
        "x",
        {
            "schema_version": 3,
            "comfy": {"repo": f"http://{host}:8080/core.git"},
            "models": [{"source": f"http://{host}:8080/a.pt", "target_subdir": "loras"}],
            "python": {"indexes": [index("a", "torch", url=f"http://{host}:8080/simple/")]},
        },
    )
    assert specs.load().warnings == []


@pytest.mark.parametrize("host", ["localhost.example.com", "127.0.0.1.example.com", "10.0.0.1", "[::2]"])
def test_other_hosts_are_not_this_machine(specs: Specs, host: str) -> None:
    specs.write("x", core(repo=f"http://{host}/core.git"))
    assert [finding.pointer for finding in specs.findings()] == ["/comfy/repo"]


def test_policy_allows_plain_http(specs: Specs) -> None:
    content = {"schema_version": 3, **core(repo="http://git.site.example/core.git"), "policy": {"allow_http": True}}
    assert specs.normalized(content)["policy"] == {"allow_http": True, "pickle": "allow", "unhashed": "refuse"}


@pytest.mark.parametrize(
    "name", ["TOKENIZERS_PARALLELISM", "HF_HUB_DISABLE_IMPLICIT_TOKEN", "MAX_TOKEN", "PYTORCH_CUDA_ALLOC_CONF"]
)
def test_switches_are_no_secrets(specs: Specs, name: str) -> None:
    assert specs.normalized({"env": {name: "1"}})["env"] == {name: "1"}


def test_a_spec_is_data(specs: Specs) -> None:
    text = "{{ lookup('pipe', 'id') }}"
    normalized = specs.normalized(
        {
            "schema_version": 3,
            "env": {"A": text, "B": "$(id) `id` ${HOME}"},
            "launch": {"args": [text, "; rm -rf / && echo $HOME | cat > x", "line\nbreak"]},
            "models": [{"source": MODEL, "name": "{{ x }}.pt", "target_subdir": "{{ y }}"}],
        }
    )
    assert normalized["env"]["A"] == text
    assert normalized["launch"]["args"][0] == text
    assert normalized["models"][0]["paths"] == ["$MODELS_DIR/{{ y }}/{{ x }}.pt"]
