//! How a benchmark binary talks to `benches/peers/run`: it reads lines `NAME ITERATIONS` and answers with one line of
//! milliseconds, so that the driver can interleave it with its peers. Without `--serve` it prints medians of everything.

use std::io::{BufRead, Write};
use std::time::Instant;

/// A name and what to repeat.
pub type Case = (&'static str, Box<dyn FnMut()>);

fn measure(work: &mut dyn FnMut(), iterations: usize) -> Vec<f64> {
    let once = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64() * 1e3
    };
    work();
    (0..iterations).map(|_| once(work)).collect()
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // The driver may have gone: nothing is left to tell then.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn argument(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|a| a != name);
    arguments.nth(1)
}

/// Serves the cases on `--threads N` threads (1 when not given).
pub fn serve(cases: impl FnOnce() -> Vec<Case> + Send) {
    let threads = argument("--threads").and_then(|t| t.parse().ok());
    tiltrl_policies::fast::build_pool(threads.unwrap_or(1)).expect("the first pool");
    let mut cases = cases();
    if !std::env::args().any(|a| a == "--serve") {
        let only = argument("--only").unwrap_or_default();
        for (name, work) in cases.iter_mut().filter(|(n, _)| n.contains(&only)) {
            let mut times = measure(work, 200);
            times.sort_by(f64::total_cmp);
            let (low, middle) = (times[0], times[times.len() / 2]);
            say(&format!(
                "{name:<24} median {middle:>9.4} ms   least {low:>9.4} ms"
            ));
        }
        return;
    }
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let (name, iterations) = line.split_once(' ').unwrap_or((&line, "1"));
        let iterations = iterations.parse().unwrap_or(1);
        let found = cases.iter_mut().find(|(n, _)| *n == name);
        let times = found.map_or(Vec::new(), |(_, work)| measure(work, iterations));
        let times: Vec<String> = times.iter().map(|t| format!("{t:.6}")).collect();
        say(&times.join(" "));
    }
}
