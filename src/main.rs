//! The `tiltrl` command.

fn main() -> std::process::ExitCode {
    tiltrl::commands::main()
}
