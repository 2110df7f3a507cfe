"""The clients of `rollcall` against a server that does as it is told: requests, output, exit statuses."""
import http.server
import json
import os
import signal
import socketserver
import subprocess
import threading
import urllib.parse

import pytest
from support.process import BIN, wait_until

JOB = {"id": "j1", "name": "list.csv", "state": "running", "rows": 4, "done": 2, "blank": 0, "duplicates": 0,
       "created_at": "2026-11-24T01:00:00.000Z", "finished_at": None, "rate": 1234, "eta_s": 75,
       "counts": {"status": {"valid": 2}, "reason": {"mailbox_accepted": 2}},
       "waiting": {"rows": 1, "until": "2026-11-24T01:05:30.000Z"}, "error": None}
DONE = dict(JOB, state="done", done=4, waiting=None, eta_s=None, counts={"status": {"valid": 3, "unknown": 1}, "reason": {}})
CSV = "email,rollcall_status\r\na@b.test,valid\r\n"
ROW = {"row": 1, "email": "a@b.test", "final": True, "next_attempt_at": None,
       "rollcall": {"status": "valid", "grade": "valid", "score": 97, "reason": "mailbox_accepted", "role": False,
                    "docs": "/docs/reasons/mailbox_accepted"},
       "attempts": [{"attempt": 1, "at": "2026-11-24T01:00:00.000Z", "lane": "main", "source_ip": "192.0.2.1", "helo": "h.test",
                     "mail_from": "verify@h.test", "mx": "mx.b.test", "mx_address": "192.0.2.2", "outcome": "accepted",
                     "conversation": [{"who": "S", "text": "220 hi \x1b[31mred"}, {"who": "C", "text": "RCPT TO:<a@b.test>"},
                                      {"who": "S", "text": "250 2.1.5 Ok"}, {"who": "note", "text": "random control refused"}]}]}


