"""The loop of the CUDA runtime, written in Triton: a whole batch is encoded and rolled out by one kernel launch.

A program computes a few rows from the first value to the last step, so nothing leaves the chip in between but the
answers. Its shape decides the speed. With 64 numbers of hidden state a warp, Triton gives each thread one hidden unit
of two rows. The thread's columns of the matrices (3 · 32 numbers for a GRU of 32 units) then stay in registers for all
steps, and only the hidden state passes through shared memory. docs/decisions/cuda-kernel.md compares other shapes.

A row's answer is the same bit for bit whatever else is in the batch: every program has the same shape, and the sums of
a row are added in the same order. All arithmetic is in single precision ("ieee"), without tensor cores.

Triton compiles this module, and mypy does not check it. With `TRITON_INTERPRET=1` it runs on a CPU, in NumPy.

Shape suffixes: R rows of a program, H hidden units padded to a power of two (the padding stays 0), G gates, L layers,
P parts of a layer's memory (1, or 2 for an LSTM), B batch, T time, S steps, E = RECENT errors.
"""

import triton
import triton.language as tl


@triton.jit
def sigmoid(x):
    return 1 / (1 + tl.exp(-x))


@triton.jit
def tanh(x):
    return 2 / (1 + tl.exp(-2 * x)) - 1


@triton.jit
def from_input(x, W_x, bias, gate, LAYER: tl.constexpr):
    """Return W_x x + bias for one gate: the lowest layer reads one number a row, [R, 1], the others [R, H]."""
    if LAYER == 0:
        return x * W_x[gate] + bias[gate]
    else:
        return tl.dot(x, W_x[gate], acc=tl.broadcast_to(bias[gate], x.shape), input_precision="ieee")


@triton.jit
def gate_sum(x, h, W_x, W_h, bias, gate, LAYER: tl.constexpr):
    """Return W_x x + bias + W_h h for one gate, [R, H]."""
    return tl.dot(h, W_h[gate], acc=from_input(x, W_x, bias, gate, LAYER), input_precision="ieee")


@triton.jit
def advance(x, h, c, W_x, W_h, bias, bias_n, CELL: tl.constexpr, LAYER: tl.constexpr):
    """Return h and c of one layer after one step, each [R, H]. `model/cell.py` has the equations."""
    if CELL == "rnn":
        h = tanh(gate_sum(x, h, W_x, W_h, bias, 0, LAYER))
    elif CELL == "gru":
        r = sigmoid(gate_sum(x, h, W_x, W_h, bias, 0, LAYER))
        z = sigmoid(gate_sum(x, h, W_x, W_h, bias, 1, LAYER))
        W_n_h = tl.dot(h, W_h[2], acc=tl.broadcast_to(bias_n, h.shape), input_precision="ieee")
        n = tanh(from_input(x, W_x, bias, 2, LAYER) + r * W_n_h)
        h = n + z * (h - n)
    else:
        i = sigmoid(gate_sum(x, h, W_x, W_h, bias, 0, LAYER))
        f = sigmoid(gate_sum(x, h, W_x, W_h, bias, 1, LAYER))
        g = tanh(gate_sum(x, h, W_x, W_h, bias, 2, LAYER))
        o = sigmoid(gate_sum(x, h, W_x, W_h, bias, 3, LAYER))
        c = f * c + i * g
        h = o * tanh(c)
    return h, c


@triton.jit
def advance_all(x, h, c, W_x, W_h, bias, bias_n, CELL: tl.constexpr, LAYERS: tl.constexpr):
    """Return h and c of all layers after one step. The lowest layer reads `x`, [R, 1], the others the layer below."""
    next_h, next_c = (), ()
    for layer in tl.static_range(LAYERS):
        x, new_c = advance(x, h[layer], c[layer], W_x[layer], W_h[layer], bias[layer], bias_n[layer], CELL, layer)
        next_h = next_h + (x,)
        next_c = next_c + (new_c,)
    return next_h, next_c


