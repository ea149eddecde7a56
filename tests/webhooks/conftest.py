"""What tests of callbacks share."""

from tests.testing.conftest import bank as bank
from tests.testing.conftest import lab as lab
