"""Numbers of the papers, as they print them; the only figures that are not measured by a program here."""

from __future__ import annotations

TREC_TABLE2 = {
    "cifarnet": (
        ("conventional", 217.32, "78.2"), ("Deep Reuse, 150 runs", 154.44, "73.2 to 76.1"), ("TREC", 153.92, "76.5"),
    ),
    "squeezenet": (
        ("conventional", 1639.51, "83.5"), ("Deep Reuse, 150 runs", 328.97, "79.8 to 81.9"), ("TREC", 327.90, "83.0"),
    ),
}  # fmt: skip
"""Network -> (method, ms on an STM32F469NI, top-1 in percent); "squeezenet" is the table's Vanilla SqueezeNet."""

TREC_TABLE3 = {
    "cifarnet": {
        "conv1": (5, 15, 0.9429, 1.81, -0.0132, 0.0428),
        "conv2": (10, 10, 0.7947, 1.52, -0.0077, 0.0316),
    },
    "squeezenet": {
        "conv1": (9, 5, 0.9969, 1.27, -0.0066, 0.0311),
        "fire2.squeeze": (96, 4, 0.9922, 1.02, -0.0179, 0.0310),
        "fire2.expand1x1": (8, 5, 0.9934, 4.61, 0.0006, 0.0233),
        "fire2.expand3x3": (48, 5, 0.9875, 6.04, 0.0040, 0.0182),
        "fire3.squeeze": (64, 4, 0.9877, 1.30, 0.0029, 0.0138),
        "fire3.expand1x1": (8, 5, 0.9932, 4.51, 0.0055, 0.0132),
        "fire3.expand3x3": (72, 5, 0.9876, 6.43, 0.0029, 0.0138),
        "fire4.squeeze": (64, 4, 0.9980, 1.07, -0.0062, 0.0337),
        "fire4.expand1x1": (16, 5, 0.9879, 3.61, 0.0037, 0.0240),
        "fire4.expand3x3": (144, 5, 0.9877, 5.86, 0.0035, 0.0289),
        "fire5.squeeze": (128, 4, 0.9844, 1.05, 0.0001, 0.0139),
        "fire5.expand1x1": (4, 5, 0.9906, 4.96, -0.0009, 0.0151),
        "fire5.expand3x3": (144, 5, 0.9500, 3.25, -0.0064, 0.0162),
        "fire6.squeeze": (32, 5, 0.9598, 1.78, -0.0008, 0.1935),
        "fire6.expand1x1": (6, 5, 0.9736, 2.84, 0.0064, 0.0213),
        "fire6.expand3x3": (54, 5, 0.9504, 16.06, -0.0078, 0.0159),
        "fire7.squeeze": (48, 5, 0.9600, 1.39, -0.0023, 0.0146),
        "fire7.expand1x1": (6, 5, 0.9754, 2.67, 0.0049, 0.0224),
        "fire7.expand3x3": (216, 5, 0.9523, 16.95, -0.0052, 0.0105),
        "fire8.squeeze": (8, 5, 0.9784, 1.39, -0.0063, 0.0805),
        "fire8.expand1x1": (4, 5, 0.9710, 4.31, 0.0065, 0.0224),
        "fire8.expand3x3": (288, 5, 0.9500, 18.66, -0.0042, 0.0127),
        "fire9.squeeze": (256, 5, 0.9250, 1.07, 0.0062, 0.2365),
        "fire9.expand1x1": (8, 5, 0.8563, 1.10, 0.0037, 0.0201),
        "fire9.expand3x3": (288, 5, 0.8156, 12.63, 0.0058, 0.0148),
        "conv10": (4, 5, 0.9235, 1.32, -0.0084, 0.1901),
    },
}  # fmt: skip
"""Network -> layer -> (L, H, r_t, speed-up over CMSIS-NN, accuracy over conventional, over Deep Reuse)."""

GR_TABLE3 = {
    "cifarnet": {"conv1": (15.82, 17.3, 3.8, 13.15), "conv2": (12.53, 5.0, 8.0, 15.5)},
    "squeezenet": {
        "fire2.expand3x3": (29.33, 9.0, 2.4, 4.84), "fire3.expand3x3": (29.08, 17.92, 2.4, 5.0),
        "fire4.expand3x3": (28.26, 2.72, 11.9, 9.92), "fire5.expand3x3": (65.34, 3.6, 5.76, 40.5),
        "fire6.expand3x3": (8.8, 2.4, 13.8, 2.76), "fire7.expand3x3": (25.6, 11.5, 12.4, 19.32),
        "fire8.expand3x3": (21.14, 10.26, 11.0, 15.12),
    },
}  # fmt: skip
"""Network -> layer -> ms in transformation, clustering, GEMM, recovering on an STM32F469I. They do not all add up to
the latency that the table prints beside them (fire5 to fire8)."""

GR_TABLE4 = {
    "conventional": {"inside": 0.77, "outside": 0.105, "detected": 0.363},
    "with reuse": {"inside": 0.7434, "outside": 0.0902, "detected": 0.674},
}
"""CifarNet: accuracy on CIFAR-10 and SVHN, share of SVHN with a largest softmax probability under 0.7."""

GR_TABLE5 = {
    "pruned, quantised, tuned": {"top1": 0.78, "ms": 217.0, "flops": "15M"},
    "with reuse": {"top1": 0.76, "ms": 187.0, "flops": "6M"},
}

DR_TABLE2 = {
    "alexnet": (
        (15, 11, 0.13, 1.63), (15, 20, 0.18, 2.84), (15, 12, 0.17, 2.58), (15, 12, 0.15, 2.76), (15, 24, 0.15, 2.23),
    ),
    "vgg19": (
        (15, 9, 0.08, 2.35), (15, 16, 0.11, 2.06), (15, 16, 0.13, 1.83), (15, 16, 0.11, 1.95), (10, 16, 0.09, 2.22),
        (10, 16, 0.11, 2.03), (10, 16, 0.06, 2.79), (10, 16, 0.09, 2.52), (8, 24, 0.05, 3.19), (8, 24, 0.1, 2.85),
        (8, 24, 0.11, 2.37), (8, 24, 0.13, 2.44), (8, 24, 0.2, 1.86), (8, 24, 0.18, 1.81), (8, 24, 0.18, 1.81),
        (8, 24, 0.16, 2.02),
    ),
}  # fmt: skip
"""Network -> its convolutions in order: (H, L, r_c, speed-up on a GPU), LSH without cluster reuse. The table says
VGG-16 but has VGG-19's sixteen convolutions, as Table I does. Means of the speed-ups agree with the printed 2.41, 2.26.
"""
