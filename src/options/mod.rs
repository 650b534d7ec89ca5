//! Which options the programs of a distribution take, by release and by the part that a machine has in its cluster.
//!
//! Owns the lists of names, `*.txt`, each with its sources. It must not know what an option does, or who asks.

use std::sync::LazyLock;

/// The part of a machine for which options are listed. kubeadm has one list for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The machine that makes the cluster.
    First,
    /// A further server.
    Server,
    /// An agent.
    Agent,
}

/// What is known of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Some machine of the release takes it.
    Taken,
    /// No machine of the release takes it.
    Unknown,
    /// No list has it, and the release is not one of those that are listed.
    Unsure,
}

struct Line {
    name: &'static str,
    parts: Vec<&'static str>,
    releases: Vec<Releases>,
}

/// Releases as a list names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Releases {
    All,
    /// Minor releases from the first to the last.
    Minors(u64, u64),
    /// Of a minor release, the patches from the first to the last.
    Patches(u64, u64, u64),
}

/// The options of a distribution, at one release.
pub struct Options {
    lines: &'static [Line],
    parts: &'static [&'static str],
    minor: u64,
    patch: u64,
    listed: bool,
}

static K3S: LazyLock<Vec<Line>> = LazyLock::new(|| lines(include_str!("k3s.txt")));
static RKE2: LazyLock<Vec<Line>> = LazyLock::new(|| lines(include_str!("rke2.txt")));
static KUBEADM: LazyLock<Vec<Line>> = LazyLock::new(|| lines(include_str!("kubeadm.txt")));
static CANONICAL: LazyLock<Vec<Line>> = LazyLock::new(|| lines(include_str!("canonical.txt")));

/// The minor releases of Kubernetes 1 that are listed.
const MINORS: (u64, u64) = (30, 36);
/// The same for Canonical Kubernetes, which began with 1.32.
const CANONICAL_MINORS: (u64, u64) = (32, 36);
/// The newest patch releases that are listed of k3s and RKE2, by minor release from 1.30 on.
const PATCHES: [u64; 7] = [14, 14, 13, 13, 10, 7, 3];

impl Options {
    /// Those of `distribution` in the release `version`; nothing where there is no list. A release that is not listed has the
    /// options of the nearest one.
    pub fn of(distribution: &str, version: Option<&str>) -> Option<Self> {
        let (lines, parts, minors): (&'static [Line], &'static [&'static str], _) = match distribution {
            "k3s" => (&K3S, &["server", "agent"], MINORS),
            "rke2" => (&RKE2, &["server", "agent"], MINORS),
            "kubeadm" => (&KUBEADM, &["any"], MINORS),
            "canonical" => (&CANONICAL, &["first", "server", "agent"], CANONICAL_MINORS),
            _ => return None,
        };
        let release = version.and_then(release);
        let (minor, patch) = release.unwrap_or((minors.1, u64::MAX));
        let by_patch = matches!(distribution, "k3s" | "rke2");
        let newest =
            |minor: u64| if by_patch { PATCHES[usize::try_from(minor - minors.0).unwrap_or(0)] } else { u64::MAX };
        let (minor, patch, listed) = match minor {
            early if early < minors.0 => (minors.0, 0, false),
            late if late > minors.1 => (minors.1, u64::MAX, false),
            minor => (minor, patch, release.is_some() && patch <= newest(minor)),
        };
        Some(Self { lines, parts, minor, patch, listed })
    }

    /// Whether a machine with this part takes the option `name`.
    pub fn takes(&self, name: &str, part: Part) -> bool {
        let part = match part {
            _ if self.parts.len() == 1 => "any",
            Part::First if self.parts.contains(&"first") => "first",
            Part::First | Part::Server => "server",
            Part::Agent => "agent",
        };
        self.here().any(|line| line.name == name && line.parts.contains(&part))
    }

    /// What is known of the option `name`.
    pub fn knows(&self, name: &str) -> Known {
        match self.here().any(|line| line.name == name) {
            true => Known::Taken,
            false if self.listed => Known::Unknown,
            false => Known::Unsure,
        }
    }

    /// The options below `path`, which are fields of a mapping; none where they are not listed. `path` is empty for all that
    /// are below nothing.
    pub fn below(&self, path: &str) -> Vec<&'static str> {
        let inner = |name: &'static str| match path {
            "" => Some(name),
            _ => name.strip_prefix(path)?.strip_prefix('.'),
        };
        let names = self.here().filter_map(|line| inner(line.name)).filter(|name| !name.contains('.'));
        let mut names: Vec<&str> = names.collect();
        names.dedup();
        names
    }

    /// The lines of this release.
    fn here(&self) -> impl Iterator<Item = &'static Line> {
        let (minor, patch) = (self.minor, self.patch);
        let has = move |releases: &Releases| match *releases {
            Releases::All => true,
            Releases::Minors(first, last) => (first..=last).contains(&minor),
            Releases::Patches(of, first, last) => of == minor && (first..=last).contains(&patch),
        };
        self.lines.iter().filter(move |line| line.releases.iter().any(has))
    }
}

/// Minor and patch number of a release of Kubernetes 1.
fn release(version: &str) -> Option<(u64, u64)> {
    let mut numbers = version.trim_start_matches('v').split(['.', '-', '+']).map(str::parse);
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(1)), Some(Ok(minor)), Some(Ok(patch))) => Some((minor, patch)),
        (Some(Ok(1)), Some(Ok(minor)), _) => Some((minor, u64::MAX)),
        _ => None,
    }
}

