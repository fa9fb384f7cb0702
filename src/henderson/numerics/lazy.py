"""`lazy`: `functools.cached_property` without the lock that Python 3.11 takes around each, and 3.12 gave up.

A small fit asks for fifty pieces of its evaluations, and every lock costs as much as a sum over the levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from functools import cached_property as lazy
else:

    class lazy:
        """A method whose value is computed when it is first asked for, and kept in the instance.

        Examples
        --------
        >>> class Square:
        ...     def __init__(self, side): self.side = side
        ...     @lazy
        ...     def area(self): return self.side**2
        >>> square = Square(3)
        >>> square.area, vars(square)
        (9, {'side': 3, 'area': 9})
        """

        def __init__(self, compute: Any) -> None:
            self.compute, self.name, self.__doc__ = compute, compute.__name__, compute.__doc__

        def __get__(self, instance: Any, owner: Any = None) -> Any:
            if instance is None:
                return self
            value = instance.__dict__[self.name] = self.compute(instance)
            return value
