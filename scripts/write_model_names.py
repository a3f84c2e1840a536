"""Write the names of networks that the shell completes: `python scripts/write_model_names.py`."""

import timm
import torchvision

from gnnrl.cli.completion import MODELS
from gnnrl.zoo.models import OWN_NAMES

if __name__ == "__main__":
    names = [*OWN_NAMES, *(f"torchvision:{name}" for name in torchvision.models.list_models(module=torchvision.models))]
    MODELS.write_text("\n".join([*names, *(f"timm:{name}" for name in timm.list_models())]) + "\n")
