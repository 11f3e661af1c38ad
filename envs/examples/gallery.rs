//! Writes a PNG and a GIF of an environment under random actions: `cargo run -p tiltrl-envs --example gallery -- ID FOLDER`.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use tiltrl_envs::render::{GifWriter, draw, write_png};
use tiltrl_envs::{EnvOptions, make_stateful, random::Stream};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let id = arguments.next().unwrap_or_else(|| "halfcheetah-v4".into());
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| ".".into()));
    let mut env = make_stateful(&id, &EnvOptions::default())?;
    let spec = env.spec().clone();
    let mut observation = vec![0.0; spec.observation_dim];
    let mut stream = Stream::new(0);
    env.reset(0, &mut observation);
    let (width, height) = (480, 270);
    write_png(
        &draw(&env.scene(), width, height),
        File::create(folder.join(format!("{id}.png")))?,
    )?;
    let file = BufWriter::new(File::create(folder.join(format!("{id}.gif")))?);
    let mut gif = GifWriter::new(file, width, height, 2.0 * spec.timestep)?;
    let mut action = vec![0.0; spec.action_dim];
    for timestep in 0..60 {
        if timestep % 5 == 0 {
            action.fill_with(|| stream.uniform(-1.0, 1.0) as f32);
        }
        let step = env.step(&action, &mut observation);
        if timestep % 2 == 0 {
            gif.push(&draw(&env.scene(), width, height))?;
        }
        if step.terminated {
            break;
        }
    }
    Ok(())
}
