"""export_patch(dense, small, path): `narrow.py`, a table of widths that only needs PyTorch, and the weights.

from narrow import narrow

model = MyNetwork()
narrow(model)
model.load_state_dict(torch.load("narrow.pt", weights_only=True))
"""

import inspect
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gnnrl.artifacts.bundle import tensors
from gnnrl.artifacts.exported import Export
from gnnrl.artifacts.inputs import on_cpu
from gnnrl.errors import ArtifactError, ConfigError, ExportError
from gnnrl.modules import attention as narrow_attention
from gnnrl.modules.copies import copy_network
from gnnrl.storage.files import check_file, publish_files, staged

Sizes = dict[str, int | Sequence[int]]
Widths = dict[str, Sizes]

_TEMPLATE = '''"""Make a dense {name} as narrow as the weights in {weights}. Only PyTorch is needed.

    from {module} import narrow

    model = {name}(...)  # with the same settings as the pruned network
    narrow(model)
    model.load_state_dict(torch.load("{weights}", weights_only=True))
    model.eval()
"""

import torch
from torch import nn
{attention}
# For each module that shrank: the attributes that state a size, and the shapes of parameters and buffers.
WIDTHS = {{
{table}
}}


def narrow(model):
    """Give a dense {name} the widths of the table, in place; load_state_dict then sets the values."""
    made = {{}}  # tied parameters stay tied
    for path, sizes in WIDTHS.items():
        module = model.get_submodule(path)
        for name, size in sizes.items():
            value = getattr(module, name)
            if not isinstance(value, torch.Tensor):
                setattr(module, name, size)
            elif isinstance(value, nn.Parameter):
                if value not in made:
                    made[value] = nn.Parameter(value.new_zeros(size), requires_grad=value.requires_grad)
                setattr(module, name, made[value])
            else:
                module.register_buffer(name, value.new_zeros(size))
{update}    return model
'''

_UPDATE = """    for module in model.modules():
        if isinstance(module, nn.MultiheadAttention):
            update(module)
    for module in model.modules():
        if isinstance(module, nn.TransformerEncoder):
            update_encoder(module)
"""


def export_patch(dense: nn.Module, small: nn.Module, path: str | Path, *, force: bool = False) -> Export:
    """Write a Python file that narrows a dense network, and a plain state dict for it with the suffix `.pt`.

    Args:
        dense: a dense instance of the class; it is not changed.
        small: the pruned network.
        path: a Python file, such as `narrow.py`.
        force: replace existing files.

    Raises:
        ConfigError: the path is not the name of a Python module, exists, or cannot be written.
        ArtifactError: the two are not instances of the same network.
        ExportError: the table cannot express their differences.
    """
    target = Path(path)
    if target.suffix != ".py" or not target.stem.isidentifier():
        raise ConfigError(f"{target} is not the name of a Python module; choose one such as narrow.py")
    weights = target.with_suffix(".pt")
    check_file(target, force=force)
    check_file(weights, force=force)
    dense, small = on_cpu(dense), on_cpu(small)
    widths = find_widths(dense, small)
    table = "\n".join(f"    {name!r}: {sizes!r}," for name, sizes in widths.items())
    attention, update = _attention(small)
    text = _TEMPLATE.format(
        name=type(small).__name__,
        module=target.stem,
        weights=weights.name,
        table=table,
        attention=attention,
        update=update,
    )
    state = _state(small, widths)
    _check(text, dense, small, state)
    with staged(target) as staging:
        (staging / target.name).write_text(text)
        content = BytesIO()  # on a full disk torch.save raises an error that does not mention the disk
        torch.save(state, content)
        (staging / weights.name).write_bytes(content.getbuffer())
        files, size = publish_files(staging, target)
    return Export(target, files, size)


