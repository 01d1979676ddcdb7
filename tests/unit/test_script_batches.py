# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a script is cut: at a GO on its own line, and nowhere else."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.axops.retail.plugins.module_utils._engine import (
    ENGINES,
    RetailError,
    mssql,
    postgresql,
    speaker,
)

BOTH = pytest.mark.parametrize("engine", [speaker(name) for name in ENGINES], ids=ENGINES)


def texts(script: str, engine=mssql) -> list[str]:
    return [batch.text.strip() for batch in engine.scripts.split(script)]


@BOTH
@pytest.mark.parametrize(
    "separator", ["GO", "go", "  Go\t", "go;", "GO ;", "GO -- done", "GO /* done */", "GO\r", "GO;--x", "\ufeffGO"[1:]]
)
def test_a_go_on_its_own_line_separates(engine, separator):
    assert texts(f"SELECT 1\n{separator}\nSELECT 2", engine) == ["SELECT 1", "SELECT 2"]


@BOTH
@pytest.mark.parametrize(
    "hidden",
    [
        "SELECT '\nGO\n'",
        "SELECT 'it''s\nGO\n'",
        'SELECT "\nGO\n"',
        "/*\nGO\n*/ SELECT 1",
        "/* /* nested */\nGO\n*/ SELECT 1",
        "SELECT 1 -- it's\n",
        "SELECT GO\n, 1",
        "SELECT 1\nGOTO x",
        "SELECT 1\nGO5",
        "SELECT 1 GO",
        "SELECT 1\n-- GO",
        "SELECT '-- ' /* ' */",
    ],
)
def test_any_other_go_does_not(engine, hidden):
    assert texts(f"{hidden}\nGO\nSELECT 2", engine) == [hidden.strip(), "SELECT 2"]


@pytest.mark.parametrize("hidden", ["SELECT [\nGO\n]", "SELECT [a]]\nGO\n]", "SELECT [it's]\n"])
def test_brackets_hide_it_on_sql_server(hidden):
    assert texts(f"{hidden}\nGO\nSELECT 2") == [hidden.strip(), "SELECT 2"]


@pytest.mark.parametrize(
    "hidden",
    [
        "DO $$\nGO\n$$",
        "DO $body$ '\nGO\n$$\n$body$",
        "SELECT E'it\\'s\nGO\n'",
        "SELECT e'a''b\\'\nGO\n'",
        "SELECT 'back\\'",
        "SELECT a[1], 'x'",
        "SELECT $1, tag$1, 'x'",
    ],
)
def test_dollar_quotes_and_backslashes_hide_it_on_postgresql(hidden):
    assert texts(f"{hidden}\nGO\nSELECT 2", postgresql) == [hidden.strip(), "SELECT 2"]


@BOTH
def test_a_number_repeats_and_lines_are_counted(engine):
    script = "\r\n\r\nINSERT 1\r\nGO 5\r\n\r\n/*\r\nGO\r\n*/\r\nINSERT 2\r\nGO\r\n\r\nGO\r\nINSERT 3"
    found = [(batch.number, batch.line, batch.times) for batch in engine.scripts.split(script)]
    assert found == [(1, 3, 5), (2, 6, 1), (3, 13, 1)]


@BOTH
def test_a_line_may_end_with_cr_alone_and_is_sent_as_it_stands(engine):
    script = "\r-- it's\rINSERT 1\rINSERT 2\rGO 2\r\rINSERT '3\rGO\r'\rGO"
    found = [(batch.number, batch.line, batch.times, batch.text) for batch in engine.scripts.split(script)]
    assert found == [(1, 2, 2, "\r-- it's\rINSERT 1\rINSERT 2\r"), (2, 7, 1, "\r\rINSERT '3\rGO\r'\r")]


@BOTH
@pytest.mark.parametrize("times", ["0", "000", "2147483648", "99999999999", "9" * 5000])
def test_a_number_that_is_none_of_times_is_refused_with_its_line(engine, times):
    with pytest.raises(RetailError, match=r"Line 2 of the script says GO \d+, which is no number of times") as refused:
        engine.scripts.split(f"SELECT 1\nGO {times}\nSELECT 2")
    assert len(str(refused.value)) < 300
    assert engine.scripts.split("SELECT 1\nGO 2147483647")[0].times == 2147483647
    assert engine.scripts.split("SELECT 1\nGO 007")[0].times == 7


@BOTH
def test_the_mark_at_the_beginning_of_a_file_that_was_put_behind_another_is_left_out(engine):
    """Within a text, a name or a comment it is the script's own."""
    script = "SELECT 1\n\ufeffGO\n\ufeff\n\ufeffSELECT '\ufeff', \"\ufeff\" -- \ufeff\nGO\n\ufeff"
    found = [(batch.line, batch.text) for batch in engine.scripts.split(script)]
    assert found == [(1, "SELECT 1\n"), (4, "\n\nSELECT '\ufeff', \"\ufeff\" -- \ufeff\n")]


@BOTH
def test_what_is_never_closed_is_one_batch(engine):
    assert texts("SELECT 1\nGO\nSELECT 'open\nGO\nSELECT 2", engine) == ["SELECT 1", "SELECT 'open\nGO\nSELECT 2"]


