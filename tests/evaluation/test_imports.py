"""Evaluation works on other tools' numbers alone: no torch, no database, no web."""

import subprocess
import sys


def test_importing_evaluation_imports_no_torch():
    code = (
        "import sys, accord.evaluation; "
        "print({'torch', 'transformers', 'sqlalchemy', 'fastapi'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
