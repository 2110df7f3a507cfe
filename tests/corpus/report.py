#!/usr/bin/python3
"""Puts the corpus of SMTP replies to `rollcall explain` and says how often it was right, half by half.

    report.py ROLLCALL [--require HALF[,HALF]] [--misses]

--require: exit status 1 where that half (known, heldout) misses a bar: a reply that is not the recipient's fault, or a full box,
called invalid; fewer than 97% of the recipient's faults found; with heldout also where fewer than half of the replies, or of 400, are held
out. --misses lists the replies of the known half that came out otherwise;
those of the held-out half are never shown. A corpus file that is not in order is exit status 2. The format is in README.md.
"""
import argparse
import collections
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
HALVES = ("known", "heldout")
STAGES = ("connect", "ehlo", "mail", "rcpt")
FAULTS = ("none", "recipient", "domain", "sender", "temporary", "unclear")
CATEGORIES = ("accepted", "forwarded", "mailbox_not_found", "mailbox_disabled", "mailbox_full", "name_not_allowed", "not_local",
              "greylisted", "rate_limited", "ip_blocked", "policy", "auth_required", "cannot_verify", "too_many_recipients",
              "service_unavailable", "temporary", "routing", "protocol", "unclear")
BAR = 97.0  # percent of the recipient's faults
REPLIES_MIN = 400


class Line:
    """One reply with what it ought to be called; `faults` and `categories` are the names that are right, the likeliest first."""

    def __init__(self, place, columns):
        self.place = place
        self.stage, self.provider, faults, categories, self.source, self.reply = columns
        self.faults, self.categories = faults.split("|"), categories.split("|")
        self.found = None

    def full_box(self):
        return self.categories == ["mailbox_full"]

    def recipients(self):
        """It is the recipient's fault and nothing else can be meant."""
        return self.faults == ["recipient"] or self.full_box()

    def innocent(self):
        """It is ours, nobody's or for now nobody's, or a full box: nobody may conclude from it that the address is invalid."""
        return self.full_box() or not {"recipient", "domain", "unclear"} & set(self.faults)

    def ambiguous(self):
        """A person could not tell either. Called invalid where the code alone says so, as a 550 without a word that decides does."""
        return "unclear" in self.faults and not {"recipient", "domain"} & set(self.faults)

    def called_invalid(self):
        return self.found["status"] == "invalid"

    def recognised(self):
        if self.full_box():
            return self.found["category"] == "mailbox_full"
        return self.found["fault"] == "recipient" and self.called_invalid()

    def right(self):
        return self.found["fault"] in self.faults and self.found["category"] in self.categories


def wrong(place, text):
    print(f"{place}: {text}", file=sys.stderr)
    sys.exit(2)


def read_file(path, providers, seen):
    lines = []
    with open(path, encoding="utf-8") as f:
        for number, text in enumerate(f, 1):
            place, text = f"{os.path.relpath(path)}:{number}", text.rstrip("\n")
            if not text or text.startswith("#"):
                continue
            columns = text.split("\t")
            if len(columns) != 6 or not all(columns):
                wrong(place, "six columns are needed: stage, provider, fault, category, source, reply")
            line = Line(place, columns)
            for names, allowed in ((line.faults, FAULTS), (line.categories, CATEGORIES), ([line.stage], STAGES),
                                   ([line.provider], providers)):
                for name in names:
                    if name not in allowed:
                        wrong(place, f"`{name}` is none of {', '.join(sorted(allowed))}")
            key = (line.stage, line.provider, line.reply)
            if key in seen:
                wrong(place, f"stands at {seen[key]} already")
            seen[key] = place
            lines.append(line)
    return lines


def read_half(half, providers):
    """Its lines by file."""
    directory, seen = os.path.join(HERE, half), {}
    return {name: read_file(os.path.join(directory, name), providers, seen)
            for name in sorted(os.listdir(directory) if os.path.isdir(directory) else ()) if name.endswith(".tsv")}


def provider_names():
    with open(os.path.join(HERE, "..", "..", "data", "providers"), encoding="utf-8") as f:
        return {line.strip()[1:-1] for line in f if line.startswith("[") and line.strip() != "[default]"} | {"-"}


def classify(rollcall, lines):
    groups = collections.defaultdict(list)
    for line in lines:
        groups[line.stage, line.provider].append(line)
    for (stage, provider), group in groups.items():
        command = [rollcall, "explain", "--stage", stage] + ([] if provider == "-" else ["--provider", provider])
        r = subprocess.run(command, input="".join(line.reply + "\n" for line in group), capture_output=True, text=True, timeout=60)
        answers = [json.loads(answer) for answer in r.stdout.splitlines()]
        if r.returncode != 0 or len(answers) != len(group):
            wrong(" ".join(command), f"exit status {r.returncode}, {len(answers)} answers for {len(group)} replies; {r.stderr.strip()}")
        for line, answer in zip(group, answers):
            line.found = answer


