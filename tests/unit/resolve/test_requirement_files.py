# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requirement files: what pip accepts is read, what a lock cannot follow is refused with its line."""

from __future__ import annotations

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import Failures, FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.requirement_files import parse

WHERE = "node-a requirements.txt"


def read(content: str | bytes, **files: str | bytes) -> list[str]:
    """Parse a file whose neighbours are ``files``, named with a double underscore for a slash and without .txt."""
    there = {f"{name.replace('__', '/')}.txt": body for name, body in files.items()}

    def include(path: str) -> bytes:
        if path not in there:
            raise FleetError(f"has no file {path}")
        body = there[path]
        return body.encode() if isinstance(body, str) else body

    return parse(content.encode() if isinstance(content, str) else content, WHERE, include)


def faults(content: str, **files: str) -> list[str]:
    """What is wrong with a file, a text for each fault."""
    with pytest.raises(FleetError) as caught:
        read(content, **files)
    error = caught.value
    return [str(fault) for fault in (error.faults if isinstance(error, Failures) else [error])]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("numpy>=1.2 , <2", "numpy<2,>=1.2"),
        ("  Foo_Bar[b, a] >= 1 ; python_version<'3.13'", 'Foo_Bar[a,b]>=1; python_version < "3.13"'),
        ("einops # no pin", "einops"),
        ("torch>=2 --hash=sha256:aa --hash=sha256:bb", "torch>=2"),
        ("scipy\t--config-settings=a=b", "scipy"),
        ("transformers -U", "transformers"),
        (
            "git+https://git.example/CLIP.git@main#egg=clip&subdirectory=py",
            "clip @ git+https://git.example/CLIP.git@main#subdirectory=py",
        ),
        ("git+ssh://git@git.example/a/b.git@v1#egg=ab", "ab @ git+ssh://git@git.example/a/b.git@v1"),
        (
            "https://files.example/x_y-1.0%2Bcu1-py3-none-any.whl#sha256=00 ; sys_platform == 'linux'",
            'x-y @ https://files.example/x_y-1.0%2Bcu1-py3-none-any.whl#sha256=00 ; sys_platform == "linux"',
        ),
        ("https://files.example/x-1.0.tar.gz", "x @ https://files.example/x-1.0.tar.gz"),
        ("x @ https://files.example/x-1.0-py3-none-any.whl", "x @ https://files.example/x-1.0-py3-none-any.whl"),
        ("http://127.0.0.1:8/x-1-py3-none-any.whl", "x @ http://127.0.0.1:8/x-1-py3-none-any.whl"),
    ],
)
def test_a_requirement_is_given_in_one_form(line: str, expected: str) -> None:
    assert read(f"{line}\n") == [expected]


def test_comments_blank_lines_and_continuations() -> None:
    text = "# first\n\ntorch \\\n  >=2.0 \\\n  --hash=sha256:aa\n   # indented\nnumpy \\\n# ends it\nscipy \\"
    assert read(text) == ["torch>=2.0", "numpy", "scipy"]


def test_a_line_number_is_that_of_the_first_of_its_continuations() -> None:
    assert faults("numpy\n\ntorch \\\n \\\n ==\n")[0].startswith(f"{WHERE}, line 3: 'torch ==' is no requirement")


def test_options_without_meaning_are_passed_over() -> None:
    text = "--require-hashes\n--prefer-binary\n--only-binary :all:\n--trusted-host h\n--use-feature=x\nnumpy\n"
    assert read(text) == ["numpy"]


