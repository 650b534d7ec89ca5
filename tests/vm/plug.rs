//! The plug is pulled at random moments of an apply. The machine boots, goes on, and ends as if nothing had happened.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::bench::{BOOTED, Bench, INSTALLER, Saved};
use super::machine::Machine;
use super::power::Random;
use super::shop::{FIRST, SECOND, Version};
use super::state::{difference, files, names, unpacked};

/// The first version runs.
const INSTALLED: Saved = Saved("installed");

/// What is applied to what.
#[derive(Clone, Copy)]
struct Step {
    from: Saved,
    before: Option<&'static Version>,
    version: &'static Version,
}

const INSTALLATION: Step = Step { from: BOOTED, before: None, version: &FIRST };
const UPGRADE: Step = Step { from: INSTALLED, before: Some(&FIRST), version: &SECOND };

/// An apply without disturbance: what it leaves, and how much it takes.
struct Whole {
    step: Step,
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

/// Waits until the container of this version writes, and not one before it.
pub(crate) fn wait_for_shop(machine: &mut Machine, version: &Version) {
    machine.succeed("rm -f /run/shop/beat");
    machine.wait_for("the shop", &format!("grep -qx 'shop {}' /run/shop/beat", version.number));
    machine.succeed("systemctl is-active --quiet shop.service && systemctl is-enabled --quiet shop.service");
}

fn length(log: &Path) -> u64 {
    log.metadata().unwrap().len()
}

/// What the failed power has left on the disk.
struct Left {
    /// The journal's file.
    journal: Option<String>,
    /// Whether the receipt is there.
    done: bool,
}

impl Left {
    fn on(bench: &Bench, version: &Version) -> Self {
        let disk = bench.look();
        let journal = disk.run("shopt -s nullglob; cd /var/lib/carrack/journal 2>/dev/null || exit 0; echo *.json");
        let receipts = disk.run("shopt -s nullglob; echo /var/lib/carrack/receipts/*");
        let journal = Some(journal.trim().to_owned()).filter(|name| !name.is_empty());
        Self { journal, done: receipts.contains(&format!("-shop-{}.json", version.number)) }
    }

    /// What the boot unit says that it has done; nothing where there is nothing to go on with.
    fn told(&self) -> Option<&'static str> {
        match self.journal.as_deref()? {
            // With the stick where it was, it begins again.
            "preparing.json" => Some("was interrupted before it changed anything"),
            "naming.json" | "stopping.json" | "changing.json" | "starting.json" | "finishing.json" => {
                Some("was interrupted, and is finished now")
            }
            // Nothing fails here, so nothing goes back; and there is one file.
            other => panic!("the journal is in {other}"),
        }
    }
}

impl Whole {
    /// The machine that it leaves is saved where `saved` says so.
    fn run(bench: &Bench, step: Step, saved: Option<Saved>) -> Self {
        let mut machine = bench.resume_with_log(step.from);
        machine.succeed("sync");
        let (begun, before) = (Instant::now(), length(&bench.log()));
        machine.succeed(&apply(step.version));
        let (takes, writes) = (begun.elapsed(), length(&bench.log()) - before);
        wait_for_shop(&mut machine, step.version);
        let (files, content) = state(bench, machine, saved);
        let lines = files.len() + content.len();
        println!("{}: {takes:?}, {writes} bytes written, {lines} lines of state", step.version.number);
        Self { step, files, content, takes, writes }
    }

    /// Pulls the plug. Returns whether it was before the end of the apply.
    fn pull(&self, bench: &Bench, moment: Moment) -> bool {
        let mut machine = bench.resume_with_log(self.step.from);
        machine.succeed("sync");
        let (begun, before) = (Instant::now(), length(&bench.log()));
        machine.begin(&apply(self.step.version));
        let come = || match moment {
            Moment::Time(part) => begun.elapsed() >= self.takes.mul_f64(part),
            Moment::Writes(part) => {
                (length(&bench.log()) - before) as f64 >= self.writes as f64 * part || begun.elapsed() > self.takes * 2
            }
        };
        while !come() {
            thread::sleep(Duration::from_millis(1));
        }
        !machine.pull_plug()
    }

