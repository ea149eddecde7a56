"""The fake service of the warehouses, where robots pick: ``POST /picks`` and ``POST /returns``."""

import sys

from example_project.services.ledger import Answer, Book, Request
from example_project.services.server import BadCall, Service, main, parser, text_field

BROKEN = {"VASE-GLASS"}  # every one of them breaks when a robot takes it


def pick(request: Request, book: Book) -> Answer:
    """Take ``pieces`` of ``sku`` from the shelves of ``warehouse`` for ``reference``."""
    sku, warehouse = text_field(request.body, "sku"), text_field(request.body, "warehouse")
    pieces = request.body.get("pieces")
    if not isinstance(pieces, int) or isinstance(pieces, bool) or pieces < 1:
        raise BadCall(400, "The field 'pieces' must be a whole number of at least 1.")
    if book.is_closed():
        return Answer(410, {"error": f"{request.reference} was put back; nothing is picked for it any more."})
    if sku in BROKEN:
        return Answer(422, {"error": f"{sku} broke in {warehouse}."})
    return Answer(201, {"box": f"bx_{book.record(str(pieces)):06}"})


def put_back(request: Request, book: Book) -> Answer:
    """Put back what was picked for ``reference``, and let nothing be picked for it later."""
    book.close()
    picked = sum(int(row["amount"]) for row in book.effects("picks"))
    returned = sum(int(row["amount"]) for row in book.effects("returns"))
    if picked > returned:
        book.record(str(picked - returned))
    return Answer(200, {"pieces": picked - returned})


SERVICE = Service(name="stores", work={"/picks": pick, "/returns": put_back})

if __name__ == "__main__":
    sys.exit(main(SERVICE, parser("stores", 8104).parse_args()))
