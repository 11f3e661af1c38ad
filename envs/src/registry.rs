//! The environments by id.

use crate::balance;
use crate::classic::maze_layouts::{self, Layout};
use crate::classic::{CartPole, MazeReward, MountainCar, Pendulum, PointMaze};
use crate::env::{Env, EnvSpec, Stateful};
use crate::error::EnvError;
use crate::fleet::{Boxes, Fleet};
use crate::locomotion::{self as tasks, Locomotion, LocomotionFleet, Task, Variant};
use crate::mujoco::{MjcfEnv, MjcfRules, MujocoLocomotion};
use crate::options::{Engine, EnvOptions};
use crate::planar::Margin;
use crate::python::PythonEnv;
use std::sync::{Arc, PoisonError, RwLock};

/// How an id is made.
enum Kind {
    /// Locomotion with nine degrees of freedom.
    NineJoints(fn(Variant, Margin) -> Arc<Task<9>>, Variant),
    /// Locomotion with six degrees of freedom.
    SixJoints(fn(Variant, Margin) -> Arc<Task<6>>, Variant),
    /// A ball in a maze.
    Maze(&'static Layout, MazeReward),
    /// A system without contacts.
    Free(fn() -> Box<dyn Stateful>),
}

struct Entry {
    id: &'static str,
    kind: Kind,
}

const ENTRIES: &[Entry] = &[
    Entry {
        id: "halfcheetah-v4",
        kind: Kind::NineJoints(tasks::half_cheetah, Variant::V4),
    },
    Entry {
        id: "halfcheetah-v5",
        kind: Kind::NineJoints(tasks::half_cheetah, Variant::V5),
    },
    Entry {
        id: "hopper-v4",
        kind: Kind::SixJoints(tasks::hopper, Variant::V4),
    },
    Entry {
        id: "hopper-v5",
        kind: Kind::SixJoints(tasks::hopper, Variant::V5),
    },
    Entry {
        id: "walker2d-v4",
        kind: Kind::NineJoints(tasks::walker2d, Variant::V4),
    },
    Entry {
        id: "walker2d-v5",
        kind: Kind::NineJoints(tasks::walker2d, Variant::V5),
    },
    Entry {
        id: "invertedpendulum-v4",
        kind: Kind::Free(|| Box::new(balance::inverted_pendulum(Variant::V4))),
    },
    Entry {
        id: "invertedpendulum-v5",
        kind: Kind::Free(|| Box::new(balance::inverted_pendulum(Variant::V5))),
    },
    Entry {
        id: "inverteddoublependulum-v4",
        kind: Kind::Free(|| Box::new(balance::inverted_double_pendulum(Variant::V4))),
    },
    Entry {
        id: "inverteddoublependulum-v5",
        kind: Kind::Free(|| Box::new(balance::inverted_double_pendulum(Variant::V5))),
    },
    Entry {
        id: "reacher-v4",
        kind: Kind::Free(|| Box::new(balance::reacher(Variant::V4))),
    },
    Entry {
        id: "reacher-v5",
        kind: Kind::Free(|| Box::new(balance::reacher(Variant::V5))),
    },
    Entry {
        id: "pendulum-v1",
        kind: Kind::Free(|| Box::new(Pendulum::new())),
    },
    Entry {
        id: "mountaincar-continuous-v0",
        kind: Kind::Free(|| Box::new(MountainCar::new())),
    },
    Entry {
        id: "cartpole-swingup-v0",
        kind: Kind::Free(|| Box::new(CartPole::new())),
    },
    Entry {
        id: "pointmaze-umaze-v1",
        kind: Kind::Maze(&maze_layouts::UMAZE, MazeReward::Sparse),
    },
    Entry {
        id: "pointmaze-umaze-dense-v1",
        kind: Kind::Maze(&maze_layouts::UMAZE, MazeReward::Dense),
    },
    Entry {
        id: "pointmaze-medium-v1",
        kind: Kind::Maze(&maze_layouts::MEDIUM, MazeReward::Sparse),
    },
    Entry {
        id: "pointmaze-medium-dense-v1",
        kind: Kind::Maze(&maze_layouts::MEDIUM, MazeReward::Dense),
    },
    Entry {
        id: "pointmaze-large-v1",
        kind: Kind::Maze(&maze_layouts::LARGE, MazeReward::Sparse),
    },
    Entry {
        id: "pointmaze-large-dense-v1",
        kind: Kind::Maze(&maze_layouts::LARGE, MazeReward::Dense),
    },
];

/// How an environment from outside this crate is made.
type Constructor = Arc<dyn Fn() -> Box<dyn Env> + Send + Sync>;

/// What was registered in this process; entries are added and never changed, so an id means the same from then on.
static REGISTERED: RwLock<Vec<(String, Constructor)>> = RwLock::new(Vec::new());

/// Makes an environment of the user's known by the id of its spec, in this process: [`make`], [`crate::EnvBatch::new`] and whatever
/// takes an id find it from then on. Upper and lower case do not matter.
///
/// ```
/// # use tiltrl_envs::{Env, EnvSpec, Step, make, register};
/// # struct Mine(EnvSpec);
/// # impl Env for Mine {
/// #     fn spec(&self) -> &EnvSpec { &self.0 }
/// #     fn reset(&mut self, _seed: u64, observation: &mut [f32]) { observation.fill(0.0) }
/// #     fn step(&mut self, _action: &[f32], _observation: &mut [f32]) -> Step { Step::default() }
/// # }
/// # let mut spec = tiltrl_envs::spec_of("pendulum-v1")?;
/// # spec.id = "mine-v0".into();
/// register(move || Box::new(Mine(spec.clone())))?;
/// assert_eq!(make("mine-v0")?.spec().id, "mine-v0");
/// # Ok::<(), tiltrl_envs::EnvError>(())
/// ```
///
/// # Errors
/// If the id is empty or already means an environment.
pub fn register(
    constructor: impl Fn() -> Box<dyn Env> + Send + Sync + 'static,
) -> Result<(), EnvError> {
    let id = constructor().spec().id.to_lowercase();
    let mut all = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
    let taken = ids().contains(&id.as_str())
        || mjcf_ids().contains(&id.as_str())
        || all.iter().any(|(known, _)| *known == id);
    if taken || id.is_empty() {
        let reason = "an environment is registered once, under an id that no other has";
        return Err(unsupported(&id, "free name", reason));
    }
    all.push((id, Arc::new(constructor)));
    Ok(())
}

/// The ids that were registered in this process, in order.
pub fn registered_ids() -> Vec<String> {
    let all = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
    all.iter().map(|(id, _)| id.clone()).collect()
}

/// The constructor of a registered environment, if the options fit: it computes its own physics.
fn registered(id: &str, options: &EnvOptions) -> Result<Option<Constructor>, EnvError> {
    let wanted = id.to_lowercase();
    let all = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
    let found = all.iter().find(|(known, _)| *known == wanted);
    let Some((_, constructor)) = found.filter(|_| !matches!(options.engine, Engine::Gymnasium(_)))
    else {
        return Ok(None);
    };
    if *options != EnvOptions::default() {
        let option = "other engine, margin rule or model";
        return Err(unsupported(
            id,
            option,
            "it is registered and brings its own physics",
        ));
    }
    Ok(Some(constructor.clone()))
}

/// The environment of this id with default options.
///
/// # Errors
/// If no environment has the id; the error names the nearest one.
pub fn make(id: &str) -> Result<Box<dyn Env>, EnvError> {
    make_with(id, &EnvOptions::default())
}

/// The environment of this id: a built-in one, one of [`mjcf_ids`] with a model of the user's, or with
/// [`Engine::Gymnasium`] whatever that Python's `gymnasium.make` knows. What was given to [`register`] comes first.
///
/// # Errors
/// If no environment has the id, or if the options do not fit it.
pub fn make_with(id: &str, options: &EnvOptions) -> Result<Box<dyn Env>, EnvError> {
    if let Some(constructor) = registered(id, options)? {
        return Ok(constructor());
    }
    if let Engine::Gymnasium(python) = &options.engine {
        if options.margin.is_some() || options.model.is_some() {
            let option = "margin rule or model of its own";
            return Err(unsupported(id, option, "Gymnasium decides its physics"));
        }
        return Ok(Box::new(PythonEnv::new(python, id)?));
    }
    match (MjcfRules::of(id), &options.model) {
        (Some(rules), Some(file)) => {
            let library = match &options.engine {
                Engine::Mujoco(path) => path.as_deref(),
                _ => {
                    let reason =
                        "a model of your own needs MuJoCo: choose the engine mujoco or mujoco:PATH";
                    return Err(unsupported(id, "embedded engine", reason));
                }
            };
            if options.margin.is_some() {
                return Err(unsupported(
                    id,
                    "margin rule",
                    "MuJoCo's release decides it",
                ));
            }
            Ok(Box::new(MjcfEnv::new(file, library, rules)?))
        }
        (Some(_), None) => {
            let reason =
                "bring an MJCF file (`--mjcf FILE`); Gymnasium's ant.xml and humanoid.xml fit";
            Err(unsupported(id, "model of its own", reason))
        }
        (None, Some(_)) => {
            let reason = format!(
                "its robot is built in; with a model of your own choose one of {}",
                mjcf_ids().join(", ")
            );
            Err(unsupported(id, "place for an MJCF file", &reason))
        }
        (None, None) => Ok(make_stateful(id, options)?),
    }
}

/// The built-in environment of this id, with access to its physical state.
///
/// # Errors
/// As [`make_with`]; also for an engine or model whose state cannot be drawn.
pub fn make_stateful(id: &str, options: &EnvOptions) -> Result<Box<dyn Stateful>, EnvError> {
    if matches!(options.engine, Engine::Gymnasium(_))
        || options.model.is_some()
        || MjcfRules::of(id).is_some()
        || registered(id, options)?.is_some()
    {
        let reason = "only the built-in environments can be set and drawn";
        return Err(unsupported(
            id,
            "state that can be set and drawn here",
            reason,
        ));
    }
    let entry = entry(id)?;
    let margin = check_options(entry, options)?;
    Ok(match entry.kind {
        Kind::NineJoints(task, variant) => locomotion(task(variant, margin), options)?,
        Kind::SixJoints(task, variant) => locomotion(task(variant, margin), options)?,
        Kind::Maze(layout, reward) => Box::new(PointMaze::new(*layout, reward, margin)),
        Kind::Free(make) => make(),
    })
}

fn locomotion<const N: usize>(
    task: Arc<Task<N>>,
    options: &EnvOptions,
) -> Result<Box<dyn Stateful>, EnvError> {
    Ok(match &options.engine {
        Engine::Mujoco(path) => Box::new(MujocoLocomotion::new(task, path.as_deref())?),
        engine => Box::new(Locomotion::new(in_precision(task, engine))),
    })
}

/// The task in the numbers of an embedded engine.
fn in_precision<const N: usize>(task: Arc<Task<N>>, engine: &Engine) -> Arc<Task<N>> {
    match engine {
        Engine::EmbeddedF32 => Arc::new(task.in_f32()),
        _ => task,
    }
}

/// `num_envs` environments of this id in the store that steps them fastest.
pub(crate) fn make_fleet(
    id: &str,
    options: &EnvOptions,
    num_envs: usize,
) -> Result<Box<dyn Fleet>, EnvError> {
    let embedded = matches!(options.engine, Engine::Embedded | Engine::EmbeddedF32)
        && registered(id, options)?.is_none();
    if embedded && options.model.is_none() && MjcfRules::of(id).is_none() {
        let entry = entry(id)?;
        let margin = check_options(entry, options)?;
        match entry.kind {
            Kind::NineJoints(task, variant) => {
                let task = in_precision(task(variant, margin), &options.engine);
                return Ok(Box::new(LocomotionFleet::new(task, num_envs)));
            }
            Kind::SixJoints(task, variant) => {
                let task = in_precision(task(variant, margin), &options.engine);
                return Ok(Box::new(LocomotionFleet::new(task, num_envs)));
            }
            Kind::Maze(..) | Kind::Free(_) => {}
        }
    }
    let envs: Result<_, _> = (0..num_envs).map(|_| make_with(id, options)).collect();
    Ok(Box::new(Boxes::new(envs?)))
}

/// The ids of all built-in environments.
pub fn ids() -> Vec<&'static str> {
    ENTRIES.iter().map(|entry| entry.id).collect()
}

