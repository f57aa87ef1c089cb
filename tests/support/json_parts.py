"""Parts of JSON values whose shape a test knows."""


def part(value: object, *path: str | int) -> object:
    """Return the part of a JSON value at a path of keys and positions.

    Raises:
        AssertionError: The value has another shape.
    """
    for step in path:
        if isinstance(step, str):
            assert isinstance(value, dict), value
            value = value[step]
        else:
            assert isinstance(value, list), value
            value = value[step]
    return value


def parts(value: object, *path: str | int) -> list[object]:
    """Return the items of the list at a path of keys and positions.

    Raises:
        AssertionError: The value has another shape.
    """
    found = part(value, *path)
    assert isinstance(found, list), found
    return found
