"""Any value of a msgspec type, as a file could hold it: small, and within the type's own bounds."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

# Fields with an invariant beside their types.
SHORT = 3


def anything(type_: Any) -> st.SearchStrategy[Any]:
    """Values of a type that msgspec can decode; those that its __post_init__ refuses are left out."""
    return _of(msgspec.inspect.type_info(type_))


def _of(info: Any) -> st.SearchStrategy[Any]:
    match info:
        case msgspec.inspect.StructType():
            fields = {field.name: _of(field.type) for field in info.fields}
            return st.fixed_dictionaries(fields).map(lambda values: _made(info.cls, values)).filter(bool)
        case msgspec.inspect.UnionType():
            return st.one_of(*map(_of, info.types))
        case msgspec.inspect.VarTupleType():
            return st.lists(_of(info.item_type), min_size=info.min_length or 0, max_size=SHORT).map(tuple)
        case msgspec.inspect.TupleType():
            return st.tuples(*map(_of, info.item_types))
        case msgspec.inspect.DictType():
            return st.dictionaries(_of(info.key_type), _of(info.value_type), max_size=SHORT)
        case msgspec.inspect.EnumType():
            return st.sampled_from(list(info.cls))
        case msgspec.inspect.IntType():
            return st.integers(info.ge if info.ge is not None else -(2**63), info.le or 2**63 - 1)
        case msgspec.inspect.FloatType():
            low, high = info.ge if info.ge is not None else info.gt, info.le
            return st.floats(low, high, allow_nan=False, allow_infinity=False)
        case msgspec.inspect.StrType():
            return st.from_regex(info.pattern, fullmatch=True) if info.pattern else st.text(max_size=SHORT)
        case msgspec.inspect.BytesType():
            return st.binary(max_size=SHORT)
        case msgspec.inspect.BoolType():
            return st.booleans()
        case msgspec.inspect.NoneType():
            return st.none()
    raise TypeError(info)


def _made(cls: type, values: dict[str, Any]) -> Any:
    try:
        return cls(**values)
    except ValueError:
        return None
