"""Files for people that are saved with a network: the history, the report and the model card."""

from gnnrl.report.card import write_card
from gnnrl.report.page import render
from gnnrl.report.record import Record, write_record
from gnnrl.storage.layout import CARD, HISTORY, REPORT


def write_documents(record: Record, place: str) -> dict[str, str]:
    """Text of each file by its name.

    Args:
        place: the directory, as the user's own code will name it.
    """
    return {HISTORY: write_record(record), REPORT: render(record, place), CARD: write_card(record, place)}
