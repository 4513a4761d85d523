"""No value of an inventory becomes T-SQL: whatever the names, every text is one statement, with exactly these names in it.

Held against the statements that are sent: the tables of the agent's source, read as the lab reads them.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lab_asking import agent_source

from opdeploy import calls
from opdeploy.calls import Failure
from opdeploy.lab.windows import servers, source, sql, tsql
from opdeploy.lab.windows.computer import Computer
from opdeploy.lab.windows.state import dump
from opdeploy.model import Secret

SOURCE = source.read(agent_source())
ASKING, ORDERING = SOURCE.tables["asking"], SOURCE.tables["ordering"]
WORDS = {"state": ["ON", "OFF"], "option": ["CHECK_POLICY", "CHECK_EXPIRATION"]} | {
    "permission": ["SELECT", "INSERT", "UPDATE", "DELETE"]
}
# What a statement's text must be, by its name: a quoted name is [], a literal ''; and whose values stand there, in this order.
EXPECTED = {
    "create windows login": (r"CREATE LOGIN \[\] FROM WINDOWS", ["login"]),
    "create sql login": (r"CREATE LOGIN \[\] WITH PASSWORD = '' , CHECK_POLICY = (ON|OFF)", ["login", "password"]),
    "set password": (r"ALTER LOGIN \[\] WITH PASSWORD = ''", ["login", "password"]),
    "set option": (r"ALTER LOGIN \[\] WITH (CHECK_POLICY|CHECK_EXPIRATION) = (ON|OFF)", ["login"]),
    "set default database": (r"ALTER LOGIN \[\] WITH DEFAULT_DATABASE = \[\]", ["login", "default"]),
    "switch login": (r"ALTER LOGIN \[\] (ENABLE|DISABLE)", ["login"]),
    "drop login": (r"DROP LOGIN \[\]", ["login"]),
    "create user": (r"CREATE USER \[\] FOR LOGIN \[\]", ["user", "login"]),
    "drop user": (r"DROP USER \[\]", ["user"]),
    "change member": (r"EXEC (SP_ADDROLEMEMBER|SP_DROPROLEMEMBER) '' , ''", ["role", "user"]),
    "change grant": (
        r"(GRANT (SELECT|INSERT|UPDATE|DELETE) ON OBJECT :: \[\] \. \[\] TO \[\]"
        r"|REVOKE (SELECT|INSERT|UPDATE|DELETE) ON OBJECT :: \[\] \. \[\] TO \[\] CASCADE)",
        ["schema", "table", "user"],
    ),
}
NAMES = sorted({name for _, names in EXPECTED.values() for name in names})
NASTY = [
    "]",
    "[",
    "'",
    "''",
    "]]",
    "--",
    "/*",
    "*/",
    ";",
    "\n",
    "\0",
    "N'",
    "@login",
    "'; DROP LOGIN sa; --",
    "]; EXEC xp_cmdshell 'x'",
]
SPLINTER = st.one_of(st.sampled_from(NASTY), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4))
NAME = st.lists(SPLINTER, min_size=1, max_size=8).map("".join).filter(lambda text: utf16(text) <= tsql.NAME_LENGTH)


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def parameters(text: str) -> set[str]:
    return set(re.findall(r"@(\w+)", text))


def test_every_statement_is_known() -> None:
    assert set(EXPECTED) == set(ORDERING)


@settings(max_examples=100)
@given(st.fixed_dictionaries({name: NAME for name in NAMES} | {name: st.sampled_from(words) for name, words in WORDS.items()}))
@example({name: "'];[' OR 1=1 --" for name in NAMES} | {name: words[0] for name, words in WORDS.items()})
@example({name: "]" * 128 for name in NAMES} | {name: words[1] for name, words in WORDS.items()})
@example({name: "'" * 128 for name in NAMES} | {name: words[1] for name, words in WORDS.items()})
def test_whatever_the_names_the_text_is_one_statement_with_these_names(values: dict[str, str]) -> None:
    for name, expression in ORDERING.items():
        expected, named = EXPECTED[name]
        text = tsql.made(expression, {key: values[key] for key in parameters(expression)})
        assert text is not None
        shape, found = tsql.shape(text)
        assert re.fullmatch(expected, shape)
        assert found == [values[key] for key in named]


@settings(max_examples=100)
@given(NAME, st.sampled_from(sorted(WORDS)))
def test_a_word_that_is_not_listed_makes_no_text(word: str, parameter: str) -> None:
    """Only what stands in the table as a literal is ever a keyword."""
    values = {name: "x" for name in NAMES} | {name: words[0] for name, words in WORDS.items()}
    known = {listed.lower() for listed in WORDS[parameter]}
    for expression in ORDERING.values():
        if parameter in parameters(expression) and word.rstrip(" ").lower() not in known:
            assert tsql.made(expression, {**values, parameter: word}) is None


@pytest.mark.parametrize("long", ["x" * 129, "😀" * 65, "]" * 129, "'" * 4000])
def test_a_name_that_is_too_long_makes_no_text(long: str) -> None:
    short = {name: "x" for name in NAMES} | {name: words[0] for name, words in WORDS.items()}
    for statement, expression in ORDERING.items():
        for name in EXPECTED[statement][1]:
            assert tsql.made(expression, {**short, name: long}) is None


def test_values_are_only_ever_parameters_of_what_is_asked() -> None:
    for text in ASKING.values():
        assert re.fullmatch(r"[\w\s.,()=@']+", text)
        assert not re.search(r"\b(EXEC|EXECUTE|INTO|UPDATE|DELETE|INSERT|MERGE)\b", text, re.IGNORECASE)
        assert text.startswith("SELECT ")


def test_an_injection_would_be_seen() -> None:
    naive = "DROP LOGIN [" + "a]; DROP LOGIN [b" + "]"
    with pytest.raises(tsql.Incorrect):
        tsql.shape(naive)
    assert tsql.shape("DROP LOGIN [a] DROP LOGIN [b]")[0] not in sql.ORDERS
    with pytest.raises(tsql.Incorrect, match="only QUOTENAME"):
        tsql.made("N'DROP LOGIN [' + @login + N']'", {"login": "a"})
    with pytest.raises(tsql.Incorrect):
        tsql.shape("DROP LOGIN [a")


@pytest.mark.parametrize(
    ("text", "quote", "quoted"),
    [
        ("abc[]def", "]", "[abc[]]def]"),
        ("O'Neill", "'", "'O''Neill'"),
        ("x" * 128, "]", "[" + "x" * 128 + "]"),
        ("x" * 129, "]", None),
    ],
)
def test_names_are_quoted_as_the_server_quotes(text: str, quote: str, quoted: str | None) -> None:
    """The first is the example on Microsoft's page of QUOTENAME."""
    assert tsql.quotename(text, quote) == quoted


