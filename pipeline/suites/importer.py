"""Storing suites: one immutable version per content; sequences first, so that a version is never incomplete."""

from __future__ import annotations

from typing import Any

from nightjar.config.counting import how_many
from nightjar.config.errors import ServiceError, SuiteError, UsageError
from nightjar.jobs.documents import SequenceDocument, SequenceRef, SuiteVersion
from nightjar.jobs.mongo import Database, DuplicateKeyError, insert_absent, utc_now
from nightjar.jobs.sequences import Sequence, sequence_key
from nightjar.jobs.withheld import withheld_problem, without_texts
from nightjar.pipeline.suites.content import SuiteContent

BATCH_CHARS = 8 * 2**20
RACES = 20
"""How many concurrent imports under the same name may get in first before we give up."""
MAX_REFERENCES_CHARS = 10 * 2**20
"""Largest list of sequences, in characters; MongoDB allows 16 MB per document."""


async def import_suite(content: SuiteContent, database: Database) -> tuple[SuiteVersion, bool]:
    """The stored version with this content, and whether it is new. All or nothing.

    Safe to repeat and to run concurrently. Raises SuiteError if it has more sequences than one document can list, or
    withholds what cannot be.
    """
    _check_withheld(content)
    digest = content.digest
    if existing := await SuiteVersion.get(digest):
        return existing, False
    references = _references(content)
    if sum(len(reference.model_dump_json()) for reference in references) > MAX_REFERENCES_CHARS:
        raise SuiteError(f"Suite {content.name!r} has too many sequences to be one suite; split it.")
    await _store_sequences(content, database)
    for _ in range(RACES):
        newest = await SuiteVersion.find({"name": content.name}).sort("-version").first_or_none()
        version = SuiteVersion(
            id=digest,
            name=content.name,
            version=1 if newest is None else newest.version + 1,
            description=content.description,
            licence=content.licence,
            source=content.source,
            tags=content.tags,
            sequences=references,
            rubric=content.rubric,
            primary_metric=content.primary_metric,
            left_out=content.left_out,
            variants=content.variants,
            imported_at=utc_now(),
        )
        try:
            await version.insert()
        except DuplicateKeyError:
            if existing := await SuiteVersion.get(digest):
                return existing, False
        else:
            return version, True
    raise ServiceError(f"Suite {content.name!r} is being imported by many commands at once; try again.")


async def asks_the_same_as(version: SuiteVersion) -> int | None:
    """The newest earlier version by which models are asked just the same: what replies are counted for differs.

    None where there is no such version.
    """
    asked = [(reference.id, reference.digest) for reference in version.sequences]
    earlier = SuiteVersion.find({"name": version.name, "version": {"$lt": version.version}}).sort("-version")
    before = await earlier.first_or_none()
    if before is None or before.variants != version.variants:
        return None
    return before.version if [(one.id, one.digest) for one in before.sequences] == asked else None


async def load_content(version: SuiteVersion, database: Database) -> SuiteContent:
    """The content of a stored version, equal to what was imported but for the texts of what is withheld.

    Raises ServiceError if sequences are missing.
    """
    documents = {reference.document for reference in version.sequences}
    sequences = {d.id: d.sequence async for d in SequenceDocument.find({"_id": {"$in": sorted(documents)}})}
    if missing := documents - sequences.keys():
        raise ServiceError(
            f"Gone from MongoDB: {how_many(len(missing), 'sequence')} of suite {version.name!r}; import it again."
        )
    return SuiteContent(
        name=version.name,
        description=version.description,
        licence=version.licence,
        tags=version.tags,
        sequences=tuple(sequences[reference.document] for reference in version.sequences),
        rubric=version.rubric,
        primary_metric=version.primary_metric,
        left_out=version.left_out,
        variants=version.variants,
        source=version.source,
    )


async def load_whole(version: SuiteVersion, database: Database) -> SuiteContent:
    """The content, to make something of its texts. Raises UsageError where they are withheld."""
    content = await load_content(version, database)
    if content.withheld:
        raise UsageError(
            f"The questions of suite {version.name!r} are withheld: whoever made them asks that they be published "
            "nowhere. Runs can ask them; no file, other suite or comparison of texts is made of them."
        )
    return content


def _references(content: SuiteContent) -> list[SequenceRef]:
    return [
        SequenceRef(
            id=sequence.id,
            digest=sequence.digest,
            document=sequence_key(sequence),
            turns=len(sequence.turns),
            mode=sequence.mode,
            tags=sequence.tags,
            scored=sequence.scored,
        )
        for sequence in content.sequences
    ]


async def _store_sequences(content: SuiteContent, database: Database) -> None:
    """Inserts missing sequences. They are immutable and named by their content, so existing ones are equal."""
    batch: list[dict[str, Any]] = []
    chars = 0
    for sequence in content.sequences:
        batch.append(_sequence_row(sequence))
        chars += len(sequence.model_dump_json())
        if chars > BATCH_CHARS or len(batch) == 1000:
            await insert_absent(database.raw["sequences"], batch)
            batch, chars = [], 0
    if batch:
        await insert_absent(database.raw["sequences"], batch)


def _sequence_row(sequence: Sequence) -> dict[str, Any]:
    row = {"_id": sequence_key(sequence), "sequence": without_texts(sequence).model_dump(mode="json")}
    return row | ({"kept_back": sequence.model_dump(mode="json")} if sequence.withheld else {})


def _check_withheld(content: SuiteContent) -> None:
    """Raises SuiteError for a withheld sequence whose texts are not here, or that a reply could quote."""
    for sequence in content.sequences:
        if sequence.withheld_digest is not None:
            raise SuiteError(f"The texts of sequence {sequence.id!r} are withheld: no other suite can be made of it.")
        if sequence.withheld and (problem := withheld_problem(sequence)) is not None:
            raise SuiteError(f"Sequence {sequence.id!r} cannot be withheld: {problem}")
