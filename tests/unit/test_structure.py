"""Every module has a test file of its name, in the same folder below tests/unit or tests/component."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT / "operator/src", ROOT / "crds/src", ROOT / "trainer-image/src")
PACKAGES = ("tweetmodel_operator", "tweetmodel_api", "tweetmodel_trainer")
WITHOUT_TESTS = {"__init__", "__main__", "limits", "silence"}
"""Modules without behavior: names, versions, limits and log levels."""
OF_PACKAGES = {
    "test_any_model",
    "test_damaged_files",
    "test_decide",
    "test_faulty_storage",
    "test_imports",
    "test_main",
    "test_random_walks",
    "test_survival",
}
"""Test files of a whole package."""
MODULES = sorted(
    module.relative_to(source)
    for source in SOURCES
    for module in source.rglob("*.py")
    if module.stem not in WITHOUT_TESTS
)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_has_a_test_file(module: Path) -> None:
    names = [ROOT / "tests" / kind / module.parent / f"test_{module.name}" for kind in ("unit", "component")]
    assert any(name.exists() for name in names)


@pytest.mark.parametrize("kind", ["unit", "component"])
@pytest.mark.parametrize("package", PACKAGES)
def test_a_test_file_has_the_name_of_a_module_or_tests_a_whole_package(kind: str, package: str) -> None:
    modules = {module.parent / f"test_{module.name}" for module in MODULES}
    tests = (ROOT / "tests" / kind).glob(f"{package}/**/test_*.py")
    found = {test.relative_to(ROOT / "tests" / kind) for test in tests if test.stem not in OF_PACKAGES}
    assert found <= modules
