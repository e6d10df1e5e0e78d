"""Puts the verifier together: from files to a Verdict, or to the first refusal. See the package for the order."""

from __future__ import annotations

from obis.trust.verify.certificates import check_site_cas, load_acts, load_pais
from obis.trust.verify.counts import check_counts, product_lines
from obis.trust.verify.files import Entry, Files, check_files, sort_files
from obis.trust.verify.governance import Governance, load_governance
from obis.trust.verify.log import Log, open_log, require_paired, require_shown
from obis.trust.verify.replay import line_of, replay
from obis.trust.verify.roots import Roots, check_mesh_certificates, load_manifest, load_roots
from obis.trust.verify.state import Everything, LogState
from obis.trust.verify.verdict import Unit, Verdict
from obis.v1.export_pb2 import ExportManifest


def verify_export(files: Files, fingerprint: bytes | None = None) -> Verdict:
    """Judge an export by its files. `fingerprint` is the 32 bytes people compared; without it nothing confirms the root.

    Raises Refused with a reason, what is wrong, and the file (and leaf) it stands in.
    """
    entries = sort_files(files)
    roots = load_roots(files, entries["root"], fingerprint)
    manifest = load_manifest(files, roots)
    check_files(files, manifest)
    site_root = check_mesh_certificates(files, roots)
    is_whole = not manifest.organisation_id
    governance = load_governance(files, entries, roots, is_whole=is_whole)
    acts = load_acts(files, roots)
    check_site_cas(files, entries["site_ca"], governance, site_root, acts)
    pais = load_pais(files, entries, governance, acts)
    if is_whole:
        acts.require_all_shown()
    everything = Everything(roots, governance, {pai.digest: pai for pai in pais})
    replayed = _replay_all(files, entries, everything)
    require_shown([log for log, _ in replayed], everything)
    check_counts(everything, [state for _, state in replayed])
    return _verdict(len(files), manifest, everything, replayed, acts.count, is_confirmed=fingerprint is not None)


def _replay_all(files: Files, entries: dict[str, list[Entry]], everything: Everything) -> list[tuple[Log, LogState]]:
    require_paired(files, entries)
    opened = (open_log(files, entry, everything.governance, everything.roots) for entry in entries["leaves"])
    return [(log, replay(log, everything)) for log in opened]


def _verdict(
    files: int,
    manifest: ExportManifest,
    everything: Everything,
    replayed: list[tuple[Log, LogState]],
    vault_acts: int,
    *,
    is_confirmed: bool,
) -> Verdict:
    roots, governance, tally = everything.roots, everything.governance, everything.tally
    failed, abandoned = _units(everything)
    return Verdict(
        is_confirmed=is_confirmed,
        fingerprint=roots.fingerprint.hex(),
        mesh_name=roots.newest.root.mesh_name,
        root_version=roots.newest.version,
        exported_at=manifest.exported_at,
        organisation_id=manifest.organisation_id,
        files=files,
        rules=len(governance.rules),
        grants=len(governance.grants),
        approvals=len(governance.approvals),
        authorizations=len(governance.authorizations),
        pais=len(everything.pais),
        vault_acts=vault_acts,
        under_older_roots=_under_older(governance, roots),
        products=product_lines(governance, [state for _, state in replayed]),
        logs=[line_of(log, state) for log, state in replayed],
        failed_units=failed,
        abandoned_units=abandoned,
        refusals=dict(tally.refusals),
        time_quality=dict(tally.time_quality),
        evidence=dict(tally.evidence),
    )


def _under_older(governance: Governance, roots: Roots) -> int:
    return sum(version < roots.newest.version for version in governance.root_versions())


def _units(everything: Everything) -> tuple[list[Unit], list[Unit]]:
    """Devices that failed, and devices nobody reported on: each has a record, and is listed."""
    failed: list[Unit] = []
    abandoned: list[Unit] = []
    for (soc, uid), device in everything.devices.items():
        if device.outcome:
            continue
        reason = "SCRAPPED" if device.is_scrapped else device.reason or "no outcome"
        unit = Unit(soc, uid.hex(), *device.edgehsm, device.auth_id.hex(), reason)
        (abandoned if device.outcome is None else failed).append(unit)
    return failed, abandoned
