// A diffusion policy over a perceptron: all denoising steps of ROWS environments by one block, activations in shared memory.
//
// x ← N(0, I); for each step x ← state·x + output·out + σ·exp(c·tanh(out'/c))·z with (out, out') = network(x, observation); the
// action is tanh(x·std + mean). The step's embedding is folded into the first layer's biases, one set a step.
//
// Between two barriers a block is in one phase, a function of the thread's number. The twin runs a phase for one thread after
// the other, so nothing of a thread lives longer than a phase.

// What `shape` holds, then the widths of the layers behind the input.
enum { OBSERVED = 0, ACTED = 1, DENOISING_STEPS = 2, ACTIVATION = 3, LEARNED_VARIANCE = 4, LAYERS = 5, WIDTHS = 6 };
enum { RELU = 0, SILU = 1, MISH = 2, GELU = 3 };

// What a block shares.
typedef struct {
  // [x, normalised observation] of each row, and the values of two layers.
  float input[MAX_INPUT * ROWS], values[2][MAX_WIDTH * ROWS];
  Stream streams[ROWS];
} Shared;

typedef struct {
  GLOBAL const float *numbers;   // see `weights_of`, in the order in which they are used
  GLOBAL const int *shape;
  GLOBAL const double *ziggurat; // [514]
  GLOBAL const u32 *keys;        // [8][count]: of the streams
  GLOBAL u32 *drawn;             // [count]: words drawn from them
  GLOBAL const int *status;      // [count]
} Policy;

DEVICE float sigmoid(float z) { return 1.0f / (1.0f + expf(-z)); }
DEVICE float bent(float z, int activation) {
  if (activation == SILU) return z * sigmoid(z);
  if (activation == MISH) {
    const float e = expf(fminf(z, 20.0f)), n = e * (e + 2.0f);
    return z * (n / (n + 2.0f));
  }
  if (activation == GELU) return 0.5f * z * (1.0f + erff(z * 0.70710678118654752f));
  return fmaxf(z, 0.0f);
}

// One layer of at least THREADS outputs: a thread makes COLUMNS of them, THREADS apart, for all rows, in registers.
DEVICE void wide_layer(LOCAL const float *in, LOCAL float *out, GLOBAL const float *weight, GLOBAL const float *bias, int inputs,
                       int outputs, int activation, int thread) {
  ROLLED for (int first = thread; first < outputs; first += COLUMNS * THREADS) {
    float sums[COLUMNS][ROWS];
    UNROLLED for (int c = 0; c < COLUMNS; c++) {
      const int column = first + c * THREADS;
      const float start = column < outputs ? bias[column] : 0.0f;
      UNROLLED for (int r = 0; r < ROWS; r++) sums[c][r] = start;
    }
    ROLLED for (int k = 0; k < inputs; k++) {
      float factors[COLUMNS];
      UNROLLED for (int c = 0; c < COLUMNS; c++) {
        const int column = first + c * THREADS;
        factors[c] = column < outputs ? weight[k * outputs + column] : 0.0f;
      }
      UNROLLED for (int r = 0; r < ROWS; r++) {
        const float value = in[k * ROWS + r];
        UNROLLED for (int c = 0; c < COLUMNS; c++) sums[c][r] += value * factors[c];
      }
    }
    UNROLLED for (int c = 0; c < COLUMNS; c++) {
      const int column = first + c * THREADS;
      if (column < outputs)
        UNROLLED for (int r = 0; r < ROWS; r++) out[column * ROWS + r] = sums[c][r];
    }
    // In a loop of its own: 64 copies of the non-linearities would not fit the instruction cache.
    ROLLED for (int c = 0; c < COLUMNS; c++) {
      const int column = first + c * THREADS;
      if (column >= outputs) break;
      ROLLED for (int r = 0; r < ROWS; r++) out[column * ROWS + r] = bent(out[column * ROWS + r], activation);
    }
  }
}

// One layer of few outputs: a thread makes single numbers. The last layer, without an activation, is of this kind too.
DEVICE void narrow_layer(LOCAL const float *in, LOCAL float *out, GLOBAL const float *weight, GLOBAL const float *bias, int inputs,
                         int outputs, int activation, int is_last, int thread) {
  ROLLED for (int at = thread; at < outputs * ROWS; at += THREADS) {
    const int row = at % ROWS, column = at / ROWS;
    float sum = bias[column];
    ROLLED for (int k = 0; k < inputs; k++) sum += in[k * ROWS + row] * weight[k * outputs + column];
    out[column * ROWS + row] = is_last ? sum : bent(sum, activation);
  }
}

