fn main() {
    let a: Vec<String> = std::env::args().collect();
    let m = match a[2].as_str() { "fast" => tiltrl_envs::gpu::Mode::Fast, "f32" => tiltrl_envs::gpu::Mode::F32, _ => tiltrl_envs::gpu::Mode::F64 };
    for (name, id, margin) in tiltrl_envs::gpu::program::PROGRAMS { if name == a[1] {
        let p = tiltrl_envs::gpu::program::Program::of(id, margin).unwrap();
        print!("{}", if a[3] == "twin" { p.twin_source(m) } else { p.source(m) }.unwrap());
    } }
}
