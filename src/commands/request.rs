//! What `tiltrl run` is asked for, and the command line that asks the same.

use std::path::PathBuf;

use crate::config::Source;
use crate::console::Console;

/// Where a run stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// After the prior.
    Prior,
    /// After the critic.
    Critic,
    /// After fine-tuning, before the final evaluation.
    Finetune,
    /// After the final evaluation and the pictures.
    #[default]
    All,
}

/// What the user asked for.
#[derive(Clone, Debug, Default)]
pub struct RunRequest {
    /// The experiment: a preset or a file.
    pub source: Source,
    /// Data files; empty = the config's names in `data_dir`, or what its recipe makes.
    pub data: Vec<PathBuf>,
    /// Folder of the config's files.
    pub data_dir: PathBuf,
    /// Seeds to train, one after the other.
    pub seeds: Vec<u64>,
    /// Settings in place of the config's, as KEY=VALUE.
    pub set: Vec<String>,
    /// Folder of the run.
    pub out: PathBuf,
    /// Where to write the table as JSON.
    pub json: Option<PathBuf>,
    /// Whether other processes see to the folder's other seeds: those that are finished with another config are no error.
    pub shared: bool,
    /// Where to stop.
    pub stage: Stage,
    /// Limit of fine-tuning's activations in MiB.
    pub memory: Option<usize>,
    /// Device, as `--device` names it; none = cpu.
    pub device: Option<String>,
    /// Where progress is shown.
    pub console: Console,
    /// Whether numbers are written for TensorBoard too.
    pub tensorboard: bool,
}

impl Stage {
    /// The command that stops here.
    fn command(self) -> &'static str {
        match self {
            Self::Prior => "train-prior",
            Self::Critic => "train-critic",
            Self::Finetune => "finetune",
            Self::All => "run",
        }
    }
}

impl RunRequest {
    /// Returns the words of the command line that asks for the same run, the program's name first.
    ///
    /// `--threads`, `--quiet`, `--json` and `--tensorboard` are left out: no result depends on them. Options that are short for a key stand as `--set`.
    pub fn words(&self) -> Vec<String> {
        let mut words = vec!["tiltrl".to_string()];
        let mut option = |name: &str, value: String| words.extend([name.to_string(), value]);
        if let Some(device) = self.device.as_ref().filter(|device| *device != "cpu") {
            option("--device", device.clone());
        }
        words.push(self.stage.command().into());
        let mut option = |name: &str, value: String| words.extend([name.to_string(), value]);
        match &self.source {
            Source::Preset(name) => option("--preset", name.clone()),
            Source::File(path) => option("--config", path.display().to_string()),
        }
        for path in &self.data {
            option("--data", path.display().to_string());
        }
        if self.data.is_empty() && !self.data_dir.as_os_str().is_empty() {
            option("--data-dir", self.data_dir.display().to_string());
        }
        let seeds: Vec<String> = self.seeds.iter().map(u64::to_string).collect();
        option("--seeds", seeds.join(","));
        for entry in &self.set {
            option("--set", entry.clone());
        }
        if let Some(limit) = self.memory {
            option("--memory", limit.to_string());
        }
        option("--out", self.out.display().to_string());
        if self.shared {
            words.push("--shared".into());
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::shell;

    #[test]
    fn a_request_is_a_command_line_that_a_shell_reads_back() {
        let request = RunRequest {
            source: Source::File("my experiment.toml".into()),
            data: vec!["a.hdf5".into(), "it's.hdf5".into()],
            seeds: vec![1, 2],
            set: vec!["evaluation.best_of=[4, 16]".into()],
            out: "runs/mine".into(),
            memory: Some(64),
            device: Some("cuda:0".into()),
            ..RunRequest::default()
        };
        assert_eq!(
            shell(&request.words()),
            "tiltrl --device cuda:0 run --config 'my experiment.toml' --data a.hdf5 --data 'it'\\''s.hdf5' --seeds 1,2 \
             --set 'evaluation.best_of=[4, 16]' --memory 64 --out runs/mine"
        );
        let preset = RunRequest {
            data_dir: "data".into(),
            seeds: vec![3],
            stage: Stage::Critic,
            ..RunRequest::default()
        };
        let expected = "tiltrl train-critic --preset quickstart --data-dir data --seeds 3 --out ''";
        assert_eq!(shell(&preset.words()), expected);
    }
}
