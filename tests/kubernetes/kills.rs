//! Kills of the installer and of the whole node, in the steps that make a cluster, upgrade it and join it: the boot or `resume`
//! goes on or back, and the cluster is well or gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::bundle::{FIRST, Parts, SECOND, SERVERS, Version};
use super::cluster::{INSTALLER, KUBECTL, apply, command};
use super::holds::Holds;
use super::node::{Node, Wire};
use super::registry::Registry;
use super::ring::LEFT;
use super::servers::{HANDS_ON, NAMES, Servers};

/// How often what a run says is looked at.
const POLL: Duration = Duration::from_millis(10);
/// The installer's output, on the node.
const LOG: &str = "/var/log/installer";
/// Whether an installation is under way, by the journal and by what the installer itself says.
const SETTLED: &str = "[ -z \"$(ls /var/lib/carrack/journal 2>/dev/null)\" ] && ! systemctl is-active --quiet carrack-resume || \
                       { journalctl --no-pager -n 40 -u carrack-resume; false; }";

#[test]
#[ignore = "takes minutes for each kill, CARRACK_KILLS of them"]
fn what_is_killed_goes_on_or_back() {
    const TEST: &str = "what_is_killed_goes_on_or_back";
    let Some((system, parts)) = Parts::with_system(TEST) else {
        return;
    };
    let (workbench, wire) = (parts.workbench(), Wire::new());
    let registry = Registry::start(&workbench.join("registry"), &parts.images());
    [FIRST, SECOND, SERVERS].iter().for_each(|version| parts.build(&registry, &workbench, version));
    drop(registry);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let (kills, seed) = (said("CARRACK_KILLS", 30), said("CARRACK_KILLS_SEED", now));
    println!("CARRACK_KILLS={kills} CARRACK_KILLS_SEED={seed}");

    let servers = Servers::boot(2, &system, &workbench, &wire, &parts);
    let mut bench = Bench { servers, nodes: workbench.join("nodes"), random: Random(seed) };
    let before = Holds::of(&mut bench.servers.nodes[0]);
    bench.make(kills.div_ceil(3), &before);
    bench.upgrade((kills + 1) / 3);
    bench.join(kills / 3);
    for node in [1, 0] {
        bench.servers.nodes[node].run(&format!("{INSTALLER} uninstall --yes"));
    }
}

/// The number that a variable of the environment has.
fn said(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// Two servers, and what decides when they are killed.
struct Bench<'w> {
    servers: Servers<'w>,
    nodes: PathBuf,
    random: Random,
}

