"""What the API takes, what it refuses and with which words, and that a refused list leaves nothing behind."""
import csv
import gzip
import io
import json
import os
import shutil
import socket

import pytest
import requests
from support.fleet import Fleet, lanes
from support.process import WORK, wait_until

BIG = 64 * 1024 * 1024


@pytest.fixture(scope="module")
def fleet():
    """One fleet for all of them. Its resolver answers nobody: what is decided here needs no network."""
    directory = os.path.join(WORK, "upload")
    shutil.rmtree(directory, ignore_errors=True)
    fleet = Fleet(directory, LANES=lanes(1), UNSAFE_LANES="on", ALLOW_TARGETS="127.0.0.0/8", DNS="127.0.0.1:9")
    fleet.start()
    yield fleet
    fleet.stop()
    shutil.rmtree(directory, ignore_errors=True)


def call(fleet, method, path, **more):
    headers = {"Authorization": "Bearer " + fleet.key, **more.pop("headers", {})}
    return requests.request(method, fleet.url + path, headers=headers, timeout=120, **more)


def upload(fleet, data, query="", **headers):
    return call(fleet, "POST", "/v1/jobs" + query, data=data, headers=headers)


def traces(fleet):
    """What uploads leave: jobs, chunks and tables."""
    with fleet.database() as c, c.cursor() as cur:
        cur.execute("SELECT (SELECT count(*) FROM job), (SELECT count(*) FROM input_chunk), "
                    "(SELECT count(*) FROM pg_class WHERE relname LIKE 'stage!_%' ESCAPE '!')")
        return cur.fetchone()


def results(fleet, data, query="", results_query="", **headers):
    """Uploads what needs no network, waits for its end, returns the download's text."""
    r = upload(fleet, data, query, **headers)
    assert r.status_code == 201, r.text
    path = "/v1/jobs/" + r.json()["id"]
    assert r.headers["Location"] == path
    job = wait_until("the job to end", lambda: (j := call(fleet, "GET", path).json())["state"] == "done" and j, 60)
    assert job["done"] == job["rows"]
    r = call(fleet, "GET", path + "/results" + results_query)
    assert r.status_code == 200
    return r.content.decode()


def table(text, delimiter=","):
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))


# name: body, query, in the sentence, record, column
REFUSED = {
    "empty": (b"", "", "empty", None, None),
    "only a BOM": (b"\xef\xbb\xbf", "", "empty", None, None),
    "header only": (b"name,email\n", "", "header and no rows", None, None),
    "missing column": (b"a,b\n1@x.test,2\n", "?column=zip", 'no column "zip"', 1, None),
    "no addresses": (b"a,b\n1,2\n", "", "no column holds addresses", 1, None),
    "a tie": (b"a,b\n1@x.test,2@x.test\n", "", "more than one column", 1, None),
    "not UTF-8": (b"name,email\nAnna,a@x.test\nJ\xf6rg,b@x.test\n", "", "not UTF-8", 3, 1),
    "UTF-16": ("email\na@x.test\n".encode("utf-16"), "", "UTF-16", 1, 1),
    "a NUL": (b"name,email\nA,a@x\0.test\n", "", "NUL", 2, 2),
    "unclosed quote": (b'name,email\nA,a@x.test\n"B,b@x.test\nC,c@x.test\n', "", "never closed", 3, 1),
    "quote inside a cell": (b'name,email\nA "B" C,a@x.test\n', "", "quote", 2, 1),
    "2 MB line": (b"email\na@x.test\n" + b"x" * 2000000 + b"\n", "", "1 MiB", 3, 1),
    "xlsx": (b"PK\x03\x04" + bytes(200), "", "save the sheet as CSV", 1, 1),
    "broken JSON": (b'{"email":"a@x.test"}\n{"email":\n', "", "not JSON", 2, 9),
    "broken gzip": (gzip.compress(b"email\na@x.test\n")[:-6], "", "ends in its middle", None, None),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_its_place_and_nothing_left(fleet, name):
    body, query, says, record, column = REFUSED[name]
    before = traces(fleet)
    r = upload(fleet, body, query)
    assert r.status_code == 400, r.text
    assert r.headers["Content-Type"] == "application/problem+json"
    problem = r.json()
    assert says in problem["detail"], problem
    assert (problem.get("record"), problem.get("column")) == (record, column), problem
    assert problem["status"] == 400 and problem["title"] and problem["type"].startswith("urn:rollcall:problem:")
    assert traces(fleet) == before


@pytest.mark.parametrize("mib", [20, 200])
def test_a_large_list_refused_at_its_third_record(fleet, mib):
    """Curl sees why, however much it still had to send; at most 64 MiB are taken in after the refusal."""
    before = traces(fleet)
    host, port = fleet.url.split("//")[1].split(":")
    with socket.create_connection((host, int(port))) as s:
        s.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + fleet.key.encode() +
                  b"\r\nContent-Length: %d\r\n\r\n" % (mib << 20))
        s.sendall(b"email\na@x.test\n\xff\n")
        sent, answer = 0, b""
        block = b"someone@x.test\n" * 4096
        s.setblocking(False)
        while sent < (mib << 20) and not answer:
            try:
                sent += s.send(block)
            except BlockingIOError:
                pass
            try:
                answer = s.recv(65536)
            except BlockingIOError:
                pass
        if not answer:
            s.setblocking(True)
            answer = s.recv(65536)
    assert b" 400 " in answer.split(b"\r\n")[0] and b"not UTF-8" in answer
    assert sent <= BIG + (16 << 20)  # and what socket buffers hold
    assert traces(fleet) == before