@BOTH
@pytest.mark.parametrize("command", [":setvar NAME x", ":r other.sql", "  :ON ERROR EXIT", "!!dir"])
def test_commands_of_sqlcmd_are_refused_with_their_line(engine, command):
    with pytest.raises(RetailError, match="Line 3 of the script is a command of sqlcmd"):
        engine.scripts.split(f"SELECT 1\nGO\n{command}\n")


@BOTH
@pytest.mark.parametrize(
    "command",
    [
        *(":list", ":ListVar", ":reset", ":ed", ":help", ":XML ON", ":perftrace x.txt", ":ServerList", ":!! dir"),
        *(":error stderr", ":out x.txt", ":connect hq01", ":exit(SELECT 1)", ":quit", "\ufeff:r other.sql"),
    ],
)
def test_all_commands_of_sqlcmd_are_refused(engine, command):
    with pytest.raises(RetailError, match=r"Line 2 of the script is a command of sqlcmd: [:!]"):
        engine.scripts.split(f"SELECT 1\n{command}\nSELECT 2")


@pytest.mark.parametrize("command", ["EXIT", "quit", "  Reset ;", "ed -- now", "exit (SELECT 1)", "EXIT()"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", ""])
def test_those_that_need_no_colon_are_refused_on_sql_server_where_they_would_be_an_alias(command, end):
    with pytest.raises(RetailError, match=r"Line 2 .*in brackets"):
        mssql.scripts.split(f"SELECT 1\n{command}{end}")


@pytest.mark.parametrize(
    "script",
    [
        "GOTO EXIT\nEXIT:\nSELECT 1",
        "CREATE TABLE t (a int,\nreset int NULL,\ned bit,\nquit_at date)",
        "EXIT_CODE = 5",
        "SELECT a,\n[reset]\nFROM t",
        "/*\nEXIT\n*/ SELECT '\nquit\n', \"\nRESET\n\"",
        "SELECT hierarchyid\n::GetRoot()",
        "SELECT a\n:nothing",
        "RESETALL\nEDIT\nQUITS",
    ],
)
def test_what_only_begins_like_a_command_is_sql(script):
    assert texts(script) == [script]


@BOTH
def test_a_command_in_a_comment_is_none(engine):
    assert len(texts("/*\n:r other.sql\n*/ SELECT 1", engine)) == 1


_LINE_END = re.compile("\r\n|\r|\n")
# A piece may hold anything in a string, a name or a comment, and ends where it says.
FREE = st.text(st.sampled_from("a1 \n\r\tGO'\"[]-/*$;é\U0001f600"), max_size=12)
PIECES = {
    "mssql": st.one_of(
        FREE.map(lambda text: "'%s'" % text.replace("'", "''")),
        FREE.map(lambda text: '"%s"' % text.replace('"', '""')),
        FREE.map(lambda text: "[%s]" % text.replace("]", "]]")),
        FREE.map(lambda text: "-- %s\n" % _LINE_END.sub(" ", text)),
        FREE.map(lambda text: "/* %s /* x */ */" % text.replace("/", " ").replace("*", " ")),
        st.sampled_from(["SELECT 1", "x -", "a / b", "GOTO y", "\n", " ", "\r\n", "N"]),
    ),
    "postgresql": st.one_of(
        FREE.map(lambda text: "'%s'" % text.replace("'", "''")),
        FREE.map(lambda text: " E'%s\\''" % text.replace("'", "\\'")),
        FREE.map(lambda text: '"%s"' % text.replace('"', '""')),
        FREE.map(lambda text: " $q$%s$q$" % text.replace("$", " ")),
        FREE.map(lambda text: "-- %s\n" % _LINE_END.sub(" ", text)),
        FREE.map(lambda text: "/* %s /* x */ */" % text.replace("/", " ").replace("*", " ")),
        st.sampled_from(["SELECT 1", "x -", "a / b", "\n", " ", "\r\n"]),
    ),
}


@BOTH
@settings(max_examples=150, deadline=None, database=None)
@given(data=st.data())
def test_a_script_of_any_batches_is_cut_between_them(engine, data):
    name = next(name for name in ENGINES if speaker(name) is engine)
    batch = st.lists(PIECES[name], min_size=1, max_size=6).map(" ".join).filter(str.strip)
    batches = data.draw(st.lists(batch, min_size=1, max_size=5))
    separators = data.draw(st.lists(st.sampled_from(["GO", "go 3", "\tGo;", "GO -- '"]), min_size=5, max_size=5))
    script = "".join("%s\n%s\n" % pair for pair in zip(batches, separators))
    found = engine.scripts.split(script)
    assert [one.text.strip() for one in found] == [one.strip() for one in batches]
    assert [one.times for one in found] == [3 if "3" in mark else 1 for _text, mark in zip(batches, separators)]
    lines = _LINE_END.split(script)
    for one in found:
        assert lines[one.line - 1].strip() == _LINE_END.split(one.text.strip())[0].strip()


@BOTH
def test_80_000_lines_are_cut_in_a_moment(engine):
    procedure = "CREATE PROCEDURE dbo.P%d AS\n" + "  SELECT 'it''s', [a], \"b\" /* c */ -- d\n" * 16
    script = "GO\n".join(procedure % number for number in range(4500))
    began = time.perf_counter()
    found = engine.scripts.split(script)
    seconds = time.perf_counter() - began
    assert (len(found), found[-1].line) == (4500, 4499 * 18 + 1)
    assert script.count("\n") > 80000 - 4500 * 0.5
    assert seconds < 10  # it takes about half a second; the machine may be busy