fn lines(text: &'static str) -> Vec<Line> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(line).collect()
}

fn line(text: &'static str) -> Option<Line> {
    let mut words = text.split(' ');
    let (name, parts) = (words.next()?, words.next()?.split(',').collect());
    let releases = words.map(releases).collect::<Option<Vec<_>>>()?;
    (!releases.is_empty()).then_some(Line { name, parts, releases })
}

fn releases(word: &str) -> Option<Releases> {
    let minor = |text: &str| text.strip_prefix("1.")?.parse().ok();
    if word == "*" {
        return Some(Releases::All);
    }
    if let Some((first, last)) = word.split_once("..") {
        return Some(Releases::Minors(minor(first)?, minor(last)?));
    }
    match word.strip_prefix("1.")?.split_once('.') {
        None => minor(word).map(|only| Releases::Minors(only, only)),
        Some((of, patches)) => {
            let (first, last) = match patches.split_once('-') {
                Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
                None => (patches.parse().ok()?, u64::MAX),
            };
            Some(Releases::Patches(of.parse().ok()?, first, last))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(distribution: &str, version: &str) -> Options {
        Options::of(distribution, Some(version)).unwrap()
    }

    #[test]
    fn every_line_of_every_list_is_read() {
        for text in [
            include_str!("k3s.txt"),
            include_str!("rke2.txt"),
            include_str!("kubeadm.txt"),
            include_str!("canonical.txt"),
        ] {
            assert!(text.contains("https://"), "no source is named");
            for one in text.lines().filter(|line| !line.starts_with('#')) {
                assert!(line(one).is_some(), "{one}");
            }
        }
    }

    #[test]
    fn agents_take_what_agents_have() {
        for distribution in ["k3s", "rke2"] {
            let options = of(distribution, "1.32.5");
            for (name, server, agent) in [
                ("disable", true, false),
                ("tls-san", true, false),
                ("write-kubeconfig-mode", true, false),
                ("node-label", true, true),
                ("server", true, true),
                ("kubelet-arg", true, true),
                ("tls-sann", false, false),
            ] {
                assert_eq!(options.takes(name, Part::First), server, "{distribution} {name}");
                assert_eq!(options.takes(name, Part::Server), server, "{distribution} {name}");
                assert_eq!(options.takes(name, Part::Agent), agent, "{distribution} {name}");
            }
        }
        assert!(of("k3s", "1.32.5").takes("cluster-init", Part::First));
        assert!(!of("rke2", "1.32.5").takes("cluster-init", Part::First));
        assert!(of("rke2", "1.32.5").takes("cni", Part::Server) && !of("k3s", "1.32.5").takes("cni", Part::Server));
        let canonical = of("canonical", "1.32.5");
        assert!(canonical.takes("pod-cidr", Part::First) && !canonical.takes("pod-cidr", Part::Server));
        assert!(canonical.takes("extra-node-kubelet-args", Part::Agent));
    }

    #[test]
    fn options_come_with_a_release() {
        for (version, there) in [
            ("1.30.1+k3s1", false),
            ("1.30.7+k3s1", true),
            ("v1.31.2+k3s1", false),
            ("1.31.3", true),
            ("1.32.0", true),
            ("1.36", true),
        ] {
            assert_eq!(of("k3s", version).takes("nonroot-devices", Part::Agent), there, "{version}");
        }
        assert!(of("kubeadm", "1.30.2").below("clusterConfiguration.apiServer").contains(&"timeoutForControlPlane"));
        assert!(!of("kubeadm", "1.31.0").below("clusterConfiguration.apiServer").contains(&"timeoutForControlPlane"));
    }

    #[test]
    fn a_release_that_is_not_listed_is_not_sure() {
        for (version, expected) in [
            ("1.36.3+k3s1", Known::Unknown),
            ("1.30.0", Known::Unknown),
            ("1.36.4", Known::Unsure),
            ("1.37.0", Known::Unsure),
            ("1.29.9", Known::Unsure),
            ("2.0.0", Known::Unsure),
            ("new", Known::Unsure),
        ] {
            assert_eq!(of("k3s", version).knows("none-such"), expected, "{version}");
            assert_eq!(of("k3s", version).knows("disable"), Known::Taken, "{version}");
        }
        assert_eq!(Options::of("k3s", None).unwrap().knows("none-such"), Known::Unsure);
        assert_eq!(
            of("kubeadm", "1.36.99").knows("none-such"),
            Known::Unknown,
            "its lists are those of minor releases"
        );
        assert!(Options::of("none", Some("1.30.0")).is_none());
    }

    #[test]
    fn fields_are_listed_by_their_mapping() {
        let kubeadm = of("kubeadm", "1.32.5");
        assert_eq!(
            kubeadm.below(""),
            [
                "clusterConfiguration",
                "initConfiguration",
                "joinConfiguration",
                "kubeProxyConfiguration",
                "kubeletConfiguration"
            ]
        );
        assert!(kubeadm.below("clusterConfiguration.networking").contains(&"podSubnet"));
        assert!(kubeadm.below("kubeletConfiguration.evictionHard").is_empty());
        assert!(of("canonical", "1.33.0").below("cluster-config").contains(&"ingress"));
        assert!(of("k3s", "1.32.0").below("disable").is_empty());
    }
}
