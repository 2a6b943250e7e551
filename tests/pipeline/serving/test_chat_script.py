"""The chat page's module under node, where there is one."""

import shutil
import subprocess
from pathlib import Path

import pytest

NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_module_of_the_chat_page():
    tests = sorted(str(one) for one in (Path(__file__).parent / "page").glob("*.test.mjs"))
    assert tests
    done = subprocess.run([str(NODE), "--test", *tests], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
