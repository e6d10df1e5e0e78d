"""obis grant, obis ticket, obis approval, obis proposals, obis approve: what a quorum decides, and how it signs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from obis.cli.desk import columns, desk_of, show, with_cloud
from obis.cli.exits import Usage

if TYPE_CHECKING:
    from obis.cli.approval import Review
    from obis.cli.approver_key import ApproverKey
    from obis.cli.connection import Cloud
    from obis.v1.grants_pb2 import Proposal

grant = typer.Typer(no_args_is_help=True, help="Grants: how many of a version, where, when and how.")
ticket = typer.Typer(no_args_is_help=True, help="Tickets by which Factory Services and EdgeHSMs come in.")
enrolment = typer.Typer(no_args_is_help=True, help="Approvals of EdgeHSMs that have shown their keys.")
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
ProposalId = Annotated[str, typer.Argument(help="32 hex digits.")]


def mount(main: typer.Typer) -> None:
    """Put these commands on the main one."""
    main.add_typer(grant, name="grant")
    main.add_typer(ticket, name="ticket")
    main.add_typer(enrolment, name="enrolment")
    main.command("proposals")(proposals)
    main.command("approve")(approve)
    main.command("withdraw")(withdraw)


@grant.command("propose")
def grant_propose(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="TOML with the fields of ProposeGrantRequest.")],
    as_json: Json = False,
) -> None:
    """Propose a Grant for a submitted version. Its last signature approves the version."""
    from obis.cli.files import read_toml
    from obis.cli.plain import from_plain
    from obis.v1.grants_pb2 import ProposeGrantRequest

    request = from_plain(ProposeGrantRequest, read_toml(path), "grant")
    answer = with_cloud(context, lambda cloud: cloud.grants.ProposeGrant(request))
    show(answer.proposal, as_json=as_json, lines=columns([_row(answer.proposal)]))


@grant.command("list")
def grant_list(
    context: typer.Context, product_id: Annotated[str, typer.Argument(help="32 hex digits.")], as_json: Json = False
) -> None:
    """The signed Grants of a product, in the order of their chain."""
    from obis.cli.profile import octets
    from obis.v1.grant_pb2 import Grant
    from obis.v1.grants_pb2 import ListGrantsRequest

    request = ListGrantsRequest(product_id=octets(product_id, 16, "product"))
    found = with_cloud(context, lambda cloud: cloud.grants.ListGrants(request))
    rows: list[tuple[str, ...]] = [("grant", "seq", "devices", "in batches", "shares")]
    for each in found.grants:
        message = Grant.FromString(each.envelope.payload)
        shares = " ".join(f"{cap.edgehsm_id}:{cap.max_quantity}" for cap in message.edge_caps)
        counts = (message.sequence, message.total_quantity, each.batched_quantity)
        rows.append((each.grant_digest.hex()[:16], *map(str, counts), shares))
    show(found, as_json=as_json, lines=columns(rows))


@ticket.command("propose")
def ticket_propose(
    context: typer.Context,
    factory_id: Annotated[str, typer.Argument(help="The site.")],
    edgehsm_id: Annotated[str, typer.Option("--edgehsm", help="For this EdgeHSM; else for the Factory Service.")] = "",
    days: Annotated[int, typer.Option(help="Days it is valid, up to 30.")] = 7,
    as_json: Json = False,
) -> None:
    """Propose a ticket; the ENROLMENT quorum signs it (`obis approve`)."""
    from obis.v1.enrolment_objects_pb2 import TicketSubject
    from obis.v1.factories_pb2 import ProposeTicketRequest

    subject = TicketSubject.TICKET_SUBJECT_EDGEHSM if edgehsm_id else TicketSubject.TICKET_SUBJECT_FACTORY
    request = ProposeTicketRequest(
        subject=subject, factory_id=factory_id, edgehsm_id=edgehsm_id, valid_seconds=days * 86400
    )
    answer = with_cloud(context, lambda cloud: cloud.factories.ProposeTicket(request))
    show(answer.proposal, as_json=as_json, lines=columns([_row(answer.proposal)]))


@ticket.command("fetch")
def ticket_fetch(
    context: typer.Context,
    proposal_id: ProposalId,
    out: Annotated[Path, typer.Option("--out", "-o", help="The ticket file that goes to the site.")],
) -> None:
    """Write a signed ticket to a file. It is no secret, but good once."""
    from obis.cli.approval import find
    from obis.cli.files import write_envelope
    from obis.cli.profile import octets
    from obis.v1.grants_pb2 import ProposalState

    wanted = octets(proposal_id, 16, "proposal")

    async def fetch(cloud: Cloud) -> Proposal:
        return await find(cloud, wanted)

    found = with_cloud(context, fetch)
    if found.state != ProposalState.PROPOSAL_STATE_SIGNED:
        raise Usage(f"{len(found.signed_by)} of {found.threshold} persons have signed it", "obis approve")
    write_envelope(out, found.envelope)


@enrolment.command("approve")
def enrolment_approve(
    context: typer.Context,
    edgehsm_id: Annotated[str, typer.Argument(help="The EdgeHSM.")],
    fingerprint: Annotated[str, typer.Option(help="The key fingerprint as the appliance shows it.")],
    epoch: Annotated[int, typer.Option(help="Its epoch.")] = 1,
    outage_days: Annotated[int, typer.Option(help="Days the site must run without the cloud.")] = 14,
    as_json: Json = False,
) -> None:
    """Propose the approval of an EdgeHSM's keys; the ENROLMENT quorum signs it (`obis approve`)."""
    from obis.cli.profile import fingerprint_of
    from obis.v1.factories_pb2 import ProposeApprovalRequest

    request = ProposeApprovalRequest(
        edgehsm_id=edgehsm_id,
        epoch=epoch,
        key_fingerprint=fingerprint_of(fingerprint),
        outage_budget_seconds=outage_days * 86400,
    )
    answer = with_cloud(context, lambda cloud: cloud.factories.ProposeApproval(request))
    show(answer.proposal, as_json=as_json, lines=columns([_row(answer.proposal)]))


