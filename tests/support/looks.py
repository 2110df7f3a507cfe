"""How often the coordinator has looked for what is due, by PostgreSQL's own counter: a look scans one index once for each running job."""
from .process import wait_until


def _scans(cursor):
    cursor.execute("SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'deferred_job_due'")
    return cursor.fetchone()[0]


def wait_looks(cursor, jobs, count):
    """Until it has looked `count` times more at `jobs` running jobs; how often it was in the end."""
    before = _scans(cursor)
    wait_until(f"the coordinator to look {count} times", lambda: _scans(cursor) >= before + count * jobs, 120, 0.2)
    return (_scans(cursor) - before) / jobs
