"""Components of a fitted model on disk: each has a kind, and saves and loads itself.

A component is a class with the decorator `component`. Saving writes its arrays and texts to files, and returns fields
for the manifest. Loading finds the class by the kind among the fields. A new component needs no other code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from numpy.typing import NDArray

from ceiba.errors import ModelFormatError
from ceiba.io.reading import FolderFiles
from ceiba.io.sealed import STRING, Fields, dump_json
from ceiba.io.tensors import write_tensors

_NO_GENERATORS = ("labels", "queries")  # parts of every model


class FolderWriter:
    """Writes the files of a model into a folder.

    Parameters
    ----------
    folder : Path
        It exists.
    """

    def __init__(self, folder: Path):
        self._folder = folder

    def tensors(self, name: str, arrays: Mapping[str, NDArray]) -> None:
        """Write arrays to a safetensors file."""
        write_tensors(self.path(name), arrays)

    def json(self, name: str, content: Any) -> None:
        """Write a JSON file."""
        self.path(name).write_bytes(dump_json(content))

    def path(self, name: str = "") -> Path:
        """Return the path of a file, for libraries that write files themselves."""
        return self._folder / name


@dataclass(frozen=True)
class LoadContext:
    """What components are loaded with, besides their own files and fields.

    Attributes
    ----------
    trusted : sequence of str or type
        Types that a vectorizer of another library may be built of.
    device, precision : str
        Where an encoder computes, and in what numbers.
    owner : str
        The class of the estimator, which messages name.
    parts : mapping of str to component
        The components that were loaded before, by name: "labels", "queries", then the generators.
    """

    trusted: Sequence[str | type] = ()
    device: str = "auto"
    precision: str = "auto"
    owner: str = "the model"
    parts: Mapping[str, Any] = field(default_factory=dict)

    def part(self, name: str, fields: Fields) -> Any:
        """Return a component that was loaded before; ModelFormatError where there is none of the name."""
        if name not in self.parts:
            raise ModelFormatError(f"{fields.path} names {name!r}, which is no part of the model before it.")
        return self.parts[name]

    def generator(self, name: str, fields: Fields, *kinds: str) -> Any:
        """Return a generator that was loaded before, of one of the kinds if any are given; else ModelFormatError."""
        found = self.part(name, fields)
        if name in _NO_GENERATORS or (kinds and found.kind not in kinds):
            raise ModelFormatError(f"{fields.path} names {name!r}, which is no generator of labels that fits there.")
        return found


class Component(Protocol):
    """A part of a fitted model that saves and loads itself."""

    kind: ClassVar[str]

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write files; return the fields, as JSON values, that `load` needs besides them."""
        ...

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> Any:
        """Read what `save` wrote, and check all of it.

        Raises
        ------
        ModelFormatError
            When a file or a field is missing or damaged.
        """
        ...


_components: dict[str, tuple[type[Component], str]] = {}
_Class = TypeVar("_Class", bound=type)


def component(kind: str, role: str) -> Callable[[_Class], _Class]:
    """Register a class of components.

    Parameters
    ----------
    kind : str
        The name of the class in the manifests of models.
    role : str
        What the component is within a model, such as "generator": it is loaded in this place only.
    """

    def register(cls: _Class) -> _Class:
        if kind in _components:
            raise ValueError(f"There is a component of the kind {kind!r} already: {_components[kind][0]}.")
        cls.kind = kind  # type: ignore[attr-defined]
        _components[kind] = cls, role
        return cls

    return register


def save_component(part: Component, writer: FolderWriter) -> dict[str, Any]:
    """Write a component's files; return its fields, its kind among them."""
    return {"kind": part.kind, **part.save(writer)}


def load_component(role: str, files: FolderFiles, fields: Fields, context: LoadContext) -> Any:
    """Read a component.

    Raises
    ------
    ModelFormatError
        When there is no kind of this name for the role, or a file or a field is missing or damaged.
    """
    kind = fields.get("kind", STRING)
    known = sorted(each for each, (_, own) in _components.items() if own == role)
    if kind not in known:
        raise ModelFormatError(
            f"{fields.path}: a {role} of the kind {kind!r} is not known; known are {', '.join(known)}. Is the model "
            "of a newer Ceiba?"
        )
    return _components[kind][0].load(files, fields, context)
