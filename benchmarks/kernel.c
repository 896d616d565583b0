/* The folded rollout of one layer as one would write it in C: the yardstick of model/kernel.py.
 *
 * Built with -O3 -march=native -ffast-math -DHIDDEN=<hidden units, a multiple of 8>, so that all bounds are constants.
 * Matrices are stored by column, so that what is added is contiguous. Two ways to write the product: one column at a
 * time, and (-DCOLUMNS=8) eight at a time. The faster of the two is what the kernel is compared with.
 */

static const float P[] = {0.999999979f, 0.133810139f, 0.00349557414f, 2.06088541e-05f, 1.33543544e-08f};
static const float Q[] = {1.0f, 0.467143295f, 0.025876929f, 0.000328561199f, 7.77643042e-07f};

static inline float tanh_of(float x)
{
    x = x > 9.0f ? 9.0f : x < -9.0f ? -9.0f : x;
    const float s = x * x;
    return x * ((((P[4] * s + P[3]) * s + P[2]) * s + P[1]) * s + P[0])
             / ((((Q[4] * s + Q[3]) * s + Q[2]) * s + Q[1]) * s + Q[0]);
}

void rollout(float *restrict state, double *restrict values, long steps, double scale,
             const float *restrict matrix, const float *restrict bias, const float *restrict readout,
             float readout_bias)
{
    _Alignas(64) float h[HIDDEN], sum[HIDDEN];
    for (int i = 0; i < HIDDEN; i++)
        h[i] = state[i];
    for (long t = 0; t < steps; t++) {
        float y = readout_bias;
        for (int i = 0; i < HIDDEN; i++)
            y += readout[i] * h[i];
        values[t] = scale * y;
        for (int i = 0; i < HIDDEN; i++)
            sum[i] = bias[i];
#if COLUMNS == 8
        for (int j = 0; j < HIDDEN; j += 8) {
            const float *m = matrix + j * HIDDEN;
            for (int i = 0; i < HIDDEN; i++)
                sum[i] += m[i] * h[j] + m[HIDDEN + i] * h[j + 1] + m[2 * HIDDEN + i] * h[j + 2]
                        + m[3 * HIDDEN + i] * h[j + 3] + m[4 * HIDDEN + i] * h[j + 4] + m[5 * HIDDEN + i] * h[j + 5]
                        + m[6 * HIDDEN + i] * h[j + 6] + m[7 * HIDDEN + i] * h[j + 7];
        }
#else
        for (int j = 0; j < HIDDEN; j++)
            for (int i = 0; i < HIDDEN; i++)
                sum[i] += matrix[j * HIDDEN + i] * h[j];
#endif
        for (int i = 0; i < HIDDEN; i++)
            h[i] = tanh_of(sum[i]);
    }
    for (int i = 0; i < HIDDEN; i++)
        state[i] = h[i];
}
