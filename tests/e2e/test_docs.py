"""Docs that are made from the programs say what the programs say."""
import os
import subprocess

from support.process import BIN, ROOT


def test_configuration_is_what_the_programs_say():
    r = subprocess.run([f"{ROOT}/tools/docs", "--check"], capture_output=True, text=True)
    assert r.returncode == 0, r.stdout + r.stderr


def test_every_program_tells_its_version():
    for program in sorted(os.listdir(BIN)):
        if program.startswith("rollcall") or program == "mailworld":
            r = subprocess.run([f"{BIN}/{program}", "--version"], capture_output=True, text=True, timeout=30)
            assert r.returncode == 0 and r.stdout.strip(), program
