"""The compression of a network: study, search, result, sweeps and comparisons."""

from gnnrl.moved import renamed

__getattr__ = renamed(
    __name__,
    {
        "CompressionResult": "gnnrl.compression.result:CompressionResult",
        "compress": "gnnrl.compression.pipeline:compress",
    },
)