@triton.jit
def gates(pointer, offset, GATES: tl.constexpr, SIZE: tl.constexpr):
    """Return the arrays of all gates, which lie `SIZE` numbers apart."""
    loaded = ()
    for gate in tl.static_range(GATES):
        loaded = loaded + (tl.load(pointer + gate * SIZE + offset),)
    return loaded


@triton.jit(do_not_specialize=["rows", "longest", "steps"])
def run(
    x_BT,
    length_B,
    before_BLPH,
    after_BLPH,
    values_BS,
    error_BE,
    input_GH,
    below_LGHH,
    recurrent_LGHH,
    bias_LGH,
    bias_n_LH,
    readout_H,
    readout_bias,
    rows,
    longest,
    steps,
    CELL: tl.constexpr,
    LAYERS: tl.constexpr,
    HIDDEN: tl.constexpr,
    ROWS: tl.constexpr,
    RECENT: tl.constexpr,
):
    """Encode `longest` values at most, and fill `values_BS` by a rollout. Either number may be 0.

    `x_BT` has normalised values, `length_B` how many of them belong to each row. `error_BE` gets the errors of a row's
    predictions of its last values, the newest last.
    """
    GATES: tl.constexpr = 1 if CELL == "rnn" else 3 if CELL == "gru" else 4
    PARTS: tl.constexpr = 2 if CELL == "lstm" else 1
    SQUARE: tl.constexpr = HIDDEN * HIDDEN
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    unit = tl.arange(0, HIDDEN)[None, :]
    square = tl.arange(0, HIDDEN)[:, None] * HIDDEN + unit
    inside = row < rows
    far = row.to(tl.int64)
    place = far[:, None] * (LAYERS * PARTS * HIDDEN) + unit

    h, c, W_x, W_h, bias, bias_n = (), (), (), (), (), ()
    for layer in tl.static_range(LAYERS):
        memory = before_BLPH + place + layer * PARTS * HIDDEN
        h = h + (tl.load(memory, mask=inside[:, None], other=0.0),)
        c = c + (tl.load(memory + (PARTS - 1) * HIDDEN, mask=inside[:, None], other=0.0),)
        if layer == 0:
            W_x = W_x + (gates(input_GH, unit, GATES, HIDDEN),)
        else:
            W_x = W_x + (gates(below_LGHH + layer * GATES * SQUARE, square, GATES, SQUARE),)
        W_h = W_h + (gates(recurrent_LGHH + layer * GATES * SQUARE, square, GATES, SQUARE),)
        bias = bias + (gates(bias_LGH + layer * GATES * HIDDEN, unit, GATES, HIDDEN),)
        bias_n = bias_n + (tl.load(bias_n_LH + layer * HIDDEN + unit),)
    w_y = tl.load(readout_H + unit)

    if longest > 0:
        length = tl.load(length_B + row, mask=inside, other=0)
        for t in range(longest):
            given = t < length
            x = tl.load(x_BT + far * longest + t, mask=given, other=0.0)
            from_end = length - t
            error = x - (tl.sum(h[LAYERS - 1] * w_y, axis=1) + readout_bias)
            tl.store(error_BE + far * RECENT + RECENT - from_end, error, mask=given & (from_end <= RECENT))
            new_h, new_c = advance_all(x[:, None], h, c, W_x, W_h, bias, bias_n, CELL, LAYERS)
            next_h, next_c = (), ()
            for layer in tl.static_range(LAYERS):
                next_h = next_h + (tl.where(given[:, None], new_h[layer], h[layer]),)
                next_c = next_c + (tl.where(given[:, None], new_c[layer], c[layer]),)
            h, c = next_h, next_c

    for s in range(steps):
        y = tl.sum(h[LAYERS - 1] * w_y, axis=1) + readout_bias
        tl.store(values_BS + far * steps + s, y, mask=inside)
        h, c = advance_all(y[:, None], h, c, W_x, W_h, bias, bias_n, CELL, LAYERS)

    for layer in tl.static_range(LAYERS):
        memory = after_BLPH + place + layer * PARTS * HIDDEN
        tl.store(memory, h[layer], mask=inside[:, None])
        if PARTS == 2:
            tl.store(memory + HIDDEN, c[layer], mask=inside[:, None])
