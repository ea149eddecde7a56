"""What tests of steps that wait share: a lab, in the transaction of a test case and without one."""

from tests.testing.conftest import bank as bank
from tests.testing.conftest import lab as lab
