from pathlib import Path

import torch

from gnnrl.pruning.calibration.kept import Kept


def test_storages_come_back_until_they_are_dropped() -> None:
    kept, values = Kept(), [torch.randn(3, 4), torch.randn(5).bfloat16()]
    for number, value in enumerate(values):
        kept.put((number, 0), 7, value.untyped_storage())
    kept.put((0, 0), 7, torch.zeros(12).untyped_storage())  # is kept already

    found = torch.empty(0).set_(kept.get((0, 0), 7, torch.device("cpu")), 0, (3, 4), (4, 1))
    assert torch.equal(found, values[0])

    folder = Path(kept._folder.name)
    kept.drop_all_but({(1, 0)})
    assert len(list(folder.iterdir())) == 1
    kept.close()
    assert not folder.exists()
