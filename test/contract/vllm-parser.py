"""vLLM's own parser of `vllm serve`, without torch and without a GPU.

    vllm-parser.py ROOT parse -- ARGUMENT...

ROOT holds the Python files of a vLLM wheel. Ends with 0 when vLLM takes the arguments, with 2 when its parser refuses one, and with 1
when it refuses what they say together. Says nothing of whether such a model loads.

On the way to its parser vLLM imports packages that need a GPU or weigh gigabytes. Those that are absent are made up: every attribute of
such a module exists, and is good for everything that a module does while it is imported.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import os
import sys
import types
import typing
from unittest.mock import MagicMock, patch

from pydantic_core import core_schema

MADE_UP = frozenset(
    """
    amdsmi anthropic av compressed_tensors cv2 depyf diskcache fastsafetensors flash_attn flashinfer gguf ijson instanttensor lark
    librosa llguidance lmformatenforcer mcp mistral_common model_hosting_container_standards numba openai_harmony opentelemetry orjson
    oss_harmony outlines_core ray runai_model_streamer soundfile tensorizer tilelang torch torchaudio torchcodec torchvision triton
    tvm_ffi watchfiles xgrammar
    """.split()
)
COMPILED = ("vllm._C", "vllm._moe_C", "vllm._rocm_C")

# What made-up packages say of their version: that of a torch that every sampled vLLM takes.
VERSION = "2.9.0"

# Where `make_arg_parser` has been over the years.
PARSERS = (
    "vllm.entrypoints.common.cli_args",
    "vllm.entrypoints.launchers.cli_args",
    "vllm.entrypoints.launcher.cli_args",
    "vllm.entrypoints.serve.utils.cli_args",
    "vllm.entrypoints.cli.cli_args",
    "vllm.entrypoints.serve.cli_args",
    "vllm.entrypoints.openai.cli_args",
)


class Anything(MagicMock):
    """An attribute of a made-up module: a decorator, a base class, a type of a field."""

    def __get_pydantic_core_schema__(self, _source, _handler):
        return core_schema.any_schema()

    def __mro_entries__(self, bases):
        is_only = bases[0] is self and all(not isinstance(base, type) for base in bases)
        return (object,) if is_only else ()

    def __call__(self, *args, **kwargs):
        is_decorator = len(args) == 1 and not kwargs and isinstance(args[0], (type, types.FunctionType))
        return args[0] if is_decorator else super().__call__(*args, **kwargs)


class MadeUpModule(types.ModuleType):
    def __init__(self, name):
        super().__init__(name)
        self.__path__ = []
        self.__version__ = VERSION

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        value = Anything(name=f"{self.__name__}.{name}")
        setattr(self, name, value)
        return value


class MadeUpFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands last in the path, so that only what is really absent gets here."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in MADE_UP or name.startswith(COMPILED):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return MadeUpModule(spec.name)

    def exec_module(self, module):
        pass


def let_transformers_see_that_torch_is_absent():
    """It asks once and remembers; afterwards torch seems to be there."""
    import transformers
    import transformers.processing_utils  # noqa: F401
    from transformers.models.auto import (  # noqa: F401
        configuration_auto,
        image_processing_auto,
        modeling_auto,
        tokenization_auto,
    )

    utilities = transformers.utils.import_utils
    for name in dir(utilities):
        if name.startswith("is_") and name.endswith("_available"):
            try:
                getattr(utilities, name)()
            except Exception:  # Some want arguments.
                pass


def make_up_torch():
    sys.meta_path.append(MadeUpFinder())
    real_version = importlib.metadata.version

    def version(name):
        try:
            return real_version(name)
        except importlib.metadata.PackageNotFoundError:
            return VERSION

    importlib.metadata.version = version

    import torch
    import torch.autograd
    import torch.library
    import torch.nn

    class Attributes(type):
        def __getattr__(cls, name):
            if name.startswith("__"):
                raise AttributeError(name)
            return Anything(name=name)

    def real_class(name):
        """vLLM derives from these and asks whether something is one."""
        return Attributes(
            name,
            (),
            {
                "__get_pydantic_core_schema__": classmethod(lambda *_: core_schema.any_schema()),
                "__init_subclass__": classmethod(lambda cls, **_: None),
            },
        )

    torch.nn.Module, torch.nn.Parameter = real_class("Module"), real_class("Parameter")
    torch.Tensor, torch.dtype, torch.device = real_class("Tensor"), real_class("dtype"), real_class("device")
    torch.autograd.Function = real_class("Function")

    def infer_schema(function, **_):
        returned = typing.get_type_hints(function).get("return")
        count = len(typing.get_args(returned)) if typing.get_origin(returned) is tuple else 1
        return "(Tensor x) -> " + ", ".join(["Tensor"] * count)

    torch.library.infer_schema = infer_schema


def make_up_platform():
    """What it runs on decides some choices and defaults."""
    import vllm.platforms
    from vllm.platforms import interface

    class Cuda(interface.UnspecifiedPlatform):
        device_type = "cuda"
        device_name = "cuda"

    vllm.platforms._current_platform = Cuda()


def check(root, arguments):
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    name = next(name for name in PARSERS if os.path.exists(os.path.join(root, *name.split(".")) + ".py"))
    module = importlib.import_module(name)
    with patch("vllm.config.DeviceConfig.__post_init__"):
        parser = module.make_arg_parser(FlexibleArgumentParser(prog="vllm serve", add_json_tip=False))
    module.validate_parsed_serve_args(parser.parse_args(arguments))


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[2:4] != ["parse", "--"]:
        sys.exit(__doc__)
    sys.path.insert(0, sys.argv[1])
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    let_transformers_see_that_torch_is_absent()
    make_up_torch()
    make_up_platform()
    check(sys.argv[1], sys.argv[4:])
