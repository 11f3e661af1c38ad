//! What the prior learns from: rationales with wrong steps; and the baseline that learns from fifty right ones.

use burn::tensor::Tensor;
use tiltrl_policies::models::Strings;
use tiltrl_tilt::host::{host64, matrix};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::sequential::SequentialModel;

use super::net::{Rationales, StepNet};
use super::questions::{OPERANDS, Question, VALUES, WIDTH, token};
use crate::error::Error;
use crate::systems::request::Request;
use crate::systems::train::{Descent, Recipe, Tuned, descend};

/// Largest error of a wrong step.
const ERROR: i32 = 3;
/// Rationales of the supervised baseline.
const RATIONALES: usize = 50;

/// Returns conditions [questions, WIDTH].
pub fn conditions(questions: &[Question], request: &Request) -> Tensor<2> {
    let rows = questions.iter().flat_map(Question::encoded).collect();
    matrix(rows, WIDTH, &request.compute.device)
}

/// Draws questions of three and four operands that are in none of the test sets.
pub fn training(count: usize, held_out: &[Vec<Question>], noise: &mut Noise) -> Vec<Question> {
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        let question = Question::random(3 + noise.indices(1, 2)[0], noise);
        if !held_out.iter().any(|set| set.contains(&question)) {
            all.push(question);
        }
    }
    all
}

/// Writes rationales whose steps are right with probability `right`, otherwise off by up to [`ERROR`], the end after them.
fn rationales(questions: &[Question], right: f64, noise: &mut Noise) -> Strings {
    let length = OPERANDS - 1;
    let mut tokens = Vec::with_capacity(questions.len() * length);
    for question in questions {
        let mut value = question.operands[0];
        for step in 0..length {
            if step >= question.steps() {
                tokens.push(VALUES as u32);
                continue;
            }
            value = question.result(step, value);
            let [low, high] = Question::range(step);
            let (draw, size) = (
                noise.uniform(),
                noise.indices(1, ERROR as usize)[0] as i32 + 1,
            );
            if draw >= right {
                let sign = if draw < right + 0.5 * (1.0 - right) {
                    -1
                } else {
                    1
                };
                value = (value + sign * size).clamp(low, high);
            }
            tokens.push(token(value) as u32);
        }
    }
    Strings { tokens, length }
}

/// −log p(z, y | x) with y the last value, as a mean over the rows.
fn loss(model: &Rationales, questions: &[Question], z: &Strings, condition: &Tensor<2>) -> Descent {
    let rows = questions.len();
    let path = model.path_to(condition, z, &mut Noise::keyed(0, "unused", 0));
    let scores = model.step_log_probs(&path, 0..z.length);
    let last: Vec<usize> = questions
        .iter()
        .zip(z.tokens.chunks_exact(z.length))
        .map(|(question, row)| row[question.steps() - 1] as usize)
        .collect();
    let answers = model.weights().answers(&last);
    let mut chosen = vec![0.0f32; rows * (VALUES + 1)];
    for (row, &value) in chosen.chunks_exact_mut(VALUES + 1).zip(&last) {
        row[value] = 1.0;
    }
    let chosen = matrix(chosen, VALUES + 1, &condition.device());
    let surrogate = (scores.sum() + (answers * chosen).sum()) * (-1.0 / rows as f32);
    Descent {
        loss: host64(surrogate.clone())[0],
        surrogate,
    }
}

/// Trains the prior on rationales with wrong steps, of questions that are in none of the test sets.
pub fn prior(held_out: &[Vec<Question>], request: &Request) -> Result<Rationales, Error> {
    let settings = &request.settings;
    let mut noise = Noise::keyed(request.seed, "prior-weights", 0);
    let net = StepNet::new(settings.count("hidden"), &mut noise, &request.compute);
    let (batch, right) = (settings.count("prior_batch"), settings.number("right"));
    let step = |model: &Rationales, noise: &mut Noise| {
        let questions = training(batch, held_out, noise);
        let z = rationales(&questions, right, noise);
        let condition = conditions(&questions, request);
        loss(model, &questions, &z, &condition)
    };
    let recipe = Recipe::new(settings.count("prior_updates"), 2e-3);
    let start = Rationales::new(net, WIDTH);
    let unmeasured = |_: &Rationales| f64::NAN;
    Ok(descend("prior", start, &recipe, &step, &unmeasured, request)?.model)
}

/// Trains the prior further on fifty right rationales.
pub fn supervised(
    prior: &Rationales,
    held_out: &[Vec<Question>],
    request: &Request,
) -> Result<Tuned<Rationales>, Error> {
    let mut noise = Noise::keyed(request.seed, "supervised-questions", 0);
    let questions = training(RATIONALES, held_out, &mut noise);
    let z = rationales(&questions, 1.0, &mut noise);
    let condition = conditions(&questions, request);
    let step = |model: &Rationales, _: &mut Noise| loss(model, &questions, &z, &condition);
    let settings = &request.settings;
    let updates = settings.count("baseline_updates").min(200);
    let recipe = Recipe::new(updates, settings.number("rate"));
    let unmeasured = |_: &Rationales| f64::NAN;
    descend(
        "supervised",
        prior.clone(),
        &recipe,
        &step,
        &unmeasured,
        request,
    )
}
