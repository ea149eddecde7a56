"""The consignment saga, whatever goes wrong: `manage.py test example_project.warehouse`."""

from __future__ import annotations

from django.test import TestCase

from django_saga import PermanentFailure
from django_saga.testing import SagaLab, saga_matrix, saga_steps
from example_project.cases.progress import with_sagas
from example_project.clients.fakes import standing_in
from example_project.warehouse import stores
from example_project.warehouse.books import ConsignmentBooks
from example_project.warehouse.consignments import place_consignment
from example_project.warehouse.models import Consignment, Stock, Warehouse
from example_project.warehouse.sagas import ConsignmentInput, ConsignmentSaga, Line, steps_for

IN_STOCK = {("NORTH", "ROPE"): 5, ("NORTH", "LAMP"): 9, ("SOUTH", "ROPE"): 4, ("SOUTH", "VASE"): 3}


class FakeStores:
    """The service of the warehouses in memory; SOUTH breaks every vase."""

    def __init__(self) -> None:
        self.picked: dict[str, int] = {}  # pieces by reference

    def pick(self, *, warehouse: str, sku: str, pieces: int, reference: str, idempotency_key: str) -> str:
        if sku == "VASE" and warehouse == "SOUTH":
            raise PermanentFailure("VASE broke in SOUTH.")
        self.picked[reference] = pieces
        return f"bx-{reference}"

    def put_back(self, *, reference: str, idempotency_key: str) -> int:
        return self.picked.pop(reference, 0)


class ConsignmentSagaTests(TestCase):
    def setUp(self) -> None:
        for (code, sku), pieces in IN_STOCK.items():
            warehouse, _ = Warehouse.objects.get_or_create(code=code)
            Stock.objects.create(warehouse=warehouse, sku=sku, delivered=pieces, pieces=pieces)
        self.open_stores()

    def open_stores(self) -> None:
        """Stand in for the service, with nothing picked."""
        self.stores = FakeStores()
        self.enterContext(standing_in(stores, self.stores))

    def in_stock(self) -> dict[tuple[str, str], int]:
        found = Stock.objects.values_list("warehouse__code", "sku", "pieces")
        return {(warehouse, sku): pieces for warehouse, sku, pieces in found}

    def carry(self, **quantities: int) -> Consignment:
        """Place a consignment of ``quantities`` by SKU, and carry it to its end."""
        lines = [{"sku": sku, "quantity": quantity} for sku, quantity in quantities.items()]
        with SagaLab() as lab:
            consignment, _ = place_consignment(Consignment(customer="Ada", lines=lines))
            lab.run()
        [consignment] = with_sagas([Consignment.objects.get(pk=consignment.pk)])
        return consignment

    def test_all_lines_are_picked_or_none_and_the_stock_adds_up_whatever_goes_wrong(self) -> None:
        lines = [{"sku": "ROPE", "quantity": 7}, {"sku": "LAMP", "quantity": 2}]
        books = ConsignmentBooks()
        consignment = Consignment.objects.create(customer="Ada", lines=lines)
        given = [Line(consignment.pk, 1, "ROPE", 7), Line(consignment.pk, 2, "LAMP", 2)]
        for case in saga_matrix(ConsignmentSaga.compose(steps_for(given))):
            self.open_stores()
            with self.subTest(str(case)), case.run(ConsignmentInput(consignment.pk, given)) as saga:
                if saga.status == "completed":
                    assert self.stores.picked == {
                        f"{consignment.reference}-1-NORTH": 5,
                        f"{consignment.reference}-1-SOUTH": 2,
                        f"{consignment.reference}-2-NORTH": 2,
                    }
                    assert self.in_stock()["SOUTH", "ROPE"] == 2
                else:
                    assert (self.stores.picked, self.in_stock()) == ({}, IN_STOCK)
                if saga_steps(saga)["accept"] != "failed":
                    Consignment.objects.update(saga_id=saga.id)
                    assert list(books.problems(books.read())) == []

    def test_every_line_that_falls_short_is_found_before_anything_is_undone(self) -> None:
        consignment = self.carry(ROPE=10, LAMP=10, VASE=1)

        assert consignment.saga
        steps = {step.name: step.status for step in consignment.saga.steps.all()}
        assert steps == {
            "accept": "undone",
            "reserve_1": "failed",
            "reserve_2": "failed",
            "reserve_3": "undone",
        }
        assert consignment.reason == "failed at reserve_1: 1 of 10 ROPE are nowhere to be had."
        assert self.in_stock() == IN_STOCK

    def test_what_one_warehouse_has_picked_is_put_back_when_another_one_cannot(self) -> None:
        Stock.objects.create(warehouse=Warehouse.objects.get(code="NORTH"), sku="VASE", delivered=1, pieces=1)
        Stock.objects.filter(warehouse__code="SOUTH", sku="VASE").delete()
        Stock.objects.create(warehouse=Warehouse.objects.get(code="SOUTH"), sku="VASE", delivered=3, pieces=3)
        before = self.in_stock()

        consignment = self.carry(VASE=2)

        assert consignment.reason.startswith("failed at pick_1")
        assert [reservation.pieces for reservation in consignment.reservations.all()] == [1, 1]
        assert (self.stores.picked, self.in_stock()) == ({}, before)