impl Bench<'_> {
    /// Makes a cluster of one, and takes it away again, so many times.
    fn make(&mut self, kills: u64, before: &Holds) {
        if kills == 0 {
            return;
        }
        self.servers.site(0, "");
        let run = command(NAMES[0], &FIRST);
        let course = self.course(0, &run);
        self.take_away(before);
        for kill in 1..=kills {
            let told = self.kill(0, &run, &course);
            let outcome = self.installed(0);
            println!("init {kill} of {kills}: {told}: {}", word(outcome.is_some()));
            match outcome {
                Some(_) => {
                    self.servers.wait_until_well(&[0]);
                    self.take_away(before);
                }
                None => as_before(&mut self.servers.nodes[0], before),
            }
        }
    }

    fn take_away(&mut self, before: &Holds) {
        self.servers.nodes[0].succeed(&format!("{INSTALLER} uninstall --yes"));
        as_before(&mut self.servers.nodes[0], before);
    }

    /// Upgrades a cluster of one, and takes it back, so many times.
    fn upgrade(&mut self, kills: u64) {
        if kills == 0 {
            return;
        }
        self.servers.site(0, "");
        apply(&mut self.servers.nodes[0], NAMES[0], &FIRST);
        self.servers.wait_until_well(&[0]);
        let run = command(NAMES[0], &SECOND);
        let course = self.course(0, &run);
        self.take_back();
        for kill in 1..=kills {
            let told = self.kill(0, &run, &course);
            let version = self.installed(0);
            let is = |wanted: &Version| version.as_deref() == Some(&format!("store {}", wanted.number));
            println!("upgrade {kill} of {kills}: {told}: {version:?}");
            assert!(is(&FIRST) || is(&SECOND), "{version:?}");
            self.well(if is(&SECOND) { &SECOND } else { &FIRST });
            if is(&SECOND) {
                self.take_back();
            }
        }
        self.servers.nodes[0].succeed(&format!("{INSTALLER} uninstall --yes"));
    }

    fn take_back(&mut self) {
        self.servers.nodes[0].succeed(&format!("{INSTALLER} rollback --yes"));
        self.well(&FIRST);
    }

    /// Waits until a cluster of one is well in this version.
    fn well(&mut self, version: &Version) {
        self.servers.wait_until_well(&[0]);
        let versions = format!("{KUBECTL} version -o json; {KUBECTL} get nodes -o wide");
        let shows = self.servers.nodes[0].succeed(&versions);
        let wanted = format!("\"gitVersion\": \"v{}\"", version.kubernetes);
        assert_eq!(shows.matches(&wanted).count(), 2, "{shows}");
    }

    /// Has a further server join, and leave again, so many times.
    fn join(&mut self, kills: u64) {
        if kills == 0 {
            return;
        }
        let role = format!("{HANDS_ON}{}", self.servers.beginning());
        self.servers.site(0, &role);
        apply(&mut self.servers.nodes[0], NAMES[0], &SERVERS);
        let role = format!("{HANDS_ON}{}", self.servers.joining());
        self.servers.site(1, &role);
        let before = Holds::of(&mut self.servers.nodes[1]);
        let run = command(NAMES[1], &SERVERS);
        let course = self.course(1, &run);
        self.leave(&before);
        for kill in 1..=kills {
            let told = self.kill(1, &run, &course);
            let outcome = self.installed(1);
            println!("join {kill} of {kills}: {told}: {}", word(outcome.is_some()));
            match outcome {
                Some(_) => {
                    self.servers.wait_until_well(&[0, 1]);
                    self.leave(&before);
                }
                None => self.left(&before),
            }
        }
    }

    fn leave(&mut self, before: &Holds) {
        self.servers.nodes[1].succeed(&format!("{INSTALLER} uninstall --yes"));
        self.left(before);
    }

    /// The second server is gone, and the first one is well without it.
    fn left(&mut self, before: &Holds) {
        as_before(&mut self.servers.nodes[1], before);
        assert_eq!(self.servers.members(0), [NAMES[0]], "the members of etcd");
        self.servers.nodes[0].succeed(&format!("{KUBECTL} delete node --ignore-not-found {}", NAMES[1]));
        self.servers.wait_until_well(&[0]);
    }

    /// What of a run takes how long, where nothing disturbs it: what it says when each part begins.
    fn course(&mut self, node: usize, run: &str) -> Vec<(String, Duration)> {
        let log = self.begin(node, run);
        let (mut parts, mut begun) = (Vec::new(), Instant::now());
        let mut part = String::new();
        loop {
            let running = self.runs(node);
            let text = fs::read_to_string(&log).unwrap_or_default();
            let now = text.lines().rev().find_map(step).unwrap_or_default();
            if now != part || !running {
                parts.push((std::mem::replace(&mut part, now), begun.elapsed()));
                begun = Instant::now();
            }
            if !running {
                assert!(text.contains("\ninstalled: "), "{text}");
                println!("{}: {parts:.1?}", NAMES[node]);
                return parts;
            }
            thread::sleep(POLL);
        }
    }

    /// Kills the installer, or the whole node, at some moment of the run, and has it settle. Returns what was done.
    fn kill(&mut self, node: usize, run: &str, course: &[(String, Duration)]) -> String {
        // One half of the moments by time, the other one by parts, of which many are short.
        let (part, share) = if self.random.below(2) == 0 {
            let whole: f64 = course.iter().map(|(_, time)| time.as_secs_f64()).sum();
            let mut at = whole * self.random.share();
            let part = course.iter().position(|(_, time)| {
                at -= time.as_secs_f64();
                at < 0.0
            });
            let part = part.unwrap_or(course.len() - 1);
            (part, 1.0 + at / course[part].1.as_secs_f64())
        } else {
            (usize::try_from(self.random.below(course.len() as u64)).unwrap(), self.random.share())
        };
        let (begins, time) = &course[part];
        let moment = time.mul_f64(share.clamp(0.0, 1.0));
        let power = self.random.below(2) == 0;
        let log = self.begin(node, run);
        let mut seen = begins.is_empty().then(Instant::now);
        while self.runs(node) && seen.is_none_or(|seen| seen.elapsed() < moment) {
            let text = fs::read_to_string(&log).unwrap_or_default();
            if seen.is_none() && text.lines().filter_map(step).any(|step| step == *begins) {
                seen = Some(Instant::now());
            }
            thread::sleep(POLL);
        }
        let node = &mut self.servers.nodes[node];
        let what = if power {
            node.cut_power();
            node.boot();
            node.wait_for("the end of what was interrupted", SETTLED);
            "power cut".to_owned()
        } else {
            node.run(&format!("kill -9 $(cat {LOG}.pid)"));
            let resumed = node.run(&format!("{INSTALLER} resume"));
            assert!([0, 50].contains(&resumed.code), "{begins} + {moment:.1?}: {}: {}", resumed.code, resumed.output);
            format!("killed, resume ended with {}", resumed.code)
        };
        format!("{begins} + {moment:.1?}: {what}")
    }

    /// Begins a run, and leaves it to itself. Returns what it writes, as this side sees it.
    fn begin(&mut self, node: usize, run: &str) -> PathBuf {
        let script = format!(
            "rm -f {LOG} {LOG}.pid; setsid bash -c 'echo $$ >{LOG}.pid; exec {run}' </dev/null >{LOG} 2>&1 &\n\
             until [ -s {LOG}.pid ]; do sleep 0.01; done"
        );
        self.servers.nodes[node].succeed(&script);
        within(&self.nodes.join(NAMES[node]).join("root"), LOG)
    }

    fn runs(&mut self, node: usize) -> bool {
        self.servers.nodes[node].run(&format!("kill -0 $(cat {LOG}.pid)")).code == 0
    }

    /// What is installed, where something is: then it is as it was installed.
    fn installed(&mut self, node: usize) -> Option<String> {
        let status = self.servers.nodes[node].run(&format!("{INSTALLER} status"));
        if status.code == 40 && status.output.contains("nothing is installed") {
            return None;
        }
        assert_eq!(status.code, 0, "{}", status.output);
        status.output.lines().next().map(str::to_owned)
    }
}

/// The node has nothing that it did not have, but for what stays on purpose.
fn as_before(node: &mut Node<'_>, before: &Holds) {
    let after = Holds::of(node);
    let new: Vec<String> = after.new_files(before).into_iter().filter(|path| !LEFT.contains(&path.as_str())).collect();
    assert!(new.is_empty(), "{new:#?}");
    assert_eq!(after.network_since(before), "", "the network");
}

/// `step 3 of 10`, where that is what a line begins with.
fn step(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split([' ', ':']).take(4).collect();
    matches!(words[..], ["step", _, "of", _]).then(|| words.join(" "))
}

fn within(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn word(installed: bool) -> &'static str {
    if installed { "installed" } else { "gone" }
}

/// Numbers that a seed repeats (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn share(&mut self) -> f64 {
        self.below(1000) as f64 / 1000.0
    }
}
