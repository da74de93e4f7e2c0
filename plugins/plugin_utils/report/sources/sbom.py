# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The software bill of materials of a target: CycloneDX 1.6 in JSON, by the library that the project keeps for it.

The same lock gives the same bytes: the serial number follows from the lock, and no time is stated if none is given.
"""

from __future__ import annotations

import collections.abc as c
import datetime
import json
import re
import typing as t
import urllib.parse
import uuid

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import (
    FILE,
    GIT,
    INDEX,
    SDIST,
    SHIM,
    WHEEL,
    Checkout,
    Model,
    Package,
    Submodule,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import CORE, NODE, PACKAGE
from ansible_collections.comfyops.fleet.plugins.module_utils.models.inline import inline_content
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.graph import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.licenses import License
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.model import Entry, Sources, TargetSources

if t.TYPE_CHECKING:
    from cyclonedx.model import ExternalReference, HashType, Property
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, Pedigree
    from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
    from packageurl import PackageURL

_GITHUB: t.Final = "github.com"
# git-clone(1): the scp-like syntax, a colon without a slash before it.
_SHORT: t.Final = re.compile(r"(?P<host>(?:[^/:@]+@)?[^/:]+):(?P<path>(?!//).+)")
_OWN: t.Final = "comfyops:"
_NO_CONTENT: t.Final = "Metadata alone, made by the host itself: {} is installed in its place"


def render_sbom(sources: Sources, target: TargetSources, timestamp: datetime.datetime | None = None) -> str:
    """The document's text, validated against the schema of CycloneDX. timestamp: with a time zone.

    Raises FleetError when the library is not there, and when what it made is not valid.
    """
    try:
        from cyclonedx.output.json import JsonV1Dot6
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator
    except ImportError as error:
        raise FleetError(
            f"the bill of materials needs a Python library ({error})",
            remedy="Install cyclonedx-python-lib for the Python that Ansible runs with, or set"
            " comfy_sources_sbom=false",
        ) from error

    document = json.loads(JsonV1Dot6(_bom(sources, target, timestamp)).output_as_string())
    if timestamp is None:
        del document["metadata"]["timestamp"]  # the library puts the present time there
    text = json.dumps(document, indent=2) + "\n"
    invalid = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if invalid is not None:
        raise FleetError(
            f"the bill of materials of target {target.target.name} is not valid CycloneDX: {invalid}",
            remedy="Lock again if what it names is odd; comfy_sources_sbom=false writes the report without it",
        )
    return text


def _bom(sources: Sources, target: TargetSources, timestamp: datetime.datetime | None) -> Bom:
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.tool import ToolRepository

    lock = sources.lock
    name = target.target.name
    root = Component(
        type=ComponentType.APPLICATION,
        name=lock.version_id,
        version=sources.digest,
        bom_ref="version",
        description=f"ComfyUI version {lock.version_id}, target {name}",
        properties=_properties(target=name, python=target.target.python, platform=target.target.platform),
    )
    tool = Component(type=ComponentType.APPLICATION, name="comfyops.fleet", bom_ref="tool")
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"urn:comfyops:fleet:lock:{sources.digest}:{name}"),
        metadata=BomMetaData(component=root, tools=ToolRepository(components=[tool]), timestamp=timestamp),
    )
    components = {
        CORE: _checkout(lock.core, CORE, ComponentType.APPLICATION),
        **{
            f"{NODE}{node.directory}": _checkout(node, f"{NODE}{node.directory}", ComponentType.LIBRARY)
            for node in lock.nodes
        },
        **{f"{PACKAGE}{entry.package.name}": _package(entry) for entry in target.entries},
    }
    # What is in the lock itself says what a branch of the Hub is, and is no model.
    models = [model for model in lock.models if inline_content(model.url) is None]
    others = [*_interpreter(target), *map(_model, models)]
    bom.components.update(components.values(), others)
    _depend(bom, root, components, others, target)
    return bom


def _depend(
    bom: Bom,
    root: Component,
    components: c.Mapping[str, Component],
    others: c.Sequence[Component],
    target: TargetSources,
) -> None:
    """Who needs whom. What the spec asks for, or the collection itself, the version needs."""
    own = [edge.package for edge in target.graph.edges if edge.requester not in components]
    nodes = [component for reference, component in components.items() if not reference.startswith(PACKAGE)]
    bom.register_dependency(root, [*nodes, *others, *(components[f"{PACKAGE}{name}"] for name in own)])
    for reference, component in components.items():
        wanted = [components[f"{PACKAGE}{edge.package}"] for edge in target.graph.asked_by(reference)]
        bom.register_dependency(component, wanted)


def _package(entry: Entry) -> Component:
    from cyclonedx.model.component import Component, ComponentType

    package = entry.package
    return Component(
        type=ComponentType.LIBRARY,
        name=package.name,
        version=package.version,
        bom_ref=f"{PACKAGE}{package.name}",
        description=_NO_CONTENT.format(package.provider) if package.source == SHIM else None,
        purl=_purl(entry),
        hashes=_hashes(package.sha256),
        licenses=_licenses(entry.license),
        external_references=_references(entry),
        pedigree=_pedigree(package),
        properties=_properties(
            source=package.source,
            source_label=entry.source,
            index=package.index,
            file=package.file,
            size=package.size,
            provider=package.provider,
            required_by=", ".join(map(shown, package.required_by)) or None,
            built_by=_built_by(package),
        ),
    )


def _purl(entry: Entry) -> PackageURL | None:
    """What identifies it for others; nothing for a stand-in, which is not the package whose name it has.

    Source: the package-url specification, types pypi and generic, and its known qualifiers.
    """
    from packageurl import PackageURL

    package, built = entry.package, entry.package.built_from or {}
    if package.source == SHIM:
        return None
    if package.source == FILE or _is_local(entry.origin) or _is_local(entry.index_url):
        # One of ours: a package of that name on the public index is another one.
        local = {"file_name": package.file or "", "checksum": f"sha256:{package.sha256}"}
        return PackageURL("generic", None, package.name, package.version, local)
    qualifiers = {
        INDEX: {"file_name": package.file, "repository_url": entry.index_url},
        WHEEL: {"download_url": package.url},
        GIT: {"vcs_url": entry.origin},
        SDIST: {"download_url": built.get("url"), "file_name": built.get("file"), "repository_url": entry.index_url},
    }.get(package.source, {})
    return PackageURL("pypi", None, package.name, package.version, {k: v for k, v in qualifiers.items() if v})


def _is_local(url: str | None) -> bool:
    return url is not None and url.removeprefix("git+").startswith("file:")


def _references(entry: Entry) -> c.Iterator[ExternalReference]:
    from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri

    package, built = entry.package, entry.package.built_from or {}
    if package.url and not _is_local(package.url):
        yield ExternalReference(
            type=ExternalReferenceType.DISTRIBUTION, url=XsUri(package.url), hashes=_hashes(package.sha256)
        )
    if "git" in built:
        yield from _scm(built["git"], built["commit"])
    elif "url" in built and not _is_local(built["url"]):
        yield ExternalReference(
            type=ExternalReferenceType.SOURCE_DISTRIBUTION, url=XsUri(built["url"]), hashes=_hashes(built["sha256"])
        )


def _pedigree(package: Package) -> Pedigree | None:
    from cyclonedx.model import XsUri
    from cyclonedx.model.component import Commit, Pedigree

    built = package.built_from
    if not built:
        return None
    held = ", ".join(f"{each['name']} {each['version']} (sha256 {each['sha256']})" for each in built["requires"])
    of_index = (
        f" from {built['file']} of the index {built['index']} (sha256 {built['sha256']})" if "file" in built else ""
    )
    notes = f"Built{of_index} with Python {built['python']} and {held or 'nothing else'}"
    commits = []
    if "git" in built:
        url = None if _is_local(built["git"]) else XsUri(_uri(built["git"]))
        commits = [Commit(uid=built["commit"], url=url)]
    return Pedigree(commits=commits, notes=notes)


def _built_by(package: Package) -> str | None:
    return f"Python {package.built_from['python']}" if package.built_from else None


def _scm(repo: str, commit: str | None = None) -> c.Iterator[ExternalReference]:
    from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri

    if not _is_local(repo):
        yield ExternalReference(type=ExternalReferenceType.SCM, url=XsUri(_uri(repo)), comment=commit)


def _uri(repo: str) -> str:
    """The URI of a repository, whose address may be git's short one for ssh: ``git@host:path``."""
    short = _SHORT.fullmatch(repo)
    return f"ssh://{short['host']}/{short['path'].lstrip('/')}" if short else repo


