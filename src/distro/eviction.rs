//! How much the kubelet wants to be free on a disk: below that it takes no more pods and ends those that run
//! (<https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/>, hard eviction thresholds).

/// What has to stay free of a file system.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Free {
    /// Percent of its size.
    Percent(f64),
    /// Bytes.
    Bytes(u64),
}

/// The thresholds of a machine's kubelet.
#[derive(Debug, Clone, PartialEq)]
pub struct Eviction {
    /// The kubelet's folder, on the file system that it calls `nodefs`.
    pub kubelet: String,
    /// What it wants free there.
    pub nodefs: Free,
    /// What it wants free where images are, which it calls `imagefs`.
    pub imagefs: Free,
}

impl Free {
    /// The same in bytes, of a file system with `size` bytes.
    pub fn of(self, size: u64) -> u64 {
        match self {
            Self::Percent(percent) => (size as f64 * percent / 100.0).ceil() as u64,
            Self::Bytes(bytes) => bytes,
        }
    }

    /// A threshold as Kubernetes writes it: `10%`, or a quantity such as `1Gi`. Nothing where it is neither.
    fn parse(text: &str) -> Option<Self> {
        const SUFFIXES: [(&str, f64); 9] = [
            ("Ki", 1024.0),
            ("Mi", 1_048_576.0),
            ("Gi", 1_073_741_824.0),
            ("Ti", 1_099_511_627_776.0),
            ("k", 1e3),
            ("M", 1e6),
            ("G", 1e9),
            ("T", 1e12),
            ("", 1.0),
        ];
        let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        if let Some(percent) = text.trim().strip_suffix('%') {
            return number(percent).map(Self::Percent);
        }
        let (digits, factor) =
            SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.trim().strip_suffix(suffix)?, factor)))?;
        number(digits).map(|number| Self::Bytes((number * factor) as u64))
    }
}

impl std::fmt::Display for Free {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent} %"),
            Self::Bytes(bytes) => write!(f, "{} MiB", bytes >> 20),
        }
    }
}

impl Eviction {
    /// That of a kubelet in the folder `kubelet`. `said` is what it is told, the name of a signal with its threshold; where it is
    /// told any, none of its `defaults` counts, those of `nodefs` and `imagefs`.
    pub(super) fn of(kubelet: String, said: Option<Vec<(String, String)>>, defaults: (Free, Free)) -> Self {
        let Some(said) = said else { return Self { kubelet, nodefs: defaults.0, imagefs: defaults.1 } };
        let threshold = |signal: &str| {
            let found = said.iter().rfind(|(name, _)| name == signal);
            found.and_then(|(_, threshold)| Free::parse(threshold)).unwrap_or(Free::Bytes(0))
        };
        Self { kubelet, nodefs: threshold("nodefs.available"), imagefs: threshold("imagefs.available") }
    }
}

/// The signals of the argument `--eviction-hard`: `nodefs.available<10%,imagefs.available<15%`.
pub(super) fn signals(argument: &str) -> Vec<(String, String)> {
    let pairs = argument.trim_matches(['\'', '"']).split(',').filter_map(|pair| pair.split_once('<'));
    pairs.map(|(signal, threshold)| (signal.trim().to_owned(), threshold.trim().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_percent_or_quantities() {
        for (text, bytes) in [
            ("10%", Some(100)),
            ("12.5%", Some(125)),
            ("100", Some(100)),
            ("1Ki", Some(1024)),
            ("1.5k", Some(1500)),
            ("500Mi", Some(500 << 20)),
            ("much", None),
            ("-1%", None),
            ("", None),
        ] {
            assert_eq!(Free::parse(text).map(|free| free.of(1000)), bytes, "{text}");
        }
    }

    #[test]
    fn what_a_kubelet_is_told_takes_the_place_of_all_defaults() {
        let defaults = (Free::Percent(10.0), Free::Percent(15.0));
        let of = |said: Option<&str>| {
            let Eviction { nodefs, imagefs, .. } = Eviction::of("/k".to_owned(), said.map(signals), defaults);
            (nodefs, imagefs)
        };
        assert_eq!(of(None), defaults);
        assert_eq!(of(Some("imagefs.available<5%")), (Free::Bytes(0), Free::Percent(5.0)));
        assert_eq!(of(Some("'memory.available<1Mi,nodefs.available<1Gi'")), (Free::Bytes(1 << 30), Free::Bytes(0)));
    }
}
