"""`python bare_machine.py ARGUMENTS` runs pipelines.training.run.

As on a machine where little is installed: other packages are not found.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder

_MISSING = {
    *("ray", "apache_beam", "click", "rich", "av", "pyarrow", "duckdb", "fsspec", "diffusers"),
    *("safetensors", "mujoco", "pandas", "pydantic", "gcsfs", "jaxtyping", "pytest"),
}


class _FewPackages(PathFinder):
    """Finds what is installed, but for the names above."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: object = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in _MISSING:
            return None
        return super().find_spec(fullname, path, target)  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.meta_path = [_FewPackages if f is PathFinder else f for f in sys.meta_path]

    from pipelines.training.run import main

    code = main()
    found = _MISSING & {name.partition(".")[0] for name in sys.modules}
    sys.exit(f"imported {found}" if found else code)
