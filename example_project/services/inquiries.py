"""``POST /inquiries``: what came of an idempotency key; what every fake service that can be asked offers."""

from example_project.services.ledger import Answer, Book, Request
from example_project.services.server import text_field


def inquire(request: Request, book: Book) -> Answer:
    """Say whether the key in the field ``key`` had its effect, and if so what was answered.

    A key that nothing came of yet is refused from now on: its call may still be under way, and must not
    have its effect after somebody was told that it has none.
    """
    key = text_field(request.body, "key")
    answer = book.answer_to(key)
    if answer is None:
        book.refuse(key, Answer(410, {"error": "This was asked about, and is not done any more."}))
        return Answer(200, {"happened": False, "answer": None})
    happened = answer.status < 300
    return Answer(200, {"happened": happened, "answer": answer.body if happened else None})
