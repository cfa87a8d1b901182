"""ONNX -> TFLite: sliding windows and resampling in all their paddings."""

from __future__ import annotations

import pytest

for module in ("onnx", "onnxruntime", "ai_edge_litert"):
    pytest.importorskip(module, reason="a converting test: pip install edgecv[convert]")

from convert_graphs import Case, floats, ints

WHERE = "coordinate_transformation_mode"

X = "float[1,3,8,7] x"  # a picture, NCHW
P = "float[1,4,6,5] x"
C = "a = Conv(x, w, b) "  # behind it values are stored NHWC
W3 = {"w": (4, 3, 3, 3), "b": (4,)}

CASES = {
    # -- Conv, ConvTranspose, pooling
    # the odd row goes to the end, as TensorFlow has it
    "conv same_upper": Case(X, 'y = Conv<auto_pad="SAME_UPPER", strides=[2,2]>(x, w, b)', W3, "T CONV_2D T"),
    # the odd row goes to the front: an explicit PAD
    "conv same_lower": Case(
        X, 'y = Conv<auto_pad="SAME_LOWER", strides=[2,2]>(x, w, b)', W3, "T PAD CONV_2D T"
    ),
    # one dimension is a picture of one line
    "conv row": Case(
        "float[1,3,9] x",
        "y = Conv<pads=[2,0], strides=[2]>(x, w, b)",
        {"w": (4, 3, 3), "b": (4,)},
        "T RESHAPE PAD CONV_2D RESHAPE T",
    ),
    "conv row depthwise": Case(
        "float[2,3,9] x",
        "a = Conv<group=3>(x, w, b) y = Relu(a)",
        {"w": (6, 1, 3), "b": (6,)},
        "T RESHAPE DEPTHWISE_CONV_2D+RELU RESHAPE T",
    ),
    "conv grouped pads": Case(
        "float[1,4,6,6] x",
        "y = Conv<group=2, pads=[1,1,1,1], strides=[2,1]>(x, w, b)",
        {"w": (6, 2, 3, 3), "b": (6,)},
        "T PAD CONV_2D T",
    ),
    "depthwise unequal strides": Case(
        "float[1,4,6,6] x",
        "y = Conv<group=4, strides=[2,1]>(x, w, b)",
        {"w": (4, 1, 3, 3), "b": (4,)},
        "T DEPTHWISE_CONV_2D T",
    ),
    # SAME by the kernel's reach, not its length
    "depthwise dilated pads": Case(
        "float[1,4,6,6] x",
        "y = Conv<group=4, dilations=[2,3], pads=[2,3,2,3]>(x, w, b)",
        {"w": (8, 1, 3, 3), "b": (8,)},
        "T DEPTHWISE_CONV_2D T",
    ),
    "ct plain": Case(P, "y = ConvTranspose(x, w, b)", {"w": (4, 3, 3, 3), "b": (3,)}, "T TRANSPOSE_CONV T"),
    # SAME in TensorFlow's sense: nothing to cut
    "ct k4 s2 p1": Case(
        P,
        "y = ConvTranspose<strides=[2,2], pads=[1,1,1,1]>(x, w, b)",
        {"w": (4, 3, 4, 4), "b": (3,)},
        "T TRANSPOSE_CONV T",
    ),
    "ct k2 s2": Case(
        P,
        "a = ConvTranspose<strides=[2,2]>(x, w, b) y=Relu(a)",
        {"w": (4, 3, 2, 2), "b": (3,)},
        "T TRANSPOSE_CONV+RELU T",
    ),
    # PyTorch's usual upsampling: TensorFlow's SAME would start one row earlier
    "ct k3 s2 p1 op1": Case(
        P,
        "y = ConvTranspose<strides=[2,2], pads=[1,1,1,1], output_padding=[1,1]>(x, w, b)",
        {"w": (4, 3, 3, 3), "b": (3,)},
        "T TRANSPOSE_CONV SLICE ADD T",
    ),
    # rows that the kernel never reaches hold the bias
    "ct op no pads": Case(
        P,
        "y = ConvTranspose<strides=[3,2], output_padding=[2,1]>(x, w, b)",
        {"w": (4, 3, 3, 3), "b": (3,)},
        "T TRANSPOSE_CONV PAD ADD T",
    ),
    # as large as the whole, and yet one row further down
    "ct begin": Case(
        P,
        "y = ConvTranspose<strides=[2,2], pads=[1,0,0,1], output_padding=[1,1]>(x, w, b)",
        {"w": (4, 3, 2, 2), "b": (3,)},
        "T TRANSPOSE_CONV SLICE PAD ADD T",
    ),
    # a stride longer than the kernel leaves gaps
    "ct k1 s2": Case(P, "y = ConvTranspose<strides=[2,2]>(x, w)", {"w": (4, 3, 1, 1)}, "T TRANSPOSE_CONV T"),
    # unequal pads are cut off
    "ct asym": Case(
        P,
        "y = ConvTranspose<strides=[2,3], pads=[0,2,1,1]>(x, w)",
        {"w": (4, 3, 3, 5)},
        "T TRANSPOSE_CONV SLICE ADD T",
    ),
    # groups become zeros in one kernel
    "ct groups": Case(
        P,
        "y = ConvTranspose<group=2, strides=[2,2]>(x, w, b)",
        {"w": (4, 3, 3, 3), "b": (6,)},
        "T TRANSPOSE_CONV T",
    ),
    "ct depthwise": Case(
        P,
        "y = ConvTranspose<group=4, strides=[2,2], pads=[1,1,1,1]>(x, w)",
        {"w": (4, 1, 4, 4)},
        "T TRANSPOSE_CONV T",
    ),
    # so do the gaps of a dilated kernel
    "ct dilated": Case(
        P,
        "y = ConvTranspose<dilations=[2,2], strides=[2,1]>(x, w, b)",
        {"w": (4, 3, 3, 3), "b": (3,)},
        "T TRANSPOSE_CONV T",
    ),
    "ct row": Case(
        "float[1,4,5] x",
        "y = ConvTranspose<strides=[2], pads=[1,1]>(x, w, b)",
        {"w": (4, 3, 4), "b": (3,)},
        "T RESHAPE TRANSPOSE_CONV RESHAPE T",
    ),
    "ct same_upper": Case(
        P,
        'y = ConvTranspose<auto_pad="SAME_UPPER", strides=[2,2]>(x, w, b)',
        {"w": (4, 3, 3, 3), "b": (3,)},
        "T TRANSPOSE_CONV T",
    ),
    "ct same_lower": Case(
        P,
        'y = ConvTranspose<auto_pad="SAME_LOWER", strides=[2,2]>(x, w, b)',
        {"w": (4, 3, 3, 3), "b": (3,)},
        "T TRANSPOSE_CONV SLICE ADD T",
    ),
    # output_shape gives the pads, the odd one in front
    "ct output_shape": Case(
        P,
        "y = ConvTranspose<output_shape=[12,10], strides=[2,2]>(x, w, b)",
        {"w": (4, 3, 3, 3), "b": (3,)},
        "T TRANSPOSE_CONV SLICE ADD T",
    ),
    # ceil_mode's last window hangs over by one row, which is SAME
    "maxpool ceil": Case(
        X, "y = MaxPool<kernel_shape=[2,2], strides=[2,2], ceil_mode=1>(x)", {}, "T MAX_POOL_2D T"
    ),
    # one more row and column than any window needs: mirrored, never infinite
    "maxpool ceil 3/2": Case(
        X, "y = MaxPool<kernel_shape=[3,3], strides=[2,2], ceil_mode=1>(x)", {}, "T MIRROR_PAD MAX_POOL_2D T"
    ),
    # what is never negative is padded with zeros
    "maxpool relu sym": Case(
        X,
        "r=Relu(x) y = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(r)",
        {},
        "RELU T PAD MAX_POOL_2D T",
    ),
    "maxpool row": Case(
        "float[1,3,8] x",
        "y = MaxPool<kernel_shape=[3], strides=[2], pads=[1,1]>(x)",
        {},
        "T RESHAPE MIRROR_PAD MAX_POOL_2D RESHAPE T",
    ),
    "maxpool same_lower": Case(
        X,
        'y = MaxPool<kernel_shape=[3,3], strides=[2,2], auto_pad="SAME_LOWER">(x)',
        {},
        "T MIRROR_PAD MAX_POOL_2D T",
    ),
    # more padding than half the kernel: its border repeated
    "maxpool wide pads": Case(
        X, "y = MaxPool<kernel_shape=[3,3], pads=[2,2,0,1]>(x)", {}, "T GATHER GATHER MAX_POOL_2D T"
    ),
    # zeros that count
    "avgpool counted": Case(
        X,
        "y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1>(x)",
        {},
        "T PAD AVERAGE_POOL_2D T",
    ),
    # zeros that do not count: divided out by constants
    "avgpool uncounted not same": Case(
        X,
        "y = AveragePool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x)",
        {},
        "T PAD AVERAGE_POOL_2D MUL T",
    ),
    "avgpool ceil": Case(
        X,
        "y = AveragePool<kernel_shape=[3,3], strides=[2,2], ceil_mode=1>(x)",
        {},
        "T PAD AVERAGE_POOL_2D MUL T",
    ),
    # ceil_mode's overhang never counts, the pads do
    "avgpool ceil counted": Case(
        X,
        "y = AveragePool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], ceil_mode=1, "
        "count_include_pad=1>(x)",
        {},
        "T PAD AVERAGE_POOL_2D MUL T",
    ),
    "avgpool row": Case(
        "float[1,3,8] x",
        "y = AveragePool<kernel_shape=[3], strides=[2], pads=[1,1], count_include_pad=1>(x)",
        {},
        "T RESHAPE PAD AVERAGE_POOL_2D RESHAPE T",
    ),
    "avgpool relu": Case(
        X, "a = AveragePool<kernel_shape=[2,2]>(x) y=Relu(a)", {}, "T AVERAGE_POOL_2D+RELU T"
    ),
    "global max": Case(X, C + "y=GlobalMaxPool(a)", W3, "T CONV_2D REDUCE_MAX RESHAPE"),
    # -- Resize
    "resize nearest x2 asym floor": Case(
        X,
        f'y = Resize<mode="nearest", {WHERE}="asymmetric", nearest_mode="floor">(x, , s)',
        {"s": floats(1, 1, 2, 2)},
        "T RESIZE_NEAREST_NEIGHBOR T",
    ),
    "resize nearest default x2": Case(
        X, 'y = Resize<mode="nearest">(x, , s)', {"s": floats(1, 1, 2, 2)}, "T RESIZE_NEAREST_NEIGHBOR T"
    ),
    # round_prefer_floor is none of TFLite's roundings when shrinking
    "resize nearest default down": Case(
        X, 'y = Resize<mode="nearest">(x, , s)', {"s": floats(1, 1, 0.5, 0.6)}, "T GATHER GATHER T"
    ),
    # the first of four columns alone: its weights look like the identity's
    "resize to one column": Case(
        X,
        f'y = Resize<mode="cubic", {WHERE}="align_corners">(x, , , s)',
        {"s": ints(1, 3, 16, 1)},
        "T RESHAPE BATCH_MATMUL RESHAPE RESHAPE BATCH_MATMUL RESHAPE T",
    ),
    # one axis larger, one smaller
    "resize nearest sizes": Case(
        X, 'y = Resize<mode="nearest">(x, , , s)', {"s": ints(1, 3, 13, 5)}, "T GATHER GATHER T"
    ),
    "resize nearest align": Case(
        X,
        f'y = Resize<mode="nearest", {WHERE}="align_corners", nearest_mode="round_prefer_ceil">(x, , , s)',
        {"s": ints(1, 3, 15, 13)},
        "T RESIZE_NEAREST_NEIGHBOR T",
    ),
    "resize linear half": Case(
        X, 'y = Resize<mode="linear">(x, , , s)', {"s": ints(1, 3, 16, 21)}, "T RESIZE_BILINEAR T"
    ),
    "resize linear pth": Case(
        X,
        f'y = Resize<mode="linear", {WHERE}="pytorch_half_pixel">(x, , s)',
        {"s": floats(1, 1, 2, 3)},
        "T RESIZE_BILINEAR T",
    ),
    "resize linear asym": Case(
        X,
        f'y = Resize<mode="linear", {WHERE}="asymmetric">(x, , s)',
        {"s": floats(1, 1, 2, 3)},
        "T RESIZE_BILINEAR T",
    ),
    "resize linear align": Case(
        X,
        f'y = Resize<mode="linear", {WHERE}="align_corners">(x, , , s)',
        {"s": ints(1, 3, 15, 20)},
        "T RESIZE_BILINEAR T",
    ),
    # 8 * 1.3 = 10.4 pixels: the scale is not 10 / 8, so a product with ONNX's own weights
    "resize linear odd scale": Case(
        X,
        'y = Resize<mode="linear">(x, , s)',
        {"s": floats(1, 1, 1.3, 1.3)},
        "T RESHAPE BATCH_MATMUL RESHAPE RESHAPE BATCH_MATMUL RESHAPE T",
    ),
    "resize linear down": Case(
        X, 'y = Resize<mode="linear">(x, , , s)', {"s": ints(1, 3, 3, 3)}, "T RESIZE_BILINEAR T"
    ),
    # no such operator: the same
    "resize cubic": Case(
        X,
        'y = Resize<mode="cubic", cubic_coeff_a=-0.75>(x, , , s)',
        {"s": ints(1, 3, 12, 10)},
        "T RESHAPE BATCH_MATMUL RESHAPE RESHAPE BATCH_MATMUL RESHAPE T",
    ),
    "resize linear batch2": Case(
        "float[2,3,5,4] x",
        'y = Resize<mode="linear">(x, , s)',
        {"s": floats(1, 1, 1.3, 1.3)},
        "T RESHAPE BATCH_MATMUL RESHAPE RESHAPE BATCH_MATMUL RESHAPE T",
    ),
    "resize row": Case(
        "float[1,3,8] x",
        'y = Resize<mode="linear">(x, , s)',
        {"s": floats(1, 1, 2)},
        "T RESHAPE RESIZE_BILINEAR RESHAPE T",
    ),
    # pytorch_half_pixel takes the first pixel for an output of one
    "resize to 1": Case(
        X,
        f'y = Resize<mode="linear", {WHERE}="pytorch_half_pixel">(x, , , s)',
        {"s": ints(1, 3, 1, 1)},
        "T RESIZE_BILINEAR RESHAPE",
    ),
    "resize same size": Case(
        X,
        'r=Relu(x) y = Resize<mode="linear">(r, , , s)',
        {"s": ints(1, 3, 8, 7)},
        "RELU T RESIZE_BILINEAR T",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_answers_as_onnx_runtime_does(name: str) -> None:
    CASES[name].check()