def proposals(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Signed and withdrawn ones too.")] = False,
    as_json: Json = False,
) -> None:
    """Proposals you may sign or watch."""
    from obis.v1.grants_pb2 import ListProposalsRequest

    request = ListProposalsRequest(open_only=not everything)
    found = with_cloud(context, lambda cloud: cloud.grants.ListProposals(request))
    show(found, as_json=as_json, lines=columns(_row(each) for each in found.proposals))


def approve(
    context: typer.Context,
    proposal_id: Annotated[str | None, typer.Argument(help="One proposal; else the queue that waits for you.")] = None,
    key_path: Annotated[
        Path | None, typer.Option("--key", help="Your approver key; else PERSON.key in the profile.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Sign the whole queue without asking for each.")] = False,
) -> None:
    """Read, judge and sign what waits for you, with one passphrase for the sitting.

    Each object is rendered here from the bytes that are signed, and judged under the pinned trust root.
    """
    from obis.cli.approval import fetch_root, find, queue, sign_queue
    from obis.cli.profile import octets

    desk, key = desk_of(context), _approver_key(context, key_path)

    async def sitting(cloud: Cloud) -> list[Proposal]:
        root = await fetch_root(desk.profile.mesh())
        waiting = (
            [await find(cloud, octets(proposal_id, 16, "proposal"))] if proposal_id else await queue(cloud, root, key)
        )

        async def yes(review: Review) -> bool:
            print(_told(review))
            return everything or await asyncio.to_thread(typer.confirm, "Sign it?")

        return await sign_queue(cloud, root, key, waiting, yes)

    signed = with_cloud(context, sitting)
    for each in signed:
        print(f"signed  {each.title}  ({len(each.signed_by)} of {each.threshold})")
    print(f"{len(signed)} signed")


def withdraw(context: typer.Context, proposal_id: ProposalId, as_json: Json = False) -> None:
    """Withdraw what you proposed, while it is not complete."""
    from obis.cli.profile import octets
    from obis.v1.grants_pb2 import WithdrawProposalRequest

    request = WithdrawProposalRequest(proposal_id=octets(proposal_id, 16, "proposal"))
    answer = with_cloud(context, lambda cloud: cloud.grants.WithdrawProposal(request))
    show(answer.proposal, as_json=as_json, lines=columns([_row(answer.proposal)]))


def _approver_key(context: typer.Context, path: Path | None) -> ApproverKey:
    from obis.cli.approver_key import ApproverKey

    desk = desk_of(context)
    chosen = path or desk.profile.home / f"{desk.profile.person().person_id}.key"
    return ApproverKey.open(chosen, desk.passphrases.of(chosen.stem))


def _told(review: Review) -> str:
    findings = (f"  {'  ' if each.good else 'NO'} {each.text}" for each in review.findings)
    proposer = f"  proposed by {review.proposal.proposer}"
    return "\n".join(["", review.text, proposer, *findings])


def _row(proposal: Proposal) -> tuple[str, ...]:
    from obis.cli.plain import enum_word
    from obis.v1.grants_pb2 import ProposalState

    state = enum_word(ProposalState.DESCRIPTOR, proposal.state)
    return proposal.proposal_id.hex(), state, f"{len(proposal.signed_by)}/{proposal.threshold}", proposal.title
