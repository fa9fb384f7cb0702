"""BLAS threads: a user's two threads cost a maximal model ten times the CPU; now the library decides, and puts back."""

from __future__ import annotations

import sys
import threading
import warnings

import pytest
import threadpoolctl

import henderson
from henderson.errors import users_level
from henderson.numerics import threads
from henderson.numerics.threads import HELPFUL, UNTHREADED, blas_threads


def numbers() -> list[int]:
    return [library.get_num_threads() for library in threads._libraries()]


@pytest.fixture
def two():
    """The user's number is two."""
    before = numbers()
    for library in threads._libraries():
        threads._set(library, 2)
    yield [2] * len(before)
    for library, number in zip(threads._libraries(), before):
        threads._set(library, number)


@pytest.fixture
def one(two):
    return [1] * len(two)


def test_numpy_and_scipy_are_both_found():
    assert threads._libraries()


def test_one_thread_below_the_size_where_more_help(two, one):
    with blas_threads(HELPFUL - 1):
        assert numbers() == one
    assert numbers() == two


def test_the_users_number_above_it(two):
    with blas_threads(HELPFUL):
        assert numbers() == two
    assert numbers() == two


def test_nothing_is_done_where_no_blas_wakes_a_second_thread(two, one):
    with blas_threads(products=UNTHREADED):
        assert numbers() == two
    with blas_threads(products=UNTHREADED + 1):
        assert numbers() == one


def test_the_innermost_region_decides(two, one):
    with blas_threads(0):
        with blas_threads(HELPFUL):
            assert numbers() == two
            with blas_threads(0):
                assert numbers() == one
            assert numbers() == two
        assert numbers() == one
    assert numbers() == two


def test_put_back_after_an_exception(two):
    with pytest.raises(KeyboardInterrupt), blas_threads(0), blas_threads(0):
        raise KeyboardInterrupt
    assert numbers() == two


def interrupted(k, regions):
    """Whether Ctrl-C comes at the k-th place where Python looks for it: where functions begin, and after calls of C's.

    Where `__exit__` begins nothing can be done: the region around it closes it (the next test).
    """
    places = iter(range(k + 1))

    def trace(frame, event, _):
        inside = frame.f_code.co_filename in (threads.__file__, threadpoolctl.__file__)
        looks = event == "c_return" or (event == "call" and frame.f_code.co_name != "__exit__")
        if inside and looks and next(places, None) == k:
            raise KeyboardInterrupt

    try:
        sys.setprofile(trace)
        regions()
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
    return False


def test_put_back_wherever_an_interrupt_comes(two):
    """A fit that was interrupted while BLAS was told its number left the process with one thread for good."""

    def regions():
        with blas_threads(0), blas_threads(HELPFUL), blas_threads(0):
            pass

    k = 0
    while interrupted(k, regions):
        assert numbers() == two, f"place {k}"
        k += 1
    assert k > 50


def test_a_region_that_was_not_left_is_closed_by_the_one_around_it(two):
    with blas_threads(0):
        blas_threads(0).__enter__()
    assert numbers() == two


def test_a_decorated_function_may_call_itself(two, one):
    @blas_threads()
    def down(k):
        assert numbers() == one
        return down(k - 1) if k else numbers()

    assert down(3) == one
    assert numbers() == two


def test_a_number_that_a_user_sets_meanwhile_stands(two):
    with blas_threads(0):
        for library in threads._libraries():
            threads._set(library, 3)
    assert numbers() == [3] * len(two)


def test_several_python_threads(two, one):
    """The last to leave puts back; while one of them has large work, that work has the user's number."""
    inside, leave, seen = threading.Barrier(2), threading.Event(), []

    def other():
        with blas_threads(HELPFUL):
            seen.append(numbers())
            inside.wait(10)
            leave.wait(10)

    thread = threading.Thread(target=other, daemon=True)
    with blas_threads(0):
        thread.start()
        inside.wait(10)
        assert numbers() == two
        leave.set()
        thread.join(10)
        assert numbers() == one
    assert seen == [two]
    assert numbers() == two


def test_a_child_process_gets_the_users_number(two, one):
    """`_after_fork` runs in a child whose only thread was outside every region."""
    inside, leave = threading.Event(), threading.Event()

    def other():
        with blas_threads(0):
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other, daemon=True)
    thread.start()
    inside.wait(10)
    assert numbers() == one
    threads._after_fork()
    assert numbers() == two
    assert threads._shared.wishes == {}
    threads._shared.wishes[thread.ident] = False  # back in the parent
    leave.set()
    thread.join(10)
    assert numbers() == two


@pytest.mark.parametrize("formula", ["Yield ~ 1 + (1 | Batch)", "diameter ~ 1 + (1 | plate) + (1 | sample)"])
def test_a_fit_and_its_tables_leave_the_number_alone(two, formula):
    data = henderson.datasets.load("Dyestuff" if "Batch" in formula else "Penicillin")
    fit = henderson.lmer(formula, data)
    str(fit.summary())
    fit.profile()
    fit.bootstrap(20, seed=1)
    assert numbers() == two


def test_a_fit_runs_in_one_thread(two, one):
    seen = []
    data = henderson.datasets.load("Penicillin")
    from henderson.design.from_formula import design_from_formula
    from henderson.engine.fit import fit_design

    model = design_from_formula("diameter ~ 1 + (1 | plate) + (1 | sample)", data)
    fit_design(*model, progress=lambda *done: seen.append(numbers()))
    assert seen
    assert all(each == one for each in seen)


def test_a_warning_below_a_region_is_of_the_users_line():
    names = {"__name__": "henderson.made", "region": blas_threads, "level": users_level, "warn": warnings.warn}
    exec("@region()\ndef warns():\n    warn('said', stacklevel=level())", names)
    with pytest.warns(UserWarning, match="said") as said:
        names["warns"]()
    assert said[0].filename == __file__
