"""Vectors and matrices on the stack and in registers, for the kernel. Numba itself cannot express them.

Each function here emits LLVM instructions directly. In a plain loop over the elements of a vector, the compiler
decides: it may keep in memory the values that belong in registers, or the reverse.

Shape suffixes: W hidden units padded to a multiple of VECTOR, N rows of sums, B blocks of V = VECTOR rows. All arrays
begin at a multiple of a vector's size.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

VECTOR = 16
"""Number of floats in the widest vector registers (AVX-512). On narrower ones, LLVM uses several."""

_COLUMNS, _CHAINS = 8, 4
"""Number of columns that one iteration adds, and number of partial sums that take turns.

An addition then waits for the one four columns before it, not for the last one.
"""

_FLOATS, _LANES = ir.VectorType(ir.FloatType(), VECTOR), ir.VectorType(ir.IntType(32), VECTOR)


@intrinsic(prefer_literal=True)
def stack(typing_context, size):
    """Return a pointer to `size` floats on the stack; `size` is a constant. Numba has no function for this."""

    def generate(context, builder, signature, arguments):
        count = ir.Constant(ir.IntType(64), size.literal_value)
        array = cgutils.alloca_once(builder, ir.FloatType(), size=count)
        array.align = 4 * VECTOR
        return array

    return types.CPointer(types.float32)(size), generate


@intrinsic(prefer_literal=True)
def begin(typing_context, sums_N, first_N, rate_N, x, blocks):
    """Set sums = first + rate · x, for `blocks` (a constant) blocks of VECTOR rows."""

    def generate(context, builder, signature, arguments):
        sums, first, rate = _data(context, builder, signature, arguments[:3])
        x_V = _broadcast(builder, arguments[3])
        with cgutils.for_range(builder, _place(blocks.literal_value)) as block:
            place = builder.mul(block.index, _place(VECTOR))
            total = _fused(builder, _load(builder, rate, place), x_V, _load(builder, first, place))
            builder.store(total, _vector_at(builder, sums, place), align=4 * VECTOR)
        return context.get_dummy_value()

    return types.void(sums_N, first_N, rate_N, x, blocks), generate


@intrinsic(prefer_literal=True)
def add_product(typing_context, sums_N, matrix_BWV, h_W, first, blocks, width):
    """Add matrix · h to the sums, for `blocks` blocks of VECTOR rows, from row `first` of the sums on.

    The last three arguments are constants. The sums of a block stay in registers while all columns are added.
    """

    def generate(context, builder, signature, arguments):
        sums, matrix, h = _data(context, builder, signature, arguments[:3])
        chains = [cgutils.alloca_once(builder, _FLOATS) for _ in range(_CHAINS)]
        # The empty assembly hides the number of columns from the compiler. Otherwise it would unroll the whole loop
        # and keep h in more registers than there are.
        number = ir.FunctionType(cgutils.intp_t, [cgutils.intp_t])
        columns = builder.asm(number, "", "=r,0", [_place(width.literal_value)], False)
        with cgutils.for_range(builder, _place(blocks.literal_value)) as block:
            for chain in chains:
                builder.store(ir.Constant(_FLOATS, None), chain)
            with cgutils.for_range_slice(builder, _place(0), columns, _place(_COLUMNS), inc=True) as (column, _):
                for turn in range(_COLUMNS):
                    j, chain = builder.add(column, _place(turn)), chains[turn % _CHAINS]
                    place = builder.mul(builder.add(builder.mul(block.index, columns), j), _place(VECTOR))
                    h_V = _broadcast(builder, builder.load(builder.gep(h, [j])))
                    builder.store(_fused(builder, _load(builder, matrix, place), h_V, builder.load(chain)), chain)
            a, b, c, d = (builder.load(chain) for chain in chains)
            product = builder.fadd(builder.fadd(a, b), builder.fadd(c, d))
            place = builder.add(_place(first.literal_value), builder.mul(block.index, _place(VECTOR)))
            total = builder.fadd(_load(builder, sums, place), product)
            builder.store(total, _vector_at(builder, sums, place), align=4 * VECTOR)
        return context.get_dummy_value()

    return types.void(sums_N, matrix_BWV, h_W, first, blocks, width), generate


@intrinsic(prefer_literal=True)
def dot(typing_context, a_W, b_W, blocks):
    """Return a · b, for vectors of `blocks` (a constant) blocks of VECTOR numbers."""

    def generate(context, builder, signature, arguments):
        a, b = _data(context, builder, signature, arguments[:2])
        total = ir.Constant(_FLOATS, None)
        for block in range(blocks.literal_value):
            place = _place(VECTOR * block)
            total = _fused(builder, _load(builder, a, place), _load(builder, b, place), total)
        for distance in (8, 4, 2, 1):  # afterwards every lane has the sum of all lanes
            others = ir.Constant(_LANES, [lane ^ distance for lane in range(VECTOR)])
            total = builder.fadd(total, builder.shuffle_vector(total, total, others))
        return builder.extract_element(total, ir.Constant(_LANES.element, 0))

    return types.float32(a_W, b_W, blocks), generate


def _place(number):
    return ir.Constant(cgutils.intp_t, number)


def _data(context, builder, signature, arrays):
    """Return the data pointers of `arrays`, which are the first arguments of a function."""
    return [
        context.make_array(kind)(context, builder, array).data
        for kind, array in zip(signature.args, arrays, strict=False)
    ]


def _vector_at(builder, data, place):
    return builder.bitcast(builder.gep(data, [place]), _FLOATS.as_pointer())


def _load(builder, data, place):
    return builder.load(_vector_at(builder, data, place), align=4 * VECTOR)


def _broadcast(builder, number):
    lane = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), number, ir.Constant(_LANES.element, 0))
    return builder.shuffle_vector(lane, lane, ir.Constant(_LANES, None))


def _fused(builder, a, b, c):
    """Return a · b + c, in one instruction where the processor has it."""
    return builder.fadd(builder.fmul(a, b, flags=["contract"]), c, flags=["contract"])
