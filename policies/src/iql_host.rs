//! The update of [`Iql`] straight on the CPU kernels: parameters stay where they lie, buffers outlive the update.
//!
//! All forward passes (online, target and bootstrap networks) are one set of independent jobs, all backward passes another, and
//! all optimizer steps a third. A job is one network on one shard of the rows; how rows are cut depends on their number
//! alone, and shards are added in order, so the bytes do not depend on the number of threads.

use crate::iql::{Iql, IqlReport, Transitions};
use crate::kernels::adam::{Adam, moving_average};
use crate::kernels::host::HostVector;
use crate::kernels::mlp::{LayerOffsets, MlpSpec, rows_per_shard};
use crate::kernels::parallel::{for_each, inside};
use crate::kernels::pass::{self, Net, Workspace, sized};

/// One network applied to one of the inputs.
#[derive(Default)]
struct Pass {
    output: Vec<f32>,
    delta: Vec<f32>,
    shards: Vec<Workspace>,
    gradients: Vec<Vec<f32>>,
}

/// Buffers of [`update`].
#[derive(Default)]
pub(crate) struct Scratch {
    joined: Vec<f32>,
    passes: Vec<Pass>,
}

/// Writes [observation, action] rows into `joined`.
pub(crate) fn join(
    observations: &[f32],
    actions: &[f32],
    widths: [usize; 2],
    joined: &mut Vec<f32>,
) {
    joined.clear();
    let rows = observations.chunks_exact(widths[0]);
    for (o, a) in rows.zip(actions.chunks_exact(widths[1])) {
        joined.extend_from_slice(o);
        joined.extend_from_slice(a);
    }
}

/// Returns the outputs of `nets`, all of one shape, for one input: one job per network and shard.
pub(crate) fn evaluate(spec: &MlpSpec, nets: &[HostVector], input: &[f32]) -> Vec<Vec<f32>> {
    let layers = spec.layers();
    let rows = input.len() / spec.inputs();
    let per_shard = rows_per_shard(rows);
    let mut outputs = vec![vec![0.0; rows * spec.outputs()]; nets.len()];
    let mut jobs = Vec::new();
    for (net, output) in nets.iter().zip(&mut outputs) {
        let parameters = net.values();
        let shards = input.chunks(per_shard * spec.inputs());
        for (x, y) in shards.zip(output.chunks_mut(per_shard * spec.outputs())) {
            jobs.push((parameters, x, y));
        }
    }
    for_each(jobs, |(parameters, x, y)| {
        let net = Net {
            spec,
            layers: &layers,
            parameters,
        };
        let mut work = Workspace::take();
        pass::forward(net, x, y, &mut work, false);
        work.give_back();
    });
    outputs
}

/// The networks of one update: shapes of Q and V, and the parameters of Q…, V, target….
struct Nets {
    specs: [MlpSpec; 2],
    layers: [Vec<LayerOffsets>; 2],
    parameters: Vec<HostVector>,
    ensemble: usize,
}

impl Nets {
    fn take(critic: &mut Iql) -> Self {
        let specs = [(*critic.q[0].spec).clone(), (*critic.v.spec).clone()];
        let all = critic.q.iter_mut().chain([&mut critic.v]);
        let all = all.chain(&mut critic.target);
        Self {
            layers: [specs[0].layers(), specs[1].layers()],
            specs,
            parameters: all
                .map(|net| HostVector::take(&mut net.parameters))
                .collect(),
            ensemble: critic.q.len(),
        }
    }

    fn put_back(self, critic: &mut Iql) {
        let all = critic.q.iter_mut().chain([&mut critic.v]);
        for (net, values) in all.chain(&mut critic.target).zip(self.parameters) {
            net.parameters = values.into_tensor();
        }
    }

    /// The network of a pass: Q…, V, target…, and V once more on the next observations.
    fn of(&self, pass: usize) -> Net<'_> {
        let last = 2 * self.ensemble + 1;
        let slot = if pass == last { self.ensemble } else { pass };
        let kind = usize::from(slot == self.ensemble);
        Net {
            spec: &self.specs[kind],
            layers: &self.layers[kind],
            parameters: self.parameters[slot].values(),
        }
    }
}

/// Does one update; see [`Iql::update`]. `None` when a loss is not finite: nothing is changed then.
pub(crate) fn update(critic: &mut Iql, batch: &Transitions<'_>) -> Option<IqlReport> {
    let mut scratch = std::mem::take(&mut critic.scratch);
    let mut nets = Nets::take(critic);
    let report = inside(|| run(critic, batch, &mut nets, &mut scratch));
    nets.put_back(critic);
    critic.scratch = scratch;
    report
}

