"""Foreign errors, such as those of the user's code, become the cause of an error of gnnrl's own."""

from collections.abc import Iterator
from contextlib import contextmanager

from gnnrl.errors import GnnrlError, ResourceError, first_line, is_out_of_memory
from gnnrl.modules.locations import user_location


@contextmanager
def own_errors(action: str, kind: type[GnnrlError] = GnnrlError) -> Iterator[None]:
    """Raise an error of this kind for every foreign one, also as a decorator.

        @own_errors("verifying the pruned network")
        def verify(...): ...

    Args:
        action: what was done, as the subject of a sentence.
    """
    try:
        yield
    except GnnrlError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise ResourceError(f"{action} needs more memory than there is: {first_line(error)}") from error
        where = user_location(error)
        advice = "Correct this line" if where else "This is a bug in gnnrl; please report it with this traceback"
        raise kind(
            f"{action} failed{where and f' because of {where}'}: {type(error).__name__}: {first_line(error)}. {advice}"
        ) from error
