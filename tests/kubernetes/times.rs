//! What took how long, for docs/performance.md: a line each, on the standard output and in `target/kubernetes/times`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

/// Tells of a time; nothing is judged by it.
pub(crate) fn tell(line: &str) {
    println!("{line}");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("kubernetes").join("times");
    let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
    writeln!(file, "{line}").unwrap();
}

/// Puts the time before each line that a command prints.
pub(crate) fn stamped(command: &str) -> String {
    format!("set -o pipefail; {{ {command}; }} 2>&1 | while IFS= read -r line; do echo \"$EPOCHREALTIME $line\"; done")
}

/// What an installation of `site` printed, which began at `begun` and ended at `ended`, by the clock, without the times, and how long
/// it took besides the steps of the distribution.
pub(crate) fn shared(site: &str, begun: f64, ended: f64, stamped: &str) -> String {
    let lines = stamped.lines().map(|line| line.split_once(' ').unwrap_or((line, "")));
    let lines: Vec<(f64, &str)> = lines.map(|(time, text)| (time.parse().unwrap(), text)).collect();
    let is_step = |(_, text): &&(f64, &str)| text.starts_with("step ");
    if let (Some((first, _)), Some(last)) = (lines.iter().find(is_step), lines.iter().rposition(|line| is_step(&line)))
    {
        // The line after the last step's is printed when that has ended.
        let over = lines.get(last + 1).map_or(ended, |(time, _)| *time);
        let own = (first - begun) + (ended - over);
        tell(&format!("{site}: {:.1} s, of which {own:.1} s are no steps of the distribution", ended - begun));
    }
    lines.iter().map(|(_, text)| format!("{text}\n")).collect()
}