fn run(
    critic: &mut Iql,
    batch: &Transitions<'_>,
    nets: &mut Nets,
    scratch: &mut Scratch,
) -> Option<IqlReport> {
    let Scratch { joined, passes } = scratch;
    let widths = [critic.observation_dim, critic.action_dim];
    join(batch.observations, batch.actions, widths, joined);
    let n = nets.ensemble;
    passes.resize_with(2 * n + 2, Pass::default);
    let input = |pass: usize| -> &[f32] {
        match pass {
            p if p == n => batch.observations,
            p if p == 2 * n + 1 => batch.next_observations,
            _ => joined,
        }
    };
    forward(nets, batch.rewards.len(), &input, passes);
    let report = losses(critic, batch, passes);
    if !(report.q_loss.is_finite() && report.v_loss.is_finite()) {
        return None;
    }
    backward(nets, batch.rewards.len(), &input, &mut passes[..=n]);
    descend(critic, nets, &mut passes[..=n]);
    Some(report)
}

fn forward<'a>(nets: &Nets, rows: usize, input: &dyn Fn(usize) -> &'a [f32], passes: &mut [Pass]) {
    let per_shard = rows_per_shard(rows);
    let mut jobs = Vec::new();
    for (index, pass) in passes.iter_mut().enumerate() {
        let (net, keep) = (nets.of(index), index <= nets.ensemble);
        pass.shards
            .resize_with(rows.div_ceil(per_shard), Workspace::default);
        let shards = input(index).chunks(per_shard * net.spec.inputs());
        let outputs = sized(&mut pass.output, rows).chunks_mut(per_shard);
        for ((x, y), work) in shards.zip(outputs).zip(&mut pass.shards) {
            jobs.push((net, x, y, work, keep));
        }
    }
    for_each(jobs, |(net, x, y, work, keep)| {
        pass::forward(net, x, y, work, keep)
    });
}

/// Fills the gradients of the losses with respect to the outputs, and reports the losses.
fn losses(critic: &Iql, batch: &Transitions<'_>, passes: &mut [Pass]) -> IqlReport {
    let (n, rows) = (critic.q.len(), batch.rewards.len());
    let (trained, fixed) = passes.split_at_mut(n + 1);
    let (expectile, scale) = (critic.config.expectile as f32, 2.0 / rows as f32);
    let mut report = IqlReport::default();
    for row in 0..rows {
        let lowest = fixed[..n].iter().map(|p| p.output[row]);
        let lowest = lowest.fold(f32::INFINITY, f32::min);
        let value = trained[n].output[row];
        let error = lowest - value;
        let weight = if error > 0.0 {
            expectile
        } else {
            1.0 - expectile
        };
        report.value += f64::from(value);
        report.v_loss += f64::from(weight * error * error);
        sized(&mut trained[n].delta, rows)[row] = -scale * weight * error;
        let backup = batch.rewards[row] + batch.discounts[row] * fixed[n].output[row];
        for q in &mut trained[..n] {
            let error = q.output[row] - backup;
            report.q_loss += f64::from(error * error);
            sized(&mut q.delta, rows)[row] = scale * error;
        }
    }
    for sum in [&mut report.value, &mut report.v_loss, &mut report.q_loss] {
        *sum /= rows as f64;
    }
    report
}

fn backward<'a>(nets: &Nets, rows: usize, input: &dyn Fn(usize) -> &'a [f32], passes: &mut [Pass]) {
    let per_shard = rows_per_shard(rows);
    let mut jobs = Vec::new();
    for (index, pass) in passes.iter_mut().enumerate() {
        let net = nets.of(index);
        pass.gradients.resize_with(pass.shards.len(), Vec::new);
        let shards = input(index).chunks(per_shard * net.spec.inputs());
        let deltas = pass.delta[..rows].chunks(per_shard);
        let work = pass.shards.iter_mut().zip(&mut pass.gradients);
        for ((x, dy), (work, gradient)) in shards.zip(deltas).zip(work) {
            jobs.push((net, x, dy, work, sized(gradient, net.parameters.len())));
        }
    }
    for_each(jobs, |(net, x, dy, work, gradient)| {
        pass::backward(net, x, work, dy, &mut [], gradient);
    });
}

/// Optimizer steps, and the targets' moves towards the new Q.
fn descend(critic: &mut Iql, nets: &mut Nets, passes: &mut [Pass]) {
    let rate = critic.config.target_rate;
    let (online, targets) = nets.parameters.split_at_mut(nets.ensemble + 1);
    let mut targets = targets.iter_mut();
    let jobs: Vec<_> = online
        .iter_mut()
        .zip(passes)
        .zip(&mut critic.optimizers)
        .map(|job| (job, targets.next()))
        .collect();
    let step = |parameters: &mut [f32], shards: &mut [Vec<f32>], optimizer: &mut Adam| {
        let (total, others) = shards.split_first_mut().expect("at least one shard");
        for other in others {
            for (t, o) in total.iter_mut().zip(&*other) {
                *t += o;
            }
        }
        optimizer.step(parameters, &total[..parameters.len()]);
    };
    for_each(jobs, |(((online, pass), optimizer), target)| {
        step(online.values_mut(), &mut pass.gradients, optimizer);
        if let Some(target) = target {
            moving_average(target.values_mut(), online.values(), 1.0 - rate);
        }
    });
}