# ---------------------------------------------------------------- the server


@pytest.fixture
def computer() -> Computer:
    return Computer(servers.database_server())


def ask(computer: Computer, call: calls.Call, text: str = "", user: str = "") -> object:
    return computer.ask([call], int(isinstance(call, calls.Write)), source=text or agent_source(), user=user)[0]


def create(name: str = "op", password: str = "x", state: str = "OFF") -> calls.Write:
    return calls.sql_write("create sql login", "localhost", "master", login=name, password=Secret(password), state=state)


def test_what_is_not_carried_out_changes_nothing(computer: Computer) -> None:
    computer.state.tick()
    before = computer.state.sql["localhost"]["logins"].copy()
    answer = ask(computer, create("x" * 129))
    assert isinstance(answer, Failure)
    assert (answer.id, answer.type) == ("SqlException", "System.Data.SqlClient.SqlException")
    assert answer.message == "nothing to carry out"
    assert computer.state.sql["localhost"]["logins"] == before


def test_a_statement_that_asks_and_was_changed_is_an_error_and_no_silent_success(computer: Computer) -> None:
    changed = agent_source().replace("FROM sys.databases", "FROM sys.databases ")
    read = calls.sql_read("databases", "localhost", "master")
    assert isinstance(ask(computer, read), list)
    assert ask(computer, read, changed).id == "lab.NotModelled"
    assert ask(computer, calls.sql_read("logins", "localhost", "master")).id == "opdeploy.NotListed"
    assert ask(computer, calls.sql_write("drop database", "localhost", "master")).id == "opdeploy.NotListed"


