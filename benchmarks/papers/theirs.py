"""Numbers of the papers, as they print them; the only figures that are not measured by a program here."""

from __future__ import annotations

TREC_TABLE2 = {
    "cifarnet": (
        ("conventional", 217.32, "78.2"), ("Deep Reuse, 150 runs", 154.44, "73.2 to 76.1"), ("TREC", 153.92, "76.5"),
    ),
    "squeezenet": (
        ("conventional", 1639.51, "83.5"), ("Deep Reuse, 150 runs", 328.97, "79.8 to 81.9"), ("TREC", 327.90, "83.0"),
    ),
    "squeezenet-complex": (
        ("conventional", 1998.86, "85.3"), ("Deep Reuse, 150 runs", 543.71, "80.5 to 83.1"), ("TREC", 544.03, "84.6"),
    ),
    "zfnet": (
        ("conventional", 3557.32, "80.1"), ("Deep Reuse, 150 runs", 814.03, "72.5 to 76.6"), ("TREC", 814.01, "78.9"),
    ),
    "resnet34": (
        ("conventional", 4242.77, "52.6"), ("Deep Reuse, 150 runs", 1379.26, "46.7 to 49.9"), ("TREC", 1378.75, "52.2"),
    ),
}  # fmt: skip
"""Network -> (method, ms on an STM32F469NI, top-1 in percent); "squeezenet" is the table's Vanilla SqueezeNet,
"resnet34" is on ImageNet-64×64, all others are on CIFAR-10."""

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
    "zfnet": {
        "conv1": (147, 5, 0.9997, 1.22, -0.0011, 0.0457),
        "conv2": (300, 5, 0.9967, 4.69, -0.0037, 0.0319),
        "conv3": (432, 5, 0.9884, 4.72, -0.0076, 0.0389),
        "conv4": (432, 5, 0.9982, 6.23, -0.0105, 0.0228),
        "conv5": (288, 5, 0.9842, 5.58, -0.0068, 0.0311),
    },
    "squeezenet-complex": {
        "conv1": (9, 5, 0.9969, 1.27, 0.0122, 0.0783),
        "fire2.squeeze": (96, 4, 0.9926, 1.07, 0.0144, 0.0559),
        "fire2.expand1x1": (8, 5, 0.9914, 1.41, 0.0023, 0.0149),
        "fire2.expand3x3": (48, 5, 0.9897, 5.9, 0.0002, 0.0156),
        "fire2.bypass": (32, 5, 0.994, 2.45, 0.0071, 0.0232),
        "fire3.squeeze": (64, 4, 0.9877, 1.07, -0.0051, 0.0145),
        "fire3.expand1x1": (8, 5, 0.9918, 2.3, -0.0033, 0.0167),
        "fire3.expand3x3": (24, 5, 0.9876, 5.85, -0.0013, 0.0222),
        "fire4.squeeze": (64, 5, 0.9895, 1.0, -0.004, 0.0162),
        "fire4.expand1x1": (16, 5, 0.9881, 1.45, -0.0037, 0.0171),
        "fire4.expand3x3": (48, 5, 0.9876, 6.36, 0.0012, 0.0254),
        "fire4.bypass": (4, 8, 0.9933, 2.53, -0.0012, 0.0277),
        "fire5.squeeze": (64, 4, 0.9824, 1.84, -0.0036, 0.0188),
        "fire5.expand1x1": (16, 5, 0.9531, 4.51, 0.0016, 0.0163),
        "fire5.expand3x3": (48, 5, 0.9542, 11.83, 0.0001, 0.0197),
        "fire6.squeeze": (128, 5, 0.9719, 1.01, -0.0018, 0.0213),
        "fire6.expand1x1": (32, 5, 0.9631, 4.4, -0.0071, 0.0189),
        "fire6.expand3x3": (72, 5, 0.9534, 12.5, 0.0002, 0.0242),
        "fire6.bypass": (32, 5, 0.9768, 5.29, 0.0021, 0.0192),
        "fire7.squeeze": (48, 5, 0.9648, 1.71, 0.0003, 0.0257),
        "fire7.expand1x1": (24, 5, 0.957, 4.0, -0.0046, 0.0265),
        "fire7.expand3x3": (48, 5, 0.9531, 9.36, -0.0025, 0.0357),
        "fire8.squeeze": (64, 4, 0.9685, 1.03, -0.0003, 0.0299),
        "fire8.expand1x1": (16, 5, 0.9645, 2.15, 0.0012, 0.0164),
        "fire8.expand3x3": (64, 5, 0.955, 7.57, -0.0022, 0.0188),
        "fire8.bypass": (128, 5, 0.9609, 1.12, -0.0045, 0.0385),
        "fire9.squeeze": (128, 4, 0.8938, 1.01, -0.0078, 0.0138),
        "fire9.expand1x1": (16, 5, 0.8391, 1.53, -0.0019, 0.0188),
        "fire9.expand3x3": (96, 5, 0.8406, 11.64, -0.0022, 0.0235),
        "conv10": (4, 5, 0.9438, 1.29, 0.0057, 0.0326),
    },
    "resnet34": {
        "conv1": (25, 5, 0.8396, 7.64, -0.00063, 0.0236),
        "layer1.0.conv1": (144, 5, 0.9942, 7.69, -0.001, 0.0353),
        "layer1.0.conv2": (144, 5, 0.9876, 7.99, -0.0002, 0.0255),
        "layer1.1.conv1": (144, 5, 0.9919, 7.8, -0.0027, 0.0455),
        "layer1.1.conv2": (144, 5, 0.988, 7.98, 0.0008, 0.0301),
        "layer1.2.conv1": (144, 5, 0.9884, 7.96, -0.0036, 0.0201),
        "layer1.2.conv2": (144, 5, 0.9876, 7.99, -0.0027, 0.0475),
        "layer2.0.conv1": (144, 5, 0.951, 6.75, -0.003, 0.025),
        "layer2.0.conv2": (144, 5, 0.9579, 7.18, -0.0044, 0.0169),
        "layer2.1.conv1": (144, 5, 0.95, 6.87, -0.0007, 0.0302),
        "layer2.1.conv2": (144, 5, 0.9537, 7.02, -0.0045, 0.019),
        "layer2.2.conv1": (144, 5, 0.9528, 6.98, -0.0008, 0.0398),
        "layer2.2.conv2": (144, 5, 0.9554, 7.09, -0.0023, 0.0229),
        "layer2.3.conv1": (144, 5, 0.9557, 7.1, 0.0028, 0.0262),
        "layer2.3.conv2": (144, 5, 0.995, 7.49, -0.0011, 0.0195),
        "layer3.0.conv1": (288, 5, 0.9815, 1.88, -0.0003, 0.0386),
        "layer3.0.conv2": (72, 5, 0.9802, 2.99, -0.0036, 0.033),
        "layer3.1.conv1": (72, 5, 0.9804, 3.0, -0.0022, 0.0168),
        "layer3.1.conv2": (72, 5, 0.9802, 2.99, -0.0002, 0.0515),
        "layer3.2.conv1": (72, 5, 0.98, 2.99, -0.0015, 0.0275),
        "layer3.2.conv2": (72, 5, 0.9802, 2.99, -0.0009, 0.0607),
        "layer3.3.conv1": (72, 5, 0.9812, 3.01, -0.0002, 0.0311),
        "layer3.3.conv2": (72, 5, 0.98, 2.99, 0.0001, 0.0376),
        "layer3.4.conv1": (72, 5, 0.9803, 3.0, 0.0001, 0.0196),
        "layer3.4.conv2": (72, 5, 0.9804, 3.0, -0.001, 0.0427),
        "layer3.5.conv1": (72, 5, 0.9838, 3.06, -0.0009, 0.05),
        "layer3.5.conv2": (72, 5, 0.98, 2.99, -0.0013, 0.0271),
        "layer4.0.conv1": (36, 5, 0.9279, 1.54, -0.0023, 0.0506),
        "layer4.0.conv2": (114, 5, 0.9239, 1.2, 0.0005, 0.0327),
        "layer4.1.conv1": (96, 5, 0.973, 1.01, -0.0011, 0.0242),
        "layer4.1.conv2": (96, 5, 0.925, 1.01, -0.0023, 0.0441),
        "layer4.2.conv1": (96, 5, 0.93, 1.04, -0.0007, 0.018),
        "layer4.2.conv2": (96, 5, 0.9268, 1.01, -0.0011, 0.042),
    },
}  # fmt: skip
"""Network -> layer -> (L, H, r_t, speed-up over CMSIS-NN, accuracy over conventional, over Deep Reuse). ResNet-34's
Conv2-1 is `layer1.0.conv1` here; its 1×1 convolutions are not in the table."""

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
    "cifarnet": ((15, 5, 0.01, 1.58), (10, 10, 0.01, 2.51)),
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
VGG-16 but has VGG-19's sixteen convolutions, as Table I does. Means of the speed-ups agree with the printed 2.05,
2.41, 2.26."""

DR_TABLE1 = {"cifarnet": ("CIFAR-10", 2), "alexnet": ("ImageNet", 5), "vgg19": ("ImageNet", 16)}
"""Network -> (data set, convolutions)."""

DR_TABLE3 = {"cifarnet": (1.77, 0.7892, -0.0011), "alexnet": (2.00, 0.5360, -0.0002), "vgg19": (1.89, 0.7118, 0.0005)}
"""Network -> (speed-up of the whole network on a GPU, accuracy, accuracy lost; negative: gained)."""

DR_TABLE4 = {
    "perforated CNN": {"alexnet": (2.0, 8.5, 2.0), "vgg": (1.9, 23.1, 2.5)},
    "Deep Reuse": {"alexnet": (3.3, -0.02, None), "vgg": (4.5, 0.05, None)},
}
"""Method -> network -> (times fewer computations, points lost before and after fine-tuning). The first row is copied
from Figurnov et al. (2016)."""

DR_TABLE5 = {"conv1": 1.81, "conv2": 3.29, "conv3": 3.64, "conv4": 3.45, "conv5": 2.71}
"""Layer of the compressed AlexNet -> speed-up on a GPU."""
