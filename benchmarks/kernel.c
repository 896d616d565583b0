/* The closed loop of one layer in plain C. model/runtime/kernel.py is compared with it.
 *
 * It is built with -O3 -march=native -ffast-math -DHIDDEN=<hidden units, a multiple of 8> -DCELL=<RNN, GRU or LSTM>, so
 * all bounds are constants. Matrices are stored by column, so the numbers to add are contiguous. The product is written
 * in two ways: one column at a time, or, with -DCOLUMNS=8, eight at a time. The kernel is compared with the faster one.
 * RNN and LSTM get the folded loop's matrix and bias_x, and no input. The GRU's output is fed back.
 */

#define RNN 1
#define GRU 3
#define LSTM 4
#define ROWS (CELL * HIDDEN)

static const float P[] = {0.999999979f, 0.133810139f, 0.00349557414f, 2.06088541e-05f, 1.33543544e-08f};
static const float Q[] = {1.0f, 0.467143295f, 0.025876929f, 0.000328561199f, 7.77643042e-07f};

static inline float tanh_of(float x)
{
    x = x > 9.0f ? 9.0f : x < -9.0f ? -9.0f : x;
    const float s = x * x;
    return x * ((((P[4] * s + P[3]) * s + P[2]) * s + P[1]) * s + P[0])
             / ((((Q[4] * s + Q[3]) * s + Q[2]) * s + Q[1]) * s + Q[0]);
}

static inline float sigmoid_of(float x)
{
    return 0.5f + 0.5f * tanh_of(0.5f * x);
}

/* state holds HIDDEN hidden units; for the LSTM, as many numbers of the cell state follow. */
void rollout(float *restrict state, double *restrict values, long steps, double scale,
             const float *restrict input, const float *restrict matrix, const float *restrict bias_x,
             const float *restrict bias_h, const float *restrict readout, float readout_bias)
{
    _Alignas(64) float h[HIDDEN], c[HIDDEN], sum[ROWS];
    for (int i = 0; i < HIDDEN; i++) {
        h[i] = state[i];
        c[i] = CELL == LSTM ? state[HIDDEN + i] : 0.0f;
    }
    for (long t = 0; t < steps; t++) {
        float y = readout_bias;
        for (int i = 0; i < HIDDEN; i++)
            y += readout[i] * h[i];
        values[t] = scale * y;
        for (int i = 0; i < ROWS; i++)
            sum[i] = CELL == GRU ? bias_h[i] : bias_x[i];
#if COLUMNS == 8
        for (int j = 0; j < HIDDEN; j += 8) {
            const float *m = matrix + j * ROWS;
            for (int i = 0; i < ROWS; i++)
                sum[i] += m[i] * h[j] + m[ROWS + i] * h[j + 1] + m[2 * ROWS + i] * h[j + 2]
                        + m[3 * ROWS + i] * h[j + 3] + m[4 * ROWS + i] * h[j + 4] + m[5 * ROWS + i] * h[j + 5]
                        + m[6 * ROWS + i] * h[j + 6] + m[7 * ROWS + i] * h[j + 7];
        }
#else
        for (int j = 0; j < HIDDEN; j++)
            for (int i = 0; i < ROWS; i++)
                sum[i] += matrix[j * ROWS + i] * h[j];
#endif
        for (int i = 0; i < HIDDEN; i++) {
#if CELL == RNN
            h[i] = tanh_of(sum[i]);
#elif CELL == GRU
            const int z = HIDDEN + i, n = 2 * HIDDEN + i;
            const float reset = sigmoid_of(sum[i] + input[i] * y + bias_x[i]);
            const float update = sigmoid_of(sum[z] + input[z] * y + bias_x[z]);
            const float candidate = tanh_of(input[n] * y + bias_x[n] + reset * sum[n]);
            h[i] = candidate + update * (h[i] - candidate);
#else
            c[i] = sigmoid_of(sum[HIDDEN + i]) * c[i] + sigmoid_of(sum[i]) * tanh_of(sum[2 * HIDDEN + i]);
            h[i] = sigmoid_of(sum[3 * HIDDEN + i]) * tanh_of(c[i]);
#endif
        }
    }
    for (int i = 0; i < HIDDEN; i++) {
        state[i] = h[i];
        if (CELL == LSTM)
            state[HIDDEN + i] = c[i];
    }
}
