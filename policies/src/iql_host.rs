//! The update of [`Iql`] straight on the CPU kernels: parameters stay where they lie, buffers outlive the update.
//!
//! All forward passes (online, target and bootstrap networks) are one set of jobs, all backward passes another, and all
//! optimizer steps with the targets' moves a third.

use crate::iql::{Iql, IqlReport, Transitions};
use crate::kernels::host::HostVector;
use crate::kernels::mlp::MlpSpec;
use crate::kernels::parallel::inside;
use crate::kernels::train::{self, Descent, Packing, Pass, Task};

/// Buffers of [`update`].
#[derive(Default)]
pub(crate) struct Scratch {
    joined: Vec<f32>,
    packings: Vec<Packing>,
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

/// Returns the outputs of `nets`, all of one shape, for one input.
pub(crate) fn evaluate(spec: &MlpSpec, nets: &[HostVector], input: &[f32]) -> Vec<Vec<f32>> {
    let mut packings: Vec<Packing> = nets.iter().map(|_| Packing::new(spec)).collect();
    let mut passes: Vec<Pass> = nets.iter().map(|_| Pass::default()).collect();
    inside(|| {
        let jobs = packings.iter_mut().zip(nets);
        train::pack_all(jobs.map(|(p, net)| (p, net.values(), false)).collect());
        let jobs = packings.iter().zip(nets).zip(&mut passes);
        let tasks = jobs.map(|((packing, net), pass)| Task {
            net: packing.net(net.values()),
            input,
            keep: false,
            pass,
        });
        train::forward(tasks.collect());
    });
    passes.iter().map(|pass| pass.output().to_vec()).collect()
}

/// Does one update; see [`Iql::update`]. `None` when a loss is not finite: nothing is changed then.
pub(crate) fn update(critic: &mut Iql, batch: &Transitions<'_>) -> Option<IqlReport> {
    let mut scratch = std::mem::take(&mut critic.scratch);
    let nets = critic.q.iter_mut().chain([&mut critic.v]);
    let nets = nets.chain(&mut critic.target);
    let mut parameters: Vec<HostVector> = nets
        .map(|net| HostVector::take(&mut net.parameters))
        .collect();
    let report = inside(|| run(critic, batch, &mut parameters, &mut scratch));
    let nets = critic.q.iter_mut().chain([&mut critic.v]);
    for (net, values) in nets.chain(&mut critic.target).zip(parameters) {
        net.parameters = values.into_tensor();
    }
    critic.scratch = scratch;
    report
}

/// The tasks of one update: Q…, V, target…, and V once more on the next observations.
fn tasks<'a>(
    parameters: &'a [HostVector],
    packings: &'a [Packing],
    passes: &'a mut [Pass],
    inputs: [&'a [f32]; 3],
) -> Vec<Task<'a>> {
    let n = parameters.len() / 2;
    let [joined, observations, next] = inputs;
    let each = passes.iter_mut().enumerate().map(|(index, pass)| {
        let (slot, input) = match index {
            i if i == n => (n, observations),
            i if i == 2 * n + 1 => (n, next),
            i => (i, joined),
        };
        Task {
            net: packings[slot].net(parameters[slot].values()),
            input,
            keep: index <= n,
            pass,
        }
    });
    each.collect()
}

fn run(
    critic: &mut Iql,
    batch: &Transitions<'_>,
    parameters: &mut [HostVector],
    scratch: &mut Scratch,
) -> Option<IqlReport> {
    let Scratch {
        joined,
        packings,
        passes,
    } = scratch;
    let n = critic.q.len();
    let widths = [critic.observation_dim, critic.action_dim];
    join(batch.observations, batch.actions, widths, joined);
    passes.resize_with(2 * n + 2, Pass::default);
    if packings.is_empty() {
        let nets = critic.q.iter().chain([&critic.v]).chain(&critic.target);
        packings.extend(nets.map(|net| Packing::new(&net.spec)));
    }
    let jobs = packings.iter_mut().zip(&*parameters).enumerate();
    train::pack_all(jobs.map(|(i, (p, v))| (p, v.values(), i <= n)).collect());
    let inputs = [joined, batch.observations, batch.next_observations];
    train::forward(tasks(parameters, packings, passes, inputs));
    let report = losses(critic, batch, passes);
    if !(report.q_loss.is_finite() && report.v_loss.is_finite()) {
        return None;
    }
    train::backward(tasks(parameters, packings, &mut passes[..=n], inputs));
    descend(critic, parameters, &mut passes[..=n]);
    Some(report)
}

/// Fills the gradients of the losses with respect to the outputs, and reports the losses.
fn losses(critic: &Iql, batch: &Transitions<'_>, passes: &mut [Pass]) -> IqlReport {
    let (n, rows) = (critic.q.len(), batch.rewards.len());
    let (trained, fixed) = passes.split_at_mut(n + 1);
    let (expectile, scale) = (critic.config.expectile as f32, 2.0 / rows as f32);
    let mut report = IqlReport::default();
    let (trained_q, trained_v) = trained.split_at_mut(n);
    let (values, value_gradient) = trained_v[0].loss();
    for row in 0..rows {
        let lowest = fixed[..n].iter().map(|pass| pass.output()[row]);
        let lowest = lowest.fold(f32::INFINITY, f32::min);
        let error = lowest - values[row];
        let weight = if error > 0.0 {
            expectile
        } else {
            1.0 - expectile
        };
        report.value += f64::from(values[row]);
        report.v_loss += f64::from(weight * error * error);
        value_gradient[row] = -scale * weight * error;
    }
    for pass in trained_q {
        let (q, gradient) = pass.loss();
        for (row, &next) in fixed[n].output().iter().enumerate() {
            let error = q[row] - (batch.rewards[row] + batch.discounts[row] * next);
            report.q_loss += f64::from(error * error);
            gradient[row] = scale * error;
        }
    }
    for sum in [&mut report.value, &mut report.v_loss, &mut report.q_loss] {
        *sum /= rows as f64;
    }
    report
}

/// Optimizer steps, and the targets' moves towards the new Q.
fn descend(critic: &mut Iql, parameters: &mut [HostVector], passes: &mut [Pass]) {
    let decay = 1.0 - critic.config.target_rate;
    let (online, targets) = parameters.split_at_mut(critic.q.len() + 1);
    let mut targets = targets.iter_mut();
    let steps = online.iter_mut().zip(passes).zip(&mut critic.optimizers);
    let steps = steps.map(|((net, pass), optimizer)| Descent {
        parameters: net.values_mut(),
        optimizer,
        pass,
        average: targets.next().map(|target| (target.values_mut(), decay)),
    });
    train::descend(steps.collect());
}