def _checkout(checkout: Checkout, reference: str, kind: t.Any) -> Component:
    from cyclonedx.model.component import Component

    return Component(
        type=kind,
        name=checkout.name,
        version=checkout.commit,
        bom_ref=reference,
        purl=_repository(checkout.name, checkout.repo, checkout.commit),
        external_references=_scm(checkout.repo),
        components=[_submodule(each, reference) for each in checkout.submodules],
    )


def _submodule(submodule: Submodule, reference: str) -> Component:
    from cyclonedx.model.component import Component, ComponentType

    return Component(
        type=ComponentType.LIBRARY,
        name=submodule.path,
        version=submodule.commit,
        bom_ref=f"{reference}/{submodule.path}",
        purl=_repository(submodule.path.rpartition("/")[2], submodule.repo, submodule.commit),
    )


def _repository(name: str, url: str, commit: str) -> PackageURL:
    """Source: the package-url specification, types github and generic."""
    from packageurl import PackageURL

    uri = _uri(url)
    parts = urllib.parse.urlsplit(uri)
    owner, _slash, repository = parts.path.strip("/").removesuffix(".git").partition("/")
    if parts.hostname == _GITHUB and repository and "/" not in repository:
        return PackageURL("github", owner.lower(), repository.lower(), commit)
    return PackageURL("generic", None, name, commit, {} if _is_local(url) else {"vcs_url": f"git+{uri}@{commit}"})