def percent(part, whole):
    return 100.0 * part / whole if whole else 100.0


def table(rows):
    """Columns as wide as they must be, the first to the left."""
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  " + "  ".join(str(cell).ljust(w) if i == 0 else str(cell).rjust(w)
                               for i, (cell, w) in enumerate(zip(row, widths))).rstrip())


def show_matrix(lines):
    counts = collections.Counter((line.faults[0], line.found["fault"]) for line in lines)
    table([["expected fault, found:", *FAULTS]] +
          [[fault] + [counts[fault, found] or "." for found in FAULTS] for fault in FAULTS])


def show_providers(lines):
    by_provider = collections.defaultdict(list)
    for line in lines:
        by_provider["(none named)" if line.provider == "-" else line.provider].append(line)
    rows = [["provider", "replies", "as expected", "recipient's", "found", "innocent", "called invalid"]]
    for provider, group in sorted(by_provider.items()):
        recipients, innocent = [x for x in group if x.recipients()], [x for x in group if x.innocent()]
        rows.append([provider, len(group), sum(x.right() for x in group), len(recipients), sum(x.recognised() for x in recipients),
                     len(innocent), sum(x.called_invalid() for x in innocent)])
    table(rows)
    confused = collections.Counter()
    for line in lines:
        if not line.right():
            confused[line.provider, f"{line.faults[0]}/{line.categories[0]}",
                     f"{line.found['fault']}/{line.found['category']}"] += 1
    print(f"  confused: {sum(confused.values())}" + (" (provider: expected -> found, how often)" if confused else ""))
    for (provider, expected, found), n in sorted(confused.items()):
        print(f"    {provider}: {expected} -> {found}  {n}")


def judge(half, files, misses):
    """Prints what became of one half; the bars it misses, as sentences."""
    lines = [line for group in files.values() for line in group]
    print(f"\n{half}: {len(lines)} replies from {len({x.source for x in lines})} sources in {len(files)} files")
    show_matrix(lines)
    show_providers(lines)
    if misses and half == "known":
        for line in lines:
            if not line.right():
                print(f"    {line.place}: {'|'.join(line.faults)}/{'|'.join(line.categories)}, found {line.found['fault']}/"
                      f"{line.found['category']} by {line.found['rule']}: {line.reply}")
    recipients, innocent = [x for x in lines if x.recipients()], [x for x in lines if x.innocent()]
    found, invalid = sum(x.recognised() for x in recipients), [x for x in innocent if x.called_invalid()]
    ambiguous = [x for x in lines if x.ambiguous()]
    print(f"  {found} of {len(recipients)} recipient's faults found: {percent(found, len(recipients)):.1f}% (bar {BAR:.0f}%); "
          f"{len(invalid)} of {len(innocent)} innocent replies called invalid (bar 0), and "
          f"{sum(x.called_invalid() for x in ambiguous)} of {len(ambiguous)} that nobody could be sure of; "
          f"as expected in fault and category {percent(sum(x.right() for x in lines), len(lines)):.1f}%")
    missed = []
    if not lines:
        missed.append(f"{half}: no replies")
    if invalid:
        missed.append(f"{half}: {len(invalid)} replies that are no fault of the recipient, or a full box, are called invalid")
    if percent(found, len(recipients)) < BAR:
        missed.append(f"{half}: {percent(found, len(recipients)):.1f}% of the recipient's faults found, {BAR:.0f}% is the bar")
    return missed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("rollcall")
    parser.add_argument("--require", default="", metavar="HALF[,HALF]")
    parser.add_argument("--misses", action="store_true")
    options = parser.parse_args()
    required = [half for half in options.require.split(",") if half]
    if set(required) - set(HALVES):
        parser.error(f"--require takes {', '.join(HALVES)}")
    providers, missed, replies = provider_names(), [], {}
    for half in HALVES:
        files = read_half(half, providers)
        replies[half] = {line.reply.lower() for group in files.values() for line in group}
        classify(options.rollcall, [line for group in files.values() for line in group])
        missed += [sentence for sentence in judge(half, files, options.misses) if half in required]
    print(f"\nin both halves word for word, by two sources: {len(replies['known'] & replies['heldout'])} replies")
    held_out, known = len(replies["heldout"]), len(replies["known"])
    if "heldout" in required and held_out < max(known, REPLIES_MIN / 2):
        missed.append(f"{held_out} different replies are held out, {known} are not: half of them, and of {REPLIES_MIN}, must be")
    for sentence in missed:
        print(f"MISSED {sentence}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
