"""Work beside: in order, never two at once; what goes wrong on either side is raised where it was asked for."""

import threading
import time

import pytest

from henderson.numerics.overlap import work_beside


def test_in_order_one_at_a_time_beside_the_making():
    done, inside, threads = [], [], set()

    def work(item: int) -> None:
        inside.append(item)
        threads.add(threading.get_ident())
        time.sleep(0.002)
        assert inside == [item]
        inside.clear()
        done.append(item)

    work_beside(iter(range(20)), work)
    assert done == list(range(20))
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


def test_items_are_made_in_the_callers_thread():
    made = set()

    def items():
        for k in range(3):
            made.add(threading.get_ident())
            yield k

    work_beside(items(), lambda item: None)
    assert made == {threading.get_ident()}


@pytest.mark.parametrize("where", [0, 1, 4])
def test_errors_of_the_work(where):
    done = []

    def work(item: int) -> None:
        if item == where:
            raise KeyError(item)
        done.append(item)

    with pytest.raises(KeyError):
        work_beside(iter(range(5)), work)
    assert done == list(range(where))


def test_errors_of_the_items_wait_for_the_work():
    done = []

    def items():
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work_beside(items(), lambda item: (time.sleep(0.01), done.append(item))[1])
    assert done == [1]