/// What is fixed about the environment of this id, under default options.
///
/// # Errors
/// If no environment has the id.
pub fn spec_of(id: &str) -> Result<EnvSpec, EnvError> {
    Ok(make(id)?.spec().clone())
}

/// What is fixed about the environment that [`make_with`] makes.
///
/// # Errors
/// As [`make_with`].
pub fn spec_with(id: &str, options: &EnvOptions) -> Result<EnvSpec, EnvError> {
    Ok(make_with(id, options)?.spec().clone())
}

/// The ids whose rules are built in and whose robot is an MJCF file of the user's.
pub fn mjcf_ids() -> Vec<&'static str> {
    MjcfRules::IDS.to_vec()
}

fn unsupported(id: &str, option: &'static str, reason: &str) -> EnvError {
    EnvError::Unsupported {
        id: id.into(),
        option,
        reason: reason.into(),
    }
}

fn entry(id: &str) -> Result<&'static Entry, EnvError> {
    let wanted = id.to_lowercase();
    ENTRIES
        .iter()
        .find(|entry| entry.id == wanted)
        .ok_or_else(|| EnvError::UnknownId {
            id: id.into(),
            nearest: ids()
                .into_iter()
                .chain(mjcf_ids())
                .map(|candidate| (strsim::jaro_winkler(&wanted, candidate), candidate))
                .filter(|(likeness, _)| *likeness > 0.6)
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .map(|(_, candidate)| candidate),
        })
}

/// The margin rule to use, or why the options do not fit.
fn check_options(entry: &Entry, options: &EnvOptions) -> Result<Margin, EnvError> {
    let unsupported = |option, reason: &str| unsupported(entry.id, option, reason);
    if let Engine::Mujoco(_) = options.engine {
        if matches!(entry.kind, Kind::Maze(..) | Kind::Free(_)) {
            return Err(unsupported(
                "engine mujoco",
                "only the locomotion tasks have one",
            ));
        }
        if options.margin.is_some() {
            return Err(unsupported("margin rule", "MuJoCo's release decides it"));
        }
    }
    let runs = matches!(entry.kind, Kind::NineJoints(..) | Kind::SixJoints(..));
    if options.engine == Engine::EmbeddedF32 && !runs {
        return Err(unsupported(
            "f32 mode",
            "only the locomotion tasks have one",
        ));
    }
    if matches!(entry.kind, Kind::Free(_)) && options.margin.is_some() {
        return Err(unsupported("margin rule", "nothing touches anything in it"));
    }
    Ok(options.margin.unwrap_or(Margin::Max))
}

#[cfg(test)]
mod tests;