    /// Boots, and looks whether everything becomes as it should.
    fn check(&self, bench: &Bench, pulled: &str) {
        let Step { before, version, .. } = self.step;
        let (begun, left) = (Instant::now(), Left::on(bench, version));
        let mut machine = bench.boot();
        machine.wait_for_boot();
        let booted = begun.elapsed();

        let told = machine.succeed("journalctl --no-pager -o cat -u carrack-resume");
        match left.told() {
            Some(told_of) => assert!(told.contains(told_of), "{pulled}, with {:?}: {told}", left.journal),
            None => assert!(!told.contains("an earlier run"), "{pulled}, without a journal: {told}"),
        }
        let wanted = match (&left.journal, left.done, before) {
            // It went on by itself, or was done.
            (Some(_), _, _) | (None, true, _) => (0, version),
            // Nothing had been begun: all is as it was.
            (None, false, Some(before)) => (0, before),
            (None, false, None) => (40, version),
        };
        let status = machine.run(&format!("{INSTALLER} status"));
        assert_eq!(
            status.code,
            wanted.0,
            "{pulled}, with {:?}: {}\n{}",
            left.journal,
            status.output,
            story(&mut machine)
        );
        if wanted.0 == 0 {
            wait_for_shop(&mut machine, wanted.1);
        }
        // What started has taken itself away.
        machine.expect(1, "ls /etc/systemd/system/multi-user.target.wants | grep carrack");

        // And a person who applies it again has only what was not begun to do.
        let again = machine.succeed(&apply(version));
        let nothing = left.journal.is_some() || left.done;
        assert_eq!(again.contains("nothing to change"), nothing, "{pulled}, with {:?}: {again}", left.journal);
        wait_for_shop(&mut machine, version);
        let told = story(&mut machine);
        let (files, content) = state(bench, machine, None);
        assert_eq!(difference(&self.files, &files), "", "files: {pulled}\n{told}");
        assert_eq!(difference(&self.content, &content), "", "in containerd: {pulled}\n{told}");
        let (journal, whole) = (left.journal.as_deref().unwrap_or("no journal"), begun.elapsed());
        println!(
            "{pulled}; {journal}, done: {}; as if undisturbed (booted in {booted:.0?}, {whole:.0?} in all)",
            left.done
        );
    }
}

/// What a machine holds; it ends, and is saved where `saved` says so. Its files are read without it, which is quicker.
fn state(bench: &Bench, mut machine: Machine, saved: Option<Saved>) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut content = names(|script| machine.succeed(script));
    machine.succeed("sync");
    match saved {
        Some(saved) => bench.save(machine, saved),
        None => drop(machine),
    }
    let disk = bench.look();
    content.extend(unpacked(|script| disk.run(script)));
    (files(|script| disk.run(script)), content)
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

/// Pulls the plug at each of `turns` of `times` moments, which are spread over the apply, by time and by what is written.
fn pull_often(bench: &Bench, whole: &Whole, turns: impl Iterator<Item = u32>, times: u32, random: &mut Random) {
    for turn in turns {
        let mut part = (f64::from(turn) + random.below(1000) as f64 / 1000.0) / f64::from(times);
        let moment = loop {
            let moment = if turn / 2 % 2 == 0 { Moment::Time(part) } else { Moment::Writes(part) };
            if whole.pull(bench, moment) {
                break moment;
            }
            // The apply was quicker than the first one.
            part *= 0.95;
        };
        let loss = bench.fail(whole.step.from, random);
        let lost = format!("{} of {} unflushed blocks lost", loss.blocks_lost, loss.blocks_unflushed);
        whole.check(bench, &format!("{} {moment:.2?}: {lost}", whole.step.version.number));
    }
}

/// Pulls the plug at so many moments of an apply, on two machines side by side. What the apply leaves is saved where `saved`
/// says so.
fn pull_on_two(bench: &Bench, step: Step, times: u32, saved: Option<Saved>, random: &mut Random) {
    let second = bench.beside();
    let mut seeded = || Random::new(random.below(u64::from(u32::MAX)));
    let machines = [(bench, 0, saved, seeded()), (&second, 1, None, seeded())];
    thread::scope(|scope| {
        for (bench, first, saved, mut random) in machines.into_iter().take(times as usize) {
            scope.spawn(move || {
                // Each for itself: how long it takes depends on the other one.
                let whole = Whole::run(bench, step, saved);
                pull_often(bench, &whole, (first..times).step_by(2), times, &mut random);
            });
        }
    });
}

/// Pulls the plug at so many moments of an installation, and of an upgrade.
fn pull(test: &str, installing: u32, upgrading: u32) {
    let Some(bench) = Bench::set_up(test) else {
        return;
    };
    let (seed, begun) = (seed(), Instant::now());
    println!("CARRACK_VM_SEED={seed}");
    let mut random = Random::new(seed);
    pull_on_two(&bench, INSTALLATION, installing, Some(INSTALLED), &mut random);
    pull_on_two(&bench, UPGRADE, upgrading, None, &mut random);
    println!("{} plugs pulled in {:.0?}", installing + upgrading, begun.elapsed());
}

#[test]
fn a_plug_that_is_pulled_changes_nothing_in_the_end() {
    pull("a_plug_that_is_pulled_changes_nothing_in_the_end", 3, 1);
}

#[test]
#[ignore = "takes a quarter of an hour: cargo test --test vm -- --ignored --nocapture"]
fn a_plug_that_is_pulled_often_changes_nothing_in_the_end() {
    pull("a_plug_that_is_pulled_often_changes_nothing_in_the_end", 10, 5);
}