// Normalised observations, and x_0.
DEVICE void begin_rows(LOCAL Shared *shared, Policy policy, GLOBAL const float *observations, int first, int thread, int count) {
  const int observed = policy.shape[OBSERVED], acted = policy.shape[ACTED];
  GLOBAL const float *mean = policy.numbers, *std = mean + observed;
  ROLLED for (int at = thread; at < observed * ROWS; at += THREADS) {
    const int row = at % ROWS, column = at / ROWS, env = first + row;
    const float seen = env < count ? observations[column * count + env] : mean[column];
    shared->input[(acted + column) * ROWS + row] = (seen - mean[column]) / std[column];
  }
  if (thread >= ROWS) return;
  Stream stream;
  const int env = first + thread < count ? first + thread : count - 1;
  open_keyed_stream(&stream, policy.keys, policy.drawn[env], env, count);
  ROLLED for (int k = 0; k < acted; k++) shared->input[k * ROWS + thread] = (float)ziggurat_number(&stream, policy.ziggurat);
  shared->streams[thread] = stream;
}

// x of the next step. `numbers`: factors of x and of the network's output, and σ; `limit` bounds the change of log σ.
DEVICE void draw_rows(LOCAL Shared *shared, Policy policy, LOCAL const float *out, GLOBAL const float *numbers, float limit,
                      int thread) {
  if (thread >= ROWS) return;
  const int acted = policy.shape[ACTED], learned = policy.shape[LEARNED_VARIANCE];
  Stream stream = shared->streams[thread];
  ROLLED for (int k = 0; k < acted; k++) {
    const float z = (float)ziggurat_number(&stream, policy.ziggurat);
    float deviation = numbers[2];
    if (learned) deviation *= expf(tanhf(out[(acted + k) * ROWS + thread] / limit) * limit);
    const float mean = shared->input[k * ROWS + thread] * numbers[0] + out[k * ROWS + thread] * numbers[1];
    shared->input[k * ROWS + thread] = mean + z * deviation;
  }
  shared->streams[thread] = stream;
}

// Actions of the environments that run; the others' stay, and so do their streams.
DEVICE void end_rows(LOCAL const Shared *shared, Policy policy, GLOBAL float *actions, GLOBAL const float *mean, int first, int thread,
                     int count) {
  const int env = first + thread, acted = policy.shape[ACTED];
  if (thread >= ROWS || env >= count || policy.status[env] != RUNNING) return;
  ROLLED for (int k = 0; k < acted; k++)
    actions[k * count + env] = tanhf(shared->input[k * ROWS + thread] * mean[acted + k] + mean[k]);
  const Stream stream = shared->streams[thread];
  policy.drawn[env] = words_drawn(&stream);
}

DEVICE int any_runs(GLOBAL const int *status, int first, int count) {
  int any = 0;
  ROLLED for (int r = 0; r < ROWS; r++) any |= first + r < count && status[first + r] == RUNNING;
  return any;
}

// The block's work. `numbers`: mean and std of observations; mean and std of actions; the limit of log σ; for each step its
// three numbers; the first layer's weights [ACTED + OBSERVED][width] and, for each step, biases; the other layers' weights and
// biases.
DEVICE void act_block(LOCAL Shared *shared, Policy policy, GLOBAL const float *observations, GLOBAL float *actions, int block,
                      int count) {
  const int first = block * ROWS, observed = policy.shape[OBSERVED], acted = policy.shape[ACTED];
  const int steps = policy.shape[DENOISING_STEPS], layers = policy.shape[LAYERS], activation = policy.shape[ACTIVATION];
  if (!any_runs(policy.status, first, count)) return;
  GLOBAL const float *action_mean = policy.numbers + 2 * observed, *limit = action_mean + 2 * acted, *of_step = limit + 1;
  GLOBAL const float *weights = of_step + 3 * steps;
  PHASE(begin_rows(shared, policy, observations, first, thread, count))
  ROLLED for (int step = 0; step < steps; step++) {
    GLOBAL const float *weight = weights;
    LOCAL const float *in = shared->input;
    int inputs = acted + observed, side = 0;
    ROLLED for (int layer = 0; layer < layers; layer++) {
      const int outputs = policy.shape[WIDTHS + layer], sets = layer == 0 ? steps : 1, is_last = layer == layers - 1;
      GLOBAL const float *bias = weight + inputs * outputs + (layer == 0 ? step * outputs : 0);
      LOCAL float *out = shared->values[side];
      if (outputs >= THREADS && !is_last) {
        PHASE(wide_layer(in, out, weight, bias, inputs, outputs, activation, thread))
      } else {
        PHASE(narrow_layer(in, out, weight, bias, inputs, outputs, activation, is_last, thread))
      }
      weight += inputs * outputs + sets * outputs;
      in = out;
      inputs = outputs;
      side = 1 - side;
    }
    PHASE(draw_rows(shared, policy, in, of_step + 3 * step, *limit, thread))
  }
  PHASE(end_rows(shared, policy, actions, action_mean, first, thread, count))
}