def _interpreter(target: TargetSources) -> list[Component]:
    from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    python = target.target.interpreter
    if python is None:
        return []
    reference = ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(python.url))
    return [
        Component(
            type=ComponentType.PLATFORM,
            name="cpython",
            version=python.version,
            bom_ref="interpreter",
            purl=PackageURL("generic", None, "cpython", python.version, {"download_url": python.url}),
            hashes=_hashes(python.sha256),
            external_references=[] if python.url.startswith("file:") else [reference],
        )
    ]


def _model(model: Model) -> Component:
    from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
    from cyclonedx.model.component import Component, ComponentType

    is_local = model.url.startswith("file:")
    reference = ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(model.url))
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=model.name,
        bom_ref=f"model:{model.sha256}:{model.paths[0]}",
        hashes=_hashes(model.sha256),
        external_references=[] if is_local else [reference],
        properties=_properties(size=model.size, paths=", ".join(model.paths)),
    )


def _hashes(sha256: str | None) -> list[HashType]:
    from cyclonedx.model import HashAlgorithm, HashType

    return [HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else []


def _licenses(stated: License) -> list[LicenseExpression | DisjunctiveLicense]:
    from cyclonedx.model.license import DisjunctiveLicense, LicenseAcknowledgement, LicenseExpression
    from cyclonedx.spdx import is_supported_id

    declared = LicenseAcknowledgement.DECLARED
    if stated.text is None:
        return []
    if stated.expression is None:
        return [DisjunctiveLicense(name=stated.shown, acknowledgement=declared)]
    if is_supported_id(stated.expression):
        return [DisjunctiveLicense(id=stated.expression, acknowledgement=declared)]
    return [LicenseExpression(stated.expression, acknowledgement=declared)]


def _properties(**values: str | int | None) -> list[Property]:
    from cyclonedx.model import Property

    return [Property(name=f"{_OWN}{name}", value=str(value)) for name, value in values.items() if value is not None]
