#!/usr/bin/python3
"""Fetches what the end-to-end tests run besides Debian's installed packages, once a checkout: they themselves need no network."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import exim, kafka, opensmtpd, postfix, postgrey  # noqa: E402

for server in (kafka.jars, postfix.unpack, postgrey.unpack, exim.unpack, opensmtpd.unpack):
    server()
