//! Pictures: every environment can be drawn, the bytes are the same each time, and the files are what they say.

use tiltrl_envs::render::{Frame, GifWriter, draw, write_png};
use tiltrl_envs::{EnvOptions, ids, make_stateful};

fn film(id: &str, frames: usize) -> Vec<Frame> {
    let mut env = make_stateful(id, &EnvOptions::default()).unwrap();
    let mut observation = vec![0.0; env.spec().observation_dim];
    env.reset(1, &mut observation);
    let action = vec![0.7; env.spec().action_dim];
    (0..frames)
        .map(|_| {
            env.step(&action, &mut observation);
            draw(&env.scene(), 160, 120)
        })
        .collect()
}

#[test]
fn every_environment_is_drawn_and_moves() {
    for id in ids() {
        let frames = film(id, 8);
        let background = frames[0].rgb[..3].to_vec();
        let drawn = frames[0]
            .rgb
            .chunks(3)
            .filter(|pixel| *pixel != background)
            .count();
        assert!(drawn > 100, "{id}: {drawn} pixels drawn");
        assert_ne!(frames[0], frames[7], "{id} does not move");
        assert_eq!(
            frames,
            film(id, 8),
            "{id}: the same episode gives the same bytes"
        );
    }
}

#[test]
fn files_hold_the_frames() {
    let frames = film("halfcheetah-v4", 5);
    let mut png = Vec::new();
    write_png(&frames[0], &mut png).unwrap();
    let mut reader = png::Decoder::new(std::io::Cursor::new(&png))
        .read_info()
        .unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    assert_eq!(pixels, frames[0].rgb);

    let gif = |frames: &[Frame]| {
        let mut bytes = Vec::new();
        let mut writer = GifWriter::new(&mut bytes, 160, 120, 0.05).unwrap();
        for frame in frames {
            writer.push(frame).unwrap();
        }
        drop(writer);
        bytes
    };
    let bytes = gif(&frames);
    assert_eq!(bytes, gif(&frames), "the same frames give the same bytes");
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    let mut decoder = options.clone().read_info(&bytes[..]).unwrap();
    let mut screen = vec![0_u8; 3 * 160 * 120];
    for want in &frames {
        let frame = decoder.read_next_frame().unwrap().unwrap();
        assert_eq!(frame.delay, 5);
        let [left, top, width] = [frame.left, frame.top, frame.width].map(usize::from);
        for (index, pixel) in frame.buffer.chunks_exact(4).enumerate() {
            let at = 3 * ((top + index / width) * 160 + left + index % width);
            screen[at..at + 3].copy_from_slice(&pixel[..3]);
        }
        let differences = screen.iter().zip(&want.rgb).map(|(a, b)| a.abs_diff(*b));
        let inexact = differences.clone().filter(|d| *d > 0).count();
        // More than 256 shades at the edges: those that are nearly the same are merged, flat areas stay.
        assert!(
            differences.max().unwrap() < 8 && inexact < screen.len() / 50,
            "{inexact}"
        );
    }
    assert!(decoder.read_next_frame().unwrap().is_none());
    let few = film("invertedpendulum-v4", 1);
    let small = gif(&few);
    let mut decoder = options.read_info(&small[..]).unwrap();
    let shown = decoder.read_next_frame().unwrap().unwrap();
    let pixels = shown.buffer.chunks_exact(4).flat_map(|p| p[..3].to_vec());
    assert!(
        pixels.eq(few[0].rgb.iter().copied()),
        "few colours are exact"
    );
    assert!(GifWriter::new(Vec::new(), 70_000, 10, 0.05).is_err());
}
