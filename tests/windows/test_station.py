"""What one host's run promises beyond its session: requests that fit, and time enough for what is slow."""

from __future__ import annotations

from opdeploy.calls import Write, cmdlet_write, file_append, file_commit, sddl_write
from opdeploy.windows.station import REQUEST, WALKS_THE_TREE, batches, deadline


def test_a_files_pieces_are_split_in_order_and_nothing_is_lost() -> None:
    pieces = [file_append(r"D:\x", n * 98304, bytes(98304)) for n in range(40)]
    writes: list[Write] = [*pieces, file_commit(r"D:\x", "00")]
    found = batches(writes)
    assert [write for batch in found for write in batch] == writes
    assert len(found) > 1
    assert all(sum(len(write.key) for write in batch) <= REQUEST for batch in found)


def test_what_fits_goes_in_one_request() -> None:
    writes = [cmdlet_write("Start-Service", Name="Spooler")] * 3
    assert batches(writes) == [writes]
    assert batches([]) == [[]]


def test_a_new_access_list_may_take_as_long_as_its_tree() -> None:
    slow = sddl_write(r"D:\OP", "D:", expect="D:")
    assert deadline([cmdlet_write("Start-Service", Name="x"), slow]) == WALKS_THE_TREE
    assert deadline([cmdlet_write("Start-Service", Name="x")]) is None


def test_a_feature_may_take_an_hour_to_come_or_go() -> None:
    for cmdlet in ("Install-WindowsFeature", "Uninstall-WindowsFeature"):
        assert deadline([cmdlet_write("Start-Service", Name="x"), cmdlet_write(cmdlet, Name="Web-Server")]) == 3600
