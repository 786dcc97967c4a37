"""Files that share a name are told apart by their folders, and always in the same way."""

from __future__ import annotations

from pathlib import Path

from nightjar.workers.library.names import LONGEST_NAME, distinct_names, name_of_file
from nightjar.workers.library.registry import NAME

A, B, C = Path("/m/a/x.gguf"), Path("/m/b/x.gguf"), Path("/m/c/y.gguf")


def test_twins_get_their_folders() -> None:
    assert distinct_names([A, B, C]) == {A: "x-a", B: "x-b", C: "y"}
    assert distinct_names([B, C, A, A]) == distinct_names([A, B, C])


def test_a_name_that_another_model_has_is_not_taken() -> None:
    assert distinct_names([A], taken={"x"}) == {A: "x-a"}
    assert distinct_names([A], taken={"x", "x-a"}) == {A: "x-m-a"}


def test_as_many_folders_as_it_takes() -> None:
    one, other = Path("/m/one/q4/x.gguf"), Path("/m/two/q4/x.gguf")
    assert distinct_names([one, other]) == {one: "x-one-q4", other: "x-two-q4"}


def test_two_spellings_in_one_folder_stay_two() -> None:
    one, other = Path("/m/my model.gguf"), Path("/m/my-model.gguf")
    names = distinct_names([one, other])
    assert len(set(names.values())) == 2
    assert all(NAME.fullmatch(name) for name in names.values())


def test_names_in_chinese_are_two_and_not_too_long() -> None:
    stems = ("模型", "大模型", "模型-7b", "型号-7b", "長" * 80, "x" * 250, "x" * 249)
    files = [Path(f"/m/{text}.gguf") for text in stems]
    names = list(distinct_names(files).values())
    assert len(set(names)) == len(files)
    assert "model" not in names
    assert all(NAME.fullmatch(name) and len(name) <= LONGEST_NAME for name in names)
    assert [name_of_file(file) for file in files] == names, "the same wherever the file lies"