def test_a_statement_that_orders_something_else_is_an_error_and_no_silent_success(computer: Computer) -> None:
    changed = agent_source().replace("N'DROP USER '", "N'DROP ROLE '")
    answer = ask(computer, calls.sql_write("drop user", "localhost", "master", user="x"), changed)
    assert answer.message == "the lab has no model of DROP ROLE []"


def test_asking_leaves_the_server_as_it_was_and_shows_no_password(computer: Computer) -> None:
    ask(computer, create(password="S3cret!"))
    before = dump(computer.state)
    (row,) = ask(computer, calls.sql_read("login", "localhost", "master", login="OP", sid="", password=Secret("S3cret!")))
    assert (row["name"], row["type"], row["password_right"], row["is_disabled"]) == ("op", "S", 1, False)
    assert "S3cret!" not in str(row)
    assert dump(computer.state) == before


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (create(""), "missing or empty"),
        (create("DB1\\op"), "invalid characters"),
        (create("SA"), "already exists"),
        (calls.sql_write("create windows login", "localhost", "master", login=".\\opadmin"), "not found"),
        (calls.sql_write("set password", "localhost", "master", login="DB1\\opadmin", password="x"), "Windows login"),
        (calls.sql_write("drop login", "localhost", "master", login="sa"), "owns one or more"),
        (calls.sql_write("create user", "localhost", "Main_OMS", user="x", login="x"), "not a valid login"),
        (calls.sql_write("drop user", "localhost", "Main_OMS", user="dbo"), "Cannot drop the user"),
        (calls.sql_write("change member", "localhost", "Main_OMS", state="ON", role="nobody", user="dbo"), "The role 'nobody'"),
        (
            calls.sql_write("change member", "localhost", "Main_OMS", state="ON", role="db_owner", user="dbo"),
            "special principal",
        ),
        (calls.sql_write("drop user", "localhost", "Nowhere", user="x"), 'Cannot open database "Nowhere"'),
        (calls.sql_write("drop user", ".\\SQLEXPRESS", "master", user="x"), "cannot find the file"),
        (calls.sql_write("drop user", "localhost", "master"), 'scalar variable "@user"'),
    ],
)
def test_the_server_refuses_as_sql_server_does(computer: Computer, write: calls.Write, said: str) -> None:
    answer = ask(computer, write)
    assert isinstance(answer, Failure)
    assert answer.id == "SqlException"
    assert said in answer.message


def test_whoever_has_no_login_does_not_get_in_and_whoever_is_not_sysadmin_is_shown_little(computer: Computer) -> None:
    servers.add_user(computer.state, "doctor", "Lab-doctor-2!")
    read = calls.sql_read("databases", "localhost", "master")
    assert ask(computer, read, user="doctor").message == "Login failed for user 'DB1\\doctor'."
    ask(computer, calls.sql_write("create windows login", "localhost", "master", login="DB1\\doctor"))
    assert {row["controls"] for row in ask(computer, read, user="doctor")} == {0}
    login = calls.sql_read("login", "localhost", "master", login="DB1\\opadmin", sid="", password="")
    assert ask(computer, login, user="doctor") == []
    assert "permission" in ask(computer, create(), user="doctor").message
