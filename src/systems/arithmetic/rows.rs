//! Rows of the table: exact sums over the rationales of test questions.

use super::exact::{Answers, Chain};
use super::net::{Rationales, StepNet};
use super::questions::{LEAST, Question, VALUES, token};
use crate::systems::exact::Exact;
use crate::systems::figures::{Shown, probabilities};
use crate::systems::outcome::{Picture, Row};

/// A test question with what is exact about it.
pub struct Tested {
    /// The operands and signs that were asked.
    pub question: Question,
    /// The prior's chain.
    pub prior: Chain,
    /// The exact posterior's.
    pub exact: Chain,
    /// log of the normaliser of prior times reward.
    pub log_z: f64,
    /// log r by last value.
    pub log_reward: Vec<f64>,
}

/// Questions of one number of operands.
pub struct Set {
    /// How many operands.
    pub operands: usize,
    /// The test questions.
    pub all: Vec<Tested>,
}

impl Set {
    /// Returns the exact posteriors of questions, of which there is one at least.
    pub fn new(questions: Vec<Question>, prior: &Rationales, answers: &Answers) -> Self {
        let operands = questions[0].operands.len();
        let tested = |question: Question| {
            let answer = token(question.answer());
            let log_reward: Vec<f64> = (0..VALUES).map(|v| answers.log_prob(v, answer)).collect();
            let prior = Chain::new(net(prior), &question);
            let tilted = prior.tilted(&log_reward);
            Tested {
                question,
                prior,
                exact: tilted.chain,
                log_z: tilted.log_z,
                log_reward,
            }
        };
        Self {
            operands,
            all: questions.into_iter().map(tested).collect(),
        }
    }
}

/// Returns the name of a task.
pub fn name_of(operands: usize) -> String {
    format!("{operands} operands")
}

/// Returns the network of a model.
pub fn net(model: &Rationales) -> &StepNet {
    tiltrl_tilt::sequential::SequentialModel::weights(model)
}

fn mean(set: &Set, number: impl Fn(&Tested) -> f64) -> f64 {
    set.all.iter().map(number).sum::<f64>() / set.all.len() as f64
}

/// Returns the row of a trained model.
pub fn row_of_model(set: &Set, method: &str, model: &Rationales) -> Row {
    let all: Vec<Chain> = set
        .all
        .iter()
        .map(|t| Chain::new(net(model), &t.question))
        .collect();
    let pairs: Vec<(&Tested, &Chain)> = set.all.iter().zip(&all).collect();
    row_of_pairs(set, method, &pairs)
}

/// Returns the row of a chain that is known of every question.
pub fn row(set: &Set, method: &str, chain: impl Fn(&Tested) -> &Chain) -> Row {
    let pairs: Vec<(&Tested, &Chain)> = set.all.iter().map(|t| (t, chain(t))).collect();
    row_of_pairs(set, method, &pairs)
}

fn row_of_pairs(set: &Set, method: &str, pairs: &[(&Tested, &Chain)]) -> Row {
    let mean = |number: &dyn Fn(&Tested, &Chain) -> f64| {
        pairs.iter().map(|(t, q)| number(t, q)).sum::<f64>() / pairs.len() as f64
    };
    let under = |t: &Tested, q: &Chain, number: fn(f64) -> f64| -> f64 {
        let some = q.last();
        let some = some.iter().zip(&t.log_reward).filter(|(q, _)| **q > 0.0);
        some.map(|(q, r)| q * number(*r)).sum()
    };
    let right = |t: &Tested, q: &Chain| q.last()[token(t.question.answer())];
    let kl = mean(&|t, q| q.divergence(&t.exact));
    let log_z = mean(&|t, _| t.log_z);
    let mut row = Row::new(&name_of(set.operands), method);
    row.reference = Some(log_z);
    row.elbo = Some(log_z - kl);
    row.kl = Some(kl);
    row.log_reward = Some(mean(&|t, q| under(t, q, |r| r)));
    // Walks through every rationale; of five operands there are 6.8 million per question.
    row.distance = (set.operands < 5).then(|| mean(&|t, q| q.total_variation(&t.exact)));
    row.diversity = Some(mean(&|_, q| q.entropy().exp()));
    row.more
        .insert("accuracy".into(), mean(&|t, q| under(t, q, f64::exp)));
    row.more.insert("right value".into(), mean(&right));
    row
}

/// The evaluator fills in every value: what is left is the answer, said by the prior.
pub fn with_tool(set: &Set, answers: &Answers) -> Row {
    let mut row = Row::new(&name_of(set.operands), "prior with a tool");
    let said = |t: &Tested| {
        let answer = token(t.question.answer());
        answers.log_prob(answer, answer).exp()
    };
    row.more.insert("accuracy".into(), mean(set, said));
    row.more.insert("right value".into(), 1.0);
    row
}

/// The rationales of a question of three operands.
pub fn strings(tested: &Tested, model: &Rationales) -> Picture {
    let question = &tested.question;
    let all = Chain::pairs();
    let found = Chain::new(net(model), question);
    let masses = |chain: &Chain| {
        all.iter()
            .map(|z| chain.probability(z))
            .collect::<Vec<f64>>()
    };
    let rewards = all.iter().map(|z| tested.log_reward[z[1]]).collect();
    let exact = Exact::new(masses(&tested.prior), rewards);
    let (found, prior) = (masses(&found), masses(&tested.prior));
    let shown = [
        Shown {
            label: "balance",
            probabilities: &found,
        },
        Shown {
            label: "prior",
            probabilities: &prior,
        },
    ];
    let value = |t: usize| t as i32 + LEAST;
    let name = |i: usize| format!("{}, {}", value(all[i][0]), value(all[i][1]));
    let signs = question.minus.iter().map(|m| if *m { "-" } else { "+" });
    let rest: Vec<String> = signs
        .zip(&question.operands[1..])
        .map(|(sign, operand)| format!("{sign} {operand}"))
        .collect();
    let title = format!(
        "Running values of {} {}",
        question.operands[0],
        rest.join(" ")
    );
    probabilities("strings", &title, &exact, &shown, &name, 10)
}