class Server:
    """`plan`: (method, path without query) -> list of answers, the last one repeated: (status, body) or a function of the request."""

    def __init__(self, plan, unix=None):
        self.plan, self.requests = plan, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                url = urllib.parse.urlsplit(self.path)
                if self.headers.get("Transfer-Encoding") == "chunked":
                    body = b""
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                else:
                    body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.requests.append((self.command, url.path, urllib.parse.parse_qs(url.query), dict(self.headers), body))
                answers = outer.plan.get((self.command, url.path), [(404, {"title": "Not Found", "detail": "no such job"})])
                status, text = answers.pop(0) if len(answers) > 1 else answers[0]
                if status == "cut":  # promises more than it sends
                    self.send_response(200)
                    self.send_header("Content-Length", "100000")
                    self.end_headers()
                    self.wfile.write(text.encode())
                    self.close_connection = True
                    return
                data = (json.dumps(text) if not isinstance(text, str) else text).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/problem+json" if status >= 400 else "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = answer

            def address_string(self):
                return "client"

            def log_message(self, *args):
                pass

        if unix:
            class Unix(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
                daemon_threads = True
            self.server, self.url = Unix(unix, Handler), "unix:" + unix
        else:
            self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def asked(self, method, path):
        return [r for r in self.requests if r[:2] == (method, path)]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def serve(request):
    def make(plan, **more):
        server = Server(plan, **more)
        request.addfinalizer(server.stop)
        return server
    return make


def environment(server=None, **env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ROLLCALL_")}
    if server:
        clean.update(ROLLCALL_URL=server.url, ROLLCALL_KEY="rc_secret")
    return {**clean, **env}


def cli(server, *args, stdin="", **env):
    return subprocess.run([f"{BIN}/rollcall", *args], env=environment(server, **env), input=stdin, capture_output=True, text=True,
                          timeout=60)


def whole_job(**more):
    return {("POST", "/v1/jobs"): [(201, JOB)], ("GET", "/v1/jobs/j1"): [(200, JOB), (200, DONE)],
            ("GET", "/v1/jobs/j1/results"): [(200, CSV)], **more}


@pytest.fixture
def listed(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("email\na@b.test\n")
    return str(path)


def test_verify_uploads_watches_and_downloads(serve, listed, tmp_path):
    server = serve(whole_job())
    out = str(tmp_path / "out.csv")
    r = cli(server, "verify", listed, "-o", out, "--column", "e mail", "--status", "valid,catch_all")
    assert r.returncode == 0, r.stderr
    assert r.stdout == "" and open(out, newline="").read() == CSV
    assert os.listdir(tmp_path).count("out.csv") == 1 and len(os.listdir(tmp_path)) == 2, "no temporary file stays"
    (_, _, query, headers, body), = server.asked("POST", "/v1/jobs")
    assert body == b"email\na@b.test\n" and query == {"name": ["list.csv"], "column": ["e mail"]}
    assert headers["Authorization"] == "Bearer rc_secret" and len(headers["Idempotency-Key"]) >= 32
    assert headers["Content-Type"] == "text/csv"
    (_, _, query, _, _), = server.asked("GET", "/v1/jobs/j1/results")
    assert query == {"format": ["csv"], "status": ["valid,catch_all"]}
    assert "2 of 4 rows" in r.stderr and "1,234/s" in r.stderr and "1:15 left" in r.stderr and "1 wait for a retry" in r.stderr
    assert "4 rows in" in r.stderr and "job j1" in r.stderr


def test_verify_of_standard_input_to_standard_output(serve):
    server = serve(whole_job())
    r = cli(server, "verify", "-", "--json", stdin="a@b.test\n" * 1000)
    assert r.returncode == 0 and r.stdout == CSV.replace("\r\n", "\n")
    assert server.asked("POST", "/v1/jobs")[0][4] == b"a@b.test\n" * 1000
    assert server.asked("GET", "/v1/jobs/j1/results")[0][2] == {"format": ["ndjson"]}


def test_over_a_unix_socket(serve, listed, work):
    server = serve(whole_job(), unix=f"{work}/s")
    assert cli(server, "verify", listed).returncode == 0


def test_a_refused_list_is_one_sentence(serve, listed):
    problem = {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "a quote is never closed", "row": 7, "column": 2}
    r = cli(serve({("POST", "/v1/jobs"): [(400, problem)]}), "verify", listed)
    assert r.returncode == 2 and r.stdout == ""
    assert r.stderr == "rollcall: a quote is never closed (record 7, column 2)\n"


@pytest.mark.parametrize("state, error", [("failed", "the list was lost"), ("cancelled", None)])
def test_a_job_that_does_not_end_well(serve, listed, state, error):
    r = cli(serve(whole_job(**{}) | {("GET", "/v1/jobs/j1"): [(200, dict(JOB, state=state, error=error))]}), "verify", listed)
    assert r.returncode == 1 and state in r.stderr and (error or "") in r.stderr


def test_a_server_that_goes_and_comes_back(serve, listed):
    away = (503, {"title": "Service Unavailable", "detail": "the database does not answer"})
    server = serve(whole_job() | {("GET", "/v1/jobs/j1"): [(200, JOB), away, away, (200, DONE)]})
    r = cli(server, "verify", listed)
    assert r.returncode == 0 and r.stderr.count("the database does not answer; trying again") == 1


def test_a_broken_download_is_begun_anew(serve, listed, tmp_path):
    server = serve(whole_job() | {("GET", "/v1/jobs/j1/results"): [("cut", "half"), (200, CSV)]})
    out = str(tmp_path / "out.csv")
    assert cli(server, "verify", listed, "-o", out).returncode == 0
    assert open(out, newline="").read() == CSV


def test_a_broken_download_leaves_the_old_file(serve, listed, tmp_path):
    server = serve(whole_job() | {("GET", "/v1/jobs/j1/results"): [("cut", "half")]})
    out = tmp_path / "out.csv"
    out.write_text("old")
    r = cli(server, "verify", listed, "-o", str(out))
    assert r.returncode == 3 and out.read_text() == "old" and len(os.listdir(tmp_path)) == 2, r.stderr


def test_ctrl_c_says_how_to_come_back(serve, listed):
    server = serve(whole_job() | {("GET", "/v1/jobs/j1"): [(200, JOB)]})
    p = subprocess.Popen([f"{BIN}/rollcall", "verify", listed], env=environment(server), stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    wait_until("the job to be watched", lambda: len(server.asked("GET", "/v1/jobs/j1")) > 1, 20)
    p.send_signal(signal.SIGINT)
    out, said = p.communicate(timeout=20)
    assert p.returncode == 130 and "rollcall jobs resume j1" in said and out == ""
    assert not server.asked("POST", "/v1/jobs/j1/cancel")


def test_resume_lets_a_paused_job_go_on(serve, tmp_path):
    server = serve(whole_job() | {("GET", "/v1/jobs/j1"): [(200, dict(JOB, state="paused")), (200, JOB), (200, DONE)],
                                  ("POST", "/v1/jobs/j1/resume"): [(200, JOB)]})
    r = cli(server, "jobs", "resume", "j1")
    assert r.returncode == 0 and r.stdout == CSV.replace("\r\n", "\n") and server.asked("POST", "/v1/jobs/j1/resume")


def test_jobs_list_show_cancel(serve):
    server = serve({("GET", "/v1/jobs"): [(200, {"jobs": [JOB], "next": "c 2"}), (200, {"jobs": [DONE], "next": None})],
                    ("GET", "/v1/jobs/j1"): [(200, DONE)], ("POST", "/v1/jobs/j1/cancel"): [(200, dict(JOB, state="cancelled"))]})
    r = cli(server, "jobs", "list")
    assert r.returncode == 0 and len(r.stdout.splitlines()) == 3 and "running" in r.stdout and "done" in r.stdout
    assert server.asked("GET", "/v1/jobs")[1][2] == {"cursor": ["c 2"]}
    assert "unknown" in cli(server, "jobs", "show", "j1").stdout
    assert json.loads(cli(server, "jobs", "show", "j1", "--json").stdout)["state"] == "done"
    assert "cancelled" in cli(server, "jobs", "cancel", "j1").stdout
    gone = cli(server, "jobs", "show", "j2")
    assert gone.returncode == 2 and gone.stderr == "rollcall: no such job\n"


def test_check_shows_the_conversation_and_no_escape_of_a_server(serve):
    waiting = dict(ROW, final=False, rollcall={}, next_attempt_at="2026-11-24T01:05:30.000Z")
    server = serve({("POST", "/v1/verify"): [(202, {"job": "j1", "row": 1, "location": "/v1/jobs/j1/rows/1"})],
                    ("GET", "/v1/jobs/j1/rows/1"): [(200, waiting), (200, ROW)]})
    r = cli(server, "check", "a@b.test")
    assert r.returncode == 0, r.stderr
    assert json.loads(server.asked("POST", "/v1/verify")[0][4]) == {"email": "a@b.test"}
    assert "a@b.test: valid, grade valid, score 97" in r.stdout and "refuses one that nobody has" in r.stdout
    assert f"more: {server.url}/docs/reasons/mailbox_accepted\n" in r.stdout
    assert "S: 250 2.1.5 Ok   [yes]" in r.stdout and "C: RCPT TO:<a@b.test>" in r.stdout and "-- random control refused" in r.stdout
    assert "\x1b" not in r.stdout and "\\x1b[31mred" in r.stdout
    assert "no final answer yet" in r.stderr and "next attempt at" in r.stderr


def test_check_waits_no_longer_than_it_was_told(serve):
    waiting = dict(ROW, final=False)
    server = serve({("POST", "/v1/verify"): [(202, {"job": "j1", "row": 1, "location": "/v1/jobs/j1/rows/1"})],
                    ("GET", "/v1/jobs/j1/rows/1"): [(200, waiting)]})
    r = cli(server, "check", "--wait", "0.3", "--json", "a@b.test")
    assert r.returncode == 5 and json.loads(r.stdout)["final"] is False


def test_a_known_address_is_answered_at_once(serve):
    r = cli(serve({("POST", "/v1/verify"): [(200, ROW)]}), "check", "a@b.test", "c@b.test", "--json")
    assert r.returncode == 0 and len(r.stdout.splitlines()) == 2


def test_no_server_no_key(serve, listed, tmp_path):
    nobody = cli(None, "verify", listed, ROLLCALL_DATA=str(tmp_path / "nothing"))
    assert nobody.returncode == 3 and "rollcall up" in nobody.stderr and str(tmp_path / "nothing") in nobody.stderr
    closed = cli(None, "verify", listed, ROLLCALL_URL="http://127.0.0.1:1", ROLLCALL_KEY="rc_x")
    assert closed.returncode == 3 and "http://127.0.0.1:1" in closed.stderr
    keyless = cli(None, "verify", listed, ROLLCALL_URL="http://127.0.0.1:1", ROLLCALL_DATA=str(tmp_path))
    assert keyless.returncode == 3 and "ROLLCALL_KEY" in keyless.stderr
    refused = cli(serve({("POST", "/v1/jobs"): [(401, "")]}), "verify", listed)
    assert refused.returncode == 3 and "ROLLCALL_KEY" in refused.stderr
    for r in (nobody, closed, keyless, refused):
        assert len(r.stderr.splitlines()) == 1, r.stderr


def test_the_data_directory_names_server_and_key(serve, tmp_path):
    server = serve({("GET", "/v1/jobs"): [(200, {"jobs": [], "next": None})]})
    (tmp_path / "url").write_text(server.url + "\n")
    (tmp_path / "key").write_text("rc_file\n")
    r = cli(None, "jobs", "list", "--data", str(tmp_path))
    assert r.returncode == 0 and server.requests[0][3]["Authorization"] == "Bearer rc_file"


@pytest.mark.parametrize("args", [
    [], ["nonsense"], ["verify"], ["verify", "a", "b"], ["verify", "--nonsense", "a"], ["verify", "/nonexistent/list"], ["verify", "/"],
    ["check"], ["check", "--wait", "soon", "a@b.test"], ["jobs", "nonsense"], ["jobs", "show"], ["jobs", "results", "x", "--format", "xls"],
    ["up", "operand"], ["up", "--lains", "x"], ["verify", "/dev/null", "-o", "/nonexistent/out"]])
def test_misuse_is_2(args, tmp_path):
    r = cli(None, *args, ROLLCALL_DATA=str(tmp_path / "d"))
    assert r.returncode == 2 and r.stderr.startswith("rollcall: ") and r.stdout == "", (r.returncode, r.stderr)


def test_help_and_version():
    assert cli(None, "--version").stdout.startswith("rollcall 0.")
    top = cli(None, "--help").stdout
    for name in ("up", "verify", "check", "jobs"):
        assert name in top
        r = cli(None, name, "--help")
        assert r.returncode == 0 and r.stdout.startswith(f"usage: rollcall {name} ")
