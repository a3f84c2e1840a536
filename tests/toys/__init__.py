"""Toy networks with the awkward shapes that other tools test themselves on, written anew.

`sums` stands for ModelOpt ExampleModel 1-3, 5-11, 13, 14; MMRazor ResBlock, Xmodel, MultiBind, ConvAttn, GroupWiseConv;
    TinyNeuralNetwork's groups and loops.
`concatenations` for ModelOpt ConcatModel 1-12, MeanConcat, MeanModel2; MMRazor AddCat, MultiConcat 1-2, Icep,
    MultipleUse; Torch-Pruning's concat, cascaded_concat, non_feature_dim_cat, multiple_inputs_and_outputs;
    TinyNeuralNetwork's cats.
`cuts` for ModelOpt ExampleModel4; Torch-Pruning's split, concat_split; TinyNeuralNetwork's splits and shuffles;
    FasterNet, InceptionNeXt.
`tokens` for ModelOpt LinearModel 1-11, Passthrough; Torch-Pruning's fully_connected_layers, customized_layer, reshape,
    lenet; TinyNeuralNetwork's linear layers of images.
`heads` for ModelOpt BertQA, GPTJ; MMRazor SelfAttention; TinyNeuralNetwork's transformers.
`flow` for ModelOpt ExampleModel 12, 15-21, GetattrShape, DepthModel 1-4; Torch-Pruning's pruner, single_channel_output;
    TinyNeuralNetwork's outputs and recurrent layers.

Others of theirs have their like in `tests.topologies`: GroupConvModel 1-3 (`grouped_wide`, `grouped_many`,
`depthwise`), SingleLine (`chain`), Concat (`concat`), DwConv (`depthwise`), ModelOpt's ResNet blocks (`residual`),
TinyNeuralNetwork's pixel_shuffle and mbv2_block, Torch-Pruning's unused_parameters. Each toy names its cases in its
decorator.
"""

from tests.toys import concatenations, cuts, flow, heads, sums, tokens
from tests.toys.cases import TOYS, Toy, traced_toy

__all__ = ["TOYS", "Toy", "concatenations", "cuts", "flow", "heads", "sums", "tokens", "traced_toy"]
