"""What servers are on record to have said, put to `rollcall explain`: the tables of tests/corpus, on the screen."""
import subprocess
import sys

from support.process import BIN, ROOT


def test_the_corpus_of_replies(show):
    r = subprocess.run([sys.executable, "-B", f"{ROOT}/tests/corpus/report.py", f"{BIN}/rollcall"], capture_output=True, text=True)
    show(r.stdout)
    assert r.returncode == 0, r.stderr  # the bars themselves are held in the build tree, by the CTest corpus.replies
    assert "replies from" in r.stdout
