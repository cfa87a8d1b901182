from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecv.errors import UsageError
from edgecv.remote.address import Address, parse_address


@pytest.mark.parametrize(
    ("text", "destination", "port"),
    [
        ("raspberrypi.local", "raspberrypi.local", None),
        ("pi@raspberrypi.local", "pi@raspberrypi.local", None),
        ("pi@10.0.0.7:2222", "pi@10.0.0.7", 2222),
        ("ssh://pi@board:22", "pi@board", 22),
        ("ssh://board/", "board", None),  # as a browser's address bar leaves it
        ("my_alias-2", "my_alias-2", None),  # of ~/.ssh/config
        ("pi@[fe80::1%eth0]:2222", "pi@fe80::1%eth0", 2222),
        ("::1", "::1", None),
        ("fe80::ba27:ebff:fe00:1", "fe80::ba27:ebff:fe00:1", None),  # no port: all of it is the address
    ],
)
def test_addresses_as_people_write_them(text: str, destination: str, port: int | None) -> None:
    assert parse_address(text) == Address(destination, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-oProxyCommand=reboot",  # an option for ssh
        "pi@-oProxyCommand=reboot",
        "-l@board",
        "ssh://-board",
        "board;reboot",  # for the shell behind a ProxyCommand
        "$(reboot)@board",
        "board`reboot`",
        "pi@board name",
        "board\n",
        "board:0",
        "board:65536",
        "board:ssh",
        "http://board",
        "board/path",
        "pi@",
        "@board",
    ],
)
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(UsageError, match="--host"):
        parse_address(text)


@given(st.text(alphabet="ab1.-_@:[]/%$;'`\"\\ \n()\x00ü", max_size=20))
def test_what_is_let_through_has_no_meaning_to_a_shell_or_to_ssh(text: str) -> None:
    try:
        address = parse_address(text)
    except UsageError:
        return
    assert re.fullmatch(r"[\w.:%@+$-]+", address.destination)
    assert not address.destination.startswith("-")
    assert not address.destination.partition("@")[2].startswith("-")
    assert "$(" not in address.destination
    assert parse_address(str(Address(address.destination))) == Address(address.destination)