def test_the_same_requirement_twice_is_one() -> None:
    assert read("numpy>=1\nNumPy\nnumpy >=1\n") == ["numpy>=1", "NumPy"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_with_a_byte_order_mark(encoding: str) -> None:
    assert read("# f\xfcr alle\nnumpy\r\nscipy\n".encode(encoding)) == ["numpy", "scipy"]


def test_a_declared_encoding_counts() -> None:
    notes: list[str] = []
    content = "# -*- coding: cp1252 -*-\nnumpy # \u20ac\n".encode("cp1252")
    assert parse(content, WHERE, lambda _path: b"", notes.append) == ["numpy"]
    assert notes == []


def test_what_is_not_utf_8_is_read_as_latin_1_and_said() -> None:
    notes: list[str] = []
    assert parse(b"numpy # caf\xe9\n", WHERE, lambda _path: b"", notes.append) == ["numpy"]
    assert notes == [f"{WHERE}: is not UTF-8 and is read as Latin-1"]


def test_includes_are_relative_to_the_file_that_names_them() -> None:
    files = {"base": "scipy\n-r sub/a.txt\n", "sub__a": "-r ../b.txt\n-r deep/c.txt\n", "b": "einops\n-r base.txt\n"}
    text = "--requirement=base.txt\n-rbase.txt\n-r base.txt\nnumpy\n"
    assert read(text, **files, sub__deep__c="tqdm\n") == ["scipy", "einops", "tqdm", "numpy"]


def test_a_constraint_bounds_what_is_asked_for() -> None:
    assert read("-c limits.txt\nnumpy\nscipy>=1\n", limits="NumPy<2\n") == ["numpy", "scipy>=1", "NumPy<2"]


def test_a_constraint_on_what_is_not_asked_for_is_refused() -> None:
    assert faults("-c limits.txt\nnumpy\n", limits="\nnumba<1\n") == [
        f"{WHERE}, line 1 -> limits.txt, line 2: 'numba<1' limits numba, which the requirements do not name. "
        "Add it to python_packages, or give the node lines of its own in custom_nodes[].requirements"
    ]


@pytest.mark.parametrize(
    ("line", "reason", "remedy"),
    [
        ("--index-url https://u:secret@p.example/simple", "a package index (--index-url)", "python.indexes"),
        ("--extra-index-url=https://p.example/simple", "a package index (--extra-index-url)", "python.indexes"),
        ("-i https://p.example/simple", "a package index (--index-url)", "python.indexes"),
        ("torch --index-url https://p.example/cu130", "a package index (--index-url)", "python.indexes"),
        ("-f https://p.example/", "a place of packages (--find-links)", "python_packages"),
        ("-e .", "'.' is a path on somebody's machine", "Name a published package instead"),
        ("--no-index", "package indexes (--no-index)", "custom_nodes[].requirements"),
        ("torch --no-deps", "has an option (--no-deps)", "python.exclude"),
        ("--pre", "has an option (--pre)", "name==2.0rc1"),
        ("./local.whl", "is a path on somebody's machine", "published package"),
        ("/srv/x-1-py3-none-any.whl", "is a path on somebody's machine", "published package"),
        ("C:\\x.whl", "is a path on somebody's machine", "published package"),
        ("x-1-py3-none-any.whl", "is a path on somebody's machine", "published package"),
        ("file:///srv/x-1-py3-none-any.whl", "is a path on somebody's machine", "published package"),
        ("x @ file:///srv/x-1-py3-none-any.whl", "is a path on somebody's machine", "published package"),
        ("numpy=1.2", "is no requirement (PEP 508) at character 6", "custom_nodes[].requirements"),
        ("git+https://git.example/CLIP.git", "does not say the package's name", "'name @ url'"),
        ("https://git.example/archive/main.zip", "does not say the package's name", "'name @ url'"),
        ("git+https://u:secret@git.example/a.git#egg=a", "has credentials in it", "without"),
        ("http://files.example/x-1-py3-none-any.whl", "is plain http", "https://"),
        ("torch==${TORCH_VERSION}", "environment variable TORCH_VERSION", "custom_nodes[].requirements"),
        ("-r https://p.example/more.txt", "includes a file that is not one of the repository", "custom_nodes[]"),
        ("-r missing.txt", "missing.txt, which cannot be read", "custom_nodes[].requirements"),
    ],
)
def test_what_a_lock_cannot_follow_is_refused(line: str, reason: str, remedy: str) -> None:
    (fault,) = faults(f"numpy\n{line}\n")
    assert fault.startswith(f"{WHERE}, line 2: ")
    assert reason in fault
    assert remedy in fault
    assert "secret" not in fault


def test_all_faults_of_a_file_and_its_includes_are_reported_at_once() -> None:
    found = faults("-e .\nnumpy\n-r more.txt\nscipy==\n", more="ok\nnot ok\n")
    places = [fault.partition(": ")[0] for fault in found]
    assert places == [f"{WHERE}, line 1", f"{WHERE}, line 3 -> more.txt, line 2", f"{WHERE}, line 4"]


def test_endless_includes_end() -> None:
    def include(path: str) -> bytes:
        return f"-r {path}x\n".encode()

    with pytest.raises(FleetError, match="includes more than 64 files"):
        parse(b"-r a\n", WHERE, include)
