//! The plug is pulled at random moments of an apply. The machine boots, goes on, and ends as if nothing had happened.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::bench::{BOOTED, Bench, INSTALLER, Saved};
use super::machine::Machine;
use super::power::Random;
use super::service::wait_for_shop;
use super::shop::{FIRST, SECOND, Version};
use super::state::{content, difference, files};

/// The first version runs.
const INSTALLED: Saved = Saved("installed");

/// An apply without disturbance: where it begins, what it leaves, and how much it takes.
struct Whole {
    from: Saved,
    version: Version,
    files: BTreeSet<String>,
    content: BTreeSet<String>,
    takes: Duration,
    writes: u64,
}

/// When the plug is pulled, as a part of [`Whole::takes`] or of [`Whole::writes`].
#[derive(Debug, Clone, Copy)]
enum Moment {
    Time(f64),
    Writes(f64),
}

fn apply(version: &Version) -> String {
    format!("{INSTALLER} apply {} --yes", version.bundle())
}

fn length(log: &Path) -> u64 {
    log.metadata().unwrap().len()
}

impl Whole {
    fn run(bench: &Bench, from: Saved, version: Version) -> Self {
        let mut machine = bench.resume_with_log(from);
        machine.succeed("sync");
        let (begun, before) = (Instant::now(), length(&bench.log()));
        machine.succeed(&apply(&version));
        let (takes, writes) = (begun.elapsed(), length(&bench.log()) - before);
        wait_for_shop(&mut machine, &version);
        let (files, content) = (files(&mut machine), content(&mut machine));
        println!(
            "{}: {takes:?}, {writes} bytes written, {} lines of state",
            version.number,
            files.len() + content.len()
        );
        Self { from, version, files, content, takes, writes }
    }

    /// Pulls the plug. Returns whether it was before the end of the apply.
    fn pull(&self, bench: &Bench, moment: Moment, random: &mut Random) -> bool {
        let mut machine = bench.resume_with_log(self.from);
        machine.succeed("sync");
        let (begun, before) = (Instant::now(), length(&bench.log()));
        machine.begin(&apply(&self.version));
        let come = || match moment {
            Moment::Time(part) => begun.elapsed() >= self.takes.mul_f64(part),
            Moment::Writes(part) => {
                (length(&bench.log()) - before) as f64 >= self.writes as f64 * part || begun.elapsed() > self.takes * 2
            }
        };
        while !come() {
            thread::sleep(Duration::from_millis(1));
        }
        if machine.pull_plug() {
            return false;
        }
        let loss = bench.fail(self.from, random);
        print!(
            "{} {moment:.2?}: {} of {} unflushed blocks lost; ",
            self.version.number, loss.blocks_lost, loss.blocks_unflushed
        );
        true
    }

    /// Boots, and looks whether everything becomes as it should.
    fn check(&self, bench: &Bench) {
        let mut machine = bench.boot();
        machine.wait_for_boot();
        let journal = machine.run("ls /var/lib/carrack/journal").output;
        let status = machine.run(&format!("{INSTALLER} status --quiet")).code;
        // Pulled before there was a journal, it has to be begun by hand.
        let again = machine.succeed(&apply(&self.version));
        let went_on = again.contains("nothing to change");
        println!("{}", if went_on { "went on by itself" } else { "applied again" });
        assert!(went_on || status == 40, "status ended with {status}, journal: {journal}\n{again}");
        wait_for_shop(&mut machine, &self.version);
        self.compare(&mut machine);
    }

    fn compare(&self, machine: &mut Machine) {
        let found = difference(&self.files, &files(machine));
        assert_eq!(found, "", "files\n{}", story(machine));
        let found = difference(&self.content, &content(machine));
        assert_eq!(found, "", "in containerd\n{}", story(machine));
    }
}

/// What the machine tells about going on.
fn story(machine: &mut Machine) -> String {
    machine.run("journalctl --no-pager -u carrack-resume -u shop | tail -n 60").output
}

fn seed() -> u64 {
    match std::env::var("CARRACK_VM_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs(),
    }
}

/// Pulls the plug `times` times, at moments spread over the apply, by time and by what is written in turns.
fn pull_often(bench: &Bench, whole: &Whole, times: u32, random: &mut Random) {
    for turn in 0..times {
        let part = |random: &mut Random| (f64::from(turn) + random.below(1000) as f64 / 1000.0) / f64::from(times);
        let mut part = part(random);
        loop {
            let moment = if turn % 2 == 0 { Moment::Time(part) } else { Moment::Writes(part) };
            if whole.pull(bench, moment, random) {
                break;
            }
            // The apply was quicker than the first one.
            part *= 0.95;
        }
        whole.check(bench);
    }
}

#[test]
#[ignore = "takes twenty minutes: cargo test --test vm -- --ignored --nocapture"]
fn a_plug_that_is_pulled_changes_nothing_in_the_end() {
    let Some(bench) = Bench::set_up("a_plug_that_is_pulled_changes_nothing_in_the_end") else {
        return;
    };
    let seed = seed();
    println!("CARRACK_VM_SEED={seed}");
    let mut random = Random::new(seed);

    let first = Whole::run(&bench, BOOTED, FIRST);
    pull_often(&bench, &first, 10, &mut random);

    let mut machine = bench.resume(BOOTED);
    machine.succeed(&apply(&FIRST));
    wait_for_shop(&mut machine, &FIRST);
    bench.save(machine, INSTALLED);
    let upgrade = Whole::run(&bench, INSTALLED, SECOND);
    pull_often(&bench, &upgrade, 5, &mut random);
}
