"""Reports of AddressSanitizer and its kin, where the programs under test are built with them: each process writes its own file."""
import glob
import os

from .process import ROOT, WORK

DIRECTORY = os.path.join(WORK, "sanitizer")


def begin():
    """Tells every program of this run where to report; what earlier runs left goes."""
    os.makedirs(DIRECTORY, exist_ok=True)
    os.chmod(WORK, 0o755)
    os.chmod(DIRECTORY, 0o777)  # programs that have given up root report too
    for path in glob.glob(f"{DIRECTORY}/*"):
        os.unlink(path)
    for variable, more in (("ASAN_OPTIONS", "detect_leaks=1"), ("UBSAN_OPTIONS", "print_stacktrace=1"),
                           ("TSAN_OPTIONS", f"suppressions={ROOT}/tests/tsan/suppressions")):
        os.environ[variable] = f"{more}:log_path={DIRECTORY}/{variable[:4].lower()}"


def reports():
    """[(path, its beginning)] of what was reported so far."""
    found = []
    for path in sorted(glob.glob(f"{DIRECTORY}/*")):
        with open(path, errors="replace") as f:
            found.append((path, f.read(6000)))
    return found