def test_a_broken_off_upload_leaves_nothing(fleet):
    before = traces(fleet)
    host, port = fleet.url.split("//")[1].split(":")
    with socket.create_connection((host, int(port))) as s:
        s.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + fleet.key.encode() +
                  b"\r\nContent-Length: 1000000\r\n\r\nemail\n" + b"a@x.test\n" * 5000)

    def quiet():
        with fleet.database() as c, c.cursor() as cur:
            cur.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rollcall-http' AND state LIKE 'idle in%'")
            return cur.fetchone()[0] == 0
    wait_until("the transaction to be rolled back", quiet, 30)
    assert traces(fleet) == before


# What is taken: body, columns of the download, its first column's cells
TAKEN = {
    "CRLF": (b"email\r\nx\r\ny\r\n", ["x", "y"]),
    "lone CR": (b"email\rx\ry\r", ["x", "y"]),
    "a BOM": (b"\xef\xbb\xbfemail\nx\n", ["x"]),
    "no line end": (b"email\nx", ["x"]),
    "empty lines": (b"email\nx\n\n\ny\n", ["x", "", "", "y"]),
    "1 MB line": (b"email\n" + b"x" * 1000000 + b"\n", ["x" * 1000000]),
    "gzip": (gzip.compress(b"email\nx\ny\n"), ["x", "y"]),
    "NDJSON": (b'{"email":"x"}\n{"email":null}\n', ["x", ""]),
}


@pytest.mark.parametrize("name", TAKEN)
def test_taken_as_users_expect(fleet, name):
    body, cells = TAKEN[name]
    csv.field_size_limit(2000000)
    got = table(results(fleet, body))
    assert [row["email"] for row in got] == cells
    for row in got:
        assert row["rollcall_reason"] == ("bad_syntax" if row["email"] else "blank")
        assert row["rollcall_status"] == ("invalid" if row["email"] else "skipped")


def test_rows_that_are_no_addresses(fleet):
    body = ('name,email,note\nA,nobody,1\n"B, the 2nd",Anna <anna@gmail.com>,2\nC,mailto:anna@gmail.com,3\n\nE,  ,5\n'
            '=1+A1,a@b@c,+49 40 1\n').encode()
    text = results(fleet, body)
    header = text.split("\n")[0].split(",")
    assert header[:3] == ["name", "email", "note"]
    assert header[3:] == ["rollcall_" + n for n in (
        "status grade score reason smtp_code enhanced_code provider mx role disposable free did_you_mean attempts lane checked_at "
        "catch_all review domain_risk score_basis rules").split()]
    got = table(text)
    assert [r["rollcall_reason"] for r in got] == ["bad_syntax", "bad_syntax", "bad_syntax", "blank", "blank", "bad_syntax"]
    assert [r["rollcall_did_you_mean"] for r in got][1:3] == ["anna@gmail.com"] * 2
    assert [r["name"] for r in got] == ["A", "B, the 2nd", "C", "", "E", "'=1+A1"]
    assert got[5]["note"] == "+49 40 1"
    assert all(r["rollcall_score"] == "" for r in got if r["rollcall_status"] == "skipped")
    raw = table(results(fleet, body, results_query="?raw=true"))
    assert raw[5]["name"] == "=1+A1"


def test_semicolons_and_replaced_columns(fleet):
    text = results(fleet, b"name;rollcall_status;email\nA, B;old;x\n")
    assert text.startswith("name;email;rollcall_status;")
    row = table(text, ";")[0]
    assert row["name"] == "A, B" and row["rollcall_status"] == "invalid"