def find_widths(dense: nn.Module, small: nn.Module) -> Widths:
    """Return what differs in each module: sizes that attributes state, and shapes of parameters and buffers.

    Buffers outside the state dict are included if their values differ; the patch adds them to the state dict.

    Raises:
        ArtifactError: one of the two has modules or tensors that the other does not have.
    """
    paths = {path for path, _ in dense.named_modules()} ^ {path for path, _ in small.named_modules()}
    names = _names(dense) ^ _names(small)
    if type(dense) is not type(small) or paths or names:
        found = ", ".join(sorted(paths | names)[:5])
        raise ArtifactError(
            f"{type(dense).__name__} and the pruned {type(small).__name__} are different networks"
            f"{found and f': only one of them has {found}'}. Give the class and settings it was made with."
        )
    widths = {
        path: {**_sizes(module, small.get_submodule(path)), **_shapes(module, small.get_submodule(path))}
        for path, module in dense.named_modules(remove_duplicate=False)
    }
    return {path: sizes for path, sizes in widths.items() if sizes}


def _attention(small: nn.Module) -> tuple[str, str]:
    """Return the code of attention without some heads, which torch cannot compute, and its use; "" if no head went."""
    if not any(isinstance(module, narrow_attention.NarrowMultiheadAttention) for module in small.modules()):
        return "", ""
    source = inspect.getsource(narrow_attention).removeprefix(f'"""{narrow_attention.__doc__}"""')
    return source.replace("import torch\n", "").replace(
        "from torch import Tensor, nn\n", "from torch import Tensor\n"
    ), _UPDATE


def _names(model: nn.Module) -> set[str]:
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    return parameters | {name for name, _ in model.named_buffers(remove_duplicate=False)}


def _sizes(dense: nn.Module, small: nn.Module) -> Sizes:
    sizes = {name: value for name, value in vars(small).items() if _is_size(value) and _is_size(vars(dense).get(name))}
    # the repr of a torch.Size has its class name
    plain = {name: tuple(value) if isinstance(value, tuple) else value for name, value in sizes.items()}
    return {name: value for name, value in plain.items() if value != vars(dense)[name]}


def _is_size(value: object) -> bool:
    """Return whether this is an integer, or a tuple or list of integers; truth values do not count."""
    items = value if isinstance(value, tuple | list) else [value]
    return bool(items) and all(isinstance(item, int) and not isinstance(item, bool) for item in items)


def _shapes(dense: nn.Module, small: nn.Module) -> Sizes:
    found: Sizes = {}
    for name, old in (*dense._parameters.items(), *dense._buffers.items()):
        new = getattr(small, name)
        if old is None or new is None:
            continue
        unsaved = name in dense._non_persistent_buffers_set
        if old.shape != new.shape or (unsaved and not torch.equal(old, new)):
            found[name] = tuple(new.shape)
    return found


def _state(small: nn.Module, widths: Widths) -> dict[str, Tensor]:
    """Return the state dict, with the buffers that the patch adds to it."""
    state = dict(small.state_dict())
    buffers = dict(small.named_buffers(remove_duplicate=False))
    for path, sizes in widths.items():
        names = {f"{path}.{name}".removeprefix(".") for name in sizes}
        state |= {name: buffers[name].detach() for name in names & buffers.keys()}
    return state


def _check(text: str, dense: nn.Module, small: nn.Module, state: dict[str, Tensor]) -> None:
    """Run the generated code on a copy of the dense network, and compare it with the pruned one."""
    space: dict[str, Any] = {}
    exec(compile(text, "narrow.py", "exec"), space)
    narrowed = copy_network(dense)
    try:
        space["narrow"](narrowed)
        narrowed.load_state_dict(state)
    except Exception as error:
        raise ExportError(f"the patch does not fit {type(dense).__name__}: {error}") from error
    expected = tensors(small)
    for name, tensor in tensors(narrowed).items():
        if not torch.equal(tensor, expected[name].to(tensor.dtype)):
            raise ExportError(f"the patch does not restore {name}; use gnnrl.load or ONNX for this network")