def test_ndjson_keeps_members(fleet):
    lines = results(fleet, b'{"id": 1.50, "email":"x", "n":{"a":[1]}}\n\n', results_query="?format=ndjson").splitlines()
    assert lines[0].startswith('{"id": 1.50, "email":"x", "n":{"a":[1]},"rollcall":{')
    assert json.loads(lines[0])["rollcall"]["reason"] == "bad_syntax"
    assert json.loads(lines[1])["rollcall"]["reason"] == "blank"


def test_filters(fleet):
    body = b"email\nx\n\ny\n"
    assert len(table(results(fleet, body, results_query="?status=invalid"))) == 2
    assert len(table(results(fleet, body, results_query="?grade=unknown,valid"))) == 1
    assert len(table(results(fleet, body, results_query="?review=true"))) == 0


def test_idempotency(fleet):
    first = upload(fleet, b"email\nx\n", **{"Idempotency-Key": "k1"})
    again = upload(fleet, b"email\nx\n", **{"Idempotency-Key": "k1"})
    other = upload(fleet, b"email\ny\n", **{"Idempotency-Key": "k1"})
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 422)
    assert first.json()["id"] == again.json()["id"]


def test_verify_one_address(fleet):
    r = call(fleet, "POST", "/v1/verify?wait=30", json={"email": "nobody at all"})
    assert r.status_code == 200, r.text
    assert r.json()["rollcall"]["reason"] == "bad_syntax" and r.json()["final"] is True
    assert call(fleet, "POST", "/v1/verify", json={"mail": "x"}).status_code == 400
    assert call(fleet, "POST", "/v1/verify", data=b"{").status_code == 400


def test_the_edges_of_the_api(fleet):
    assert call(fleet, "GET", "/v1/nothing").status_code == 404
    assert call(fleet, "GET", "/v1/jobs/abc").status_code == 404
    r = call(fleet, "PUT", "/v1/jobs")
    assert r.status_code == 405 and set(r.headers["Allow"].split(", ")) == {"GET", "POST"}
    r = call(fleet, "GET", "/v1/jobs?nonsense=1")
    assert r.status_code == 400 and "nonsense" in r.json()["detail"]
    assert requests.get(fleet.url + "/v1/jobs").status_code == 401
    assert requests.get(fleet.url + "/v1/jobs", headers={"Authorization": "Bearer rc_" + "x" * 40}).status_code == 401
    assert requests.get(fleet.url + "/healthz").status_code == 200
    assert requests.get(fleet.url + "/openapi.yaml").text.startswith("openapi: 3.1")


def test_another_job_can_be_deleted(fleet):
    before = traces(fleet)
    r = upload(fleet, b"email\nx\n")
    path = "/v1/jobs/" + r.json()["id"]
    wait_until("the job to end", lambda: call(fleet, "GET", path).json()["state"] == "done", 60)
    assert call(fleet, "DELETE", path).status_code == 204
    assert call(fleet, "GET", path).status_code == 404
    assert traces(fleet) == before


def test_half_a_download_does_not_look_like_a_whole_one(fleet):
    body = b"email,pad\n" + b"".join(b"x%d,%s\n" % (i, b"y" * 500) for i in range(50000))
    path = "/v1/jobs/" + upload(fleet, body).json()["id"]
    wait_until("the job to end", lambda: call(fleet, "GET", path).json()["state"] == "done", 60)
    r = call(fleet, "GET", path + "/results", stream=True)
    assert call(fleet, "DELETE", path).status_code == 204
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        for _ in r.iter_content(1 << 16):
            pass


def test_memory_stays_flat_while_five_million_rows_come_in(fleet):
    pid = fleet.pids("coordinator")[0]

    def peak_mib():
        with open(f"/proc/{pid}/status") as f:
            return int(next(line for line in f if line.startswith("VmHWM")).split()[1]) / 1024

    def body():
        yield b"id,email\n"
        for i in range(0, 5000000, 1000):
            yield b"".join(b"%d,user%d@domain%d.example\n" % (n, n, n % 100000) for n in range(i, i + 1000))
    r = call(fleet, "POST", "/v1/jobs?name=large", data=body())
    assert r.status_code == 201, r.text
    assert r.json()["rows"] == 5000000
    peak = peak_mib()
    print(f"coordinator's peak: {peak:.1f} MiB")
    assert peak < 128
    call(fleet, "POST", f"/v1/jobs/{r.json()['id']}/cancel")
    assert call(fleet, "DELETE", f"/v1/jobs/{r.json()['id']}").status_code == 204
